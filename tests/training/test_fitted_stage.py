"""Stages without gradients: features computed once and kept, fitted, measured, found by ablations."""

import csv
import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
import yaml
from PIL import Image
from pydantic import Field
from safetensors.numpy import load_file, save_file
from tiny_ablation import DATA, SPEC
from tiny_workshop import write_recipe, write_set
from torch import Tensor, nn

from vestige.apps.cli import app
from vestige.errors import ConfigError, DataError
from vestige.methods import registry
from vestige.methods.parts import Features, FrozenPart
from vestige.methods.stage import FittedConfig, Indices, Measurement, Stage, find_stage
from vestige.progress import Progress
from vestige.training import ablation, features, fitted_stage
from vestige.training.stages import finished, train_stage

GROUPS, EACH, CROP = 4, 3, 32
# One of the four groups of real pictures is held back.
SECTION: dict[str, Any] = {"crop": CROP, "folds": 4}


class Killed(BaseException):
    """Stands for a signal: nothing may catch it."""


class LevelStage(FittedConfig):
    """How brightness is weighted, and what the level found is multiplied by."""

    gains: tuple[float, ...] = (1.0, 2.0)
    factor: float = Field(1.0, gt=0)


class Gain(nn.Module):
    """Images times a number; counts the images it is given."""

    images = 0

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.register_buffer("gain", torch.tensor(gain))

    def forward(self, images: Tensor) -> Tensor:
        Gain.images += len(images)
        return images * self.gain


class LevelMeasurement(Measurement):
    """The mean level of each part's features."""

    def __init__(self, config: LevelStage) -> None:
        super().__init__()
        self.config = config
        self.gains = nn.ModuleList(Gain(gain) for gain in config.gains)
        self.found: dict[str, np.ndarray] = {}

    def parts(self) -> tuple[FrozenPart, ...]:
        return tuple(FrozenPart("level", gain) for gain in self.gains)

    def fit(self, features: Sequence[Features], rows: Indices, held_back: Indices) -> None:
        def levels(chosen: Indices) -> np.ndarray:
            return np.array([some[chosen].astype(np.float64).mean() for some in features])

        factor = self.config.factor
        self.found = {"level": levels(rows) * factor, "held_back": levels(held_back) * factor}

    def figures(self) -> list[dict[str, Any]]:
        columns = self.found["level"], self.found["held_back"]
        return [
            {"part": number, "level": float(level), "held_back": float(other)}
            for number, (level, other) in enumerate(zip(*columns, strict=True))
        ]

    def measure(self, features: Sequence[Features]) -> list[dict[str, Any]]:
        return [
            {"part": n, "count": len(some), "level": float(some[:].mean())} for n, some in enumerate(features)
        ]

    def save(self, path: Path) -> None:
        save_file(self.found, path)

    def load(self, path: Path) -> None:
        self.found = load_file(path)


def build(config: LevelStage, run: Path, weights: Path | None) -> LevelMeasurement:
    return LevelMeasurement(config)


@pytest.fixture(autouse=True)
def staged(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = (Stage("level", LevelStage, build, wanted=lambda config: bool(config.gains)),)
    method = dataclasses.replace(registry.get("npr"), stages=stages)
    monkeypatch.setattr(registry, "get", lambda name: method)
    monkeypatch.setattr(Gain, "images", 0)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the pictures in `set`."""
    folder = tmp_path_factory.mktemp("fitted")
    write_set(folder / "set", groups=GROUPS, each=EACH)
    write_set(folder / "others", groups=1, each=5, seed=1)
    return folder


def recipe(path: Path, seed: int = 3, **changes: Any) -> Path:
    return write_recipe(path, "npr", stages={"level": SECTION | changes}, seed=seed)


def train(home: Path, run: Path, cache: Path | None = None, **changes: Any) -> list[dict[str, str]]:
    """Train the stage in `run`, whose folder also gets the recipe; returns the lines of fits.csv."""
    run.mkdir(exist_ok=True)
    path = recipe(run / "recipe.yaml", **changes)
    train_stage(path, "level", home / "set" / "manifest.csv", None, run, cache=cache)
    return lines_of(run / "level" / "fits.csv")


def lines_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def level(home: Path, name: str) -> float:
    """Mean of the middle of a picture, in [0, 1]."""
    pixels = np.asarray(Image.open(home / "set" / name)) / 255
    first = (len(pixels) - CROP) // 2
    return float(pixels[first : first + CROP, first : first + CROP].mean())


def test_a_stage_is_fitted_to_middle_crops_and_measured_on_groups_held_back(
    home: Path, tmp_path: Path
) -> None:
    lines = train(home, tmp_path / "run")
    levels = [np.mean([level(home, f"camera-{g}-{n}.png") for n in range(EACH)]) for g in range(GROUPS)]
    # Groups of one size are dealt by name, the first into the first fold.
    for gain, line in zip((1, 2), lines, strict=True):
        assert float(line["level"]) == pytest.approx(gain * np.mean(levels[1:]), abs=2e-4)
        assert float(line["held_back"]) == pytest.approx(gain * levels[0], abs=2e-4)
    folder = tmp_path / "run" / "level"
    assert {path.name for path in folder.iterdir()} == {
        "stage.json",
        "network.safetensors",
        "fits.csv",
        "cache",
    }
    assert finished(tmp_path / "run", "level") == folder / "network.safetensors"
    assert find_stage("level", tmp_path / "run", None) == folder
    assert Gain.images == 2 * GROUPS * EACH
    record = json.loads((folder / "stage.json").read_text())
    assert record["parts"] == ["level", "level"]


def test_a_finished_stage_is_not_fitted_again(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = train(home, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "level" / "cache")
    (tmp_path / "run" / "level" / "fits.csv").unlink()
    monkeypatch.setattr(LevelMeasurement, "fit", lambda *_: pytest.fail("fitted again"))
    assert train(home, tmp_path / "run") == lines
    assert "level: trained already" in capsys.readouterr().err.replace("\n", "")
    assert Gain.images == 2 * GROUPS * EACH


def test_a_new_fit_has_new_figures(home: Path, tmp_path: Path) -> None:
    lines = train(home, tmp_path / "run")
    folder = tmp_path / "run" / "level"
    (folder / "network.safetensors").unlink()
    (folder / "fits.csv").write_text("level,held_back\n0,0\n")
    assert train(home, tmp_path / "run") == lines


def test_an_interrupted_stage_keeps_its_features(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise Killed

    add = features.FeatureStore.add
    monkeypatch.setattr(features, "PICTURES", 5)
    with monkeypatch.context() as patch:
        # The second part's features of the second shard are lost.
        calls: list[int] = []

        def adding(*args: Any) -> None:
            calls.append(1)
            if len(calls) == 4:
                raise Killed
            add(*args)

        patch.setattr(features.FeatureStore, "add", adding)
        with pytest.raises(Killed):
            train(home, tmp_path / "run")
    assert Gain.images == 20
    with monkeypatch.context() as patch:
        patch.setattr(LevelMeasurement, "fit", killed)
        with pytest.raises(Killed):
            train(home, tmp_path / "run")
    assert Gain.images == 20 + 2 * GROUPS * EACH - 15
    with monkeypatch.context() as patch:
        patch.setattr(LevelMeasurement, "save", killed)
        with pytest.raises(Killed):
            train(home, tmp_path / "run")
    assert not (tmp_path / "run" / "level" / "network.safetensors").exists()
    with pytest.raises(ConfigError, match=r"level: was begun and not finished; .* --stage level"):
        find_stage("level", tmp_path / "run", None)
    lines = train(home, tmp_path / "run")
    assert Gain.images == 20 + 2 * GROUPS * EACH - 15
    assert lines == train(home, tmp_path / "straight")


def test_runs_share_features(home: Path, tmp_path: Path) -> None:
    one = train(home, tmp_path / "one", tmp_path / "kept")
    assert Gain.images == 2 * GROUPS * EACH
    other = train(home, tmp_path / "other", tmp_path / "kept", factor=3.0, folds=2)
    assert Gain.images == 2 * GROUPS * EACH, "neither the fit's options nor the folds decide a feature"
    assert float(other[0]["level"]) != float(one[0]["level"])
    train(home, tmp_path / "third", tmp_path / "kept", gains=(2.0, 4.0))
    assert Gain.images == 3 * GROUPS * EACH, "one of its parts was known"
    train(home, tmp_path / "fourth", tmp_path / "kept", crop=40)
    assert Gain.images == 5 * GROUPS * EACH
    assert not (tmp_path / "one" / "level" / "cache").exists()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"factor": 2.0}, "config;"),
        ({"gains": (1.0,)}, "config, starting_weights_sha256, parts;"),
        ({"seed": 4}, "seed;"),
    ],
)
def test_a_folder_begun_with_another_recipe(
    home: Path, tmp_path: Path, changes: dict[str, Any], named: str
) -> None:
    train(home, tmp_path / "run")
    with pytest.raises(ConfigError, match=f"level: this stage was begun with another {named}"):
        train(home, tmp_path / "run", **changes)


def test_at_most_so_many_pictures_of_each_group(home: Path, tmp_path: Path) -> None:
    train(home, tmp_path / "run", tmp_path / "kept", per_group=2)
    assert Gain.images == 2 * GROUPS * 2
    train(home, tmp_path / "other", tmp_path / "kept", per_group=2, factor=2.0)
    assert Gain.images == 2 * GROUPS * 2, "the same ones"
    train(home, tmp_path / "whole", tmp_path / "kept")
    assert Gain.images == 2 * GROUPS * EACH, "only those that are new"


def test_measured_on_other_pictures(home: Path, tmp_path: Path) -> None:
    path = recipe(tmp_path / "recipe.yaml", per_group=4)
    arguments = (path, "level", home / "set" / "manifest.csv", None, tmp_path / "run")
    train_stage(*arguments, measure_on=(home / "others" / "manifest.csv", "train"))
    lines = lines_of(tmp_path / "run" / "level" / "measured.csv")
    assert [(line["part"], line["count"]) for line in lines] == [("0", "4"), ("1", "4")]
    with pytest.raises(DataError, match="no rows of split 'dev'"):
        train_stage(*arguments, measure_on=(home / "others" / "manifest.csv", "dev"))


def test_pictures_that_cannot_be_read_and_groups_that_are_too_few(home: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="5 folds need as many groups of real pictures, there are 4"):
        train(home, tmp_path / "run", folds=5)
    broken = shutil.copytree(home, tmp_path / "broken")
    (broken / "set" / "camera-2-1.png").write_bytes(b"not a picture")
    with pytest.raises(DataError, match=r"camera-2-1\.png"):
        train(broken, tmp_path / "other")


def test_smaller_pictures_are_reflected(home: Path, tmp_path: Path) -> None:
    lines = train(home, tmp_path / "run", crop=128)
    assert len(lines) == 2
    kept = sorted((tmp_path / "run" / "level" / "cache").glob("*/*.rows"))
    assert {path.stat().st_size for path in kept} == {GROUPS * EACH * 3 * 128 * 128 * 2}


def test_command_line(home: Path, tmp_path: Path) -> None:
    path = recipe(tmp_path / "recipe.yaml")
    arguments = ["train", str(path), "--stage", "level", "--data", str(home / "set" / "manifest.csv")]
    arguments += ["--run", str(tmp_path / "run"), "--cache", str(tmp_path / "kept")]
    typer.main.get_command(app).main(arguments, standalone_mode=False)
    assert (tmp_path / "run" / "level" / "fits.csv").exists()
    assert list((tmp_path / "kept").glob("*/store.json"))
    assert not (tmp_path / "run" / "level" / "cache").exists()


def ablation_of(home: Path, folder: Path, weights: Path | None = None) -> ablation.Ablation:
    rows = {
        "whole": {},
        "same": {"set": {"data": {"views": 1}}},
        "other": {"set": {"stages": {"level": {"factor": 2.0}}}},
        "without": {"set": {"stages": {"level": {"gains": []}}}},
    }
    folder.mkdir(parents=True)
    write_recipe(folder / "npr.yaml", "npr", data=DATA, stages={"level": SECTION})
    (folder / "spec.yaml").write_text(yaml.safe_dump(SPEC | {"rows": rows, "questions": {}}, sort_keys=False))
    manifest = home / "set" / "manifest.csv"
    return ablation.Ablation(
        folder / "spec.yaml", manifest, None, weights, folder / "out", folder / "kept", Progress()
    )


def test_rows_of_an_ablation_share_stages_and_features(home: Path, tmp_path: Path) -> None:
    (tmp_path / "weights" / "level").mkdir(parents=True)
    (tmp_path / "weights" / "level" / "network.safetensors").write_bytes(b"of another recipe")
    work = ablation_of(home, tmp_path / "work", tmp_path / "weights")
    found = {row: (work.prepare(row) / "level" / "network.safetensors").resolve() for row in work.recipes}
    assert Gain.images == 2 * GROUPS * EACH, "all rows found the same features"
    assert found["whole"] == found["same"] != found["other"]
    assert len(list((tmp_path / "work" / "out" / "stages").iterdir())) == 2
    assert work.stages("without") == {}
    assert found["without"] == tmp_path / "weights" / "level" / "network.safetensors"


def test_an_ablation_takes_the_stage_from_the_weights_if_it_is_the_same(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = ablation_of(home, tmp_path / "made").prepare("whole")
    weights = shutil.copytree(weights, tmp_path / "weights")
    monkeypatch.setattr(fitted_stage, "features_of", lambda *_: pytest.fail("computed again"))
    laid = ablation_of(home, tmp_path / "work", weights).prepare("whole")
    assert (laid / "level" / "network.safetensors").resolve() == weights / "level" / "network.safetensors"
