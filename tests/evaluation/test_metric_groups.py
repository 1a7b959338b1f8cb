"""Figures by generator and by source of real pictures."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from vestige.errors import DataError
from vestige.evaluation.metrics import (
    Generators,
    auroc,
    average_precision,
    draws,
    interval,
    mean_interval,
    mean_over_generators,
    over_generators,
    pairings,
    per_generator,
    real_groups,
    wilson,
    worst_generator,
    worst_real_group,
)

# name, label, compare_with, pictures, mean score
GROUPS = [
    ("imagenet", 0, "", 40, 0.0),
    ("laion", 0, "", 30, 0.6),
    ("glide", 1, "laion", 20, 1.2),
    ("guided", 1, "imagenet", 24, 0.3),
    ("dalle", 1, "laion; imagenet", 16, 2.0),
    ("adm", 1, "", 12, 1.0),
    ("rare", 1, "", 9, -1.0),
]


class Set:
    """A small data set with official pairs."""

    def __init__(self, groups: list[tuple[str, int, str, int, float]] = GROUPS, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.labels = np.array([label for _, label, _, count, _ in groups for _ in range(count)])
        self.groups = [name for name, _, _, count, _ in groups for _ in range(count)]
        self.compare_with = [official for _, _, official, count, _ in groups for _ in range(count)]
        self.scores = np.concatenate([rng.normal(mean, 1, count) for *_, count, mean in groups]).round(1)
        order = rng.permutation(len(self.labels))
        self.labels, self.scores = self.labels[order], self.scores[order]
        self.groups = [self.groups[i] for i in order]
        self.compare_with = [self.compare_with[i] for i in order]

    @property
    def given(self) -> tuple[np.ndarray, np.ndarray, list[str], list[str]]:
        return self.labels, self.scores, self.groups, self.compare_with


def by_hand(data: Set, generator: str, real: set[str]) -> float:
    rows = [
        (label, score)
        for label, score, group in zip(data.labels, data.scores, data.groups, strict=True)
        if (label == 1 and group == generator) or (label == 0 and group in real)
    ]
    return float(roc_auc_score([label for label, _ in rows], [score for _, score in rows]))


EXPECTED_PAIRS = {
    "glide": {"laion"},
    "guided": {"imagenet"},
    "dalle": {"laion", "imagenet"},
    "adm": {"laion", "imagenet"},
    "rare": {"laion", "imagenet"},
}


def test_every_generator_against_its_official_real_pictures() -> None:
    data = Set()
    found = per_generator(auroc, *data.given)
    assert list(found) == sorted(EXPECTED_PAIRS)
    for generator, real in EXPECTED_PAIRS.items():
        assert found[generator] == pytest.approx(by_hand(data, generator, real))


def test_mean_and_worst_leave_out_and_name_small_groups() -> None:
    data = Set()
    able = {name: by_hand(data, name, real) for name, real in EXPECTED_PAIRS.items() if name != "rare"}
    assert mean_over_generators(auroc, *data.given) == pytest.approx(sum(able.values()) / 4)
    worst = min(able, key=lambda name: able[name])
    assert worst_generator(auroc, *data.given) == (worst, pytest.approx(able[worst]))
    found = over_generators(auroc, *data.given, [])
    assert [(part.generator, part.generated, part.real) for part in found.left_out] == [("rare", 9, 70)]
    assert list(found.values) == sorted(able)


def test_ten_of_each_are_enough() -> None:
    data = Set([("camera", 0, "", 10, 0.0), ("gan", 1, "", 10, 1.0)])
    assert over_generators(auroc, *data.given, []).left_out == ()
    (found,) = real_groups(data.labels, np.full(20, 0.5), data.groups, 0.5)
    assert found.enough


def test_few_real_pictures_are_few_pictures() -> None:
    data = Set([("camera", 0, "", 9, 0.0), ("other", 0, "", 20, 0.0), ("gan", 1, "camera", 50, 1.0)])
    found = over_generators(auroc, *data.given, draws(data.labels, count=10))
    assert [(part.generator, part.generated, part.real) for part in found.left_out] == [("gan", 50, 9)]
    assert (found.values, found.worst) == ({}, "")
    for figure in (
        found.mean.value,
        found.mean.low,
        found.mean_other_generators.low,
        found.worst_value.value,
        found.worst_share,
    ):
        assert math.isnan(figure)
    assert worst_generator(auroc, *data.given)[0] == ""


def test_official_groups_that_are_not_there_are_named() -> None:
    data = Set([("camera", 0, "", 20, 0.0), ("gan", 1, "camera;coco", 20, 1.0), ("vae", 1, "coco", 20, 1.0)])
    found = over_generators(auroc, *data.given, [])
    assert found.absent == ("coco",)
    assert [(part.generator, part.real) for part in found.left_out] == [("vae", 0)]
    assert math.isnan(per_generator(auroc, *data.given)["vae"])


def test_a_generator_has_one_official_comparison() -> None:
    data = Set([("camera", 0, "", 3, 0.0), ("gan", 1, "camera", 3, 1.0), ("gan", 1, "", 3, 1.0)])
    with pytest.raises(DataError, match=r"generator gan: .* \(all and camera\); name the same"):
        pairings(data.labels, data.groups, data.compare_with)
    with pytest.raises(ValueError, match="9 labels, 8 groups, 9 compare_with"):
        pairings(data.labels, data.groups[1:], data.compare_with)


def test_the_order_and_spacing_of_official_groups_do_not_matter() -> None:
    data = Set(
        [("a", 0, "", 9, 0.0), ("b", 0, "", 9, 0.0), ("gan", 1, "a;b", 9, 1.0), ("gan", 1, " b; a;", 9, 1.0)]
    )
    assert [part.real for part in pairings(data.labels, data.groups, data.compare_with)] == [18]


def test_a_real_group_may_have_the_name_of_a_generator() -> None:
    data = Set(
        [("midjourney", 0, "", 15, 0.0), ("camera", 0, "", 15, 0.0), ("midjourney", 1, "camera", 12, 1.0)]
    )
    (pairing,) = pairings(data.labels, data.groups, data.compare_with)
    assert (pairing.generated, pairing.real) == (12, 15)


def with_intervals(seed: int = 0) -> tuple[Set, list[np.ndarray], Generators]:
    data = Set(seed=seed)
    resampled = draws(data.labels, count=300)
    return data, resampled, over_generators(auroc, *data.given, resampled)


def test_interval_of_a_generator_is_that_of_its_pictures_alone() -> None:
    data, _, found = with_intervals()
    pairs = {part.generator: part for part in pairings(data.labels, data.groups, data.compare_with)}
    for name, value in found.values.items():
        inside = pairs[name].inside
        labels, scores = data.labels[inside], data.scores[inside]
        alone = interval(auroc, labels, scores, draws(labels, count=1000))
        assert value.value == alone.value
        # Counts of a generator vary from draw to draw, so the widths agree but for chance.
        assert value.high - value.low == pytest.approx(alone.high - alone.low, rel=0.25)


def test_interval_of_the_mean_by_loops() -> None:
    data = Set()
    resampled = draws(data.labels, count=40)
    found = over_generators(auroc, *data.given, resampled)
    means = []
    for index in resampled:
        drawn = Set.__new__(Set)
        drawn.labels, drawn.scores = data.labels[index], data.scores[index]
        drawn.groups = [data.groups[i] for i in index]
        means.append(np.mean([by_hand(drawn, name, EXPECTED_PAIRS[name]) for name in found.values]))
    assert found.mean.low == pytest.approx(np.quantile(means, 0.025))
    assert found.mean.high == pytest.approx(np.quantile(means, 0.975))
    assert mean_interval(auroc, *data.given, resampled) == found.mean


def test_other_generators_are_less_certain_than_other_pictures() -> None:
    _, _, found = with_intervals()
    wide, narrow = found.mean_other_generators, found.mean
    assert wide.value == narrow.value
    assert wide.high - wide.low > 1.3 * (narrow.high - narrow.low)


def test_the_interval_for_other_generators_has_the_width_that_theory_gives() -> None:
    # Variances add up: of the values of 30 generators, and of their mean from pictures to pictures.
    means = np.random.default_rng(1).normal(1, 0.7, 30)
    groups = [("camera", 0, "", 400, 0.0), *((f"g{i:02}", 1, "", 60, m) for i, m in enumerate(means))]
    data = Set(groups)
    found = over_generators(auroc, *data.given, draws(data.labels, count=400))
    values = [value.value for value in found.values.values()]
    between = 2 * 1.96 * np.std(values) / math.sqrt(30)
    expected = math.hypot(between, found.mean.high - found.mean.low)
    assert found.mean_other_generators.high - found.mean_other_generators.low == pytest.approx(
        expected, rel=0.12
    )


def test_the_worst_has_the_interval_of_its_own_value() -> None:
    _, resampled, found = with_intervals()
    assert found.worst_value == found.values[found.worst]
    assert 0.5 < found.worst_share <= 1
    again = with_intervals()[2]
    assert again == found
    assert len(resampled) == 300


def test_bounds_are_not_given_where_a_generator_hangs_on_few_source_pictures() -> None:
    data = Set()
    # The twelve pictures of one generator come from two source pictures.
    clusters = [
        f"source {number % 2}" if group == "adm" else f"picture {number}"
        for number, group in enumerate(data.groups)
    ]
    found = over_generators(auroc, *data.given, draws(data.labels, clusters, count=300))
    assert math.isnan(found.values["adm"].low)
    assert not math.isnan(found.values["glide"].low)
    assert math.isnan(found.mean.low)
    by_group = over_generators(auroc, *data.given, draws(data.labels, data.groups, count=300))
    assert all(math.isnan(value.low) for value in by_group.values.values())
    assert math.isnan(by_group.mean.low)
    assert math.isnan(by_group.mean_other_generators.low)
    assert by_group.mean.value == found.mean.value


def test_one_generator_says_nothing_about_others() -> None:
    data = Set([("camera", 0, "", 40, 0.0), ("gan", 1, "", 40, 1.0)])
    found = over_generators(average_precision, *data.given, draws(data.labels, count=100))
    assert found.mean.low < found.mean.value < found.mean.high
    assert math.isnan(found.mean_other_generators.low)
    assert found.worst_share == 1


def test_an_undefined_value_is_not_hidden() -> None:
    data = Set()
    found = over_generators(lambda a, b: math.nan if a.sum() == 16 else auroc(a, b), *data.given, [])
    assert math.isnan(found.mean.value)
    assert found.worst == "dalle"
    assert math.isnan(found.worst_value.value)


@given(
    st.lists(st.tuples(st.integers(0, 1), st.sampled_from("abc"), st.sampled_from([0.0, 0.4, 0.6, 1.0]))),
    st.sampled_from([0.0, 0.5, 0.6, 1.0]),
)
def test_real_groups_by_loops(rows: list[tuple[int, str, float]], threshold: float) -> None:
    labels = np.array([label for label, _, _ in rows], dtype=np.int64)
    probabilities = np.array([p for _, _, p in rows], dtype=np.float64)
    found = real_groups(labels, probabilities, [group for _, group, _ in rows], threshold)
    assert [group.name for group in found] == sorted({group for label, group, _ in rows if label == 0})
    for group in found:
        own = [p for label, name, p in rows if label == 0 and name == group.name]
        accused = sum(p >= threshold for p in own)
        assert (group.count, group.accused) == (len(own), accused)
        assert group.false_positive_rate == pytest.approx(accused / len(own))
        assert group.real_accuracy == pytest.approx(1 - accused / len(own))
        assert (group.low, group.high) == wilson(accused, len(own))


def test_the_worst_source_of_real_pictures() -> None:
    groups = ["few"] * 9 + ["many"] * 10 + ["most"] * 20 + ["gan"] * 10
    labels = np.array([0] * 39 + [1] * 10)
    probabilities = np.concatenate([np.ones(9), [0.9] * 3, np.zeros(7), [0.9] * 5, np.zeros(15), np.ones(10)])
    found = real_groups(labels, probabilities, groups, 0.9)
    worst = worst_real_group(found)
    assert worst is not None
    assert (worst.name, worst.accused, worst.false_positive_rate) == ("many", 3, pytest.approx(0.3))
    assert [group.name for group in found if not group.enough] == ["few"]
    assert worst_real_group(found[:1]) is None


def test_without_threshold_or_probabilities_nobody_is_accused_or_cleared() -> None:
    labels, groups = np.zeros(12, int), ["camera"] * 12
    for probabilities, threshold in ((np.ones(12), math.nan), (np.full(12, math.nan), 0.5)):
        (found,) = real_groups(labels, probabilities, groups, threshold)
        assert found.count == 12
        assert math.isnan(found.false_positive_rate)
        assert math.isnan(found.low)
        assert math.isnan(found.real_accuracy)
        assert worst_real_group([found]) is None
    with pytest.raises(ValueError, match=r"real_groups takes probabilities in \[0, 1\]"):
        real_groups(labels, np.full(12, 3.0), groups, 0.5)
    with pytest.raises(ValueError, match="12 labels but 11 groups"):
        real_groups(labels, np.ones(12), groups[1:], 0.5)
