"""A gradient run that was killed and continued ends with the weights of one that was not."""

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_workshop import recipe_values

from vestige.methods.base import Network
from vestige.progress import Progress
from vestige.training import gradient
from vestige.training.cache import Bucket
from vestige.training.examples import Examples
from vestige.training.recipe import Recipe

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
