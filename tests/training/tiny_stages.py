"""A gensign recipe whose stages are trained in a second, and what tests ask of a run of it."""

import csv
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from tiny_workshop import write_recipe, write_set
from torch import Tensor

from vestige.training.stages import train_stage

CROP = 32
# 5 steps of 2 batches each: three epochs, the last one a short one; the rate falls over the last 3 steps.
SHARED = {
    "crop": CROP,
    "batch": 2,
    "structures": 2,
    "accumulate": 2,
    "steps": 5,
    "steps_per_epoch": 2,
    "folds": 2,
    "decay": 0.6,
    "learning_rate": 0.001,
}
SECTIONS: dict[str, dict[str, Any]] = {
    "dair": {
        **SHARED,
        "perceptual": None,
        "model": {"encoder": [4, 4, 4], "decoder": [4, 4, 4], "groups": 2},
    },
    "extractor": {**SHARED, "model": {"width": 4, "blocks": 1, "groups": 2}},
}
STEPS = ["2", "4", "5"]


def recipe(path: Path, method: str = "gensign", seed: int = 3, **changes: dict[str, Any]) -> Path:
    """The recipe of the tests; `changes` are options of its stages."""
    found = {name: {**section, **changes.get(name, {})} for name, section in SECTIONS.items()}
    return write_recipe(path, method, stages=found, seed=seed, data={"split": "train"})


def train(shop: Path, name: str, run: Path, recipe: Path | None = None, **options: Any) -> None:
    train_stage(recipe or shop / "recipe.yaml", name, shop / "set" / "manifest.csv", None, run, **options)


def run_before(shop: Path, name: str, run: Path) -> Path:
    """A run folder in which only `name` is left to do."""
    run.mkdir()
    if name == "extractor":
        shutil.copytree(shop / "run" / "dair", run / "dair")
    return run


def metrics(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def weights(run: Path, name: str) -> dict[str, Tensor]:
    return load_file(run / name / "network.safetensors")


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert set(one) == set(other)
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def open_shop(folder: Path) -> Path:
    """A set, a recipe, and a run of both stages that was never interrupted; returns the folder."""
    write_set(folder / "set", groups=4, each=3)
    recipe(folder / "recipe.yaml")
    for name in SECTIONS:
        train(folder, name, folder / "run")
    return folder
