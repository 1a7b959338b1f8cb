"""Metrics of decisions at a given threshold on probabilities: generated if probability >= threshold.

The threshold comes from elsewhere (the band that ships, a development set); taking it from the data that
are measured would flatter. All are nan where the class they speak of is missing, where all probabilities are
nan (a model without calibration) and where the threshold is nan.
"""

import numpy as np

from vestige.evaluation.metrics.inputs import Labels, Values, has_probabilities, has_threshold


def accuracy(labels: Labels, probabilities: Values, threshold: float) -> float:
    """Share of pictures decided rightly; it depends on the share of generated pictures.

    Args:
        probabilities: float64 [N] in [0, 1], of being generated.
        threshold: in [0, 1].

    Raises:
        ValueError: probabilities or threshold outside [0, 1], lengths differ, or some probabilities are nan;
            so do all functions here.
    """
    if not _decidable(labels, probabilities, threshold, "accuracy"):
        return float("nan")
    return float(((probabilities >= threshold) == (labels == 1)).mean())


def real_accuracy(labels: Labels, probabilities: Values, threshold: float) -> float:
    """Share of the real pictures that are not called generated: 1 - false positive rate."""
    if not _decidable(labels, probabilities, threshold, "real_accuracy"):
        return float("nan")
    real = probabilities[labels == 0]
    return float((real < threshold).mean()) if len(real) else float("nan")


def generated_accuracy(labels: Labels, probabilities: Values, threshold: float) -> float:
    """Share of the generated pictures that are called generated: recall."""
    if not _decidable(labels, probabilities, threshold, "generated_accuracy"):
        return float("nan")
    generated = probabilities[labels == 1]
    return float((generated >= threshold).mean()) if len(generated) else float("nan")


def balanced_accuracy(labels: Labels, probabilities: Values, threshold: float) -> float:
    """Mean of `real_accuracy` and `generated_accuracy`; nan with one class."""
    if not _decidable(labels, probabilities, threshold, "balanced_accuracy"):
        return float("nan")
    real = real_accuracy(labels, probabilities, threshold)
    return (real + generated_accuracy(labels, probabilities, threshold)) / 2


def f1(labels: Labels, probabilities: Values, threshold: float) -> float:
    """Harmonic mean of precision and recall, generated as the positive class.

    0 if no generated picture is found, nan if there is none. It depends on the share of generated pictures.
    """
    if not _decidable(labels, probabilities, threshold, "f1"):
        return float("nan")
    called, generated = probabilities >= threshold, labels == 1
    if not generated.any():
        return float("nan")
    return float(2 * np.count_nonzero(called & generated) / (called.sum() + generated.sum()))


def _decidable(labels: Labels, probabilities: Values, threshold: float, name: str) -> bool:
    # Not short-circuited: both are to be checked for sense.
    found = has_probabilities(labels, probabilities, name)
    return has_threshold(threshold, name) and found
