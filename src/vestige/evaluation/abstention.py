"""What is gained when the pictures that are most in doubt get no verdict: risk and coverage.

A rule gives every picture a doubt. The given share of pictures with the largest doubt is set aside, and the
rest is measured. Setting aside at random changes no figure on average: that of all pictures is what a rule
has to beat.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vestige.evaluation import metrics
from vestige.evaluation.metrics import Indices, Labels, Metric, Values

SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)


def accuracy_at_zero(labels: Labels, logits: Values) -> float:
    """Share of pictures whose logit has the right sign; 0 counts as generated."""
    return metrics.accuracy(labels, _decided(logits), 0.5)


def balanced_accuracy_at_zero(labels: Labels, logits: Values) -> float:
    """The same, mean of both classes' shares; nan with one class."""
    return metrics.balanced_accuracy(labels, _decided(logits), 0.5)


METRICS: dict[str, Metric] = {
    "accuracy": accuracy_at_zero,
    "balanced accuracy": balanced_accuracy_at_zero,
    "AUROC": metrics.auroc,
}


@dataclass(frozen=True)
class Kept:
    """What is left when a share of the pictures is set aside.

    Attributes:
        real, generated: pictures that are kept.
        figures: metric -> its value among them; nan where it is not defined.
    """

    real: int
    generated: int
    figures: dict[str, float]


def kept(doubt: Values, share: float) -> Indices:
    """Positions of the pictures that are kept, float64 [N] -> int64, ascending by doubt.

    Equal doubts are kept in the order of the pictures.

    Args:
        share: in [0, 1), of the pictures that are set aside, rounded to whole pictures.
    """
    aside = int(np.floor(share * len(doubt) + 0.5))
    found: Indices = np.argsort(doubt, kind="stable")[: len(doubt) - aside]
    return found


def set_aside(labels: Labels, logits: Values, doubt: Values, shares: Sequence[float] = SHARES) -> list[Kept]:
    """What is left for each share.

    Args:
        labels: int64 [N].
        logits: float64 [N], positive = generated.
        doubt: float64 [N], larger ones are set aside first.
    """
    found = []
    for share in shares:
        index = kept(doubt, share)
        some, judged = labels[index], logits[index]
        generated = int(some.sum())
        figures = {name: metric(some, judged) for name, metric in METRICS.items()}
        found.append(Kept(len(some) - generated, generated, figures))
    return found


def resampled(
    labels: Labels,
    logits: Values,
    doubt: Values,
    draws: Sequence[Indices],
    shares: Sequence[float] = SHARES,
) -> dict[str, Values]:
    """Metric -> float64 [draws, shares]: in each draw its own most doubtful pictures are set aside."""
    found = [set_aside(labels[index], logits[index], doubt[index], shares) for index in draws]
    return {
        name: np.array([[one.figures[name] for one in row] for row in found]).reshape(-1, len(shares))
        for name in METRICS
    }


def _decided(logits: Values) -> Values:
    return (logits >= 0).astype(np.float64)
