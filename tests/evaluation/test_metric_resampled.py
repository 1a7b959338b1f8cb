"""Metrics over draws are what the metrics give on each draw, to the last bit."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestige.evaluation.metrics import (
    Metric,
    auroc,
    average_precision,
    average_precision_real,
    balanced_accuracy,
    draws,
    over_draws,
    recall_at_fpr,
)

METRICS: dict[str, Metric] = {
    "auroc": auroc,
    "ap": average_precision,
    "ap real": average_precision_real,
    "recall": partial(recall_at_fpr, rate=0.05),
    "recall at none": partial(recall_at_fpr, rate=0.0),
    "recall at all": partial(recall_at_fpr, rate=1.0),
    "recall by a third": partial(recall_at_fpr, rate=1 / 3),
    "another": lambda labels, scores: float(scores[labels == 1].max(initial=-np.inf)),
}


def one_by_one(metric: Metric, labels: np.ndarray, scores: np.ndarray, some: list[np.ndarray]) -> list[float]:
    return [metric(labels[index], scores[index]) for index in some]


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
@given(data=st.data())
def test_each_draw_is_measured_as_by_itself(metric: Metric, data: st.DataObject) -> None:
    # Few values, so that many are equal; draws of any kind, also without a class.
    values = st.sampled_from([-np.inf, -1.0, -0.1, 0.0, 0.3, 1 / 3, np.inf])
    pictures = data.draw(st.lists(st.tuples(st.integers(0, 1), values), min_size=1, max_size=20))
    position = st.integers(0, len(pictures) - 1)
    some = [np.array(index) for index in data.draw(st.lists(st.lists(position, min_size=1), max_size=4))]
    labels = np.array([label for label, _ in pictures])
    scores = np.array([score for _, score in pictures])
    np.testing.assert_array_equal(
        over_draws(metric, labels, scores, some), one_by_one(metric, labels, scores, some)
    )


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_each_draw_of_many_pictures(metric: Metric) -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, 900)
    scores = rng.normal(labels, 1).round(2)
    some = draws(labels, count=40)
    np.testing.assert_array_equal(
        over_draws(metric, labels, scores, some), one_by_one(metric, labels, scores, some)
    )


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_without_scores_there_is_nothing(metric: Metric) -> None:
    labels, missing = np.array([0, 1, 1]), np.full(3, np.nan)
    assert np.isnan(over_draws(metric, labels, missing, [np.array([0, 1])])).all()
    assert len(over_draws(metric, labels, np.arange(3.0), [])) == 0


@pytest.mark.parametrize("metric", [auroc, average_precision, METRICS["recall"]])
def test_what_a_metric_refuses_is_refused(metric: Metric) -> None:
    with pytest.raises(ValueError, match="1 of 2 scores are nan"):
        over_draws(metric, np.array([0, 1]), np.array([0.5, np.nan]), [np.array([0, 0])])
    with pytest.raises(ValueError, match="2 labels but 3 scores"):
        over_draws(metric, np.array([0, 1]), np.arange(3.0), [np.array([0, 1])])
    with pytest.raises(ValueError, match="false positive rate"):
        over_draws(partial(recall_at_fpr, rate=2), np.array([0, 1]), np.arange(2.0), [np.array([0, 1])])


def test_other_metrics_see_the_draws_themselves() -> None:
    labels, scores = np.array([0, 1]), np.array([0.2, 0.9])
    found = over_draws(partial(balanced_accuracy, threshold=0.5), labels, scores, [np.array([1, 0, 0])])
    assert found.tolist() == [1.0]
