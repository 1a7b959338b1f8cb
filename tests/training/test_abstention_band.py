"""The abstention band that keeps a promise about pictures with a verdict: against all bands there are."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import binom

from vestige.inference.card import Calibration
from vestige.inference.verdict import calibrate
from vestige.training.band import BandCheck, band_check, fit_band, measured_band, promised, within
from vestige.training.calibration import HeldOut
from vestige.training.recipe import BandSection

IDENTITY = Calibration(slope=1, intercept=0, data="made up", real=0, generated=0)
LOOSE = BandSection(accused=0.3, missed=0.4)

Picture = tuple[int, str, float]  # label, group, logit


def held_out(pictures: list[Picture]) -> HeldOut:
    labels, groups, logits = zip(*pictures, strict=True)
    return HeldOut(np.array(labels, dtype=np.int64), list(groups), np.array(logits, dtype=float))


def errors(
    pictures: list[Picture], low: float, high: float, weighed: bool
) -> list[tuple[Fraction, Fraction]]:
    """Wrong and given verdicts of both classes, by the definition."""
    found = []
    for label in (0, 1):
        own = [(group, logit) for kind, group, logit in pictures if kind == label]
        sizes = {group: sum(name == group for name, _ in own) for group, _ in own}
        wrong = decided = Fraction(0)
        for group, logit in own:
            weight = Fraction(len(own), len(sizes) * sizes[group]) if weighed else Fraction(1)
            decided += weight * (logit <= low or logit >= high)
            wrong += weight * ((logit >= high) if label == 0 else (logit <= low))
        found.append((wrong, decided))
    return found


def keeps(pictures: list[Picture], low: float, high: float, section: BandSection) -> bool:
    rates = [Fraction(str(section.accused)), Fraction(str(section.missed))]
    return all(
        (wrong + 1) / (decided + 1) <= rate
        for weighed in (False, True)
        for (wrong, decided), rate in zip(errors(pictures, low, high, weighed), rates, strict=True)
    )


def cost(pictures: list[Picture], low: float, high: float) -> Fraction:
    """Inconclusive pictures, both classes weighing the same."""
    counts = [sum(kind == label for kind, _, _ in pictures) for label in (0, 1)]
    return sum(
        (Fraction(1, counts[label]) for label, _, logit in pictures if low < logit < high), start=Fraction(0)
    )


def price(
    pictures: list[Picture], low: float, high: float, section: BandSection
) -> tuple[Fraction, Fraction, float]:
    """What bands are chosen by, lowest first: in doubt, in error in units of the rates, lower edges last."""
    counts = [sum(kind == label for kind, _, _ in pictures) for label in (0, 1)]
    (accused, _), (missed, _) = errors(pictures, low, high, weighed=False)
    wrong = accused / counts[0] / Fraction(str(section.accused))
    wrong += missed / counts[1] / Fraction(str(section.missed))
    return cost(pictures, low, high), wrong, -high


def logit_of(probability: float, pictures: list[Picture]) -> float:
    """The score that an edge of a band is the probability of."""
    (found,) = {logit for _, _, logit in pictures if calibrate(logit, IDENTITY) == probability}
    return found


# Eighths, so that shifted scores stay exact: two that differ by a rounding have one probability.
scores = st.sampled_from([-3.0, -2.0, -1.0, 0.0, 0.5, 1.0, 2.0]) | st.integers(-40, 40).map(lambda n: n / 8)


@st.composite
def piles(draw: st.DrawFn) -> list[Picture]:
    """Pictures of both classes that a model tells apart more or less well."""
    found: list[Picture] = []
    for label, shift in ((0, -draw(st.sampled_from([0.0, 1.0, 3.0]))), (1, 0.0)):
        logits = draw(st.lists(scores, min_size=1, max_size=14))
        found += [(label, draw(st.sampled_from("abc")), logit + shift) for logit in logits]
    return found


@given(piles())
def test_the_best_of_all_bands_is_found(pictures: list[Picture]) -> None:
    steps = sorted({logit for _, _, logit in pictures})
    bands = [(low, high) for low in steps for high in steps if low < high]
    able = [price(pictures, *band, LOOSE) for band in bands if keeps(pictures, *band, LOOSE)]
    found = fit_band(held_out(pictures), IDENTITY, LOOSE)
    assert (found is None) == (not able)
    if found is not None:
        low, high = (logit_of(edge, pictures) for edge in found)
        assert keeps(pictures, low, high, LOOSE)
        assert price(pictures, low, high, LOOSE) == min(able)


@given(piles(), st.floats(0.5, 0.9))
def test_upper_bounds_of_a_confidence_keep_to_the_rates(pictures: list[Picture], confidence: float) -> None:
    pictures = [(label, "one", logit) for label, _, logit in pictures]  # one group weighs as its pictures do
    section = BandSection(accused=0.3, missed=0.4, confidence=confidence)
    found = fit_band(held_out(pictures), IDENTITY, section)
    steps = sorted({logit for _, _, logit in pictures})
    able = []
    for low in steps:
        for high in (step for step in steps if step > low):
            chances = [
                binom.cdf(int(wrong), int(decided), rate)
                for (wrong, decided), rate in zip(
                    errors(pictures, low, high, weighed=False), (0.3, 0.4), strict=True
                )
            ]
            assume(all(abs(chance - (1 - confidence)) > 1e-6 for chance in chances))
            if max(chances) <= 1 - confidence:
                able.append(price(pictures, low, high, section))
    assert (found is None) == (not able)
    if found is not None:
        low, high = (logit_of(edge, pictures) for edge in found)
        assert price(pictures, low, high, section) == min(able)


def test_nineteen_spotless_pictures_are_the_fewest() -> None:
    def band(real: int, generated: int) -> tuple[float, float] | None:
        pile = [(0, "camera", -1.0 - n) for n in range(real)] + [
            (1, "maker", 1.0 + n) for n in range(generated)
        ]
        return fit_band(held_out(pile), IDENTITY, BandSection())

    assert band(18, 9) is None
    assert band(19, 8) is None
    low, high = band(19, 9) or (0, 0)
    assert (low, high) == pytest.approx((1 / (1 + np.e), 1 / (1 + np.exp(-1)))), "no score lies between"


def test_a_small_group_is_heard() -> None:
    """Of 100 real pictures 2 % are accused, but all of the second group."""
    pile = [(0, "camera", -2.0 - n / 100) for n in range(98)] + [(0, "scanner", 3.0), (0, "scanner", 3.1)]
    pile += [(1, "maker", 2.0 + n / 50) for n in range(100)]
    _, high = fit_band(held_out(pile), IDENTITY, BandSection()) or (0, 0)
    assert high > calibrate(3.1, IDENTITY), "what lies beyond the scanner is called generated"
    alone = [(label, "one", logit) for label, _, logit in pile]
    assert fit_band(held_out(alone), IDENTITY, BandSection()) == pytest.approx(
        (1 / (1 + np.exp(2)), 1 / (1 + np.exp(-2)))
    )


def big(seed: int, each: int, distance: float = 4.0) -> HeldOut:
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], each)
    numbers = np.arange(2 * each) % 25
    logits = rng.normal(distance * (labels - 0.5), 1.5)
    return HeldOut(
        labels, [f"{label}-{number}" for label, number in zip(labels, numbers, strict=True)], logits
    )


def test_a_large_pile_is_a_matter_of_a_moment() -> None:
    pile = big(0, 5000)
    low, high = fit_band(pile, IDENTITY, BandSection()) or (0, 0)
    found = calibrate(pile.logits, IDENTITY)
    real = found[pile.labels == 0]
    decided = (real <= low) | (real >= high)
    # Rates are used up: one accusation more would be too many.
    assert 0.048 < (real >= high).sum() / decided.sum() <= 0.05


def test_where_no_band_keeps_the_promise_nothing_is_decided() -> None:
    pile = held_out([(label, "one", float(n)) for label in (0, 1) for n in range(30)])
    calibration, abstention = promised(pile, IDENTITY, BandSection(), 7.0)
    assert (abstention.low, abstention.high, abstention.max_deviation) == (0, 1, 7.0)
    assert calibration.data == (
        "made up; no band errs there on at most 5 % of the real and 10 % of the generated pictures with a "
        "verdict, so every picture is inconclusive"
    )
    # Whatever a next picture scores; what rounds to 0 or 1 apart.
    given = calibrate(np.linspace(-30, 30), IDENTITY)
    assert ((given > abstention.low) & (given < abstention.high)).all()


def test_the_card_says_what_is_promised() -> None:
    calibration, abstention = promised(big(1, 300), IDENTITY, BandSection(confidence=0.9))
    assert 0 < abstention.low < abstention.high < 1
    assert calibration.data.endswith(
        "; its band errs there on at most 5 % of the real and 10 % of the generated pictures with a verdict "
        "(upper bounds of 90 % confidence)"
    )


def test_pictures_that_get_no_verdict_anyway_do_not_count() -> None:
    pile = big(2, 300)
    real = np.flatnonzero(pile.labels == 0)
    strange = np.zeros(len(pile.labels))
    strange[real[:100]] = 9.0
    odd = HeldOut(pile.labels, pile.groups, np.where(strange > 1, 50.0, pile.logits), strange)
    assert fit_band(odd, IDENTITY, BandSection()) is None
    kept = within(odd, 1.0)
    assert len(kept.groups) == len(kept.labels) == 500
    assert promised(odd, IDENTITY, BandSection(), 1.0)[1].high < 1
    assert within(odd, None) is odd


def test_the_check_judges_groups_that_the_fit_had_not_seen() -> None:
    """One source of real pictures looks generated: a fit that had seen it would find no band at all."""
    rng = np.random.default_rng(3)
    pile = [(0, f"camera-{n % 20}", float(rng.normal(-4, 0.5))) for n in range(400)]
    pile += [(1, f"maker-{n % 20}", float(rng.normal(4, 0.5))) for n in range(400)]
    pile += [(0, "odd", float(rng.normal(12, 0.5))) for _ in range(20)]
    found = band_check(held_out(pile), BandSection(), folds=21)
    assert found is not None
    assert (found.accused, found.real_decided) == (20, 40), "21 sources in 20 folds: camera-0 is in the same"
    assert band_check(held_out([(0, "a", 0.0), (0, "b", 0.0), (1, "c", 1.0)]), BandSection()) is None


def test_figures_of_the_check() -> None:
    pile = big(4, 1000)
    found = band_check(pile, BandSection())
    assert isinstance(found, BandCheck)
    lines = measured_band(pile, BandSection(), "train split of m.csv")
    assert [line.metric for line in lines] == [
        "accused among real pictures with a verdict",
        "missed among generated pictures with a verdict",
        "real pictures with a verdict",
        "generated pictures with a verdict",
    ]
    assert {line.data for line in lines} == {
        "held-out groups of the train split of m.csv, band fitted without them"
    }
    first = lines[0]
    assert (first.real, first.generated) == (found.real_decided, 0)
    # Wilson, 1927, by hand.
    share, z2 = found.accused / found.real_decided, 1.959964**2
    middle = (share + z2 / (2 * found.real_decided)) / (1 + z2 / found.real_decided)
    assert first.value == pytest.approx(share, abs=1e-4)
    assert (first.low + first.high) / 2 == pytest.approx(middle, abs=1e-4)
    assert (lines[2].real, lines[3].generated) == (1000, 1000)


def test_no_share_of_nothing() -> None:
    weak = big(5, 300, distance=0.0)
    lines = measured_band(weak, BandSection(), "train split of m.csv")
    assert [(line.metric, line.value) for line in lines] == [
        ("real pictures with a verdict", 0.0),
        ("generated pictures with a verdict", 0.0),
    ]
