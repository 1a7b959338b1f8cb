"""Rankings against scikit-learn and, where scikit-learn refuses, against loops over all thresholds."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference
from test_metric_definitions import joined, values

from vestige.evaluation.metrics import (
    auroc,
    average_precision,
    average_precision_real,
    pr_curve,
    recall_at_fpr,
    roc_curve,
)

RANKINGS = [auroc, average_precision, average_precision_real]
unbounded = st.lists(st.sampled_from([-math.inf, -2.0, 0.0, 3.5, math.inf]), min_size=1, max_size=12)


@given(values, values)
def test_average_precision_as_scikit_learn_has_it(real: list[float], generated: list[float]) -> None:
    labels, scores = joined(real, generated)
    assert average_precision(labels, scores) == pytest.approx(
        reference.average_precision_score(labels, scores)
    )
    assert average_precision_real(labels, scores) == pytest.approx(
        reference.average_precision_score(labels == 0, -scores)
    )


@given(unbounded, unbounded)
def test_infinite_scores_tie_with_their_like(real: list[float], generated: list[float]) -> None:
    labels, scores = joined(real, generated)
    finite = np.searchsorted(np.unique(scores), scores).astype(float)
    for metric in RANKINGS:
        assert metric(labels, scores) == pytest.approx(metric(labels, finite))
    assert recall_at_fpr(labels, scores, 0.2) == recall_at_fpr(labels, finite, 0.2)


@given(values, values, st.randoms(use_true_random=False))
def test_the_order_of_pictures_does_not_matter(
    real: list[float], generated: list[float], random: object
) -> None:
    labels, scores = joined(real, generated)
    order = list(range(len(labels)))
    random.shuffle(order)  # type: ignore[attr-defined]
    for metric in RANKINGS:
        assert metric(labels[order], scores[order]) == pytest.approx(metric(labels, scores))


@given(values, values)
def test_roc_curve_visits_every_distinct_score(real: list[float], generated: list[float]) -> None:
    labels, scores = joined(real, generated)
    fpr, tpr = roc_curve(labels, scores)
    expected_fpr, expected_tpr, _ = reference.roc_curve(labels, scores, drop_intermediate=False)
    np.testing.assert_allclose(fpr, expected_fpr)
    np.testing.assert_allclose(tpr, expected_tpr)
    assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)
    assert reference.auc(fpr, tpr) == pytest.approx(auroc(labels, scores))


@given(values, values)
def test_pr_curve_visits_every_distinct_score(real: list[float], generated: list[float]) -> None:
    labels, scores = joined(real, generated)
    recall, precision = pr_curve(labels, scores)
    expected_precision, expected_recall, _ = reference.precision_recall_curve(labels, scores)
    # scikit-learn goes from the lowest score and adds the point (0, 1).
    np.testing.assert_allclose(recall, expected_recall[:-1][::-1])
    np.testing.assert_allclose(precision, expected_precision[:-1][::-1])


def test_the_two_orientations_are_different_numbers() -> None:
    labels, scores = np.array([1, 0, 1, 1]), np.array([0.9, 0.8, 0.7, 0.1])
    assert average_precision(labels, scores) == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    assert average_precision_real(labels, scores) == pytest.approx(1 / 3)


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_has_no_ranking_and_no_curve(label: int) -> None:
    labels, scores = np.full(3, label), np.array([0.1, 0.2, 0.2])
    for metric in RANKINGS:
        assert math.isnan(metric(labels, scores))
        assert math.isnan(metric(labels[:0], scores[:0]))
    assert [len(part) for part in (*roc_curve(labels, scores), *pr_curve(labels, scores))] == [0, 0, 0, 0]


def test_scores_that_are_not_there() -> None:
    labels, scores = np.array([0, 1, 1]), np.array([0.1, math.nan, 0.3])
    for metric in RANKINGS:
        assert math.isnan(metric(labels, np.full(3, math.nan)))
        with pytest.raises(ValueError, match="1 of 3 scores are nan"):
            metric(labels, scores)
        with pytest.raises(ValueError, match="3 labels but 2 scores"):
            metric(labels, scores[:2])


def test_a_rate_is_a_share() -> None:
    labels, scores = np.array([0, 1]), np.array([0.5, 0.5])
    assert recall_at_fpr(labels, scores, 1) == 1
    for rate in (-0.01, 5, math.nan):
        with pytest.raises(ValueError, match="false positive rate is in"):
            recall_at_fpr(labels, scores, rate)
