"""The arrays behind the curves: a curve read along a grid, and its band over resampled pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vestige.evaluation.metrics import Indices, Labels, Values
from vestige.evaluation.scores import Scores

DRAWS = 200

# (labels, scores) -> x and y of the operating points, from the strictest threshold to the loosest.
Points = Callable[[Labels, Values], tuple[Values, Values]]
# (x, y, grid) -> y at each x of the grid, float64 [G].
Reading = Callable[[Values, Values, Values], Values]


@dataclass(frozen=True)
class Band:
    """95 % of the resampled curves lie between `low` and `high` at each point of the grid, float64 [G]."""

    low: Values
    high: Values


def missing(scores: Scores) -> str:
    """Why a model has no curve, as a clause; "" if it has one."""
    unknown = int(np.isnan(scores.logits).sum())
    if not len(scores.labels):
        return "no picture was scored"
    if unknown:
        return f"{unknown} scores are not numbers"
    if not scores.real:
        return "no real picture was scored"
    if not scores.generated:
        return "no generated picture was scored"
    return ""


def along(x: Values, y: Values, grid: Values) -> Values:
    """A ROC curve, straight between operating points; where it rises vertically, its upper end.

    Fawcett, An introduction to ROC analysis, 2006, section 8.1 (vertical averaging).
    """
    left = np.searchsorted(x, grid, "right") - 1
    right = np.minimum(left + 1, len(x) - 1)
    run = x[right] - x[left]
    part = np.divide(grid - x[left], run, out=np.zeros_like(grid), where=run > 0)
    return np.asarray(y[left] + part * (y[right] - y[left]))


def within(x: Values, y: Values, grid: Values) -> Values:
    """The highest point of a ROC curve with at most this x: `recall_at_fpr` for each rate of the grid."""
    # Shares such as 3/361 are not exact.
    return y[np.searchsorted(x, grid + 1e-9, "right") - 1]


def reaching(x: Values, y: Values, grid: Values) -> Values:
    """Precision at the strictest threshold with at least this recall, as average precision adds it up."""
    return y[np.minimum(np.searchsorted(x, grid - 1e-9, "left"), len(x) - 1)]


def band(
    scores: Scores, points: Points, read: Reading, grid: Values, draws: Sequence[Indices]
) -> Band | None:
    """The 95 % percentile band of a curve; None without draws.

    Args:
        scores: of both classes.
        points: `roc_curve` or `pr_curve`.
        read: `along`, `within` or `reaching`.
        grid: x values, float64 [G], rising.
        draws: resampled positions, from `vestige.evaluation.metrics.draws`.
    """
    if not draws:
        return None
    found = np.stack([read(*points(scores.labels[index], scores.logits[index]), grid) for index in draws])
    low, high = np.quantile(found, [0.025, 0.975], axis=0)
    return Band(low, high)
