"""Calibration against scikit-learn and loops."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss
from test_metric_definitions import joined, values

from vestige.evaluation.metrics import brier, expected_calibration_error, reliability_table, wilson


@given(values, values)
def test_brier_as_scikit_learn_has_it(real: list[float], generated: list[float]) -> None:
    labels, probabilities = joined(real, generated)
    assert brier(labels, probabilities) == pytest.approx(brier_score_loss(labels, probabilities))


@given(values, values, st.integers(1, 15))
def test_reliability_table_by_loops(real: list[float], generated: list[float], bins: int) -> None:
    labels, probabilities = joined(real, generated)
    table = reliability_table(labels, probabilities, bins)
    assert len(table) == bins
    assert (table[0].low, table[-1].high) == (0, 1)
    total = 0.0
    for number, found in enumerate(table):
        inside = [
            (label, p)
            for label, p in zip(labels, probabilities, strict=True)
            if min(int(p * bins), bins - 1) == number
        ]
        assert found.count == len(inside)
        assert found.low == pytest.approx(number / bins)
        assert found.high == pytest.approx((number + 1) / bins)
        if not inside:
            assert math.isnan(found.mean_probability)
            assert math.isnan(found.share_generated)
            assert math.isnan(found.interval_low)
            continue
        assert found.mean_probability == pytest.approx(sum(p for _, p in inside) / len(inside))
        assert found.share_generated == pytest.approx(sum(label for label, _ in inside) / len(inside))
        assert (found.interval_low, found.interval_high) == wilson(
            sum(int(label) for label, _ in inside), len(inside)
        )
        total += len(inside) / len(labels) * abs(found.mean_probability - found.share_generated)
    assert expected_calibration_error(labels, probabilities, bins) == pytest.approx(total)


def test_reliability_table_as_scikit_learn_has_it() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.random(500)
    labels = (rng.random(500) < probabilities**2).astype(np.int64)
    share, mean = calibration_curve(labels, probabilities, n_bins=10)
    table = reliability_table(labels, probabilities)
    assert [found.share_generated for found in table] == pytest.approx(share.tolist())
    assert [found.mean_probability for found in table] == pytest.approx(mean.tolist())


def test_no_probabilities_give_no_figure() -> None:
    labels, missing = np.array([0, 1]), np.full(2, math.nan)
    for metric in (brier, expected_calibration_error):
        assert math.isnan(metric(labels, missing))
        assert math.isnan(metric(labels[:0], missing[:0]))
    assert [found.count for found in reliability_table(labels, missing)] == [0] * 10


def test_logits_are_refused() -> None:
    for metric in (brier, expected_calibration_error, reliability_table):
        with pytest.raises(ValueError, match=rf"{metric.__name__} takes probabilities in \[0, 1\]"):
            metric(np.array([0, 1]), np.array([0.2, 1.1]))
        with pytest.raises(ValueError, match="scores are nan"):
            metric(np.array([0, 1]), np.array([0.2, math.nan]))
