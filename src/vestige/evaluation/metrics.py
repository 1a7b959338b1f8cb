"""Metrics of scores in [-inf, inf] where larger means generated; labels 0 real, 1 generated."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score

Labels = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
Metric = Callable[[Labels, Values], float]


def auroc(labels: Labels, scores: Values) -> float:
    """Chance that a generated picture scores above a real one, ties counting half; nan with one class."""
    if not _both(labels):
        return float("nan")
    # Counted in the sorted real scores: the bootstrap calls this some ten thousand times.
    real, generated = np.sort(scores[labels == 0]), scores[labels == 1]
    below, not_above = np.searchsorted(real, generated, "left"), np.searchsorted(real, generated, "right")
    return float((below + not_above).mean() / (2 * len(real)))


def average_precision(labels: Labels, scores: Values) -> float:
    """Average precision with "generated" as the positive class; nan with one class."""
    return float(average_precision_score(labels, scores)) if _both(labels) else float("nan")


def recall_at_fpr(labels: Labels, scores: Values, rate: float) -> float:
    """Share of generated pictures above the threshold that at most `rate` of the real ones exceed.

    The threshold is taken on these very data: a property of the ranking, not of a shipped threshold.
    """
    if not _both(labels):
        return float("nan")
    real = np.sort(scores[labels == 0])[::-1]
    # The largest k real scores may lie above; the threshold is the next one, to be exceeded strictly.
    allowed = int(np.floor(rate * len(real) + 1e-9))
    threshold = real[allowed] if allowed < len(real) else -np.inf
    return float((scores[labels == 1] > threshold).mean())


def expected_calibration_error(labels: Labels, probabilities: Values, bins: int = 10) -> float:
    """Mean over equally wide bins of |mean probability - share of generated|, weighted by count.

    Guo et al., On Calibration of Modern Neural Networks, 2017.

    Raises:
        ValueError: values outside [0, 1]; logits are not turned into probabilities here.
    """
    if len(probabilities) and (probabilities.min() < 0 or probabilities.max() > 1):
        raise ValueError("expected_calibration_error takes probabilities in [0, 1], got values outside")
    index = np.minimum((probabilities * bins).astype(int), bins - 1)
    total = 0.0
    for number in range(bins):
        inside = index == number
        if inside.any():
            total += inside.mean() * abs(probabilities[inside].mean() - labels[inside].mean())
    return float(total)


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


def bootstrap(
    metric: Metric,
    labels: Labels,
    scores: Values,
    clusters: Sequence[str] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap, each class resampled on its own; the same seed gives the same interval.

    Args:
        clusters: resample these groups of pictures whole instead of single pictures; pictures of one
            source are not independent, and the interval becomes honestly wider.
        draws: resamples.
    """
    rng = np.random.default_rng(seed)
    units: list[list[npt.NDArray[np.int64]]] = []
    for label in (0, 1):
        members = np.flatnonzero(labels == label)
        if clusters is None:
            units.append([np.array([index]) for index in members])
        else:
            names = np.array(clusters)[members]
            units.append([members[names == name] for name in sorted(set(names.tolist()))])
    found = []
    for _ in range(draws):
        drawn = [part[i] for part in units if part for i in rng.integers(len(part), size=len(part))]
        index = np.concatenate(drawn)
        found.append(metric(labels[index], scores[index]))
    low, high = np.nanquantile(found, [0.025, 0.975])
    return Interval(metric(labels, scores), float(low), float(high))


def _both(labels: Labels) -> bool:
    return bool((labels == 0).any() and (labels == 1).any())
