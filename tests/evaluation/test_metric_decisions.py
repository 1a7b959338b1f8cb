"""Decisions at a threshold against scikit-learn."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference
from test_metric_definitions import joined, values

from vestige.evaluation.metrics import (
    accuracy,
    balanced_accuracy,
    f1,
    generated_accuracy,
    real_accuracy,
)

REFERENCES = {
    accuracy: reference.accuracy_score,
    real_accuracy: lambda labels, called: reference.recall_score(labels, called, pos_label=0),
    generated_accuracy: reference.recall_score,
    balanced_accuracy: reference.balanced_accuracy_score,
    f1: lambda labels, called: reference.f1_score(labels, called, zero_division=0),
}
Decision = Callable[[np.ndarray, np.ndarray, float], float]
every = pytest.mark.parametrize("metric", REFERENCES, ids=lambda metric: metric.__name__)


@every
@given(real=values, generated=values, threshold=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]))
def test_as_scikit_learn_has_it(
    metric: Decision, real: list[float], generated: list[float], threshold: float
) -> None:
    labels, probabilities = joined(real, generated)
    called = np.array([int(p >= threshold) for p in probabilities])
    assert metric(labels, probabilities, threshold) == pytest.approx(REFERENCES[metric](labels, called))


@every
def test_at_the_threshold_is_generated(metric: Decision) -> None:
    labels, probabilities = np.array([0, 1]), np.array([np.nextafter(0.7, 0), 0.7])
    assert metric(labels, probabilities, 0.7) == 1


@every
def test_logits_are_refused(metric: Decision) -> None:
    with pytest.raises(ValueError, match=rf"{metric.__name__} takes probabilities in \[0, 1\], .* -2 to 3"):
        metric(np.array([0, 1]), np.array([-2.0, 3.0]), 0.5)
    for threshold in (-0.5, 1.5):
        with pytest.raises(ValueError, match=f"{metric.__name__} takes a threshold on probabilities"):
            metric(np.array([0, 1]), np.array([0.2, 0.3]), threshold)


@every
def test_nothing_to_decide(metric: Decision) -> None:
    labels, probabilities = np.array([0, 1]), np.array([0.2, 0.3])
    assert math.isnan(metric(labels, probabilities, math.nan)), "a package without a threshold"
    assert math.isnan(metric(labels, np.full(2, math.nan), 0.5)), "a model without probabilities"
    assert math.isnan(metric(labels[:0], probabilities[:0], 0.5))


def test_one_class() -> None:
    zeros, ones, probabilities = np.zeros(4, int), np.ones(4, int), np.array([0.1, 0.4, 0.5, 0.9])
    assert accuracy(zeros, probabilities, 0.5) == real_accuracy(zeros, probabilities, 0.5) == 0.5
    assert generated_accuracy(ones, probabilities, 0.45) == 0.5
    for undefined in (
        generated_accuracy(zeros, probabilities, 0.5),
        real_accuracy(ones, probabilities, 0.5),
        balanced_accuracy(zeros, probabilities, 0.5),
        balanced_accuracy(ones, probabilities, 0.5),
        f1(zeros, probabilities, 0.5),
    ):
        assert math.isnan(undefined)
    assert f1(ones, probabilities, 1.0) == 0, "none found"
