"""Bootstrap and Wilson intervals: what is drawn, how wide they come out, how often they hold the truth."""

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from vestige.evaluation.metrics import (
    Interval,
    accuracy,
    auroc,
    bootstrap,
    both_differences,
    both_draws,
    both_intervals,
    difference,
    draws,
    interval,
    real_accuracy,
    wilson,
)


def noisy(count: int, seed: int = 0, apart: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(count) % 2
    return labels, np.random.default_rng(seed).normal(apart * labels, 1)


def width(found: Interval) -> float:
    return found.high - found.low


def delong_error(labels: np.ndarray, scores: np.ndarray) -> float:
    """Standard error of the AUROC; DeLong et al., 1988, by their placements."""
    real, generated = scores[labels == 0], scores[labels == 1]
    wins = (generated[:, None] > real) + 0.5 * (generated[:, None] == real)
    by_generated, by_real = wins.mean(axis=1), wins.mean(axis=0)
    return float(np.sqrt(by_generated.var(ddof=1) / len(generated) + by_real.var(ddof=1) / len(real)))


@st.composite
def clustered(draw: st.DrawFn) -> tuple[np.ndarray, list[str]]:
    """Labels and clusters, at least two clusters in each class, some of them in both."""
    clusters = draw(st.lists(st.sampled_from("abcdefg"), min_size=0, max_size=15))
    labels = draw(st.lists(st.integers(0, 1), min_size=len(clusters), max_size=len(clusters)))
    return np.array([0, 0, 1, 1, *labels]), ["u", "v", "w", "x", *clusters]


@given(clustered())
def test_clusters_are_drawn_whole(given_set: tuple[np.ndarray, list[str]]) -> None:
    labels, clusters = given_set
    positions = {name: [i for i, other in enumerate(clusters) if other == name] for name in set(clusters)}
    for index in draws(labels, clusters, count=5):
        counts = np.bincount(index, minlength=len(labels))
        for members in positions.values():
            assert len({int(counts[member]) for member in members}) == 1, "all of a cluster or none, as often"
        assert {0, 1} == set(labels[index].tolist())


@given(clustered())
def test_each_kind_of_cluster_is_drawn_among_its_like(given_set: tuple[np.ndarray, list[str]]) -> None:
    labels, clusters = given_set
    names = np.array(clusters)
    kinds: dict[str, str] = {}
    for name in set(clusters):
        kinds[name] = "".join(str(label) for label in sorted(set(labels[names == name].tolist())))
    if list(kinds.values()).count("01") == 1:
        kinds = {name: kind.replace("01", "1") for name, kind in kinds.items()}
    sizes = {name: clusters.count(name) for name in kinds}
    for index in draws(labels, clusters, count=5):
        drawn = np.bincount(index, minlength=len(labels))
        for kind in set(kinds.values()):
            times = [drawn[clusters.index(name)] for name in kinds if kinds[name] == kind]
            assert sum(times) == len(times), "as many clusters of a kind as there are"
        expected = sum(drawn[clusters.index(name)] * sizes[name] for name in kinds)
        assert len(index) == expected


def test_every_cluster_is_as_likely_as_any_other() -> None:
    labels, clusters = np.array([0, 0, 0, 0, 1, 1]), ["a", "a", "b", "c", "d", "e"]
    times = np.bincount(np.concatenate(draws(labels, clusters, count=4000)), minlength=6)
    # Each is drawn once per draw on average; the variance of a count is below 1 per draw.
    assert np.abs(times - 4000).max() < 5 * math.sqrt(4000)


def test_pairs_stay_pairs() -> None:
    # Real picture and its reconstruction; the reconstruction scores a little higher.
    rng = np.random.default_rng(0)
    names = [f"picture {number}" for number in range(60)] * 2
    labels = np.repeat([0, 1], 60)
    base = rng.normal(0, 1, 60)
    scores = np.concatenate([base, base + 0.3 + rng.normal(0, 0.1, 60)])
    paired = interval(auroc, labels, scores, draws(labels, names))
    torn = interval(auroc, labels, scores, draws(labels))
    assert width(paired) < 0.5 * width(torn)


def test_a_cluster_that_alone_holds_both_classes_is_not_in_every_draw() -> None:
    labels, clusters = np.array([0, 1, 0, 0, 1, 1]), ["both", "both", "a", "b", "c", "d"]
    times = [np.bincount(index, minlength=6) for index in draws(labels, clusters, count=100)]
    assert {0, 1, 2} <= {int(counts[0]) for counts in times}
    assert all(counts[0] == counts[1] for counts in times)


def test_a_picture_without_cluster_stands_for_itself() -> None:
    labels = np.array([0, 0, 0, 1, 1])
    for one, other in zip(draws(labels, [""] * 5, count=20), draws(labels, count=20), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match="5 labels but 4 clusters"):
        draws(labels, ["a"] * 4)


def test_draws_are_determined_by_their_seed() -> None:
    labels, _ = noisy(40)
    clusters = [f"{number // 4}" for number in range(40)]
    same, again, other = (
        np.concatenate(draws(labels, clusters, count=20, seed=seed)).tolist() for seed in (3, 3, 4)
    )
    assert same == again
    assert same != other
    assert all(index.dtype == np.int64 for index in draws(labels, count=3))


def test_bootstrap_is_an_interval_over_draws_of_its_own() -> None:
    labels, scores = noisy(60)
    clusters = [f"{label}{number % 7}" for number, label in enumerate(labels)]
    assert bootstrap(auroc, labels, scores, clusters, 50, 9) == interval(
        auroc, labels, scores, draws(labels, clusters, count=50, seed=9)
    )


def test_one_cluster_in_a_class_says_nothing_about_others() -> None:
    labels, scores = noisy(40)
    for clusters in (
        ["one camera" if label == 0 else f"generator {number % 6}" for number, label in enumerate(labels)],
        [f"camera {number % 6}" if label == 0 else "one generator" for number, label in enumerate(labels)],
        ["everything"] * 40,
    ):
        assert draws(labels, clusters) == []
        found = bootstrap(auroc, labels, scores, clusters)
        assert found.value == auroc(labels, scores)
        assert math.isnan(found.low)
        assert math.isnan(found.high)
    both = both_intervals(auroc, labels, scores, both_draws(labels, [""] * 40, ["everything"] * 40, 50))
    assert both.by_picture.low < both.value < both.by_picture.high
    assert math.isnan(both.by_group.low)


def test_a_set_of_one_class_has_intervals_where_it_has_figures() -> None:
    labels, probabilities = np.zeros(50, int), np.random.default_rng(0).random(50)
    found = bootstrap(partial(real_accuracy, threshold=0.5), labels, probabilities)
    assert found.low < found.value < found.high
    assert math.isnan(bootstrap(auroc, labels, probabilities).low)
    assert draws(labels[:0]) == []


def test_undefined_draws() -> None:
    labels, scores = noisy(100)
    given_draws = draws(labels, count=200)

    def failing(times: int) -> Interval:
        left = iter([math.nan] * times + [float(number) for number in range(201 - times)])
        return interval(lambda labels, scores: next(left), labels, scores, given_draws)

    assert failing(2).low == pytest.approx(np.quantile(np.arange(198), 0.025))
    assert math.isnan(failing(3).low), "more than 1 % undefined"


def test_auroc_interval_has_the_width_that_theory_gives() -> None:
    labels, scores = noisy(400)
    found = bootstrap(auroc, labels, scores)
    assert width(found) == pytest.approx(2 * 1.96 * delong_error(labels, scores), rel=0.1)


def test_accuracy_interval_has_the_width_that_theory_gives() -> None:
    labels, scores = noisy(600)
    probabilities = norm.cdf(scores - 0.5)
    found = bootstrap(partial(accuracy, threshold=0.5), labels, probabilities)
    shares = [((probabilities >= 0.5) == label)[labels == label].mean() for label in (0, 1)]
    error = math.sqrt(sum(share * (1 - share) / 300 for share in shares)) / 2
    assert width(found) == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_a_paired_difference_is_narrower_than_one_of_strangers() -> None:
    rng = np.random.default_rng(0)
    labels, scores = noisy(300)
    better, worse = scores + rng.normal(0, 0.3, 300), scores + rng.normal(0, 0.6, 300)
    both = both_draws(labels, [""] * 300, [f"{label}{number % 20}" for number, label in enumerate(labels)])
    found = difference(auroc, labels, better, worse, both.by_picture)
    apart = [interval(auroc, labels, scores, both.by_picture) for scores in (better, worse)]
    assert found.value == auroc(labels, better) - auroc(labels, worse)
    gains = [auroc(labels[i], better[i]) - auroc(labels[i], worse[i]) for i in both.by_picture]
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(gains, [0.025, 0.975])))
    assert width(found) < 0.6 * math.hypot(*(width(one) for one in apart))
    assert both_differences(auroc, labels, better, worse, both).by_picture == found
    nothing = difference(auroc, labels, better, better, both.by_group)
    assert (nothing.value, nothing.low, nothing.high) == (0, 0, 0)
    with pytest.raises(ValueError, match="300 and 299 scores"):
        difference(auroc, labels, better, worse[:-1], both.by_picture)


@pytest.mark.parametrize("apart", [0.5, 1.5])
def test_intervals_hold_the_truth_about_as_often_as_they_say(apart: float) -> None:
    truth = norm.cdf(apart / math.sqrt(2))
    held = 0
    for seed in range(60):
        labels, scores = noisy(120, seed, apart)
        found = bootstrap(auroc, labels, scores, draws=200, seed=seed)
        held += found.low <= truth <= found.high
    # 57 expected; fewer than 53 come about once in a hundred such studies.
    assert held >= 53


def test_clusters_hold_the_truth_where_single_pictures_do_not() -> None:
    # 25 groups a class, each with its own shift: what counts is the number of groups.
    group = np.repeat(np.arange(50), 4)
    labels = group % 2
    names = [str(number) for number in group]
    truth = norm.cdf(1 / math.sqrt(2 * (0.8**2 + 0.6**2)))
    by_group = by_picture = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        scores = labels + rng.normal(0, 0.8, 50)[group] + rng.normal(0, 0.6, 200)
        found = both_intervals(auroc, labels, scores, both_draws(labels, [""] * 200, names, 200, seed))
        by_group += found.by_group.low <= truth <= found.by_group.high
        by_picture += found.by_picture.low <= truth <= found.by_picture.high
    assert by_group >= 52
    assert by_picture < 49


@given(st.integers(0, 60), st.integers(0, 60))
def test_wilson_as_scipy_has_it(successes: int, failures: int) -> None:
    if successes + failures == 0:
        assert all(math.isnan(bound) for bound in wilson(0, 0))
        return
    low, high = wilson(successes, successes + failures)
    expected = binomtest(successes, successes + failures).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= low < high <= 1


def test_wilson_solves_its_equation() -> None:
    # The bounds are the shares p from which 7 of 20 lies 1.96 standard errors away.
    for bound in wilson(7, 20):
        assert abs(7 / 20 - bound) / math.sqrt(bound * (1 - bound) / 20) == pytest.approx(1.959964, abs=1e-6)
