"""Metrics of the order in which scores put the pictures; no threshold of a model enters.

Scores are any numbers in [-inf, inf] where larger means generated. Equal scores are never put in an order.
All are nan (curves: empty) if one class is missing or all scores are nan.
"""

import numpy as np

from vestige.evaluation.metrics.inputs import Labels, Values, has_both_classes


def auroc(labels: Labels, scores: Values) -> float:
    """Chance that a generated picture scores above a real one, ties counting half; nan with one class.

    Raises:
        ValueError: lengths differ, or some scores are nan; so do all functions here.
    """
    if not has_both_classes(labels, scores):
        return float("nan")
    # Sorted keys, too: looking them up is then several times faster than sorting them.
    real, generated = np.sort(scores[labels == 0]), np.sort(scores[labels == 1])
    below, not_above = np.searchsorted(real, generated, "left"), np.searchsorted(real, generated, "right")
    return float((below + not_above).mean() / (2 * len(real)))


def average_precision(labels: Labels, scores: Values) -> float:
    """Average precision with "generated" as the positive class; nan with one class.

    Sum over the distinct scores, from the highest, of precision times the recall gained there; not
    interpolated (as in scikit-learn and most papers of the field). It depends on the share of generated
    pictures.
    """
    recall, precision = pr_curve(labels, scores)
    return precision_sum(recall, precision) if len(recall) else float("nan")


def average_precision_real(labels: Labels, scores: Values) -> float:
    """Average precision with "real" as the positive class and negated scores; nan with one class.

    Some papers report this orientation. It is another number: never compare it with the other one.
    """
    return average_precision(1 - labels, -scores)


def recall_at_fpr(labels: Labels, scores: Values, rate: float) -> float:
    """Share of generated pictures above the threshold that at most `rate` of the real ones exceed.

    The threshold is taken on these very data: a property of the ranking, not of a shipped threshold.
    With fewer than 1 / `rate` real pictures no real one may exceed it.

    Args:
        rate: false positive rate, in [0, 1]; else ValueError.
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"a false positive rate is in [0, 1], got {rate:g}")
    if not has_both_classes(labels, scores):
        return float("nan")
    real = np.sort(scores[labels == 0])[::-1]
    # The largest k real scores may lie above; the threshold is the next one, to be exceeded strictly.
    allowed = int(np.floor(rate * len(real) + 1e-9))
    if allowed >= len(real):
        return 1.0
    return float((scores[labels == 1] > real[allowed]).mean())


def precision_sum(recall: Values, precision: Values) -> float:
    """Precision times the recall gained, summed over the points of `pr_curve`."""
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def roc_curve(labels: Labels, scores: Values) -> tuple[Values, Values]:
    """False and true positive rate at every distinct score, from the highest; generated is positive.

    Returns:
        (fpr, tpr), each float64 [K + 1] for K distinct scores: from (0, 0) to (1, 1), neither ever falling.
        The area under straight lines between the points is `auroc`. Both empty with one class.
    """
    if not has_both_classes(labels, scores):
        return np.empty(0), np.empty(0)
    taken, found = _counts(labels, scores)
    real = taken - found
    return np.append(0.0, real / real[-1]), np.append(0.0, found / found[-1])


def pr_curve(labels: Labels, scores: Values) -> tuple[Values, Values]:
    """Recall and precision at every distinct score, from the highest; generated is positive.

    Returns:
        (recall, precision), each float64 [K] for K distinct scores; recall never falls and ends at 1. No
        point is added at recall 0. Both empty with one class.
    """
    if not has_both_classes(labels, scores):
        return np.empty(0), np.empty(0)
    taken, found = _counts(labels, scores)
    return found / found[-1], found / taken


def _counts(labels: Labels, scores: Values) -> tuple[Values, Values]:
    """For each distinct score, from the highest: pictures at or above it, and generated ones among them."""
    order = np.argsort(scores)[::-1]
    ranked = scores[order]
    # Compared, not subtracted: the difference of two infinite scores is nan.
    last = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    found = np.cumsum(labels[order], dtype=np.float64)[last]
    return last + 1.0, found
