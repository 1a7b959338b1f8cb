"""Whether probabilities mean what they say: of pictures given 0.8, are 80 % generated?

All are about these data: the share of generated pictures in a benchmark is its maker's choice, and
probabilities that fit it fit no other share.
"""

from dataclasses import dataclass

import numpy as np

from vestige.evaluation.metrics.inputs import Labels, Values, has_probabilities
from vestige.evaluation.metrics.intervals import wilson


def expected_calibration_error(labels: Labels, probabilities: Values, bins: int = 10) -> float:
    """Mean over equally wide bins of |mean probability - share of generated|, weighted by count.

    Guo et al., On Calibration of Modern Neural Networks, 2017. Small samples make it too large: gaps within
    bins do not cancel, so that even a perfectly calibrated model does not get 0. Bootstrap draws add noise
    and make it larger still: its interval lies too high.

    Args:
        probabilities: float64 [N] in [0, 1]; all nan gives nan.
        bins: number of bins; the last one includes 1.

    Raises:
        ValueError: values outside [0, 1], lengths differ, or some probabilities are nan.
    """
    if not has_probabilities(labels, probabilities, "expected_calibration_error"):
        return float("nan")
    # |sum of probabilities - number of generated| per bin: the counts cancel against the weights.
    gaps = np.bincount(_bin(probabilities, bins), weights=probabilities - labels, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def brier(labels: Labels, probabilities: Values) -> float:
    """Mean of (probability - label) squared, in [0, 1], smaller is better; 0.25 for always saying 0.5.

    Brier, Verification of Forecasts Expressed in Terms of Probability, 1950. All nan gives nan.

    Raises:
        ValueError: as `expected_calibration_error`.
    """
    if not has_probabilities(labels, probabilities, "brier"):
        return float("nan")
    return float(np.mean((probabilities - labels) ** 2))


@dataclass(frozen=True)
class Bin:
    """Pictures whose probability is in [low, high) (the last bin: [low, high]).

    Attributes:
        low, high: edges of the bin, in [0, 1].
        count: pictures inside.
        mean_probability: their mean; nan if the bin is empty.
        share_generated: share of generated pictures among them; nan if the bin is empty.
        interval_low, interval_high: 95 % Wilson interval of that share, as if pictures were independent;
            nan if the bin is empty.
    """

    low: float
    high: float
    count: int
    mean_probability: float
    share_generated: float
    interval_low: float
    interval_high: float


def reliability_table(labels: Labels, probabilities: Values, bins: int = 10) -> list[Bin]:
    """The bins of `expected_calibration_error`, from the lowest, empty ones included.

    Raises:
        ValueError: as `expected_calibration_error`.
    """
    given = has_probabilities(labels, probabilities, "reliability_table")
    index = _bin(probabilities, bins) if given else np.empty(0, dtype=np.int64)
    table = []
    for number in range(bins):
        inside = np.flatnonzero(index == number)
        count, generated = len(inside), int(labels[inside].sum())
        low, high = wilson(generated, count)
        table.append(
            Bin(
                low=number / bins,
                high=(number + 1) / bins,
                count=count,
                mean_probability=float(probabilities[inside].mean()) if count else float("nan"),
                share_generated=generated / count if count else float("nan"),
                interval_low=low,
                interval_high=high,
            )
        )
    return table


def _bin(probabilities: Values, bins: int) -> Labels:
    return np.minimum((probabilities * bins).astype(np.int64), bins - 1)
