"""What the byte-delivery test found: how far scores and verdicts depend on the way a picture was shipped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vestige.errors import DataError
from vestige.evaluation.metrics import Indices, Interval, Labels, Values
from vestige.evaluation.metrics import draws as bootstrap_draws
from vestige.evaluation.protocols.delivery import AS_FOUND
from vestige.results import Verdict

# Probabilities are kept away from 0 and 1 by this much before they become log-odds, which so lie within
# +-13.8; a model that says 1.000 each time has no spread left to see there.
EPSILON = 1e-6

CLASSES: dict[str, tuple[int, ...]] = {"all": (0, 1), "real": (0,), "generated": (1,)}


@dataclass(frozen=True)
class PictureSpread:
    """How far each picture's answers lie apart over the ways; arrays with one entry per picture.

    Attributes:
        ranges: largest minus smallest probability, in [0, 1].
        deviations: standard deviation of the log-odds of the probabilities (sum of squares over W).
        flipped: some verdicts call it generated, in whole or in part, and some "likely_real".
        changed: the verdicts are not all the same; whole and part are two.
    """

    ranges: Values
    deviations: Values
    flipped: npt.NDArray[np.bool_]
    changed: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Distribution:
    """Of one number per picture: mean, median and 95th percentile (linear between neighbours)."""

    mean: Interval
    median: Interval
    p95: Interval


@dataclass(frozen=True)
class Share:
    """How many pictures, and their share. With none or all, the bootstrap interval has no width: no proof."""

    count: int
    share: Interval


@dataclass(frozen=True)
class Shift:
    """One way against the file as found.

    Attributes:
        probability: mean change of the probability; positive: more "generated".
        log_odds: mean change of the log-odds.
        changed: pictures with another verdict than as found.
    """

    probability: Interval
    log_odds: Interval
    changed: Share


@dataclass(frozen=True)
class ClassSummary:
    """The figures of one class, or of both together.

    Attributes:
        pictures: how many.
        ranges, deviations, flips, changes: over pictures, of what `PictureSpread` says.
        shifts: for each way but "as-found".
    """

    pictures: int
    ranges: Distribution
    deviations: Distribution
    flips: Share
    changes: Share
    shifts: Mapping[str, Shift]


@dataclass(frozen=True)
class DeliverySummary:
    """The result of the byte-delivery test for one model on one data set.

    Attributes:
        ways: names of the ways.
        spread: picture by picture.
        classes: "all", "real" and "generated"; a class without pictures is not there.
    """

    ways: tuple[str, ...]
    spread: PictureSpread
    classes: Mapping[str, ClassSummary]


def summarise(
    ways: Sequence[str],
    probabilities: Values,
    verdicts: Sequence[Sequence[str]],
    labels: Labels,
    clusters: Sequence[str] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> DeliverySummary:
    """Sum up what a model said about pictures that were each shipped in several ways.

    Intervals are 95 % percentile bootstrap intervals over `vestige.evaluation.metrics.draws`; the same seed
    gives the same intervals. All ways of a picture stay together in a draw. Bounds are nan where a class has
    a single cluster.

    Args:
        ways: W names, "as-found" first.
        probabilities: float64 [N, W], calibrated.
        verdicts: N lists of W values of `vestige.results.Verdict`.
        labels: int64 [N], 0 real, 1 generated.
        clusters: N names; pictures of one name are drawn together. None and "": each for itself.
        draws: how many.
        seed: not negative.

    Raises:
        DataError: the arrays do not fit together or hold other values; a way without a score for some picture
            is among these: leave the picture out and count it.
    """
    _check(ways, probabilities, verdicts, labels, clusters)
    log_odds = _log_odds(probabilities)
    answers = np.array([[Verdict(verdict).value for verdict in row] for row in verdicts])
    accused = np.array([[Verdict(verdict).says_generated for verdict in row] for row in verdicts])
    spread = PictureSpread(
        ranges=probabilities.max(1) - probabilities.min(1),
        deviations=log_odds.std(1),
        flipped=accused.any(1) & (answers == Verdict.LIKELY_REAL.value).any(1),
        changed=(answers != answers[:, :1]).any(1),
    )
    columns = np.column_stack(
        [
            spread.ranges,
            spread.deviations,
            spread.flipped,
            spread.changed,
            probabilities[:, 1:] - probabilities[:, :1],
            log_odds[:, 1:] - log_odds[:, :1],
            answers[:, 1:] != answers[:, :1],
        ]
    )
    classes = {}
    for name, members in CLASSES.items():
        index = np.flatnonzero(np.isin(labels, members))
        if len(index):
            names = None if clusters is None else [clusters[int(i)] for i in index]
            drawn = bootstrap_draws(labels[index], names, draws, seed)
            classes[name] = _class_summary(columns[index], drawn, ways[1:])
    return DeliverySummary(tuple(ways), spread, classes)


def _check(
    ways: Sequence[str],
    probabilities: Values,
    verdicts: Sequence[Sequence[str]],
    labels: Labels,
    clusters: Sequence[str] | None,
) -> None:
    count = len(labels)
    if len(ways) < 2 or ways[0] != AS_FOUND or len(set(ways)) != len(ways):
        raise DataError(f"the ways must be different names, at least two, {AS_FOUND!r} first: {list(ways)}")
    if count == 0 or not np.isin(labels, (0, 1)).all():
        raise DataError("the labels must be 0 (real) or 1 (generated), for at least one picture")
    if probabilities.shape != (count, len(ways)) or [len(row) for row in verdicts] != [len(ways)] * count:
        raise DataError(
            f"{count} pictures shipped in {len(ways)} ways need as many probabilities and verdicts, got "
            f"probabilities of shape {probabilities.shape} and {sum(map(len, verdicts))} verdicts"
        )
    if clusters is not None and len(clusters) != count:
        raise DataError(f"{count} pictures need as many clusters, got {len(clusters)}")
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise DataError("the probabilities must be calibrated, in [0, 1]; nan or logits are none")
    known = {verdict.value for verdict in Verdict}
    unknown = {str(verdict) for row in verdicts for verdict in row} - known
    if unknown:
        raise DataError(f"the verdicts must be among {sorted(known)}, got {sorted(unknown)}")


def _log_odds(probabilities: Values) -> Values:
    clipped: Values = np.clip(probabilities, EPSILON, 1 - EPSILON)
    return np.log(clipped) - np.log1p(-clipped)


def _figures(columns: Values) -> Values:
    """Mean of every column, then median and 95th percentile of the first two."""
    quantiles = np.quantile(columns[:, :2], [0.5, 0.95], axis=0)
    return np.concatenate([columns.mean(0), quantiles.ravel()])


def _class_summary(columns: Values, draws: Sequence[Indices], others: Sequence[str]) -> ClassSummary:
    pictures, width = columns.shape
    value = _figures(columns)
    low = high = np.full(value.shape, np.nan)
    if draws:
        low, high = np.quantile([_figures(columns[index]) for index in draws], [0.025, 0.975], axis=0)
    found = [Interval(*map(float, each)) for each in zip(value, low, high, strict=True)]

    def share(column: int) -> Share:
        return Share(int(columns[:, column].sum()), found[column])

    count = len(others)
    return ClassSummary(
        pictures=pictures,
        ranges=Distribution(found[0], found[width], found[width + 2]),
        deviations=Distribution(found[1], found[width + 1], found[width + 3]),
        flips=share(2),
        changes=share(3),
        shifts={
            way: Shift(found[4 + number], found[4 + count + number], share(4 + 2 * count + number))
            for number, way in enumerate(others)
        },
    )
