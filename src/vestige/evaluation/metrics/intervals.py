"""95 % intervals: bootstrap draws made once and shared by all metrics and all models; Wilson for shares.

What the percentile bootstrap does not cover:
- choices made with these data in view (which model, threshold, condition or generator to report);
- pictures unlike these: clusters by source picture speak for other pictures of these sources and
  generators, clusters by group for other sources and generators of the same kind, neither for new kinds;
- few clusters (groups above all): with fewer than about twenty in a class the interval is too narrow, with
  fewer than ten much too narrow;
- perfect scores: where every draw gives the same value the interval has no width. That means "no error seen
  among so many", not certainty.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vestige.evaluation.metrics.inputs import Indices, Labels, Metric, Values
from vestige.evaluation.metrics.resampled import over_draws

# Share of draws in which a metric may be undefined before its interval is no longer given.
UNDEFINED = 0.01
NORMAL = 1.959963984540054  # 97.5 % quantile of the standard normal distribution


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval; bounds are nan where none can be given."""

    value: float
    low: float
    high: float


def draws(
    labels: Labels, clusters: Sequence[str] | None = None, count: int = 1000, seed: int = 0
) -> list[Indices]:
    """Bootstrap draws of a data set, for every metric and every model on it.

    Each class is resampled on its own, so that no draw is without a class, and clusters are drawn whole.
    Clusters that hold both classes (a picture and its reconstructions) are a third kind and are drawn
    among themselves, so that pairs stay pairs; if there is but one, it is drawn with the generated clusters.
    Any other cluster that is alone of its kind is in every draw.

    Args:
        labels: int64 [N].
        clusters: N names; pictures of one name are drawn together. "" and None: a picture stands for itself.
        count: number of draws. They take about 8 * N * count bytes.
        seed: the same seed gives the same draws.

    Returns:
        `count` arrays int64 of positions in 0 .. N-1. Empty if a class is there but has fewer than two
        clusters: nothing can then be said about how figures vary, and intervals get nan bounds.

    Raises:
        ValueError: labels and clusters differ in length.
    """
    parts = _parts(labels, clusters)
    if not parts:
        return []
    rng = np.random.default_rng(seed)
    return [
        np.concatenate([part.pick(rng.integers(part.count, size=part.count)) for part in parts])
        for _ in range(count)
    ]


def interval(metric: Metric, labels: Labels, scores: Values, draws: Sequence[Indices]) -> Interval:
    """A metric and its percentile interval over `draws`.

    Bounds are nan without draws, or if the metric is undefined in more than 1 % of them.
    """
    found = over_draws(metric, labels, scores, draws)
    return Interval(metric(labels, scores), *bounds(found))


def difference(
    metric: Metric, labels: Labels, scores_a: Values, scores_b: Values, draws: Sequence[Indices]
) -> Interval:
    """How much larger a metric is for scores a than for scores b of the same pictures, in the same order.

    Paired: both are measured on each draw, so what makes pictures easy or hard for both cancels out.
    Bounds are nan as for `interval`.

    Raises:
        ValueError: not the same number of scores.
    """
    if len(scores_a) != len(scores_b):
        raise ValueError(
            f"{len(scores_a)} and {len(scores_b)} scores; a difference needs the same pictures in both"
        )
    found = over_draws(metric, labels, scores_a, draws) - over_draws(metric, labels, scores_b, draws)
    return Interval(metric(labels, scores_a) - metric(labels, scores_b), *bounds(found))


@dataclass(frozen=True)
class BothDraws:
    """Draws of one data set: by source picture ("other pictures"), by group ("other generators, sources")."""

    by_picture: list[Indices]
    by_group: list[Indices]


@dataclass(frozen=True)
class BothIntervals:
    """One figure with its interval by source picture and by group."""

    by_picture: Interval
    by_group: Interval

    @property
    def value(self) -> float:
        """The figure, the same in both."""
        return self.by_picture.value


def both_draws(
    labels: Labels, pictures: Sequence[str], groups: Sequence[str], count: int = 1000, seed: int = 0
) -> BothDraws:
    """`draws` with source pictures and with groups as clusters."""
    return BothDraws(draws(labels, pictures, count, seed), draws(labels, groups, count, seed))


def both_intervals(metric: Metric, labels: Labels, scores: Values, both: BothDraws) -> BothIntervals:
    """`interval` by source picture and by group."""
    return BothIntervals(
        interval(metric, labels, scores, both.by_picture), interval(metric, labels, scores, both.by_group)
    )


def both_differences(
    metric: Metric, labels: Labels, scores_a: Values, scores_b: Values, both: BothDraws
) -> BothIntervals:
    """`difference` by source picture and by group."""
    return BothIntervals(
        difference(metric, labels, scores_a, scores_b, both.by_picture),
        difference(metric, labels, scores_a, scores_b, both.by_group),
    )


def bootstrap(
    metric: Metric,
    labels: Labels,
    scores: Values,
    clusters: Sequence[str] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> Interval:
    """`interval` over draws of its own, for a single figure.

    Args:
        clusters: resample these groups of pictures whole instead of single pictures; pictures of one
            source are not independent, and the interval becomes honestly wider.
        draws: resamples.
    """
    return interval(metric, labels, scores, _draws(labels, clusters, draws, seed))


def wilson(successes: int, count: int) -> tuple[float, float]:
    """95 % interval of a share, `successes` out of `count` independent trials; nan without trials.

    Wilson, Probable Inference, 1927. Never outside [0, 1] and never of no width.
    """
    if count == 0:
        return float("nan"), float("nan")
    share, weight = successes / count, NORMAL**2 / count
    middle = (share + weight / 2) / (1 + weight)
    half = math.sqrt(weight * share * (1 - share) + weight**2 / 4) / (1 + weight)
    # Rounding must not take the bound of 0 or of all off by a hair.
    return (0.0 if successes == 0 else middle - half), (1.0 if successes == count else middle + half)


def bounds(found: Values) -> tuple[float, float]:
    """The 2.5 % and 97.5 % quantiles of a metric over draws, float64 [draws].

    Draws where it is nan are left out if they are at most 1 %; both bounds are nan if they are more, or
    if there are no draws.
    """
    missing = np.isnan(found)
    if len(found) == 0 or missing.mean() > UNDEFINED:
        return float("nan"), float("nan")
    low, high = np.quantile(found[~missing], [0.025, 0.975])
    return float(low), float(high)


# `bootstrap` has an argument of the function's name.
_draws = draws


class _Part:
    """Clusters that are drawn among themselves."""

    def __init__(self, clusters: Sequence[Indices]) -> None:
        self.count = len(clusters)
        self._members: Indices = np.concatenate(clusters)
        self._sizes: Indices = np.array([len(cluster) for cluster in clusters], dtype=np.int64)
        self._starts: Indices = np.cumsum(self._sizes) - self._sizes

    def pick(self, drawn: Indices) -> Indices:
        """Members of the drawn clusters, one cluster after the other, without a loop over clusters."""
        sizes = self._sizes[drawn]
        shift = self._starts[drawn] - (np.cumsum(sizes) - sizes)
        positions: Indices = np.repeat(shift, sizes) + np.arange(sizes.sum())
        return self._members[positions]


def _parts(labels: Labels, clusters: Sequence[str] | None) -> list[_Part]:
    """Real, generated and mixed clusters; nothing if a class that is there has fewer than two clusters."""
    real: list[Indices] = []
    generated: list[Indices] = []
    mixed: list[Indices] = []
    for members in _members(len(labels), clusters):
        inside = labels[members]
        (real if not inside.any() else generated if inside.all() else mixed).append(members)
    if len(real) + len(mixed) == 1 or len(generated) + len(mixed) == 1:
        return []
    if len(mixed) == 1:
        generated, mixed = [*generated, *mixed], []
    return [_Part(kind) for kind in (real, generated, mixed) if kind]


def _members(length: int, clusters: Sequence[str] | None) -> list[Indices]:
    """Positions of each cluster, in the order of the clusters' names."""
    if clusters is None:
        return list(np.arange(length)[:, None])
    if len(clusters) != length:
        raise ValueError(f"{length} labels but {len(clusters)} clusters; give one cluster per label")
    found: dict[tuple[str, int], list[int]] = {}
    for position, name in enumerate(clusters):
        found.setdefault((name, -1) if name else ("", position), []).append(position)
    return [np.array(found[key], dtype=np.int64) for key in sorted(found)]
