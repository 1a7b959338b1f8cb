"""`vestige train --stage`: train one stage of a method in its folder of the run, resumable.

RUN/STAGE/stage.json          what the stage was trained on and with
RUN/STAGE/network.safetensors the trained network, or what was fitted
RUN/STAGE/measured.csv        figures on other pictures, if asked for

Of a stage that is trained by gradients:
RUN/STAGE/last.ckpt           checkpoint; a continued run ends with the weights of an uninterrupted one
RUN/STAGE/metrics.csv         one line per epoch: losses, figures on pictures held back, speed
RUN/STAGE/samples/            pictures to look at, one sheet per epoch
RUN/STAGE/held-back.csv       figures on all pictures held back, one line per picture and draw

Of a stage that is fitted without gradients (`vestige.training.fitted_stage`):
RUN/STAGE/cache/              frozen features of the pictures, unless several runs share a folder of them
RUN/STAGE/fits.csv            how well it was fitted
"""

import csv
import hashlib
import json
import platform
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_model, save_model
from torch import nn

import vestige
from vestige.data.manifest import Row, read_manifest, sha256_of
from vestige.errors import ConfigError, DataError
from vestige.methods.stage import NETWORK, FittedConfig, Measurement, StageConfig, StageOptions, Task
from vestige.methods.stage import RECORD as STAGE
from vestige.progress import Progress
from vestige.training.fitted_stage import fit_stage, measure_stage
from vestige.training.pictures import Pictures, middle_crops
from vestige.training.recipe import Recipe, read_recipe
from vestige.training.streaming import Stream
from vestige.training.views import capped, deal_groups

__all__ = [
    "LAST",
    "MEASURED",
    "METRICS",
    "NETWORK",
    "SAMPLES",
    "STAGE",
    "append_metrics",
    "finished",
    "holds",
    "new_task",
    "record_of",
    "train_stage",
]

LAST = "last.ckpt"
METRICS = "metrics.csv"
SAMPLES = "samples"
MEASURED = "measured.csv"
CACHE = "cache"
HELD_BACK = 64  # pictures that an epoch is measured on


def train_stage(
    recipe_path: Path,
    name: str,
    manifest: Path,
    weights: Path | None,
    run: Path,
    progress: Progress | None = None,
    measure_on: tuple[Path, str | None] | None = None,
    cache: Path | None = None,
) -> None:
    """Train a stage in `run/name`. Called again after an interruption it goes on where it stopped.

    Args:
        measure_on: manifest and split of other pictures that the trained stage is measured on, too.
        cache: folder of frozen features that several runs share, for a stage that keeps some; None: its own.

    Raises:
        ConfigError: the method has no such stage, an earlier one is missing, weights are missing, the folder
            belongs to something else, or a cache is given for a stage that keeps no features.
        DataError: a manifest or a picture cannot be read, there are too few groups, or nothing to measure on.
    """
    progress = progress or Progress()
    recipe = read_recipe(recipe_path)
    _, config = recipe.stage(name)
    if cache is not None and not isinstance(config, FittedConfig):
        raise ConfigError(
            f"--cache goes with the detector and with stages that keep frozen features; {name} keeps none"
        )
    folder = run / name
    task = new_task(recipe, name, run, weights)
    rows = _wanted(read_manifest(manifest, recipe.data.split), config, manifest)
    others = None if measure_on is None else _others(*measure_on, config)
    _claim(folder, record_of(recipe, name, manifest, task))
    if isinstance(config, FittedConfig):
        assert isinstance(task, Measurement)
        features = cache or folder / CACHE
        fit_stage(task, config, capped(rows, config.per_group, recipe.seed), folder, features, progress)
        if others is not None:
            others = capped(others, config.per_group, recipe.seed)
            measure_stage(task, config, others, folder / MEASURED, features, progress)
    else:
        assert isinstance(config, StageConfig)
        assert isinstance(task, Task)
        _train(task, config, recipe.seed, rows, others, folder, progress)
    progress.say(f"{folder}: trained")


def _train(
    task: Task,
    config: StageConfig,
    seed: int,
    rows: list[Row],
    others: list[Row] | None,
    folder: Path,
    progress: Progress,
) -> None:
    """Train by gradients."""
    folds = deal_groups(rows, config.folds)
    own = [row for row, fold in zip(rows, folds, strict=True) if fold]
    lanes = config.devices * max(1, config.workers)
    pictures = Stream(own, config.stream, seed, lanes) if config.stream else Pictures(own)
    held_back = Pictures([row for row, fold in zip(rows, folds, strict=True) if not fold])
    # Lightning takes seconds to import.
    from vestige.training.held_back import HELD_BACK_FIGURES, write_held_back
    from vestige.training.stage_training import fit

    if (folder / NETWORK).exists():
        progress.say(f"{folder}: trained already")
    else:
        pictures.fill(progress)
        progress.say(
            f"training {folder.name} on {len(pictures)} pictures; {len(held_back)} of other groups held back"
        )
        crops = middle_crops(held_back, config.crop, HELD_BACK)
        fit(task, config, seed, pictures, crops, folder, progress)
        partial = folder / (NETWORK + ".part")
        save_model(task.network, str(partial))
        partial.replace(folder / NETWORK)
    load_model(task.network, str(folder / NETWORK))
    if not (folder / HELD_BACK_FIGURES).exists():
        write_held_back(task, held_back, config.crop, seed, folder / HELD_BACK_FIGURES, progress)
    if others is not None:
        write_held_back(task, Pictures(others), config.crop, seed, folder / MEASURED, progress)


def finished(run: Path, name: str) -> Path:
    """The weights of a stage of a run.

    Raises:
        ConfigError: it was not trained, or not to the end.
    """
    path = run / name / NETWORK
    if not path.exists():
        raise ConfigError(
            f"{run}: its stage {name} is not trained; run vestige train with --stage {name} first"
        )
    return path


def _wanted(rows: list[Row], config: StageOptions, manifest: Path) -> list[Row]:
    kinds = _labels(config)
    for label, kind in kinds.items():
        groups = len({row.group for row in rows if row.label == label})
        if groups < config.folds:
            raise DataError(
                f"{manifest}: {config.folds} folds need as many groups of {kind} pictures, there are {groups}"
            )
    return [row for row in rows if row.label in kinds]


def _others(manifest: Path, split: str | None, config: StageOptions) -> list[Row]:
    """The pictures to measure on, before hours of training."""
    kinds = _labels(config)
    rows = [row for row in read_manifest(manifest, split) if row.label in kinds]
    if not rows:
        where = f"the split {split} of " if split else ""
        raise DataError(
            f"{manifest}: no {' or '.join(kinds.values())} pictures in {where}this manifest, and the stage "
            "takes no others; measure it on a manifest that has some"
        )
    return rows


def _labels(config: StageOptions) -> dict[int, str]:
    """Labels of the pictures that a stage takes, and what they are called."""
    kinds = {0: "real", 1: "generated"}
    return {label: kind for label, kind in kinds.items() if config.pictures in (kind, "all")}


def new_task(recipe: Recipe, name: str, run: Path, weights: Path | None) -> Task | Measurement:
    """A stage before training, the same each time.

    Raises:
        ConfigError: the method has no such stage, an earlier one is missing, or weights are missing.
    """
    stage, config = recipe.stage(name)
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        return stage.build(config, run, weights)


def starting_sha256(task: nn.Module) -> str:
    """Hash of all tensors of a stage before training, and their names."""
    found = hashlib.sha256()
    for part, tensor in sorted(task.state_dict().items()):
        found.update(part.encode() + tensor.contiguous().numpy().tobytes())
    return found.hexdigest()


def record_of(recipe: Recipe, name: str, manifest: Path, task: Task | Measurement) -> dict[str, Any]:
    """All that a trained stage follows from: what `stage.json` holds besides versions.

    Args:
        task: before training, as `new_task` made it.
    """
    stage, config = recipe.stage(name)
    parts = [part.description for part in task.parts()] if isinstance(task, Measurement) else None
    return {
        "method": recipe.method,
        "stage": stage.name,
        "config": recorded(config),
        "seed": recipe.seed,
        "split": recipe.data.split_record,
        "manifest": manifest.name,
        "manifest_sha256": sha256_of(manifest),
        "starting_weights_sha256": starting_sha256(task),
        **({} if parts is None else {"parts": parts}),
    }


def recorded(config: StageOptions) -> dict[str, Any]:
    """A stage's options as records of trained stages hold them."""
    options = config.model_dump(mode="json")
    if options.get("stream") is None:
        options.pop("stream", None)  # younger than the other options: records without it are of none
    return options


def holds(folder: Path, record: dict[str, Any]) -> bool:
    """Whether a folder holds the very stage that a record speaks of, trained to the end."""
    try:
        known = json.loads((folder / STAGE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return (folder / NETWORK).exists() and all(known.get(key) == value for key, value in record.items())


def _claim(folder: Path, facts: dict[str, Any]) -> None:
    """Make the folder this stage's own, or make sure that it is."""
    path = folder / STAGE
    if path.exists():
        try:
            known = dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise ConfigError(f"{path}: cannot be read as the record of a stage ({error})") from error
        other = [key for key, value in facts.items() if known.get(key) != value]
        if other:
            raise ConfigError(
                f"{folder}: this stage was begun with another {', '.join(other)}; choose another folder"
            )
        return
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"{folder}: not empty and not a stage of a run; choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    versions = {
        "vestige": vestige.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    path.write_text(json.dumps({**facts, "versions": versions}, indent=2) + "\n", encoding="utf-8")


def append_metrics(path: Path, step: int, values: dict[str, float]) -> None:
    """Add a line to `metrics.csv`; lines of later steps, left by a run that was killed, are dropped."""
    lines: list[dict[str, str]] = []
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            lines = [line for line in csv.DictReader(file) if int(line["step"]) < step]
    lines.append({"step": str(step), **{name: f"{value:.6g}" for name, value in values.items()}})
    partial = path.with_suffix(".part")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(lines[-1]))
        writer.writeheader()
        writer.writerows(lines)
    partial.replace(path)
