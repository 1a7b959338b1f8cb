"""What `vestige deviations` leaves in its folder: `deviations.json` and a file for each test set and run.

OUT/deviations.json          what was measured, of what, and all figures with their intervals
OUT/pictures-TEST-RUN.csv    one line per picture; features are not kept
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from vestige.evaluation import kept
from vestige.evaluation.metrics import Labels, Values

RECORD = "deviations.json"
COLUMNS = ("logit", "magnitude")
Name = Annotated[str, Field(pattern="^[^/]+$")]  # part of a file name
Rule = Literal["deviation", "logit"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Figure(_Strict):
    """A figure with its 95 % interval by group, six digits each; None where it is not defined."""

    value: float | None
    low: float | None
    high: float | None


class Separability(Figure):
    """The same of a measure of `vestige.evaluation.separability`, whose `Estimate` explains it.

    Attributes:
        high: None beside a `low` that is there: no bound.
        noise: how much of the value is noise; None for a ratio of two.
    """

    noise: float | None


class TestRecord(_Strict):
    """A test set; `split` is "" if all of the manifest was taken."""

    __test__ = False  # no test of pytest's

    manifest: str
    manifest_sha256: str
    split: str
    real: int
    generated: int


class RunRecord(_Strict):
    """A run.

    Attributes:
        source: the class that its attribution module was fitted to.
        source_groups: only these groups of it; None: all.
        width: D, of the features.
        recipe: all of it.
    """

    source: Literal["real", "generated"]
    source_groups: list[str] | None
    width: int
    network_sha256: str
    recipe: dict[str, Any]


class Aside(_Strict):
    """What is left when a share of the pictures is set aside.

    Attributes:
        rule: who goes first: the largest deviation, or the smallest absolute logit.
        share: that is set aside, in [0, 1).
        real, generated: pictures that are kept.
        figures: metric -> value among them.
        minus_all: metric -> how much more that is than among all pictures, which is what setting aside at
            random would give on average.
        minus_logit: metric -> how much more than by the rule "logit".
    """

    rule: Rule
    share: float
    real: int
    generated: int
    figures: dict[str, Figure]
    minus_all: dict[str, Figure]
    minus_logit: dict[str, Figure]


class Measured(_Strict):
    """The figures of a run on a test set.

    Attributes:
        patches: of all pictures together.
        draws: resamples behind every interval; 0: a class has fewer than two groups.
        before, after: measure -> figure of f, of A(f).
        change: measure -> after / before.
        magnitude_fisher: Fisher's ratio of the magnitude alone.
        magnitude_auroc: of the magnitude, turned so that the source's class counts as the lower one.
        logit_auroc: of the network.
        logit_minus_magnitude: difference of the two.
        aside: for each share and rule.
    """

    test: Name
    run: Name
    patches: int
    draws: int
    before: dict[str, Separability]
    after: dict[str, Separability]
    change: dict[str, Separability]
    magnitude_fisher: Separability
    magnitude_auroc: Figure
    logit_auroc: Figure
    logit_minus_magnitude: Figure
    aside: list[Aside]


class Record(_Strict):
    """What `deviations.json` holds.

    Attributes:
        command: as it was called, without folders.
        views: patches of a picture at most.
        precision: in which frozen features were computed.
    """

    title: str
    command: str
    views: int
    precision: str
    versions: dict[str, str]
    tests: dict[Name, TestRecord]
    runs: dict[Name, RunRecord]
    measured: list[Measured]


@dataclass(frozen=True)
class Pictures:
    """Pictures of a test set as a run sees them; arrays and lists with one entry for each.

    Attributes:
        labels: int64, 0 real, 1 generated.
        groups: generator, or source of real pictures.
        logits: float64, positive = generated.
        magnitudes: float64, at least 0, mean over features of A(f).
    """

    names: list[str]
    labels: Labels
    groups: list[str]
    logits: Values
    magnitudes: Values


def figure(value: float, low: float, high: float) -> Figure:
    """A figure as the record has it."""
    return Figure(value=short(value), low=short(low), high=short(high))


def short(value: float) -> float | None:
    """Six digits, so that the last bits of another processor change nothing; None for what is no number."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def picture_file(test: str, run: str) -> str:
    """Name of the file of a test set and a run."""
    return f"pictures-{test}-{run}.csv"


def write_pictures(path: Path, lines: Iterable[tuple[str, int, str, float, float]]) -> None:
    """Write name, label, group, logit (6 decimals) and magnitude (6 digits); whole or not at all."""
    kept.write_table(
        path, COLUMNS, ((*known, f"{logit:.6f}", f"{size:.6g}") for *known, logit, size in lines)
    )


def read_pictures(path: Path) -> Pictures:
    """Read what `write_pictures` wrote.

    Raises:
        DataError: unreadable, or not such a file.
    """
    found = kept.read_table(path, COLUMNS, "a file of pictures of vestige deviations")
    logits, magnitudes = found.numbers.T
    return Pictures(found.pictures, found.labels, found.groups, logits, magnitudes)


def read_record(out: Path) -> Record | None:
    """What a folder holds; None if nothing was measured there.

    Raises:
        ConfigError: `deviations.json` is damaged.
    """
    return kept.read_record(out / RECORD, Record, "a record of vestige deviations")


def save_record(out: Path, record: Record) -> None:
    """Write `deviations.json`, whole or not at all."""
    kept.save_record(out / RECORD, record)
