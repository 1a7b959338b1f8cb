"""Metrics against second implementations that follow the definitions word by word."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from vestige.evaluation.metrics import (
    auroc,
    average_precision,
    bootstrap,
    expected_calibration_error,
    recall_at_fpr,
)

# A coarse grid, so that ties are common, and some values at large.
values = st.lists(
    st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.5, 0.9, 1.0]) | st.floats(0, 1), min_size=1, max_size=25
)


def joined(real: list[float], generated: list[float]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([0] * len(real) + [1] * len(generated)), np.array([*real, *generated])


@given(values, values)
def test_auroc_counts_pairs(real: list[float], generated: list[float]) -> None:
    wins = sum((g > r) + 0.5 * (g == r) for g in generated for r in real)
    labels, scores = joined(real, generated)
    assert auroc(labels, scores) == pytest.approx(wins / len(real) / len(generated))
    assert auroc(labels, scores) == pytest.approx(roc_auc_score(labels, scores))


@given(values, values, st.sampled_from([0.0, 0.01, 0.05, 0.2, 0.5, 1.0]))
def test_recall_at_fpr_tries_all_thresholds(real: list[float], generated: list[float], rate: float) -> None:
    best = 0.0
    for threshold in {-math.inf, *real, *generated}:
        if sum(r > threshold for r in real) <= rate * len(real) + 1e-9:
            best = max(best, sum(g > threshold for g in generated) / len(generated))
    assert recall_at_fpr(*joined(real, generated), rate) == pytest.approx(best)


@given(values, values, st.integers(1, 15))
def test_calibration_error_by_loops(real: list[float], generated: list[float], bins: int) -> None:
    labels, probabilities = joined(real, generated)
    total = 0.0
    for number in range(bins):
        inside = [
            (label, p)
            for label, p in zip(labels, probabilities, strict=True)
            if int(p * bins) == number or (number == bins - 1 and p == 1)
        ]
        if inside:
            gap = sum(p for _, p in inside) / len(inside) - sum(label for label, _ in inside) / len(inside)
            total += len(inside) / len(labels) * abs(gap)
    assert expected_calibration_error(labels, probabilities, bins) == pytest.approx(total)


@given(values, values)
def test_average_precision_by_loops(real: list[float], generated: list[float]) -> None:
    labels, scores = joined(real, generated)
    total, before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        taken = scores >= threshold
        recall = labels[taken].sum() / labels.sum()
        total += (recall - before) * labels[taken].mean()
        before = recall
    assert average_precision(labels, scores) == pytest.approx(total)


def test_one_class_has_no_ranking() -> None:
    labels, scores = np.array([1, 1]), np.array([0.1, 0.2])
    assert math.isnan(auroc(labels, scores))
    assert math.isnan(average_precision(labels, scores))
    assert math.isnan(recall_at_fpr(labels, scores, 0.05))


def test_logits_are_no_probabilities() -> None:
    with pytest.raises(ValueError, match=r"probabilities in \[0, 1\]"):
        expected_calibration_error(np.array([0, 1]), np.array([-1.0, 3.0]))


def noisy(count: int = 200) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 2
    return labels, rng.normal(labels, 1)


def test_bootstrap_is_determined_by_its_seed() -> None:
    labels, scores = noisy()
    assert bootstrap(auroc, labels, scores, draws=50) == bootstrap(auroc, labels, scores, draws=50)
    assert bootstrap(auroc, labels, scores, draws=50) != bootstrap(auroc, labels, scores, draws=50, seed=1)


def test_bootstrap_interval_has_the_width_that_theory_gives() -> None:
    labels, scores = noisy(400)
    found = bootstrap(auroc, labels, scores, draws=1000)
    area, n = found.value, 200
    # Hanley and McNeil, 1982.
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    error = math.sqrt((area * (1 - area) + (n - 1) * (q1 - area**2) + (n - 1) * (q2 - area**2)) / n**2)
    assert found.low < found.value < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.15)


def test_bootstrap_by_group_is_wider_where_groups_agree() -> None:
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(20), 20)
    labels = group % 2
    scores = labels + rng.normal(0, 1, 20)[group] + rng.normal(0, 0.1, 400)
    alone = bootstrap(auroc, labels, scores, draws=300)
    together = bootstrap(auroc, labels, scores, [str(number) for number in group], draws=300)
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_bootstrap_resamples_groups_whole() -> None:
    labels, clusters = np.array([0, 0, 0, 1, 1]), ["a", "a", "b", "c", "d"]
    seen = set()

    def record(drawn: np.ndarray, scores: np.ndarray) -> float:
        seen.add(tuple(scores.tolist()))
        return 0.0

    bootstrap(record, labels, np.arange(5.0), clusters, draws=200)
    real = [(0.0, 1.0, 0.0, 1.0), (0.0, 1.0, 2.0), (2.0, 0.0, 1.0), (2.0, 2.0)]
    generated = [(3.0, 3.0), (3.0, 4.0), (4.0, 3.0), (4.0, 4.0)]
    assert seen - {(0.0, 1.0, 2.0, 3.0, 4.0)} <= {(*a, *b) for a in real for b in generated}
    assert len(seen) == 16
