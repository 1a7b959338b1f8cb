"""A metric on many draws of the same pictures, a thousand times for each interval.

Metrics of the order need no sorting on a draw: the pictures are ranked once, and a draw is how often each
rank was drawn. The values are those of the metrics themselves, to the last bit.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from vestige.evaluation.metrics.inputs import Counts, Indices, Labels, Metric, Values, has_both_classes
from vestige.evaluation.metrics.ranking import (
    auroc,
    average_precision,
    average_precision_real,
    precision_sum,
    recall_at_fpr,
)

BLOCK = 2**17  # numbers that are worked on at once: they stay in the processor's cache


def over_draws(metric: Metric, labels: Labels, scores: Values, draws: Sequence[Indices]) -> Values:
    """The metric on each draw: float64 [draws], nan where it is not defined.

    Args:
        draws: positions of the pictures drawn, as `vestige.evaluation.metrics.draws` gives them.

    Raises:
        ValueError: what the metric refuses.
    """
    of_counts = _of_counts(metric)
    if of_counts is None or not has_both_classes(labels, scores):
        return np.array([metric(labels[index], scores[index]) for index in draws], dtype=np.float64)
    distinct, ranks = np.unique(scores, return_inverse=True)
    places = ranks + len(distinct) * labels
    block = max(1, BLOCK // (2 * len(distinct)))
    found = np.full(len(draws), np.nan)
    for first in range(0, len(draws), block):
        real, generated = _counts(places, len(distinct), draws[first : first + block])
        both = real.any(axis=1) & generated.any(axis=1)
        if both.any():
            found[first : first + block][both] = of_counts(real[both], generated[both])
    return found


def _counts(places: Indices, ranks: int, draws: Sequence[Indices]) -> tuple[Counts, Counts]:
    """How often each rank was drawn, of real and of generated pictures: int64 [draws, ranks] each."""
    begins = np.repeat(np.arange(len(draws)) * 2 * ranks, [len(index) for index in draws])
    drawn = places[np.concatenate(draws)] + begins
    counts = np.bincount(drawn, minlength=2 * ranks * len(draws)).reshape(len(draws), 2, ranks)
    return counts[:, 0], counts[:, 1]


def _of_counts(metric: Metric) -> "OfCounts | None":
    """The same metric, of how many pictures of each class have each of the scores, from the lowest."""
    if isinstance(metric, partial) and metric.func is recall_at_fpr and metric.keywords.keys() == {"rate"}:
        rate: float = metric.keywords["rate"]
        return None if metric.args or not 0 <= rate <= 1 else partial(_recall, rate=rate)
    return _KNOWN.get(metric)


def _auroc(real: Counts, generated: Counts) -> Values:
    not_above = np.cumsum(real, axis=1)
    wins = (generated * (2 * not_above - real)).sum(axis=1)
    found: Values = wins / generated.sum(axis=1) / (2 * not_above[:, -1])
    return found


def _average_precision(real: Counts, generated: Counts) -> Values:
    # One by one: with the scores that a draw does not have, sums would round otherwise.
    return np.array([_one_average_precision(*pair) for pair in zip(real, generated, strict=True)])


def _one_average_precision(real: Counts, generated: Counts) -> float:
    both = (real + generated)[::-1]
    there = both > 0
    taken = np.cumsum(both[there], dtype=np.float64)
    found = np.cumsum(generated[::-1][there], dtype=np.float64)
    return precision_sum(found / found[-1], found / taken)


def _average_precision_real(real: Counts, generated: Counts) -> Values:
    return _average_precision(generated[:, ::-1], real[:, ::-1])


def _recall(real: Counts, generated: Counts, rate: float) -> Values:
    above = np.cumsum(real[:, ::-1], axis=1)
    allowed = np.floor(rate * above[:, -1:] + 1e-9).astype(np.int64)
    # Before the score of the first real one that may not lie above; all, if every one of them may.
    found: Values = (generated[:, ::-1] * (above <= allowed)).sum(axis=1) / generated.sum(axis=1)
    return found


OfCounts = Callable[[Counts, Counts], Values]
_KNOWN: dict[Metric, OfCounts] = {
    auroc: _auroc,
    average_precision: _average_precision,
    average_precision_real: _average_precision_real,
}
