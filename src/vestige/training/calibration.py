"""From held-out logits to a calibration, operating points and an abstention band."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from vestige.errors import DataError
from vestige.inference.card import Abstention, Calibration, OperatingPoint
from vestige.inference.verdict import calibrate

FALSE_POSITIVE_RATES = (0.01, 0.05)
# A false accusation weighs more than a miss, so more misses are allowed than the 5 % of accusations.
MISS_RATE = 0.10
# The slope of a model no better than chance: all probabilities near one half, their order still to be seen
# in the digits that are kept.
KNOWS_NOTHING = 1e-3


# Below this many pictures of a class the far quantile of its deviations is anybody's guess.
ENOUGH = 100


@dataclass(frozen=True)
class HeldOut:
    """Scores of pictures whose group the scoring model had not seen; arrays with one entry per picture.

    Attributes:
        deviations: at least 0; None for a network that gives none.
    """

    labels: npt.NDArray[np.int64]
    groups: list[str]
    logits: npt.NDArray[np.float64]
    deviations: npt.NDArray[np.float64] | None = None


def read_held_out(path: Path) -> HeldOut:
    """Read a run's `held-out.csv`, with or without a column of deviations.

    Raises:
        DataError: not there, one class is missing, or a deviation is not a number of at least 0.
    """
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); was the run finished?") from error
    labels = np.array([int(row["label"]) for row in rows], dtype=np.int64)
    if len(set(labels.tolist())) < 2:
        raise DataError(f"{path}: holds pictures of one class only")
    deviations = None
    if "deviation" in rows[0]:
        deviations = np.array([float(row["deviation"]) for row in rows])
        for row, deviation in zip(rows, deviations, strict=True):
            if not (np.isfinite(deviation) and deviation >= 0):
                raise DataError(
                    f"{path}: the deviation of {row['path']} is {deviation}, not a number of at least 0; "
                    "train the recipe anew"
                )
    return HeldOut(
        labels,
        [row["group"] for row in rows],
        np.array([float(row["logit"]) for row in rows]),
        deviations,
    )


def fit_platt(held_out: HeldOut, description: str) -> Calibration:
    """Platt's sigmoid by maximum likelihood, both classes weighing the same.

    The probability therefore answers for a pile in which every second picture is generated; where
    generated pictures are rarer, the true probability is lower.

    Where real pictures score as high as generated ones, or higher, the slope is next to zero.
    """
    real, generated = int((held_out.labels == 0).sum()), int((held_out.labels == 1).sum())
    solver = LogisticRegression(C=1e6, class_weight="balanced").fit(held_out.logits[:, None], held_out.labels)
    slope, intercept = float(solver.coef_[0, 0]), float(solver.intercept_[0])
    if slope <= 0:
        # A slope below zero would call a picture generated because the model calls it real. A reference may
        # know nothing; its probabilities then say so.
        slope, intercept = KNOWS_NOTHING, 0.0
        description += (
            "; no better than chance there, so its probabilities are all one half and its band means nothing"
        )
    return Calibration(slope=slope, intercept=intercept, data=description, real=real, generated=generated)


def operating_points(held_out: HeldOut, calibration: Calibration) -> list[OperatingPoint]:
    """For each rate the lowest probability that at most this share of the held-out real pictures reach."""
    real = np.sort(calibrate(held_out.logits[held_out.labels == 0], calibration))[::-1]
    points = []
    for rate in FALSE_POSITIVE_RATES:
        first_spared = real[_allowed(rate, len(real))]
        # A picture at the threshold is called generated: the threshold lies just above.
        points.append(OperatingPoint(fpr=rate, threshold=min(1.0, float(np.nextafter(first_spared, 2)))))
    return points


def abstention(
    held_out: HeldOut,
    calibration: Calibration,
    points: list[OperatingPoint],
    max_deviation: float | None = None,
) -> Abstention:
    """From the 5 % operating point up: generated. Where at most 10 % of the generated pictures lie: real.

    Args:
        max_deviation: from `deviation_limit`, passed on.
    """
    high = next(point.threshold for point in points if point.fpr == 0.05)
    generated = np.sort(calibrate(held_out.logits[held_out.labels == 1], calibration))
    low = max(0.0, float(np.nextafter(generated[_allowed(MISS_RATE, len(generated))], -1)))
    return Abstention(low=min(low, high), high=high, max_deviation=max_deviation)


def deviation_limit(held_out: HeldOut, quantile: float | None) -> float | None:
    """The deviation beyond which a picture is unlike both classes: the larger of their quantiles.

    The larger one because a network fitted to one class lets the other deviate by design. The models of the
    folds had not seen the pictures' groups, so that the limit is rather too wide than too narrow for the
    model fitted on all.

    Args:
        quantile: in (0, 1), the share of each class that is to lie at or below the limit; None: no limit.

    Returns:
        None also where there are no deviations, where a class has fewer than 100 pictures or too few for one
        of them to lie beyond the quantile (200 for 0.995), and where the limit would be 0.
    """
    if quantile is None or held_out.deviations is None:
        return None
    limits = []
    for label in (0, 1):
        found = np.sort(held_out.deviations[held_out.labels == label])[::-1]
        beyond = _allowed(1 - quantile, len(found))
        if len(found) < ENOUGH or beyond < 1:
            return None
        limits.append(float(found[beyond]))
    return max(limits) or None


def _allowed(rate: float, count: int) -> int:
    """How many of `count` pictures may be on the wrong side; forgiving the rounding of rate * count."""
    return int(rate * count + 1e-9)
