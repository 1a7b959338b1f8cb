"""What `vestige choose` leaves in its folder: `choosing.json` and the held-out logits of every run.

OUT/choosing.json    title, order, and of each run its recipe, manifest and seed
OUT/runs/NAME.csv    one line per picture: its logit by a model that saw nothing of its group
"""

import csv
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from vestige.errors import DataError
from vestige.evaluation import kept
from vestige.evaluation.metrics import Indices, Labels, Values

RECORD, RUNS = "choosing.json", "runs"
COLUMNS = ("path", "label", "group", "logit")
Name = Annotated[str, Field(pattern="^[^/]+$")]  # part of a file name


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RunRecord(_Strict):
    """A run.

    Attributes:
        summary: what the recipe says of its package, in words.
        manifest: file name of the manifest that it was trained on.
        seed: of the recipe.
        recipe: all of it, defaults filled in.
        variant: which part of the recipe's pictures was seen.
    """

    summary: str
    manifest: str
    manifest_sha256: str
    seed: int
    recipe: dict[str, Any]
    variant: dict[str, Any]


class Record(_Strict):
    """What `choosing.json` holds.

    Attributes:
        order: of the rows.
        beside: the run that the others are compared with.
        runs: name -> run.
    """

    title: str
    order: list[Name] = Field(min_length=1)
    beside: Name
    runs: dict[Name, RunRecord]

    @model_validator(mode="after")
    def _runs_are_known(self) -> "Record":
        if sorted(self.order) != sorted(self.runs):
            raise ValueError("order does not name every run once")
        if self.beside not in self.runs:
            raise ValueError(f"beside names {self.beside!r}, which is none of {', '.join(self.order)}")
        return self


@dataclass(frozen=True)
class HeldOut:
    """Held-out logits of a run, sorted by path; arrays and lists with one entry per picture.

    Attributes:
        paths: each once.
        labels: int64, 0 real, 1 generated.
        groups: generator, or source of real pictures.
        logits: float64, positive = generated.
    """

    paths: list[str]
    labels: Labels
    groups: list[str]
    logits: Values

    @property
    def generated(self) -> int:
        """Number of generated pictures."""
        return int(self.labels.sum())

    @property
    def real(self) -> int:
        """Number of real pictures."""
        return len(self.paths) - self.generated

    def of(self, index: Indices) -> "HeldOut":
        """Some of the pictures, by position."""
        some = index.tolist()
        return HeldOut(
            [self.paths[i] for i in some],
            self.labels[index],
            [self.groups[i] for i in some],
            self.logits[index],
        )


def run_file(out: Path, name: str) -> Path:
    """Where the held-out logits of a run are kept."""
    return out / RUNS / f"{name}.csv"


def read_held_out(path: Path) -> HeldOut:
    """Read `held-out.csv` of a run, or what `write_held_out` wrote; further columns are left alone.

    Raises:
        DataError: unreadable, not such a file, a picture listed twice, or one class is missing.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise ValueError(f"no column {', '.join(missing)}")
            rows = sorted(reader, key=lambda row: row["path"])
        labels = np.array([int(row["label"]) for row in rows], dtype=np.int64)
        logits = np.array([float(row["logit"]) for row in rows], dtype=np.float64)
        if not np.isin(labels, (0, 1)).all() or not np.isfinite(logits).all():
            raise ValueError("labels must be 0 or 1, and logits finite numbers")
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as held-out logits ({error}); train the run anew") from error
    paths = [row["path"] for row in rows]
    twice = next((one for one, other in pairwise(paths) if one == other), None)
    if twice is not None:
        raise DataError(f"{path}: {twice} is listed twice; list it once in the manifest and train anew")
    if len(set(labels.tolist())) < 2:
        raise DataError(f"{path}: holds pictures of one class only; both are needed to compare runs")
    return HeldOut(paths, labels, [row["group"] for row in rows], logits)


def write_held_out(path: Path, pictures: HeldOut) -> None:
    """Write path, label, group and logit (6 decimals) of each picture; the file is whole or absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        texts = (f"{logit:.6f}" for logit in pictures.logits)
        writer.writerows(zip(pictures.paths, pictures.labels, pictures.groups, texts, strict=True))
    part.replace(path)


def read_record(out: Path) -> Record | None:
    """What a folder holds; None if no runs were compared there.

    Raises:
        ConfigError: `choosing.json` is damaged.
    """
    return kept.read_record(out / RECORD, Record, "a record of vestige choose")


def save_record(out: Path, record: Record) -> None:
    """Write `choosing.json`, whole or not at all."""
    kept.save_record(out / RECORD, record)
