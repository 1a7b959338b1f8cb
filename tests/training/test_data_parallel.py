"""Two processes on the CPU (gloo) train as one process that accumulates: same losses, same weights."""

import multiprocessing
import os
import pickle
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_stages import SECTIONS, STEPS, metrics, open_shop
from tiny_stages import recipe as stages_recipe
from tiny_stages import weights as stage_weights
from tiny_workshop import recipe_values, write_clip, write_set, write_weights

from vestige.errors import ConfigError, VestigeError
from vestige.methods.base import Network
from vestige.progress import Progress
from vestige.training import alternating, gradient, parallel
from vestige.training.examples import Examples
from vestige.training.feature_store import StoredRows
from vestige.training.recipe import Recipe
from vestige.training.run import make_examples, new_network, solve, used_rows
from vestige.training.stages import train_stage

# In training mode each process has statistics of its own batches, and the first one's are kept.
OWN = re.compile(r"running_mean|running_var|num_batches_tracked")
LOSS = re.compile(r"(step|round) (\d+) of \d+.*?loss ([\d.]+)")


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # Lightning ignores Ctrl-C for the rest of the process once it has seen one.
    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(gradient, "PREPARING_BATCHES", 2)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parallel")
    write_set(folder / "set", groups=2, each=3)
    write_clip(write_weights(folder / "weights"))
    return folder


def recipe(method: str, **fit: Any) -> Recipe:
    values = recipe_values(method)
    values["fit"] |= {"steps": 5, **fit}
    values["fit"]["alternating"]["rounds_per_checkpoint"] = 1
    return Recipe.model_validate(values)


def open_examples(shop: Path, recipe: Recipe) -> Examples:
    rows = used_rows(recipe, shop / "set" / "manifest.csv")
    network = new_network(recipe, shop / "weights")
    folder = shop / recipe.method
    return make_examples(recipe, rows, shop / "weights", network, folder, Progress())


def fitted(shop: Path, recipe: Recipe, examples: Examples, folder: Path) -> Network:
    network = new_network(recipe, shop / "weights")
    chosen = torch.ones(len(examples.labels), dtype=torch.bool).numpy()
    solve(network, examples, chosen, recipe, folder, Progress())
    return network


def losses(told: str) -> dict[int, float]:
    """Loss by step (or round), as it was told."""
    return {int(step): float(loss) for _, step, loss in LOSS.findall(told.replace("\n", " "))}


def assert_alike(one: Network, other: Network) -> None:
    states = one.state_dict(), other.state_dict()
    assert states[0].keys() == states[1].keys()
    for name, tensor in states[0].items():
        if not OWN.search(name):
            torch.testing.assert_close(tensor, states[1][name], atol=2e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize("method", ["gensign", "nirnet", "gamma", "attribution"])
def test_two_devices_are_one_that_accumulates(
    method: str, shop: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # Of the alternating solver each process takes its half of a batch; there is nothing to accumulate.
    one = recipe(method, accumulate=1 if method == "attribution" else 2)
    examples = open_examples(shop, one)
    capfd.readouterr()
    alone = fitted(shop, one, examples, tmp_path / "one")
    curve = losses(capfd.readouterr().err)
    together = fitted(shop, recipe(method, devices=2), examples, tmp_path / "two")
    shared = losses(capfd.readouterr().err)
    assert len(curve) == 3
    assert shared.keys() == curve.keys()
    for step, loss in curve.items():
        assert shared[step] == pytest.approx(loss, abs=2e-3)
    assert_alike(alone, together)
    before = new_network(one, shop / "weights").state_dict()
    moved = [name for name, tensor in alone.state_dict().items() if not torch.allclose(tensor, before[name])]
    assert any(not OWN.search(name) and not name.startswith("standardise") for name in moved)


def test_accumulated_batches_make_one_step(shop: Path, tmp_path: Path) -> None:
    """Two batches of a step are not two steps: a run with half as many steps of two is another run."""
    one = recipe("gamma")
    examples = open_examples(shop, one)
    first = fitted(shop, one, examples, tmp_path / "one").state_dict()
    second = fitted(shop, recipe("gamma", accumulate=2), examples, tmp_path / "two").state_dict()
    assert any(not torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_a_continued_run_of_two_is_that_of_an_uninterrupted_one(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = recipe("gamma", devices=2)
    examples = open_examples(shop, two)
    whole = fitted(shop, two, examples, tmp_path / "whole")
    # One of the processes is killed after the first epoch.
    monkeypatch.setenv("KILLED_AFTER", "2")
    monkeypatch.setattr(gradient, "HeadTraining", Deadly)
    with pytest.raises(VestigeError, match="was killed; the same command goes on"):
        fitted(shop, two, examples, tmp_path / "run")
    monkeypatch.undo()
    assert (tmp_path / "run" / "last.ckpt").exists()
    assert_alike(whole, fitted(shop, two, examples, tmp_path / "run"))


class Deadly(gradient.HeadTraining):
    """Kills the second process in the step after some."""

    def training_step(self, batch: int) -> torch.Tensor:
        if self.global_step >= int(os.environ["KILLED_AFTER"]) and self.trainer.global_rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().training_step(batch)


def test_the_extractor_of_gensign(tmp_path: Path) -> None:
    """The stage before the detector, within a program; `dair` by its command is in test_stage_runs."""
    shop = open_shop(tmp_path / "shop")
    two = stages_recipe(tmp_path / "recipe.yaml", extractor={"devices": 2, "accumulate": 1})
    run = tmp_path / "run"
    run.mkdir()
    (run / "dair").symlink_to(shop / "run" / "dair")
    train_stage(two, "extractor", shop / "set" / "manifest.csv", None, run)
    assert not multiprocessing.active_children()
    ours, theirs = metrics(run / "extractor"), metrics(shop / "run" / "extractor")
    assert [line["step"] for line in ours] == STEPS
    for one, other in zip(ours, theirs, strict=True):
        assert float(one["loss"]) == pytest.approx(float(other["loss"]), rel=1e-4)
    found, expected = stage_weights(run, "extractor"), stage_weights(shop / "run", "extractor")
    for name, value in found.items():
        if not OWN.search(name):
            torch.testing.assert_close(value, expected[name], atol=1e-5, rtol=0, msg=name)
    assert set(SECTIONS) == {"dair", "extractor"}


def test_features_on_disk_travel_as_places(shop: Path) -> None:
    """What a process is given does not grow with the features, and reads the same."""
    stored = [
        rows
        for bucket in open_examples(shop, recipe("gamma")).buckets
        for rows in bucket.features
        if isinstance(rows, StoredRows)
    ]
    assert stored
    for rows in stored:
        travelled = pickle.loads(pickle.dumps(rows))
        assert (travelled[:] == rows[:]).all()
        assert (travelled[2:4] == rows[2:4]).all()
        # Two numbers a row, and where the file is.
        assert len(pickle.dumps(rows)) < 2000 + 16 * len(rows) < rows[:].nbytes


def test_what_cannot_be_shared_is_refused(shop: Path, tmp_path: Path) -> None:
    odd = recipe("attribution", devices=3)
    with pytest.raises(ConfigError, match=r"fit.batch \(8\) cannot be shared evenly"):
        fitted(shop, odd, open_examples(shop, odd), tmp_path / "run")


def test_errors_of_a_process_are_told_in_its_words(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = recipe("attribution", devices=2)
    examples = open_examples(shop, two)
    monkeypatch.setattr(alternating, "_run_share", failing)
    with pytest.raises(VestigeError, match="train together failed: RuntimeError: no more tea"):
        fitted(shop, two, examples, tmp_path / "run")
    assert parallel.strategy(1) == "auto"


def failing(*_: object) -> None:
    raise RuntimeError("no more tea")


def test_none_outlives_its_fit() -> None:
    """Ctrl-C that reaches the calling process alone, which Lightning turns into an exit of the program."""
    other = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(600,))

    @parallel.told()
    def fit() -> None:
        other.start()
        raise SystemExit(1)

    with pytest.raises(KeyboardInterrupt):
        fit()
    assert other.exitcode == -signal.SIGKILL
