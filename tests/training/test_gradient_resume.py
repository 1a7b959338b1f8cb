"""A gradient run that was killed and continued ends with the weights of one that was not."""

import re
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_workshop import recipe_values
from torch import Tensor, nn

from vestige.errors import ConfigError
from vestige.methods.base import FrozenPart, Network, Output
from vestige.progress import Progress
from vestige.training import gradient
from vestige.training.cache import Bucket
from vestige.training.examples import Examples
from vestige.training.recipe import Recipe
from vestige.training.run import new_network

VIEWS = 16


class Killed(BaseException):
    """Stands for a signal: nothing may catch it."""


@pytest.fixture(autouse=True)
def sigint() -> Iterator[None]:
    # Lightning ignores Ctrl-C for the rest of the process once it has seen one.
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    # 7 steps: the last epoch is a short one.
    fit = {"steps": 7, "steps_per_epoch": 2, "batch": 4, "learning_rate": 1e-3}
    return Recipe.model_validate(
        recipe_values("patch-statistics", fit=fit, model={"frozen_taps": [4, 10], "tuned_taps": [11]})
    )


@pytest.fixture(scope="module")
def examples(recipe: Recipe) -> Examples:
    network = _network(recipe)
    torch.manual_seed(0)
    buckets, first = [], 0
    for side in (32, 64):
        with torch.inference_mode():
            features = network.eval().frozen(torch.rand(VIEWS // 2, 3, side, side))
        views = np.arange(first, first + VIEWS // 2)
        buckets.append(Bucket(views, [part.numpy().astype(np.float16) for part in features]))
        first += VIEWS // 2
    rng = np.random.default_rng(0)
    return Examples(
        buckets=buckets,
        labels=np.arange(VIEWS) % 2,
        weights=rng.uniform(0.5, 1.5, VIEWS),
        rows=np.arange(VIEWS),
        reconstructed=np.zeros(VIEWS, dtype=bool),
        groups=np.full(VIEWS, "group"),
    )


@pytest.fixture(scope="module")
def uninterrupted(recipe: Recipe, examples: Examples, tmp_path_factory: pytest.TempPathFactory) -> Network:
    return _fit(recipe, examples, tmp_path_factory.mktemp("uninterrupted"))


@pytest.mark.parametrize("step", [3, 5, 6])
@pytest.mark.parametrize("stop", [Killed, KeyboardInterrupt])
def test_continued_run_ends_with_the_same_weights(
    recipe: Recipe,
    examples: Examples,
    uninterrupted: Network,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: int,
    stop: type[BaseException],
) -> None:
    original = gradient.HeadTraining.training_step

    def stopping(self: gradient.HeadTraining, _: int) -> torch.Tensor:
        if self.global_step == step:
            raise stop
        return original(self, _)

    with monkeypatch.context() as patch:
        patch.setattr(gradient.HeadTraining, "training_step", stopping)
        with pytest.raises(stop):
            _fit(recipe, examples, tmp_path)
    assert (tmp_path / "last.ckpt").exists()

    torch.manual_seed(99)
    continued = _fit(recipe, examples, tmp_path)
    _assert_same(continued, uninterrupted)


def test_finished_run_is_only_loaded(
    recipe: Recipe,
    examples: Examples,
    uninterrupted: Network,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _fit(recipe, examples, tmp_path)
    monkeypatch.setattr(gradient.HeadTraining, "training_step", lambda *_: pytest.fail("trained again"))
    _assert_same(_fit(recipe, examples, tmp_path), uninterrupted)


def test_frozen_weights_stay_and_tuned_ones_move(recipe: Recipe, uninterrupted: Network) -> None:
    start, end = _network(recipe).state_dict(), uninterrupted.state_dict()
    moved = {name for name in start if not torch.equal(start[name], end[name])}
    assert any(name.startswith("trunk._blocks.11.") for name in moved)
    assert {"linear.weight", "linear.bias", "standardise.mean", "standardise.deviation"} <= moved
    assert not any(name.startswith(("trunk._conv_stem", "trunk._blocks.10.")) for name in moved)
    assert not any("running" in name for name in moved), "batch statistics must stay ImageNet's"


def test_dropout_is_active_in_training(recipe: Recipe, examples: Examples, tmp_path: Path) -> None:
    modes = []
    network = _network(recipe)
    network.dropout.register_forward_hook(lambda module, *_: modes.append(module.training))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gradient, "PREPARING_BATCHES", 2)
        gradient.fit(network, examples, np.ones(VIEWS, dtype=bool), recipe, tmp_path, Progress())
    assert modes == [True] * recipe.fit.steps
    assert not network.training


def test_only_chosen_views_are_drawn(examples: Examples) -> None:
    chosen = np.zeros(VIEWS, dtype=bool)
    chosen[[1, 2, 3, 9]] = True
    draw = gradient.Draw(examples, chosen, size=64, seed=0)
    known = {
        tuple(bucket.features[0][position].astype(float)): view
        for bucket in examples.buckets
        for position, view in enumerate(bucket.views)
    }
    seen = set()
    for number in range(20):
        features, labels = draw.batch(gradient.TRAINING, number)
        views = [known[tuple(row)] for row in features[0].double().tolist()]
        assert labels.tolist() == [view % 2 for view in views]
        seen.update(views)
    assert seen == {1, 2, 3, 9}


def test_views_are_drawn_by_weight(examples: Examples) -> None:
    weights = np.where(np.arange(VIEWS) == 5, 3.0 * (VIEWS - 1), 1.0)  # three quarters of all
    draw = gradient.Draw(replace(examples, weights=weights), np.ones(VIEWS, dtype=bool), size=16, seed=0)
    wanted = torch.from_numpy(examples.buckets[0].features[0][5]).float()
    hits = sum(
        int((features[0] == wanted).all(1).sum())
        for features, _ in (draw.batch(gradient.TRAINING, number) for number in range(100))
        if features[0].shape[1] == len(wanted)
    )
    assert 0.65 < hits / 1600 < 0.85


class Tokens(Network):
    """A frozen tower, hidden states [B, T, W], and a head with batch normalisation that is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.tower = nn.Sequential(nn.Conv2d(3, 8, 8, stride=8), nn.Flatten(2)).requires_grad_(False)
        self.norm = nn.BatchNorm1d(16)
        self.linear = nn.Linear(16, 1)
        self.mix = nn.Linear(8, 16)

    def parts(self) -> tuple[FrozenPart, ...]:
        return (FrozenPart("tower", self.tower),)

    def embed(self, *features: Tensor) -> Tensor:
        hidden: Tensor = self.norm(self.mix(features[0].transpose(1, 2)).mean(1))
        return hidden

    def head(self, *features: Tensor) -> Output:
        return Output(self.linear(self.embed(*features))[:, 0])


def tokens() -> Tokens:
    torch.manual_seed(4)
    return Tokens()


@pytest.fixture(scope="module")
def hidden() -> Examples:
    torch.manual_seed(0)
    (states,) = tokens().frozen(torch.rand(VIEWS, 3, 32, 32))
    assert states.shape == (VIEWS, 8, 16)
    return Examples(
        buckets=[Bucket(np.arange(VIEWS), [states.numpy().astype(np.float16)])],
        labels=np.arange(VIEWS) % 2,
        weights=np.ones(VIEWS),
        rows=np.arange(VIEWS),
        reconstructed=np.zeros(VIEWS, dtype=bool),
        groups=np.full(VIEWS, "group"),
    )


def fit_tokens(
    recipe: Recipe, hidden: Examples, folder: Path, network: Network | None = None
) -> tuple[Network, list[str]]:
    said: list[str] = []
    progress = Progress()
    progress.say = said.append  # type: ignore[method-assign]
    network = network or tokens()
    gradient.fit(network, hidden, np.ones(VIEWS, dtype=bool), recipe, folder, progress)
    return network, said


def test_frozen_weights_are_neither_written_nor_averaged(
    recipe: Recipe, hidden: Examples, tmp_path: Path
) -> None:
    fit_tokens(recipe, hidden, tmp_path)
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    trained = {"linear.weight", "linear.bias", "mix.weight", "mix.bias", "norm.weight", "norm.bias"}
    statistics = {"norm.running_mean", "norm.running_var"}
    assert set(state) == {
        *(f"network.{name}" for name in trained | statistics | {"norm.num_batches_tracked"}),
        *(f"averaged.{name.replace('.', '/')}" for name in trained | statistics),
    }


@pytest.mark.parametrize("step", [1, 4, 6])
def test_a_network_with_frozen_parts_continues(
    recipe: Recipe, hidden: Examples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    whole, _ = fit_tokens(recipe, hidden, tmp_path / "whole")
    original = gradient.HeadTraining.training_step

    def stopping(self: gradient.HeadTraining, _: int) -> torch.Tensor:
        if self.global_step == step:
            raise Killed
        return original(self, _)

    with monkeypatch.context() as patch:
        patch.setattr(gradient.HeadTraining, "training_step", stopping)
        with pytest.raises(Killed):
            fit_tokens(recipe, hidden, tmp_path / "run")
    continued, _ = fit_tokens(recipe, hidden, tmp_path / "run")
    _assert_same(continued, whole)
    start = tokens().state_dict()
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, start[name]) == name.startswith("tower."), name


def test_statistics_are_averaged_with_the_weights(
    recipe: Recipe, hidden: Examples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("norm.running_mean", "norm.running_var", "mix.weight")
    seen: list[dict[str, Tensor]] = []
    original = gradient.HeadTraining.on_train_batch_end

    def noting(self: gradient.HeadTraining, *given: object) -> None:
        state = self.network.state_dict()
        seen.append({name: state[name].double() for name in names})
        original(self, *given)

    monkeypatch.setattr(gradient.HeadTraining, "on_train_batch_end", noting)
    recipe = recipe.model_copy(update={"fit": recipe.fit.model_copy(update={"averaging": 0.3})})
    end = fit_tokens(recipe, hidden, tmp_path)[0].state_dict()
    # The mean of the first three steps; from there on three tenths of the newest and seven of what was.
    shares = np.array([1 / 3 * 0.7**4, 1 / 3 * 0.7**4, 1 / 3 * 0.7**4, *(0.3 * 0.7**k for k in (3, 2, 1, 0))])
    assert shares.sum() == pytest.approx(1)
    assert len(seen) == recipe.fit.steps == len(shares)
    for name in names:
        expected = sum(share * step[name] for share, step in zip(shares, seen, strict=True))
        torch.testing.assert_close(end[name].double(), expected, atol=1e-6, rtol=1e-5)
        assert not torch.allclose(end[name].double(), seen[-1][name], atol=1e-6, rtol=1e-5)


def test_a_checkpoint_of_another_version_is_refused(recipe: Recipe, hidden: Examples, tmp_path: Path) -> None:
    fit_tokens(recipe, hidden, tmp_path)
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    checkpoint["state_dict"]["network.tower.0.weight"] = torch.zeros(8, 3, 8, 8)
    torch.save(checkpoint, tmp_path / "last.ckpt")
    with pytest.raises(ConfigError, match=r"last\.ckpt: does not hold what this network trains.*; delete it"):
        fit_tokens(recipe, hidden, tmp_path)


def test_progress_tells_the_speed(recipe: Recipe, hidden: Examples, tmp_path: Path) -> None:
    _, said = fit_tokens(recipe, hidden, tmp_path)
    assert [line.split(",")[0].strip() for line in said] == [f"step {n} of 7" for n in (2, 4, 6, 7)]
    for line in said:
        found = re.fullmatch(
            r".*, ([0-9]+) images per second, ([0-9]+)% of the time for getting batches", line
        )
        assert found is not None, line
        assert int(found[1]) > 0
        assert int(found[2]) <= 100


def test_seed_of_the_fit(recipe: Recipe, hidden: Examples, tmp_path: Path) -> None:
    def with_seed(seed: int | None) -> Recipe:
        return recipe.model_copy(update={"fit": recipe.fit.model_copy(update={"seed": seed})})

    assert recipe.seed == 3
    nets = {
        seed: fit_tokens(with_seed(seed), hidden, tmp_path / str(seed))[0].state_dict()
        for seed in (None, 3, 4)
    }
    assert torch.equal(nets[None]["mix.weight"], nets[3]["mix.weight"])
    assert not torch.equal(nets[None]["mix.weight"], nets[4]["mix.weight"]), "other batches"
    probe = Recipe.model_validate(recipe_values("srm-statistics"))
    starts = [
        new_network(probe.model_copy(update={"fit": probe.fit.model_copy(update={"seed": seed})}), None)
        for seed in (None, 3, 4)
    ]
    assert torch.equal(starts[0].linear.weight, starts[1].linear.weight)
    assert not torch.equal(starts[0].linear.weight, starts[2].linear.weight)


def _network(recipe: Recipe) -> Network:
    method, config = recipe.parts()
    torch.manual_seed(1)
    return method.build(config, None)


def _fit(recipe: Recipe, examples: Examples, folder: Path) -> Network:
    network = _network(recipe)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gradient, "PREPARING_BATCHES", 2)
        gradient.fit(network, examples, np.ones(VIEWS, dtype=bool), recipe, folder, Progress())
    return network


def _assert_same(one: Network, other: Network) -> None:
    other_state = other.state_dict()
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other_state[name]), name
