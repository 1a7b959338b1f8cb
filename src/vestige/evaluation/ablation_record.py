"""What an ablation leaves in its folder: `ablation.json` and the scores of every row, seed and test set.

OUT/ablation.json                  what was run: specification, recipes, counts, times, hashes, versions
OUT/scores/TEST/ROW-seedN.csv      one line per test picture; with figures of pixels where there are some
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from vestige.evaluation import ablation_pixels, kept
from vestige.evaluation.ablation_pixels import PixelTable
from vestige.evaluation.localisation import PixelScores
from vestige.evaluation.metrics import Labels, Values

RECORD = "ablation.json"
SCORES = "scores"
COLUMNS = ("logit",)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TrainRecord(_Strict):
    """The pictures that rows choose from: a manifest by name, hash and split, or splits."""

    manifest: str
    manifest_sha256: str
    split: str | list[str]


class ConditionRecord(_Strict):
    """What every picture of a test set went through; attributes as of a `Condition` of the protocols."""

    title: str
    text: str
    family: str
    level: float | None

    @property
    def name(self) -> str:
        """Without the version."""
        return self.title.rpartition("/")[0]


class SetRecord(_Strict):
    """A test set.

    Attributes:
        split: "" if all of the manifest was scored.
        real, generated: pictures that were scored.
        seen: how many of these come from groups that the recipe is trained on.
        condition: None if the files were scored as they are.
        per_group: pictures of each group of each class at most; None: all.
        left_out_real, left_out_generated: pictures that the condition does not take.
        left_out_reason: why, of the first of them.
        masks: how many of the scored pictures have a mask that maps are measured against.
    """

    manifest: str
    manifest_sha256: str
    split: str
    real: int
    generated: int
    seen: int
    condition: ConditionRecord | None = None
    per_group: int | None = None
    left_out_real: int = 0
    left_out_generated: int = 0
    left_out_reason: str = ""
    masks: int = 0


class RowRecord(_Strict):
    """A row.

    Attributes:
        changed: what it sets, by dotted key.
        recipe: all of its recipe.
        stages: key of the folder that each of its stages was trained in.
        fraction: share of the training pictures of each class that each fit saw; None: all.
    """

    changed: dict[str, Any]
    recipe: dict[str, Any]
    stages: dict[str, str]
    fraction: float | None = None


class FitRecord(_Strict):
    """One fit of a row.

    Attributes:
        basis: hash of all that the network follows from.
        seconds: of the fit itself, without frozen features.
        images_per_second: views that the solver learned from, repeated ones counted again.
        continued: whether an earlier process had begun it, whose time is then not in `seconds`.
        real, generated: pictures that it was fitted on.
        views: of these pictures, reconstructions included.
    """

    row: str
    seed: int
    basis: str
    network_sha256: str
    seconds: float
    images_per_second: float
    continued: bool
    real: int
    generated: int
    views: int


class ScoreRecord(_Strict):
    """One file of scores; `basis` is that of the fit and of the test manifest."""

    test: str
    row: str
    seed: int
    basis: str
    file: str


class CurveRecord(_Strict):
    """Rows along an axis.

    Attributes:
        axis: what x is.
        log: whether the axis is logarithmic.
        lines: name of a line -> x -> row.
    """

    axis: str
    log: bool
    lines: dict[str, dict[float, str]]


class Record(_Strict):
    """What `ablation.json` holds.

    Attributes:
        command: as it was called, without folders.
        spec: the specification as it was given.
        order: rows in the order of the specification.
        baseline: the row that differences are taken to.
        questions: title of a table -> its rows.
        views: patches of each test picture.
        precision: in which the features of test pictures are computed.
        curves: title of a figure -> rows along an axis.
        scatter: title of a figure -> the rows whose logits are its axes.
        versions: of what shaped the networks, when the last row was added.
    """

    title: str
    command: str
    spec: dict[str, Any]
    order: list[str]
    baseline: str
    questions: dict[str, list[str]]
    views: int
    versions: dict[str, str]
    train: TrainRecord
    precision: str = "float32"
    curves: dict[str, CurveRecord] = {}
    scatter: dict[str, tuple[str, str]] = {}
    tests: dict[str, SetRecord] = {}
    rows: dict[str, RowRecord] = {}
    fits: list[FitRecord] = []
    scores: list[ScoreRecord] = []

    def fit(self, row: str, seed: int) -> FitRecord | None:
        """The fit of a row with a seed, if there was one."""
        return next((one for one in self.fits if (one.row, one.seed) == (row, seed)), None)

    def add_fit(self, fit: FitRecord) -> None:
        """Put a fit in, in place of the one of the same row and seed."""
        self.fits = [one for one in self.fits if (one.row, one.seed) != (fit.row, fit.seed)] + [fit]

    def score(self, test: str, row: str, seed: int) -> ScoreRecord | None:
        """The scores of a fit on a test set, if there are any."""
        wanted = (test, row, seed)
        return next((one for one in self.scores if (one.test, one.row, one.seed) == wanted), None)

    def add_score(self, score: ScoreRecord) -> None:
        """Put scores in, in place of those of the same row, seed and test set."""
        known = self.score(score.test, score.row, score.seed)
        self.scores = [one for one in self.scores if one is not known] + [score]


@dataclass(frozen=True)
class PictureScores:
    """Scores of a fit on a test set; arrays and lists with one entry per picture, in the manifest's order.

    Attributes:
        labels: int64, 0 real, 1 generated.
        groups: generator, or source of real pictures.
        logits: float64, positive = generated.
        pixels: what the map says of places; None without a map, and where no picture has a mask.
    """

    pictures: list[str]
    labels: Labels
    groups: list[str]
    logits: Values
    pixels: PixelTable | None = None


def score_file(test: str, row: str, seed: int) -> str:
    """Where scores lie in the folder of an ablation."""
    return f"{SCORES}/{test}/{row}-seed{seed}.csv"


def write_scores(
    path: Path,
    lines: Iterable[tuple[str, int, str, float]],
    pixels: Sequence[tuple[PixelScores, str]] | None = None,
) -> None:
    """Write picture, label, group and logit (6 decimals) of each picture; the file is whole or absent.

    Args:
        pixels: what the map says of each picture, and its manipulation in the manifest's words; further
            columns. None: there are none.
    """
    if pixels is not None:
        ablation_pixels.write_scores(path, lines, pixels)
        return
    kept.write_table(
        path, COLUMNS, ((name, label, group, f"{logit:.6f}") for name, label, group, logit in lines)
    )


def read_scores(path: Path) -> PictureScores:
    """Read what `write_scores` wrote.

    Raises:
        DataError: unreadable, or not such a file.
    """
    pixels = None
    if ablation_pixels.has_pixels(path):
        found, pixels = ablation_pixels.read_scores(path)
    else:
        found = kept.read_table(path, COLUMNS, "a file of scores of an ablation")
    return PictureScores(found.pictures, found.labels, found.groups, found.numbers[:, 0], pixels)


def read_record(out: Path) -> Record | None:
    """What a folder holds; None if no ablation was begun there.

    Raises:
        ConfigError: `ablation.json` is damaged.
    """
    return kept.read_record(out / RECORD, Record, "the record of an ablation")


def save_record(out: Path, record: Record) -> None:
    """Write `ablation.json`, whole or not at all."""
    kept.save_record(out / RECORD, record)
