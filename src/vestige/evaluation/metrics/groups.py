"""Figures generator by generator, each against its official real pictures; their mean and the worst."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from vestige.errors import DataError
from vestige.evaluation.metrics.inputs import Indices, Labels, Metric, Values
from vestige.evaluation.metrics.intervals import Interval, bounds
from vestige.evaluation.metrics.resampled import over_draws

# Groups with fewer pictures are counted and named but enter no mean and are never the worst.
MINIMUM = 10


@dataclass(frozen=True)
class Pairing:
    """One generator and the real pictures that it is officially compared with.

    Attributes:
        generator: name.
        generated: number of its pictures.
        real: number of real pictures.
        inside: bool [N], true for both.
        absent: real groups that the data set names for it but that have no picture here.
    """

    generator: str
    generated: int
    real: int
    inside: npt.NDArray[np.bool_] = field(repr=False, compare=False)
    absent: tuple[str, ...] = ()

    @property
    def enough(self) -> bool:
        """Whether mean and worst take it in: at least ten generated and ten real pictures."""
        return min(self.generated, self.real) >= MINIMUM


@dataclass(frozen=True)
class Generators:
    """One metric over all generators with enough pictures.

    Attributes:
        values: per generator, in the order of names. The interval is about other pictures of this generator.
            Its bounds are nan if the generator or its real pictures are missing in more than 1 % of the
            draws, that is, with fewer than about five source pictures.
        mean: unweighted mean over generators. The interval is about other pictures of the same generators;
            nan bounds if those of a generator are nan for being missing.
        mean_other_generators: the same mean. Its interval resamples generators too and takes for each one its
            value in the same draw; real groups are not resampled. nan bounds with fewer than two generators,
            too narrow with few.
        worst: name of the generator with the lowest value; "" if there is none.
        worst_value: its value and interval. It was picked for being lowest: expect a somewhat better value on
            new pictures. The interval does not cover the choice.
        worst_share: share of draws in which it is the lowest; near 1 the choice is clear. nan without draws.
        left_out: generators with too few pictures, with their counts.
        absent: real groups that are named for comparison but have no picture here.
    """

    values: dict[str, Interval]
    mean: Interval
    mean_other_generators: Interval
    worst: str
    worst_value: Interval
    worst_share: float
    left_out: tuple[Pairing, ...]
    absent: tuple[str, ...]


def pairings(labels: Labels, groups: Sequence[str], compare_with: Sequence[str]) -> list[Pairing]:
    """Every generator with its real pictures, in the order of names.

    Args:
        labels: int64 [N].
        groups: N names: generator (label 1) or source (label 0).
        compare_with: N texts, read for generated pictures: names of real groups split by ";", "" for all real
            pictures.

    Raises:
        DataError: pictures of one generator name different real groups.
        ValueError: lengths differ.
    """
    if not len(labels) == len(groups) == len(compare_with):
        raise ValueError(f"{len(labels)} labels, {len(groups)} groups, {len(compare_with)} compare_with")
    names, official, real = np.array(groups), np.array(compare_with), labels == 0
    found = []
    for generator in sorted(set(names[labels == 1].tolist())):
        own = (labels == 1) & (names == generator)
        wanted = {_split(text) for text in set(official[own].tolist())}
        if len(wanted) > 1:
            differing = " and ".join(sorted(";".join(sorted(part)) or "all" for part in wanted))
            raise DataError(
                f"generator {generator}: its pictures name different real groups to be compared with "
                f"({differing}); name the same for all"
            )
        (chosen,) = wanted
        against = real & np.isin(names, sorted(chosen)) if chosen else real
        absent = tuple(sorted(chosen - set(names[real].tolist())))
        found.append(Pairing(generator, int(own.sum()), int(against.sum()), own | against, absent))
    return found


def per_generator(
    metric: Metric, labels: Labels, scores: Values, groups: Sequence[str], compare_with: Sequence[str]
) -> dict[str, float]:
    """Every generator against its official real pictures, also those with few pictures (see `pairings`).

    nan where one of the two classes is missing.
    """
    return {
        pairing.generator: _measure(metric, labels, scores, np.flatnonzero(pairing.inside))
        for pairing in pairings(labels, groups, compare_with)
    }


def mean_over_generators(
    metric: Metric, labels: Labels, scores: Values, groups: Sequence[str], compare_with: Sequence[str]
) -> float:
    """Unweighted mean of `per_generator` over generators with enough pictures (see `Generators`)."""
    return over_generators(metric, labels, scores, groups, compare_with, []).mean.value


def worst_generator(
    metric: Metric, labels: Labels, scores: Values, groups: Sequence[str], compare_with: Sequence[str]
) -> tuple[str, float]:
    """Name and value of the lowest generator with enough pictures, for metrics where larger is better.

    An undefined value counts as lowest. ("", nan) if no generator has enough pictures.
    """
    found = over_generators(metric, labels, scores, groups, compare_with, [])
    return found.worst, found.worst_value.value


def mean_interval(
    metric: Metric,
    labels: Labels,
    scores: Values,
    groups: Sequence[str],
    compare_with: Sequence[str],
    draws: Sequence[Indices],
) -> Interval:
    """`mean_over_generators` with its interval: other pictures of the same generators (see `Generators`)."""
    return over_generators(metric, labels, scores, groups, compare_with, draws).mean


def over_generators(
    metric: Metric,
    labels: Labels,
    scores: Values,
    groups: Sequence[str],
    compare_with: Sequence[str],
    draws: Sequence[Indices],
    seed: int = 0,
) -> Generators:
    """One metric generator by generator, mean and worst, with intervals.

    Args:
        metric: larger is better; needs both classes.
        draws: of the whole data set by source picture (`draws`), shared with the other figures, so that
            generators stay tied by the real pictures and source pictures they share. Draws by group lose
            whole generators; bounds are then nan. Empty: no intervals.
        seed: of the resampling of generators.

    Raises:
        DataError, ValueError: as `pairings`.
    """
    every = pairings(labels, groups, compare_with)
    kept = [pairing for pairing in every if pairing.enough]
    values = np.array([_measure(metric, labels, scores, np.flatnonzero(part.inside)) for part in kept])
    drawn = np.empty((len(draws), len(kept)))
    for column, part in enumerate(kept):
        drawn[:, column] = _over_draws(metric, labels, scores, [index[part.inside[index]] for index in draws])
    intervals = {
        part.generator: Interval(float(value), *bounds(column))
        for part, value, column in zip(kept, values, drawn.T, strict=True)
    }
    mean = float(values.mean()) if kept else float("nan")
    # numpy takes nan for the minimum: an undefined value is never hidden behind a better one.
    worst = kept[int(np.argmin(values))].generator if kept else ""
    missing = Interval(float("nan"), float("nan"), float("nan"))
    return Generators(
        values=intervals,
        mean=Interval(mean, *bounds(drawn.mean(axis=1))) if kept else missing,
        mean_other_generators=Interval(mean, *_bounds_of_other_generators(drawn, seed)),
        worst=worst,
        worst_value=intervals.get(worst, missing),
        worst_share=float((drawn.argmin(axis=1) == np.argmin(values)).mean()) if drawn.size else float("nan"),
        left_out=tuple(pairing for pairing in every if not pairing.enough),
        absent=tuple(sorted({name for pairing in every for name in pairing.absent})),
    )


def _bounds_of_other_generators(drawn: Values, seed: int) -> tuple[float, float]:
    """Bounds of the mean with generators picked anew in each draw; drawn: values [draws, generators]."""
    count = drawn.shape[1]
    if count < 2:
        return float("nan"), float("nan")
    picked = np.random.default_rng(seed).integers(count, size=drawn.shape)
    # nan in a draw stays nan, whether picked or not: such draws say nothing about the whole.
    whole = ~np.isnan(drawn).any(axis=1)
    return bounds(np.where(whole, np.take_along_axis(drawn, picked, axis=1).mean(axis=1), np.nan))


def _measure(metric: Metric, labels: Labels, scores: Values, index: Indices) -> float:
    """The metric on some pictures; nan unless both classes are among them."""
    some = labels[index]
    generated = np.count_nonzero(some)
    return metric(some, scores[index]) if 0 < generated < len(some) else float("nan")


def _over_draws(metric: Metric, labels: Labels, scores: Values, draws: Sequence[Indices]) -> Values:
    """The metric on each draw; nan unless both classes are in it."""
    found = np.full(len(draws), np.nan)
    both = [number for number, index in enumerate(draws) if 0 < np.count_nonzero(labels[index]) < len(index)]
    found[both] = over_draws(metric, labels, scores, [draws[number] for number in both])
    return found


def _split(text: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split(";") if part.strip())
