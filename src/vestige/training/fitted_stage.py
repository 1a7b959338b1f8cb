"""A stage without gradients: frozen features of the pictures, computed once and kept, and a fit to them."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vestige.data.manifest import Row
from vestige.methods.base import FrozenPart, Network
from vestige.methods.parts import Features
from vestige.methods.stage import NETWORK, FittedConfig, Measurement
from vestige.progress import Progress
from vestige.training.features import features_of
from vestige.training.pictures import Pictures, middle_crops
from vestige.training.scoring import identity
from vestige.training.views import deal_groups

FITS = "fits.csv"


def fit_stage(
    task: Measurement, config: FittedConfig, rows: list[Row], folder: Path, cache: Path, progress: Progress
) -> None:
    """Fit a stage in its folder, unless it holds it already; features that `cache` holds are only read.

    Args:
        task: afterwards it holds what the folder holds.
        rows: of the pictures; whole groups are held back.
        folder: of the stage, claimed.

    Raises:
        ConfigError, DataError: a picture cannot be read, or the pictures do not allow the fit.
    """
    path = folder / NETWORK
    if path.exists():
        progress.say(f"{folder}: trained already")
    else:
        folds = deal_groups(rows, config.folds)
        kept, held_back = np.flatnonzero(folds), np.flatnonzero(folds == 0)
        progress.say(
            f"fitting {folder.name} to {len(kept)} pictures; {len(held_back)} of other groups held back"
        )
        task.fit(crop_features(task, rows, config.crop, cache, progress), kept, held_back)
        (folder / FITS).unlink(missing_ok=True)  # of an earlier fit, whose network was removed
        partial = folder / (NETWORK + ".part")
        task.save(partial)
        partial.replace(path)
    task.load(path)  # figures are of what others will read
    if not (folder / FITS).exists():
        write_lines(task.figures(), folder / FITS)


def measure_stage(
    task: Measurement, config: FittedConfig, rows: list[Row], path: Path, cache: Path, progress: Progress
) -> None:
    """Measure a fitted stage on other pictures, and write the figures as CSV.

    Raises:
        DataError: a picture cannot be read.
    """
    write_lines(task.measure(crop_features(task, rows, config.crop, cache, progress)), path)


def crop_features(
    task: Measurement, rows: list[Row], crop: int, cache: Path, progress: Progress
) -> Sequence[Features]:
    """What each part of a measurement says of the middle crops of pictures, in the order of `rows`.

    Raises:
        DataError: a picture cannot be read.
    """

    def cut(row: Row) -> npt.NDArray[np.uint8]:
        return middle_crops(Pictures([row]), crop, 1).permute(0, 2, 3, 1).numpy()

    buckets = features_of(
        _Parts(task),
        type(task).__name__,
        rows,
        [identity(row) for row in rows],
        cut,
        f"middle crop of {crop}, smaller pictures reflected",
        cache,
        progress,
    )
    return buckets[0].features  # all crops are of one size


def write_lines(lines: list[dict[str, Any]], path: Path) -> None:
    """A table as CSV; the first line has all columns."""
    partial = path.with_suffix(".part")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        for line in lines:
            writer.writerow(
                {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in line.items()}
            )
    partial.replace(path)


class _Parts(Network):
    """The parts of a measurement as those of a network, whose features can be kept."""

    def __init__(self, task: Measurement) -> None:
        super().__init__()
        # In a list and no submodule: not every part can be laid out in memory as networks are for speed.
        self._tasks = [task.eval()]

    def parts(self) -> tuple[FrozenPart, ...]:
        return self._tasks[0].parts()
