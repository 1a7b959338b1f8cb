"""Equations 3 to 5 of attribution consistency against NumPy, and the shape of what the network says."""

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
import yaml
from pydantic import ValidationError
from torch import Tensor, nn

import vestige.methods.attribution
from vestige.methods.attribution.model import Attribution, AttributionConfig
from vestige.methods.attribution.module import AttributionModule, attribution_loss, classification_loss
from vestige.methods.frozen_features import FrozenFeatures, Tower

WIDTH = 12
Array = npt.NDArray[np.float64]


class Plain(Tower):
    """Gives the features that it is given."""

    description = "nothing"
    weights_note = "none"

    def __init__(self, width: int) -> None:
        super().__init__()
        self.part, self.width = nn.Identity(), width

    def forward(self, kept: Tensor) -> Tensor:
        return kept


def network(**options: object) -> Attribution:
    torch.manual_seed(3)
    config = AttributionConfig.model_validate({"widths": (7, 3), **options})
    found = Attribution(config, FrozenFeatures([Plain(WIDTH)])).eval()
    found.standardise.fit(2 + 3 * torch.randn(50, WIDTH))
    return found


def features(count: int = 9) -> Tensor:
    return torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(1)) * 3 + 1


def linear(layer: nn.Module, x: Array) -> Array:
    assert isinstance(layer, nn.Linear)
    found: Array = x @ layer.weight.detach().double().numpy().T + layer.bias.detach().double().numpy()
    return found


def by_hand(found: Attribution, given: Tensor) -> Array:
    """|f - D(E(f))| with a ReLU after every layer but the last, from the weights alone."""
    layers = [layer for layer in found.module.modules() if isinstance(layer, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in layers] == [
        (WIDTH, 7),
        (7, 3),
        (3, 7),
        (7, WIDTH),
    ]
    mean, deviation = found.standardise.mean.double().numpy(), found.standardise.deviation.double().numpy()
    f = (given.double().numpy() - mean) / deviation
    x = f
    for layer in layers[:-1]:
        x = np.maximum(linear(layer, x), 0)
    return np.abs(f - linear(layers[-1], x))


def test_the_deviation_is_equation_3() -> None:
    found, given = network(), features()
    deviations = found.deviations(found.standardised(given)).detach().numpy()
    np.testing.assert_allclose(deviations, by_hand(found, given), rtol=1e-5, atol=1e-5)


def test_the_attribution_loss_is_equation_4() -> None:
    found, given = network(), features()
    loss = attribution_loss(found.deviations(found.standardised(given)))
    expected = np.mean([np.sum(row) for row in by_hand(found, given)])
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)


def test_the_classification_loss_is_equation_5() -> None:
    found, given = network(), features()
    labels = np.array([0, 1, 1, 0, 1, 0, 0, 1, 1])
    logits = linear(found.linear, by_hand(found, given))[:, 0]
    c = 1 / (1 + np.exp(-logits))
    expected = -np.mean(labels * np.log(c) + (1 - labels) * np.log(1 - c))
    output = found.head(given)
    np.testing.assert_allclose(output.logit.detach().numpy(), logits, rtol=1e-4, atol=1e-5)
    loss = classification_loss(output.logit, torch.from_numpy(labels).float())
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)


def test_the_deviation_of_a_view_is_the_mean_over_features() -> None:
    found, given = network(), features()
    said = found.head(given).deviation
    assert said is not None
    np.testing.assert_allclose(said.detach().numpy(), by_hand(found, given).mean(1), rtol=1e-5)


def test_hidden_layers_of_the_classifier() -> None:
    found, given = network(classifier={"widths": (5,)}), features()
    hidden = next(layer for layer in found.classifier if isinstance(layer, nn.Linear))
    seen = np.maximum(linear(hidden, by_hand(found, given)), 0)
    np.testing.assert_allclose(found.embed(given).detach().numpy(), seen, rtol=1e-4, atol=1e-5)
    expected = linear(found.linear, seen)[:, 0]
    np.testing.assert_allclose(found.head(given).logit.detach().numpy(), expected, rtol=1e-4, atol=1e-5)


def test_the_classifier_may_see_the_sign_or_the_features_too() -> None:
    given = features()
    for sees in ("residual", "both"):
        found = network(classifier={"sees": sees})
        f = found.standardised(given).double().numpy()
        deviations = by_hand(found, given)
        evidence = found.evidence(found.standardised(given)).detach().double().numpy()
        if sees == "both":
            np.testing.assert_allclose(evidence, np.concatenate([f, deviations], 1), rtol=1e-4, atol=1e-5)
        else:
            np.testing.assert_allclose(np.abs(evidence), deviations, rtol=1e-4, atol=1e-5)
            assert (evidence < 0).any()
            assert (evidence > 0).any()
        expected = linear(found.linear, evidence)[:, 0]
        np.testing.assert_allclose(found.head(given).logit.detach().numpy(), expected, rtol=1e-4, atol=1e-5)


def test_normalised_deviations() -> None:
    found, given = network(classifier={"normalise": "batch"}).train(), features()
    deviations = by_hand(found, given)
    # PyTorch adds 1e-5 to the variance.
    normal = (deviations - deviations.mean(0)) / np.sqrt(deviations.var(0) + 1e-5)
    np.testing.assert_allclose(found.embed(given).detach().numpy(), normal, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("activation", ["relu", "gelu", "tanh"])
def test_the_decoder_mirrors_the_encoder(activation: str) -> None:
    module = AttributionModule(WIDTH, (8, 6, 2), activation)  # type: ignore[arg-type]
    widths = [layer.in_features for layer in module.modules() if isinstance(layer, nn.Linear)]
    assert widths == [WIDTH, 8, 6, 2, 6, 8]
    code = module.encoder(features())
    assert code.shape == (9, 2)
    assert module(features()).shape == (9, WIDTH)
    assert bool((module(features()) >= 0).all())


def test_without_standardisation_features_stay_as_they_are() -> None:
    torch.manual_seed(0)
    found = Attribution(AttributionConfig(standardise="none"), FrozenFeatures([Plain(WIDTH)]))
    assert torch.equal(found.standardised(features()), features())


@pytest.mark.parametrize(
    "options",
    [
        {"widths": ()},
        {"widths": (0,)},
        {"source": {"label": "both"}},
        {"source": {"groups": ()}},
        {"features": ()},
        {"standardise": "all"},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AttributionConfig.model_validate(options)


def test_the_towers_in_the_readme_are_valid_options() -> None:
    text = (Path(vestige.methods.attribution.__file__).parent / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert blocks
    for block in blocks:
        AttributionConfig.model_validate(yaml.safe_load(block))
