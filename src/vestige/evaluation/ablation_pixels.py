"""Figures of places in an ablation: what maps say of test pictures with masks, kept beside their logits."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vestige.errors import DataError
from vestige.evaluation import kept
from vestige.evaluation.localisation import PixelScores
from vestige.evaluation.metrics import Labels, Values, mean_over_pictures

# In the order of `PixelScores`.
PIXELS = ("pixel_ap", "pixel_f1", "pixel_iou", "flagged", "generated_area")
MANIPULATION = "manipulation"
COLUMNS = ("logit", *PIXELS, MANIPULATION)
DIGITS = 6

Line = tuple[str, int, str, float]  # picture, label, group, logit


@dataclass(frozen=True)
class PixelTable:
    """Pixel figures of the pictures of a test set, in the order of its scores.

    Attributes:
        numbers: float64 [N, 5], columns as in `PIXELS`; nan where a figure is not defined.
        manipulations: what was done to each picture, in the manifest's words; "" for nothing.
    """

    numbers: Values
    manipulations: list[str]

    def column(self, name: str) -> Values:
        """One of `PIXELS`, float64 [N]."""
        return self.numbers[:, PIXELS.index(name)]

    def flagged(self, area: float) -> Values:
        """`flagged` of pictures all real (area 0) or all generated (area 1) where they were looked at."""
        return np.where(self.column("generated_area") == area, self.column("flagged"), np.nan)

    def metrics(self) -> dict[str, Values]:
        """Figure of each picture by the name that tables call it by, float64 [N]."""
        return {
            "pixel AP": self.column("pixel_ap"),
            "pixel F1 at logit 0": self.column("pixel_f1"),
            "pixel IoU at logit 0": self.column("pixel_iou"),
            "area flagged, wholly real": self.flagged(0),
            "area flagged, wholly generated": self.flagged(1),
        }


def mean_of_defined(labels: Labels, values: Values) -> float:
    """Mean over the pictures that have the figure; nan if none has. A metric as the bootstrap takes it."""
    return mean_over_pictures(values.tolist()).value


def write_scores(path: Path, lines: Iterable[Line], pixels: Iterable[tuple[PixelScores, str]]) -> None:
    """Write logits with pixel figures; the file is whole or absent.

    Args:
        pixels: figures and manipulation of each picture.
    """
    kept.write_table(
        path,
        COLUMNS,
        (
            (name, label, group, f"{logit:.{DIGITS}f}", *map(_text, scores), manipulation)
            for (name, label, group, logit), (scores, manipulation) in zip(lines, pixels, strict=True)
        ),
    )


def has_pixels(path: Path) -> bool:
    """Whether a file of scores begins as `write_scores` writes it."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return next(csv.reader(file), None) == [*kept.FIRST, *COLUMNS]
    except (OSError, ValueError, csv.Error):
        return False


def read_scores(path: Path) -> tuple[kept.PictureTable, PixelTable]:
    """Read what `write_scores` wrote.

    Returns:
        Pictures with the one number of their logit, and their pixel figures.

    Raises:
        DataError: unreadable, or not such a file.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        if any(None in row or None in row.values() for row in rows):
            raise ValueError("a line has another number of values than the first")
        labels = np.array([int(row["label"]) for row in rows], dtype=np.int64)
        logits = np.array([[float(row["logit"])] for row in rows], dtype=np.float64).reshape(-1, 1)
        numbers = np.array([[_number(row[name]) for name in PIXELS] for row in rows], dtype=np.float64)
        if not np.isin(labels, (0, 1)).all() or not np.isfinite(logits).all():
            raise ValueError("labels must be 0 or 1, and logits finite numbers")
        if (numbers < 0).any() or (numbers > 1).any():
            raise ValueError(f"{', '.join(PIXELS)} must be in [0, 1] or empty")
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise DataError(f"{path}: not a file of scores of an ablation ({error})") from error
    names, groups = [row["picture"] for row in rows], [row["group"] for row in rows]
    return (
        kept.PictureTable(names, labels, groups, logits),
        PixelTable(numbers.reshape(-1, len(PIXELS)), [row[MANIPULATION] for row in rows]),
    )


def together(tables: Sequence[PixelTable]) -> PixelTable:
    """Means over fits of one row, picture by picture; where a figure is defined follows from the masks."""
    return PixelTable(np.mean([one.numbers for one in tables], axis=0), tables[0].manipulations)


def _text(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.{DIGITS}f}"


def _number(text: str) -> float:
    return float(text) if text else float("nan")
