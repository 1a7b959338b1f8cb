"""Tables of what training stages reach on pictures that were held back (`held-back.csv` of a run)."""

import csv
import math
from pathlib import Path

import numpy as np

from vestige.errors import DataError
from vestige.evaluation.metrics import Interval, Labels, Values, draws, interval
from vestige.evaluation.table import Table

KEYS = ("picture", "group", "draw")
NOTE = (
    "Means over pictures that the stage was not trained on, of several random passages each; 95 % intervals "
    "by bootstrap of whole groups, where there are several."
)


def held_back_table(title: str, files: dict[str, Path]) -> Table:
    """One table: a row for each figure of each stage.

    Args:
        files: name of the stage as the table has it -> its `held-back.csv`.

    Raises:
        DataError: a file cannot be read as such.
    """
    rows = []
    for name, path in files.items():
        pictures, groups, figures = _read(path)
        for figure, values in figures.items():
            cell = _cell(_mean(values, groups))
            rows.append([name, figure.replace("_", " "), cell, str(len(pictures)), str(len(set(groups)))])
    return Table(title, ["Stage", "Figure", "Mean (95 % interval)", "Pictures", "Groups"], rows, NOTE)


def _cell(found: Interval) -> str:
    if math.isnan(found.low):
        return f"{found.value:.4g} (no interval)"
    return f"{found.value:.4g} ({found.low:.4g} to {found.high:.4g})"


def _read(path: Path) -> tuple[list[str], list[str], dict[str, Values]]:
    """Pictures, their groups, and the mean over the passages of each picture by figure."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        names = [name for name in lines[0] if name not in KEYS]
        passages: dict[tuple[str, str], list[list[float]]] = {}
        for line in lines:
            values = [float(line[name]) for name in names]
            passages.setdefault((line["picture"], line["group"]), []).append(values)
    except (OSError, IndexError, KeyError, ValueError, TypeError) as error:
        raise DataError(f"{path}: cannot be read as figures of a stage ({error})") from error
    means = np.array([np.mean(values, 0) for values in passages.values()])
    pictures, groups = ([key[part] for key in passages] for part in (0, 1))
    return pictures, groups, {name: means[:, number] for number, name in enumerate(names)}


def _mean(values: Values, groups: list[str]) -> Interval:
    def mean(_: Labels, drawn: Values) -> float:
        return float(drawn.mean())

    labels = np.zeros(len(values), dtype=np.int64)
    return interval(mean, labels, values, draws(labels, groups))
