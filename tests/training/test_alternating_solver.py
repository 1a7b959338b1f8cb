"""The alternating solver: which half learns when, from which views, and that a stop changes nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from tiny_workshop import recipe_values
from torch import Tensor, nn

from vestige.errors import ConfigError, DataError
from vestige.methods.attribution.model import Attribution, AttributionConfig
from vestige.methods.frozen_features import FrozenFeatures, Tower
from vestige.methods.references.probe import LinearProbe
from vestige.progress import Progress
from vestige.training import alternating
from vestige.training.alternating import Alternation, Pool, of_source
from vestige.training.examples import RECONSTRUCTION, Examples
from vestige.training.features import Bucket
from vestige.training.recipe import Recipe

WIDTH = 10
GROUPS = ["camera", "phone", "gan", "diffusion", RECONSTRUCTION]
LABELS = np.array([0, 0, 1, 1, 1])
COUNT = 200


class Plain(Tower):
    description = "nothing"
    weights_note = "none"

    def __init__(self) -> None:
        super().__init__()
        self.part, self.width = nn.Identity(), WIDTH

    def forward(self, kept: Tensor) -> Tensor:
        return kept


def network(**options: Any) -> Attribution:
    torch.manual_seed(0)
    config = AttributionConfig.model_validate({"widths": (6, 3), **options})
    return Attribution(config, FrozenFeatures([Plain()]))


def recipe(**options: Any) -> Recipe:
    fit = {"batch": 16, "alternating": {"rounds": 4, "rounds_per_checkpoint": 2, **options}}
    return Recipe.model_validate(recipe_values("attribution", fit=fit))


def which() -> npt.NDArray[np.int64]:
    return np.arange(COUNT) % len(GROUPS)


def examples(seed: int = 0) -> Examples:
    kinds = which()
    rng = np.random.default_rng(seed)
    features = rng.normal(0, 1, (COUNT, WIDTH))
    features[np.arange(COUNT), kinds] += 3
    return Examples(
        buckets=[Bucket(np.arange(COUNT), [features.astype(np.float16)])],
        labels=LABELS[kinds],
        weights=np.ones(COUNT),
        rows=np.arange(COUNT),
        reconstructed=kinds == 4,
        groups=np.array(GROUPS)[kinds],
    )


def fitted(
    known: Examples, folder: Path, chosen: Any = None, found: Any = None, **options: Any
) -> Attribution:
    trained: Attribution = found or network()
    everything = np.ones(COUNT, dtype=bool) if chosen is None else chosen
    alternating.fit(trained, known, everything, recipe(**options), folder, Progress())
    return trained


def alternation(found: Attribution, **options: Any) -> Alternation:
    known = examples()
    features = known.buckets[0].features[0][:]
    source = np.where(of_source(found, known), known.weights, 0)
    return Alternation(
        found,
        Pool(features, known.labels, source, 16, 0),
        Pool(features, known.labels, known.weights, 16, 0),
        recipe(**options),
    )


def state(parameters: list[nn.Parameter]) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in parameters]


def same(first: list[Tensor], second: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_the_classifier_is_frozen_while_the_module_learns() -> None:
    found = network(classifier={"widths": (4,), "normalise": "batch"})
    one = alternation(found)
    one.classifier_step(0)  # gives it moments and running statistics that could move
    before, buffers = state(found.classifier_parameters()), state(list(found.classifier.buffers()))
    module = state(found.attribution_parameters())
    one.attribution_step(0)
    assert same(before, state(found.classifier_parameters()))
    assert same(buffers, state(list(found.classifier.buffers())))
    assert not any(
        torch.equal(a, b) for a, b in zip(module, state(found.attribution_parameters()), strict=True)
    )
    assert not any(parameter.requires_grad for parameter in found.classifier_parameters())


def test_the_module_is_frozen_while_the_classifier_learns() -> None:
    found = network(classifier={"widths": (4,)})
    one = alternation(found)
    one.attribution_step(0)
    before, classifier = state(found.attribution_parameters()), state(found.classifier_parameters())
    one.classifier_step(0)
    assert same(before, state(found.attribution_parameters()))
    assert not same(classifier, state(found.classifier_parameters()))
    assert not any(parameter.requires_grad for parameter in found.attribution_parameters())


@pytest.mark.parametrize("half", ["attribution_step", "classifier_step"])
def test_standardisation_and_towers_are_frozen_in_both_halves(half: str) -> None:
    found = network()
    before = state([*found.features.parameters(), *found.standardise.buffers()])  # type: ignore[list-item]
    getattr(alternation(found), half)(0)
    assert same(before, state([*found.features.parameters(), *found.standardise.buffers()]))  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("source", "kinds"),
    [
        ({"label": "real"}, {0, 1}),
        (
            {"label": "generated"},
            {2, 3},
        ),  # a reconstruction counts as generated, and is no generator's picture
        ({"label": "generated", "groups": ("gan",)}, {2}),
        ({"label": "real", "groups": ("phone", "gan")}, {1}),
    ],
)
def test_only_one_class_enters_the_attribution_loss(
    source: dict[str, Any], kinds: set[int], tmp_path: Path
) -> None:
    """Whatever all other views are replaced by, the module and the standardisation stay the same."""
    known, other = examples(), examples()
    outside = ~np.isin(which(), list(kinds))
    features = np.array(other.buckets[0].features[0])
    features[outside] = 50 * features[outside][:, ::-1] + 7
    other.buckets[0] = Bucket(other.buckets[0].views, [features])
    first = fitted(known, tmp_path / "a", found=network(source=source))
    second = fitted(other, tmp_path / "b", found=network(source=source))
    assert same(state(first.attribution_parameters()), state(second.attribution_parameters()))
    assert torch.equal(first.standardise.mean, second.standardise.mean)
    assert torch.equal(first.standardise.deviation, second.standardise.deviation)
    assert not torch.equal(first.linear.weight, second.linear.weight)
    inside = np.array(known.buckets[0].features[0])[~outside].astype(np.float64)
    np.testing.assert_allclose(first.standardise.mean.numpy(), inside.mean(0), atol=1e-4)
    np.testing.assert_allclose(first.standardise.deviation.numpy(), inside.std(0, ddof=1), rtol=1e-4)


def test_the_source_is_drawn_from_its_own_views_by_weight() -> None:
    features = np.arange(6, dtype=np.float16)[:, None].repeat(WIDTH, 1)
    weights = np.array([0.0, 1, 0, 3, 0, 0])
    pool = Pool(features, np.array([0, 1, 0, 1, 0, 0]), weights, 4000, 5)
    drawn, labels = pool.batch(0, 0)
    assert set(drawn[:, 0].tolist()) == {1.0, 3.0}
    assert set(labels.tolist()) == {1.0}
    assert (drawn[:, 0] == 3).float().mean() == pytest.approx(0.75, abs=0.03)
    assert not torch.equal(drawn, pool.batch(0, 1)[0])
    assert torch.equal(drawn, pool.batch(0, 0)[0])


def test_what_the_classifier_does_leaves_the_module_alone(tmp_path: Path) -> None:
    """The attribution loss does not know the classifier, so the module is the same without its steps."""
    few = fitted(examples(), tmp_path / "a", classifier_steps=1)
    many = fitted(examples(), tmp_path / "b", classifier_steps=20)
    assert same(state(few.attribution_parameters()), state(many.attribution_parameters()))


def test_views_that_were_not_chosen_have_no_influence(tmp_path: Path) -> None:
    chosen = np.arange(COUNT) < COUNT // 2
    known, other = examples(), examples()
    features = np.array(other.buckets[0].features[0])
    features[~chosen] = 40
    other.buckets[0] = Bucket(other.buckets[0].views, [features])
    first, second = fitted(known, tmp_path / "a", chosen), fitted(other, tmp_path / "b", chosen)
    assert same(state(list(first.parameters())), state(list(second.parameters())))


def test_the_module_explains_its_source_better_than_the_rest(tmp_path: Path) -> None:
    known = examples()
    found = fitted(known, tmp_path, rounds=150, attribution_learning_rate=3e-3)
    with torch.inference_mode():
        said = found.head(torch.from_numpy(np.array(known.buckets[0].features[0])).float())
    assert said.deviation is not None
    real = known.labels == 0
    assert said.deviation[real].mean() < 0.8 * said.deviation[~real].mean()


class StopError(Exception):
    pass


def test_a_continued_fit_ends_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"classifier": {"widths": (4,), "normalise": "batch"}}
    whole = fitted(examples(), tmp_path / "whole", found=network(**options))
    rounds = Alternation.round

    def stopping(self: Alternation) -> tuple[float, float]:
        if self.rounds == 3:  # one round after the checkpoint
            raise StopError
        return rounds(self)

    monkeypatch.setattr(Alternation, "round", stopping)
    with pytest.raises(StopError):
        fitted(examples(), tmp_path / "stopped", found=network(**options))
    monkeypatch.undo()
    continued = fitted(examples(), tmp_path / "stopped", found=network(**options))
    for (name, first), second in zip(
        whole.state_dict().items(), continued.state_dict().values(), strict=True
    ):
        assert torch.equal(first, second), name


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    fitted(examples(), tmp_path)
    with pytest.raises(ConfigError, match=r"last\.pt: cannot be continued .* delete it"):
        fitted(examples(), tmp_path, found=network(widths=(5,)))


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(b"no checkpoint")
    with pytest.raises(ConfigError, match="cannot be continued"):
        fitted(examples(), tmp_path)


def test_a_source_without_views_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of the 200 views .* are generated pictures of nobody"):
        fitted(examples(), tmp_path, found=network(source={"label": "generated", "groups": ("nobody",)}))


def test_a_single_view_is_refused_where_it_must_standardise(tmp_path: Path) -> None:
    chosen = which() != 2
    chosen[2] = True
    source = {"label": "generated", "groups": ("gan",)}
    with pytest.raises(DataError, match="has one view"):
        fitted(examples(), tmp_path, chosen, network(source=source))
    fitted(examples(), tmp_path, chosen, network(source=source, standardise="none"))


def test_other_networks_are_refused(tmp_path: Path) -> None:
    probe = LinearProbe(nn.Identity(), WIDTH)
    with pytest.raises(ConfigError, match="not LinearProbe"):
        alternating.fit(probe, examples(), np.ones(COUNT, dtype=bool), recipe(), tmp_path, Progress())
