"""Stages from recipe to weights: resumable to the bit, claimed, measured, shown; refusals; two devices."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from tiny_stages import (
    CROP,
    SECTIONS,
    STEPS,
    assert_same,
    metrics,
    open_shop,
    recipe,
    run_before,
    train,
    weights,
)
from torch import Tensor
from typer.testing import CliRunner

from vestige.apps.cli import app
from vestige.errors import ConfigError
from vestige.methods.gensign.files import load_dair, load_extractor
from vestige.progress import Progress
from vestige.training import stage_training, stages
from vestige.training.recipe import read_recipe
from vestige.training.stages import append_metrics, finished


class Killed(BaseException):
    """Stands for a signal: nothing may catch it."""


@pytest.fixture(autouse=True)
def sigint() -> Iterator[None]:
    # Lightning ignores Ctrl-C for the rest of the process once it has seen one.
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set, a recipe, and a run of both stages that was never interrupted."""
    return open_shop(tmp_path_factory.mktemp("shop"))


@pytest.mark.parametrize("name", SECTIONS)
@pytest.mark.parametrize(("batch", "stop"), [(3, Killed), (4, KeyboardInterrupt), (7, Killed)])
def test_continued_run_ends_with_the_same_weights(
    shop: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    batch: int,
    stop: type[BaseException],
) -> None:
    run = run_before(shop, name, tmp_path / "run")
    original = stage_training.StageTraining.training_step
    numbers: list[int] = []

    def stopping(self: stage_training.StageTraining, given: tuple[int, Tensor]) -> Tensor:
        if int(given[0]) == batch:
            raise stop
        return original(self, given)

    def counting(self: stage_training.StageTraining, given: tuple[int, Tensor]) -> Tensor:
        numbers.append(int(given[0]))
        return original(self, given)

    with monkeypatch.context() as patch:
        patch.setattr(stage_training.StageTraining, "training_step", stopping)
        with pytest.raises(stop):
            train(shop, name, run)
    assert not (run / name / "network.safetensors").exists()
    assert (run / name / "last.ckpt").exists() == (batch >= 4)

    torch.manual_seed(99)
    with monkeypatch.context() as patch:
        patch.setattr(stage_training.StageTraining, "training_step", counting)
        train(shop, name, run)
    assert numbers == list(range(batch // 4 * 4, 10)), "from the last epoch's end, every batch once"
    assert_same(weights(run, name), weights(shop / "run", name))
    assert [line["step"] for line in metrics(run / name)] == STEPS
    for ours, theirs in zip(metrics(run / name), metrics(shop / "run" / name), strict=True):
        for figure in set(ours) - {"images_per_second", "waiting"}:
            assert ours[figure] == theirs[figure], figure


def test_killed_between_the_line_and_the_checkpoint(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_before(shop, "dair", tmp_path / "run")

    def appended(path: Path, step: int, values: dict[str, float]) -> None:
        append_metrics(path, step, values)
        if step == 4:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(stage_training, "append_metrics", appended)
        with pytest.raises(Killed):
            train(shop, "dair", run)
    assert [line["step"] for line in metrics(run / "dair")] == ["2", "4"]
    train(shop, "dair", run)
    assert [line["step"] for line in metrics(run / "dair")] == STEPS
    assert_same(weights(run, "dair"), weights(shop / "run", "dair"))


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_killed_before_the_weights_were_written(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    shutil.copytree(shop / "run", run)
    (run / "dair" / "network.safetensors").unlink()
    monkeypatch.setattr(
        stage_training.StageTraining, "training_step", lambda *_: pytest.fail("trained again")
    )
    train(shop, "dair", run)
    assert_same(weights(run, "dair"), weights(shop / "run", "dair"))
    assert [line["step"] for line in metrics(run / "dair")] == STEPS


@pytest.mark.parametrize("name", SECTIONS)
def test_finished_stage_is_not_trained_again(
    shop: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stage_training, "fit", lambda *_: pytest.fail("trained again"))
    before = {path: path.stat().st_mtime_ns for path in (shop / "run" / name).rglob("*")}
    train(shop, name, shop / "run", progress=Progress())
    assert f"{name}: trained already" in capsys.readouterr().err.replace("\n", "")
    assert before == {path: path.stat().st_mtime_ns for path in (shop / "run" / name).rglob("*")}
    assert finished(shop / "run", name) == shop / "run" / name / "network.safetensors"


@pytest.mark.parametrize("name", SECTIONS)
def test_run_folder(shop: Path, name: str) -> None:
    folder = shop / "run" / name
    assert {path.name for path in folder.iterdir()} == {
        "stage.json",
        "last.ckpt",
        "metrics.csv",
        "samples",
        "network.safetensors",
        "held-back.csv",
    }
    lines = metrics(folder)
    assert [line["step"] for line in lines] == STEPS
    figures = {"dair": {"psnr"}, "extractor": {"zero", "gain"}}[name]
    parts = {"dair": {"squared"}, "extractor": set()}[name]
    assert set(lines[0]) >= {"step", "loss", "images_per_second", "waiting"} | parts | {
        f"held_back_{figure}" for figure in figures
    }
    assert all(np.isfinite(float(value)) for line in lines for value in line.values())
    assert all(0 <= float(line["waiting"]) <= 1 and float(line["images_per_second"]) > 0 for line in lines)
    sheets = sorted((folder / "samples").iterdir())
    assert [sheet.name for sheet in sheets] == [f"step-{int(step):07d}.png" for step in STEPS]
    kinds = {"dair": 3, "extractor": 4}[name]
    held_back = 6  # two of four groups of three
    for sheet in sheets:
        assert Image.open(sheet).size == (held_back * CROP, kinds * CROP)
    record = json.loads((folder / "stage.json").read_text())
    assert record["config"]["steps"] == 5
    assert record["stage"] == name


def test_sample_sheet_shows_the_held_back_pictures(shop: Path) -> None:
    rows = np.asarray(Image.open(shop / "run" / "dair" / "samples" / "step-0000005.png"))
    originals = {}
    for group in range(4):
        for number in range(3):
            pixels = np.asarray(Image.open(shop / "set" / f"camera-{group}-{number}.png"))
            top = (len(pixels) - CROP) // 2
            originals[group, number] = pixels[top : top + CROP, top : top + CROP]
    shown = [rows[:CROP, CROP * column : CROP * (column + 1)] for column in range(6)]
    found = [[key for key, pixels in originals.items() if (pixels == one).all()] for one in shown]
    groups = {keys[0][0] for keys in found}
    assert all(len(keys) == 1 for keys in found)
    assert len(groups) == 2, "whole groups are held back"


def test_stages_load_and_follow_each_other(shop: Path) -> None:
    dair, space = load_dair(shop / "run" / "dair")
    extractor = load_extractor(shop / "run" / "extractor")
    images = torch.rand(2, 3, CROP, CROP)
    with torch.no_grad():
        made = dair(images, space.draw_for(2, 2, torch.Generator().manual_seed(0)))
        assert extractor(made).shape == made.shape == images.shape
    assert not dair.training
    assert not extractor.training


def test_network_moves_and_the_rate_falls(shop: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = read_recipe(shop / "recipe.yaml").stage("dair")[1]
    start = stages.new_task(read_recipe(shop / "recipe.yaml"), "dair", tmp_path, None)
    end = weights(shop / "run", "dair")
    moved = [not torch.equal(value, end[name]) for name, value in start.network.state_dict().items()]
    assert np.mean(moved) > 0.9
    module = stage_training.StageTraining(
        start,
        config,
        0,
        None,
        torch.empty(0),
        tmp_path,
        Progress(),
    )
    schedule = module.configure_optimizers()["lr_scheduler"]["scheduler"]
    rates = [0.001 * schedule.lr_lambdas[0](step) / 0.001 for step in range(6)]
    # Three of five steps from the full rate down to zero along half a cosine.
    np.testing.assert_allclose(rates, [1, 1, 1, 0.75, 0.25, 0], atol=1e-9)
    constant = config.model_copy(update={"decay": 0.0})
    module.config = constant
    schedule = module.configure_optimizers()["lr_scheduler"]["scheduler"]
    assert [schedule.lr_lambdas[0](step) for step in range(5)] == [1.0] * 5


def test_same_recipe_same_weights_other_seed_other_weights(shop: Path, tmp_path: Path) -> None:
    train(shop, "dair", tmp_path / "same")
    assert_same(weights(tmp_path / "same", "dair"), weights(shop / "run", "dair"))
    train(shop, "dair", tmp_path / "other", recipe(tmp_path / "other.yaml", seed=4))
    assert not torch.equal(
        weights(tmp_path / "other", "dair")["encoder.stem.0.weight"],
        weights(shop / "run", "dair")["encoder.stem.0.weight"],
    )


def test_accumulated_batches_make_one_step(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradients of two batches are averaged: the first step of Adam has the sign of their sum."""
    one_step = recipe(tmp_path / "recipe.yaml", extractor={"steps": 1, "steps_per_epoch": 1, "decay": 0.0})
    run = run_before(shop, "extractor", tmp_path / "run")
    seen: list[Tensor] = []
    original = stage_training.StageTraining.training_step

    def keeping(self: stage_training.StageTraining, given: tuple[int, Tensor]) -> Tensor:
        seen.append(given[1])
        return original(self, given)

    monkeypatch.setattr(stage_training.StageTraining, "training_step", keeping)
    train(shop, "extractor", run, one_step)
    assert len(seen) == 2
    task = stages.new_task(read_recipe(one_step), "extractor", run, None).train()
    for number, pixels in enumerate(seen):
        generator = stage_training.generator_for(3, stage_training.TRAINING, number)
        (task.loss(pixels.float() / 255, generator)["loss"] / 2).backward()
    end = weights(run, "extractor")
    for name, parameter in task.network.named_parameters():
        assert parameter.grad is not None
        expected = parameter - 0.001 * parameter.grad / (parameter.grad.abs() + 1e-8)
        torch.testing.assert_close(end[name], expected.detach(), atol=2e-6, rtol=0)


@pytest.mark.parametrize("name", SECTIONS)
def test_mixed_precision_runs(shop: Path, tmp_path: Path, name: str) -> None:
    run = run_before(shop, name, tmp_path / "run")
    mixed = {stage: {"precision": "bf16-mixed"} for stage in SECTIONS}
    train(shop, name, run, recipe(tmp_path / "recipe.yaml", **mixed))
    found, exact = weights(run, name), weights(shop / "run", name)
    assert all(value.dtype in (torch.float32, torch.int64) for value in found.values())
    assert all(value.isfinite().all() for value in found.values())
    assert any(not torch.equal(value, exact[key]) for key, value in found.items())
    losses = [float(line["loss"]) for line in metrics(run / name)]
    np.testing.assert_allclose(
        losses, [float(line["loss"]) for line in metrics(shop / "run" / name)], rtol=0.1
    )


def test_workers_change_nothing(shop: Path, tmp_path: Path) -> None:
    # The record differs, the weights do not.
    train(shop, "dair", tmp_path / "run", recipe(tmp_path / "recipe.yaml", dair={"workers": 1}))
    assert_same(weights(tmp_path / "run", "dair"), weights(shop / "run", "dair"))


def test_metrics_of_later_steps_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    for step, loss in ((2, 1.0), (4, 0.5), (6, 0.25), (4, 0.125)):
        append_metrics(path, step, {"loss": loss})
    assert path.read_text().split() == ["step,loss", "2,1", "4,0.125"]
    assert [file.name for file in tmp_path.iterdir()] == ["metrics.csv"]


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_command_line(shop: Path, tmp_path: Path) -> None:
    shutil.copytree(shop / "run", tmp_path / "run")
    (tmp_path / "run" / "extractor" / "network.safetensors").unlink()
    arguments = ["train", str(shop / "recipe.yaml"), "--data", str(shop / "set" / "manifest.csv")]
    arguments += ["--run", str(tmp_path / "run"), "--stage"]
    done = CliRunner().invoke(app, [*arguments, "extractor"])
    assert done.exit_code == 0, done.output
    assert_same(weights(tmp_path / "run", "extractor"), weights(shop / "run", "extractor"))
    command = typer.main.get_command(app)
    with pytest.raises(ConfigError, match="gensign has no stage 'magic'"):
        command.main([*arguments, "magic"], standalone_mode=False)


def test_two_devices_are_one_that_accumulates(shop: Path, tmp_path: Path) -> None:
    """Two processes on the CPU, started as the command line starts them, average their gradients."""
    two = recipe(tmp_path / "recipe.yaml", dair={"devices": 2, "accumulate": 1})
    command = [sys.executable, "-c", "from vestige.apps.cli import main; main()"]
    command += ["train", str(two), "--stage", "dair"]
    command += ["--data", str(shop / "set" / "manifest.csv"), "--run", str(tmp_path / "run")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("dair: trained") == 1
    assert [line["step"] for line in metrics(tmp_path / "run" / "dair")] == STEPS
    assert len(list((tmp_path / "run" / "dair" / "samples").iterdir())) == len(STEPS)
    found, expected = weights(tmp_path / "run", "dair"), weights(shop / "run", "dair")
    for name, value in found.items():
        # Each process has its own batch statistics, the first one's are kept.
        if not name.endswith(("running_mean", "running_var", "num_batches_tracked")):
            torch.testing.assert_close(value, expected[name], atol=1e-6, rtol=0, msg=name)
    assert not list((tmp_path / "run" / "dair").glob("*.part"))
