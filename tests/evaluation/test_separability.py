"""Distances between classes and what setting pictures aside leaves, worked out by hand and by other ways."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestige.evaluation import abstention, metrics, separability
from vestige.evaluation.abstention import SHARES, kept, set_aside
from vestige.evaluation.deviations_measured import doubts, oriented
from vestige.evaluation.deviations_record import Pictures
from vestige.evaluation.separability import Separation, changes, estimates, resampled, separation

# Two pictures of each class in the plane: real around (1, 0), generated around (4, 4).
PLANE = np.array([[0.0, 0.0], [2.0, 0.0], [4.0, 1.0], [4.0, 7.0]])
LABELS = np.array([0, 0, 1, 1])


def made_up(
    count: int = 120, width: int = 7, seed: int = 0
) -> tuple[npt.NDArray[np.float64], metrics.Labels]:
    rng = np.random.default_rng(seed)
    labels = np.array(rng.integers(0, 2, count), dtype=np.int64)
    return rng.normal(0, 1, (count, width)) * rng.uniform(0.3, 2, width) + 0.4 * labels[:, None], labels


def one(found: Separation) -> dict[str, float]:
    return {name: float(values[0]) for name, values in found.measures().items()}


def test_by_hand() -> None:
    found = one(separation(PLANE, LABELS))
    # Means (1, 0) and (4, 4): 3-4-5. Squared distances to the means: 1, 1 and 9, 9.
    assert found == pytest.approx(
        {
            "distance": 5,
            "variance, real": 1,
            "variance, generated": 9,
            "variance": 5,
            "fisher": 25 / 10,
        }
    )


def test_in_one_dimension_it_is_fishers_own() -> None:
    features, labels = made_up(width=1)
    real, generated = features[labels == 0, 0], features[labels == 1, 0]
    expected = (generated.mean() - real.mean()) ** 2 / (real.var() + generated.var())
    assert one(separation(features, labels))["fisher"] == pytest.approx(expected)


def test_variance_is_half_the_mean_squared_distance_of_pairs() -> None:
    features, labels = made_up()
    inside = features[labels == 1]
    pairs = ((inside[:, None] - inside[None]) ** 2).sum(2)
    assert one(separation(features, labels))["variance, generated"] == pytest.approx(pairs.mean() / 2)


@given(
    scale=st.floats(1e-3, 1e3),
    shift=st.lists(st.floats(-1e4, 1e4), min_size=7, max_size=7),
    seed=st.integers(0, 1000),
)
def test_fishers_ratio_has_no_unit_and_no_origin(scale: float, shift: list[float], seed: int) -> None:
    features, labels = made_up(40, seed=seed)
    turned, _ = np.linalg.qr(np.random.default_rng(seed).normal(0, 1, (7, 7)))
    before, after = (
        one(separation(features, labels)),
        one(separation(scale * features @ turned + shift, labels)),
    )
    assert after["fisher"] == pytest.approx(before["fisher"], rel=1e-4)
    assert after["distance"] == pytest.approx(scale * before["distance"], rel=1e-4)
    assert after["variance"] == pytest.approx(scale**2 * before["variance"], rel=1e-4)


def test_far_from_the_origin_no_digits_are_lost() -> None:
    features, labels = made_up()
    far = one(separation(features + 1e6, labels))
    assert far == pytest.approx(one(separation(features, labels)), rel=1e-6)


def test_classes_change_places() -> None:
    features, labels = made_up()
    found, other = one(separation(features, labels)), one(separation(features, 1 - labels))
    assert other["variance, real"] == found["variance, generated"]
    assert (other["distance"], other["fisher"]) == pytest.approx((found["distance"], found["fisher"]))


def test_nothing_varies_and_a_class_is_missing() -> None:
    same = one(separation(np.array([[1.0, 2.0], [1.0, 2.0], [3.0, 2.0], [3.0, 2.0]]), LABELS))
    assert (same["distance"], same["variance"]) == pytest.approx((2, 0))
    assert np.isnan(same["fisher"])
    alone = one(separation(PLANE, np.zeros(4, dtype=np.int64)))
    assert alone["variance, real"] > 0
    assert np.isnan([alone["distance"], alone["variance, generated"], alone["fisher"]]).all()


def test_features_and_labels_must_match() -> None:
    with pytest.raises(ValueError, match="4 labels but features"):
        separation(PLANE[:3], LABELS)
    with pytest.raises(ValueError, match="one row per label"):
        separation(PLANE[:, 0], LABELS)


def test_a_draw_is_the_sample_that_it_lists() -> None:
    features, labels = made_up()
    groups = [f"{label}-{number % 5}" for number, label in enumerate(labels)]
    # More draws than are summed up at once.
    draws = metrics.draws(labels, groups, separability.BLOCK + 9)
    found = resampled(features, labels, draws)
    for number, index in enumerate(draws):
        expected = one(separation(features[index], labels[index]))
        assert {name: values[number] for name, values in found.measures().items()} == pytest.approx(expected)
    assert len(resampled(features, labels, []).distance) == 0


def of_groups(between: float, apart: float, seed: int) -> tuple[Separation, Separation]:
    """A sample and its draws: eight groups of a class, whose means scatter in 40 dimensions."""
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], 80)
    groups = np.repeat(np.arange(16), 10)
    centres = rng.normal(0, between, (16, 40))
    features = centres[groups] + rng.normal(0, 1, (160, 40))
    features[labels == 1, 0] += apart
    draws = metrics.draws(labels, [str(group) for group in groups], 200)
    return separation(features, labels), resampled(features, labels, draws)


def test_intervals_leave_out_the_noise_of_few_groups() -> None:
    # Without any difference between the classes, the distance is noise: 40 x (1 + 0.1) x (1/8 + 1/8) = 11.
    found = estimates(*of_groups(1, 0, 0))
    assert 8 < found["distance"].value ** 2 < 14
    assert found["distance"].low == found["fisher"].low == 0
    assert found["distance"].high < found["distance"].value
    assert found["fisher"].noise == pytest.approx(found["fisher"].value, rel=0.3)
    # A difference that is there is found, and held by the interval.
    within = 0
    for seed in range(20):
        distance = estimates(*of_groups(1, 8, seed))["distance"]
        within += distance.low <= 8 <= distance.high
    assert within >= 16


def test_changes_are_taken_on_the_same_draws() -> None:
    first, first_drawn = of_groups(0.1, 3, 0)
    other, other_drawn = of_groups(0.1, 3, 1)
    same = changes(first, first, first_drawn, first_drawn)
    assert all((one.value, one.low, one.high) == (1, 1, 1) for one in same.values())
    apart = changes(first, other, first_drawn, other_drawn)["fisher"]
    assert apart.low < apart.value < apart.high
    assert np.isnan(apart.noise)


def test_a_ratio_to_what_may_be_nothing_has_no_bound() -> None:
    nothing, nothing_drawn = of_groups(1, 0, 0)
    much, much_drawn = of_groups(1, 8, 0)
    found = changes(nothing, much, nothing_drawn, much_drawn)["fisher"]
    assert found.low > 1
    assert found.high == np.inf
    undecided = changes(nothing, nothing, nothing_drawn, nothing_drawn)["fisher"]
    assert (undecided.low, undecided.high) == (0, np.inf)


def test_without_draws_there_is_no_interval() -> None:
    sample, none = separation(PLANE, LABELS), resampled(PLANE, LABELS, [])
    for found in (estimates(sample, none)["fisher"], changes(sample, sample, none, none)["fisher"]):
        assert np.isnan([found.low, found.high, found.noise]).all()
        assert not np.isnan(found.value)


def test_who_is_kept() -> None:
    doubt = np.array([0.3, 0.1, 0.9, 0.2, 0.5])
    assert kept(doubt, 0).tolist() == [1, 3, 0, 4, 2]
    assert kept(doubt, 0.2).tolist() == [1, 3, 0, 4]
    assert kept(doubt, 0.29).tolist() == [1, 3, 0, 4], "1.45 pictures are one"
    assert kept(doubt, 0.3).tolist() == [1, 3, 0], "1.5 are two"
    assert kept(np.zeros(4), 0.5).tolist() == [0, 1]


def test_figures_of_those_who_are_kept() -> None:
    labels = np.array([0, 0, 1, 1, 1])
    logits = np.array([-2.0, 1.0, 0.0, -1.0, 3.0])
    doubt = np.array([0.0, 1.0, 0.2, 0.9, 0.1])
    everyone, two_less = set_aside(labels, logits, doubt, (0, 0.4))
    assert (everyone.real, everyone.generated) == (2, 3)
    # Right: -2, 0 (counts as generated) and 3. Pairs: -2 below all three, 1 below one of three.
    assert everyone.figures == pytest.approx(
        {"accuracy": 3 / 5, "balanced accuracy": (1 / 2 + 2 / 3) / 2, "AUROC": 4 / 6}
    )
    assert (two_less.real, two_less.generated) == (1, 2)
    assert set(two_less.figures.values()) == {1.0}


def test_a_class_may_be_set_aside_whole() -> None:
    (found,) = set_aside(np.array([0, 0, 1, 1]), np.array([-1.0, 1.0, 2.0, 3.0]), np.arange(4.0), (0.5,))
    assert (found.real, found.generated) == (2, 0)
    assert found.figures["accuracy"] == 0.5
    assert np.isnan([found.figures["AUROC"], found.figures["balanced accuracy"]]).all()


def test_each_draw_sets_aside_its_own() -> None:
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], 30)
    logits, doubt = rng.normal(labels, 1), rng.uniform(0, 1, 60)
    draws = metrics.draws(labels, None, 5)
    found = abstention.resampled(labels, logits, doubt, draws)
    assert set(found) == set(abstention.METRICS)
    assert found["AUROC"].shape == (5, len(SHARES))
    index = draws[3]
    order = index[np.argsort(doubt[index], kind="stable")][:48]
    assert found["AUROC"][3, SHARES.index(0.2)] == metrics.auroc(labels[order], logits[order])
    assert abstention.resampled(labels, logits, doubt, [])["accuracy"].shape == (0, len(SHARES))


def test_which_magnitudes_speak_for_generated() -> None:
    magnitudes = np.array([0.1, 0.2, 0.5])
    assert oriented(magnitudes, "real").tolist() == [0.1, 0.2, 0.5]
    assert oriented(magnitudes, "generated").tolist() == [-0.1, -0.2, -0.5]
    pictures = Pictures(
        ["a", "b", "c"], np.array([0, 0, 1]), ["x"] * 3, np.array([-3.0, 0.5, 2.0]), magnitudes
    )
    rules = doubts(pictures)
    assert kept(rules["deviation"], 0.34).tolist() == [0, 1]
    assert kept(rules["logit"], 0.34).tolist() == [0, 2], "the smallest absolute logit goes first"
