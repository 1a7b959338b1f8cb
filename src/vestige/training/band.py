"""An abstention band that keeps a promise about the pictures that get a verdict.

Of the real pictures with a verdict at most so many are called generated, of the generated ones at most so
many called real. `vestige.training.calibration.abstention` limits the same errors among all pictures of a
class instead: the more of them are inconclusive, the less that says of a verdict that was given.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import betainc
from scipy.stats import binomtest

from vestige.data.manifest import Row
from vestige.inference.card import BAND_CHECK, Abstention, Calibration, Measured
from vestige.inference.verdict import calibrate
from vestige.training.calibration import HeldOut, fit_platt
from vestige.training.recipe import BandSection
from vestige.training.views import deal_groups

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


class BandCheck(NamedTuple):
    """Verdicts on pictures of groups that neither calibration nor band had seen.

    Attributes:
        accused, real_decided: real pictures called generated, of so many with a verdict.
        missed, generated_decided: generated pictures called real, of so many with a verdict.
    """

    accused: int
    real_decided: int
    missed: int
    generated_decided: int


def fit_band(held_out: HeldOut, calibration: Calibration, section: BandSection) -> tuple[float, float] | None:
    """The band with the fewest inconclusive pictures, both classes weighing the same, that keeps the promise.

    It is kept among the held-out pictures counted one by one, and counted with every group of a class
    weighing the same. For k errors among n pictures with a verdict, (k + 1) / (n + 1) must not exceed the
    rate, as in conformal prediction. Where groups weigh the same, k and n are sums of weights that are 1 in
    the mean over the class.

    Of bands with as many inconclusive pictures it is the one that errs least, both kinds of errors measured
    by their rates, and of these the one that accuses least. Its edges are scores of held-out pictures, so
    that what lies in a gap between them is inconclusive.

    Returns:
        (low, high) in probability, low < high: at most `low` is real, from `high` on generated. None: no band
        keeps the promise; 5 % cannot be told from fewer than 19 pictures.
    """
    probabilities = calibrate(held_out.logits, calibration)
    scores = np.unique(probabilities)
    real = _Tally.of(held_out, probabilities, 0, scores)
    generated = _Tally.of(held_out, probabilities, 1, scores)
    # A band is two numbers: so many of the lowest scores are called real, all but so many called generated.
    above = np.arange(len(scores))
    below = _most_below(generated, above, section)
    kept = _accuses_rarely(real, below, above, section) & _misses_rarely(generated, below, above, section)
    if not kept.any():
        return None
    between = [(tally.counts[above] - tally.counts[below]).astype(np.int64) for tally in (real, generated)]
    cost = between[0] * generated.pictures + between[1] * real.pictures
    wrong = (real.pictures - real.counts[above]) / (real.pictures * section.accused)
    wrong += generated.counts[below] / (generated.pictures * section.missed)
    narrow = np.flatnonzero(kept & (cost == cost[kept].min()))
    best = narrow[wrong[narrow] <= wrong[narrow].min() + 1e-9][-1]
    return float(scores[below[best] - 1]), float(scores[best])


def promised(
    held_out: HeldOut, calibration: Calibration, section: BandSection, max_deviation: float | None = None
) -> tuple[Calibration, Abstention]:
    """The band of `fit_band` for a card, and the calibration whose text says what it promises.

    Where no band keeps the promise, it is from 0 to 1, so that all is inconclusive, and the text says so.

    Args:
        max_deviation: passed on; pictures beyond it get no verdict and are not counted.
    """
    found = fit_band(within(held_out, max_deviation), calibration, section)
    rates = (
        f"{section.accused * 100:g} % of the real and {section.missed * 100:g} % of the generated pictures "
        "with a verdict"
    )
    if section.confidence is not None:
        rates += f" (upper bounds of {section.confidence * 100:g} % confidence)"
    said = (
        f"; no band errs there on at most {rates}, so every picture is inconclusive"
        if found is None
        else f"; its band errs there on at most {rates}"
    )
    low, high = found or (0.0, 1.0)
    stated = calibration.model_copy(update={"data": calibration.data + said})
    return stated, Abstention(low=low, high=high, max_deviation=max_deviation)


def within(held_out: HeldOut, max_deviation: float | None) -> HeldOut:
    """Without the pictures whose deviation alone makes them inconclusive."""
    if max_deviation is None or held_out.deviations is None:
        return held_out
    return _part(held_out, held_out.deviations <= max_deviation)


def band_check(held_out: HeldOut, section: BandSection, folds: int = 5) -> BandCheck | None:
    """Whether the promise holds for new groups: calibration and band are fitted without those they judge.

    Args:
        folds: groups are dealt into so many, or into as many as the class with fewer groups has.

    Returns:
        The folds together; None where a class has a single group, so that none can be left out.
    """
    # deal_groups looks at class and group alone.
    pairs = zip(held_out.labels.tolist(), held_out.groups, strict=True)
    rows = [Row(Path(), "", label, group) for label, group in pairs]
    fewest = min(len({row.group for row in rows if row.label == label}) for label in (0, 1))
    if fewest < 2:
        return None
    dealt = deal_groups(rows, min(folds, fewest))
    found = np.zeros(4, dtype=np.int64)
    for fold in range(dealt.max() + 1):
        outside, inside = _part(held_out, dealt != fold), _part(held_out, dealt == fold)
        if len(set(outside.labels.tolist())) < 2:  # groups of both classes are dealt as one
            continue
        calibration = fit_platt(outside, "")
        band = fit_band(outside, calibration, section)
        if band is None:
            continue
        probabilities = calibrate(inside.logits, calibration)
        called, cleared = probabilities >= band[1], probabilities <= band[0]
        real = inside.labels == 0
        found += [
            np.count_nonzero(called & real),
            np.count_nonzero((called | cleared) & real),
            np.count_nonzero(cleared & ~real),
            np.count_nonzero((called | cleared) & ~real),
        ]
    return BandCheck(*found.tolist())


def measured_band(held_out: HeldOut, section: BandSection, pictures: str) -> list[Measured]:
    """`band_check` as figures of a card, 95 % Wilson intervals as if pictures were independent.

    Args:
        pictures: which they are, in words.

    Returns:
        Errors among the pictures with a verdict, and how many have one; nothing where no group can be left
        out, no errors where no picture has a verdict.
    """
    check = band_check(held_out, section)
    if check is None:
        return []
    real, generated = int((held_out.labels == 0).sum()), int((held_out.labels == 1).sum())
    shares = [
        ("accused among real pictures with a verdict", check.accused, check.real_decided, 0),
        ("missed among generated pictures with a verdict", check.missed, check.generated_decided, 1),
        ("real pictures with a verdict", check.real_decided, real, 0),
        ("generated pictures with a verdict", check.generated_decided, generated, 1),
    ]
    return [
        _measured(f"held-out groups of the {pictures}, {BAND_CHECK}", *share) for share in shares if share[2]
    ]


def _measured(data: str, metric: str, count: int, of: int, label: int) -> Measured:
    bounds = binomtest(count, of).proportion_ci(method="wilson")
    return Measured(
        data=data,
        metric=metric,
        value=round(count / of, 4),
        low=round(float(bounds.low), 4),
        high=round(float(bounds.high), 4),
        real=0 if label else of,
        generated=of if label else 0,
    )


@dataclass(frozen=True)
class _Tally:
    """How many pictures of a class lie among the so many lowest scores, float64 [scores + 1] each.

    Attributes:
        counts: every picture counts 1.
        weighed: every group counts the same, a picture 1 in the mean.
    """

    counts: Floats
    weighed: Floats

    @classmethod
    def of(cls, held_out: HeldOut, probabilities: Floats, label: int, scores: Floats) -> "_Tally":
        chosen = held_out.labels == label
        places = np.searchsorted(scores, probabilities[chosen])
        _, group, sizes = np.unique(
            np.array(held_out.groups)[chosen], return_inverse=True, return_counts=True
        )
        weights = len(places) / (len(sizes) * sizes[group])
        found = [np.bincount(places, some, len(scores)) for some in (np.ones(len(places)), weights)]
        return cls(*(np.concatenate([[0.0], np.cumsum(some)]) for some in found))

    @property
    def pictures(self) -> int:
        return int(self.counts[-1])


def _most_below(generated: _Tally, above: Indices, section: BandSection) -> Indices:
    """For each number of scores that are not called generated, how many of them may be called real.

    More of them are more misses: by bisection, for all at once.
    """
    low, high = np.zeros_like(above), above.copy()
    while (low < high).any():
        middle = (low + high + 1) // 2
        fine = _misses_rarely(generated, middle, above, section)
        low, high = np.where(fine, middle, low), np.where(fine, high, middle - 1)
    return low


def _misses_rarely(
    generated: _Tally, below: Indices, above: Indices, section: BandSection
) -> npt.NDArray[np.bool_]:
    fine = np.ones(len(above), dtype=np.bool_)
    for sums in (generated.counts, generated.weighed):
        fine &= _keeps(sums[below], sums[-1] - sums[above], section.missed, section.confidence)
    return fine


def _accuses_rarely(
    real: _Tally, below: Indices, above: Indices, section: BandSection
) -> npt.NDArray[np.bool_]:
    fine = np.ones(len(above), dtype=np.bool_)
    for sums in (real.counts, real.weighed):
        fine &= _keeps(sums[-1] - sums[above], sums[below], section.accused, section.confidence)
    return fine


def _keeps(wrong: Floats, right: Floats, rate: float, confidence: float | None) -> npt.NDArray[np.bool_]:
    """Whether so many wrong and right verdicts keep to the rate."""
    if confidence is None:
        kept: npt.NDArray[np.bool_] = wrong + 1 <= rate * (wrong + right + 1) + 1e-9
        return kept
    # The upper bound is a quantile of Beta(wrong + 1, right). Sums of weights may miss 0 by rounding.
    some = right > 1e-9
    bounded: npt.NDArray[np.bool_] = some & (
        betainc(np.maximum(wrong, 0) + 1, np.where(some, right, 1), rate) >= confidence
    )
    return bounded


def _part(held_out: HeldOut, chosen: npt.NDArray[np.bool_]) -> HeldOut:
    return replace(
        held_out,
        labels=held_out.labels[chosen],
        groups=[group for group, keep in zip(held_out.groups, chosen.tolist(), strict=True) if keep],
        logits=held_out.logits[chosen],
        deviations=None if held_out.deviations is None else held_out.deviations[chosen],
    )
