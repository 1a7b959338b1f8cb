"""What metrics are given, and what they refuse."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Counts = npt.NDArray[np.int64]
Metric = Callable[[Labels, Values], float]


def has_scores(labels: Labels, scores: Values) -> bool:
    """Whether there is something to measure: at least one picture, and scores that are not all nan.

    A model without calibration has nan for every probability; its figures are nan and no error.

    Raises:
        ValueError: labels and scores differ in length, or only some scores are nan.
    """
    if len(labels) != len(scores):
        raise ValueError(f"{len(labels)} labels but {len(scores)} scores; give one score per label")
    missing = np.isnan(scores)
    if not missing.any():
        return len(scores) > 0
    if not missing.all():
        raise ValueError(f"{missing.sum()} of {len(scores)} scores are nan; give all scores or none")
    return False


def has_both_classes(labels: Labels, scores: Values) -> bool:
    """Whether a ranking can be measured: scores are there, of real and of generated pictures.

    Raises:
        ValueError: as `has_scores`.
    """
    return has_scores(labels, scores) and bool((labels == 0).any() and (labels == 1).any())


def has_probabilities(labels: Labels, probabilities: Values, name: str) -> bool:
    """As `has_scores`, for scores that must be probabilities; logits are not turned into them here.

    Args:
        name: of the metric, for the message.

    Raises:
        ValueError: as `has_scores`, or values outside [0, 1].
    """
    if not has_scores(labels, probabilities):
        return False
    low, high = probabilities.min(), probabilities.max()
    if low < 0 or high > 1:
        raise ValueError(f"{name} takes probabilities in [0, 1], got values from {low:g} to {high:g}")
    return True


def has_threshold(threshold: float, name: str) -> bool:
    """Whether there is a threshold: a package without an operating point has nan.

    Raises:
        ValueError: outside [0, 1], so no threshold on probabilities.
    """
    if threshold < 0 or threshold > 1:
        raise ValueError(f"{name} takes a threshold on probabilities, in [0, 1], got {threshold:g}")
    return not np.isnan(threshold)
