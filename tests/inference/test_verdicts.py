import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests_support import card

from conftest import card_of
from vestige.errors import ConfigError
from vestige.inference.card import Calibration
from vestige.inference.verdict import calibrate, judge, thresholds
from vestige.results import Verdict, ViewScore


def platt(slope: float, intercept: float) -> Calibration:
    return Calibration(slope=slope, intercept=intercept, data="none", real=1, generated=1)


def views(*logits: float) -> list[ViewScore]:
    return [ViewScore(x=0, y=0, width=64, height=64, logit=logit) for logit in logits]


@given(st.floats(-30, 30), st.floats(0.01, 5), st.floats(-5, 5))
def test_calibration_is_plattts_sigmoid(logit: float, slope: float, intercept: float) -> None:
    expected = 1 / (1 + math.exp(-(slope * logit + intercept)))
    assert float(calibrate(logit, platt(slope, intercept))) == pytest.approx(expected, rel=1e-9)


def test_calibration_survives_huge_logits() -> None:
    np.testing.assert_array_equal(calibrate([-1e6, 1e6], platt(1, 0)), [0, 1])


@pytest.mark.parametrize(
    ("logits", "verdict"),
    [
        ((2.0,), Verdict.LIKELY_GENERATED),  # sigmoid 0.88
        ((0.0,), Verdict.INCONCLUSIVE),
        ((-2.0,), Verdict.LIKELY_REAL),
        ((4.0, 0.0), Verdict.LIKELY_GENERATED),  # pooled 2
        ((4.0, -4.0), Verdict.INCONCLUSIVE),  # pooled 0
    ],
)
def test_views_are_pooled_by_their_mean(logits: tuple[float, ...], verdict: Verdict) -> None:
    found, evidence = judge(card(), views(*logits), (0.2, 0.8), side=500)
    assert found == verdict
    assert evidence.logit == pytest.approx(sum(logits) / len(logits))
    assert evidence.spread == pytest.approx(float(np.std(logits)))
    assert bool(evidence.reasons) == (verdict == Verdict.INCONCLUSIVE)


def test_the_spread_is_in_calibrated_units() -> None:
    halved = card(calibration={**card_of(b"")["calibration"], "slope": 0.5})
    assert judge(halved, views(3.0, -1.0), (0.2, 0.8), side=500)[1].spread == pytest.approx(1.0)


def test_the_edges_belong_to_the_verdicts() -> None:
    assert judge(card(), views(0.0), (0.2, 0.5), side=500)[0] == Verdict.LIKELY_GENERATED
    assert judge(card(), views(0.0), (0.5, 0.6), side=500)[0] == Verdict.LIKELY_REAL


def test_disagreeing_views_are_inconclusive() -> None:
    strict = card(abstention={"low": 0.2, "high": 0.8, "max_spread": 1.0})
    verdict, evidence = judge(strict, views(6.0, 2.0), (0.2, 0.8), side=500)
    assert verdict == Verdict.INCONCLUSIVE
    assert "different" in evidence.reasons[0]


def test_a_tiny_picture_is_inconclusive() -> None:
    verdict, evidence = judge(card(), views(6.0), (0.2, 0.8), side=31)
    assert verdict == Verdict.INCONCLUSIVE
    assert "too small" in evidence.reasons[0]


def test_the_upper_edge_can_be_moved() -> None:
    assert thresholds(card()) == (0.2, 0.8)
    assert thresholds(card(), fpr=0.01) == (0.2, 0.95)
    assert thresholds(card(), threshold=0.6) == (0.2, 0.6)
    assert thresholds(card(), threshold=0.1) == (0.1, 0.1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fpr": 0.02}, "only 0.01, 0.05"),
        ({"fpr": 0.01, "threshold": 0.5}, "not both"),
        ({"threshold": 1.5}, "between 0 and 1"),
    ],
)
def test_thresholds_that_make_no_sense_are_refused(options: dict[str, float], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        thresholds(card(), **options)
