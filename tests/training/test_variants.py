"""Parts of the training pictures: what is left out, what is kept, and that fractions are nested."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tiny_workshop import rows_of

from vestige.errors import DataError
from vestige.training.variants import MOST_HANDS, WHOLE, Variant, fractions, leave_one_out

NAMES = st.text("abcdef", min_size=1, max_size=2)
SOME_GROUPS = st.builds(
    lambda real, generated: {
        **{(0, name): size for name, size in real.items()},
        **{(1, name): size for name, size in generated.items()},
    },
    st.dictionaries(NAMES, st.integers(1, 9), min_size=2, max_size=9),
    st.dictionaries(NAMES, st.integers(1, 9), min_size=2, max_size=9),
)


@given(SOME_GROUPS)
def test_each_generator_is_left_out_once_with_some_sources(groups: dict[tuple[int, str], int]) -> None:
    rows = rows_of(groups)
    variants = leave_one_out(rows)
    generators = sorted(name for label, name in groups if label == 1)
    sources = {name for label, name in groups if label == 0}
    assert [variant.without_generator for variant in variants] == generators
    assert {name for variant in variants for name in variant.without_sources} == sources
    for variant in variants:
        assert 0 < len(variant.without_sources) < len(sources)
        assert variant.name == f"without-{variant.without_generator}"
        assert variant.fraction == 1
        kept = variant.keeps(rows, seed=0)
        for row, keep in zip(rows, kept, strict=True):
            # A source may be called like a generator: the label decides which of the two a row belongs to.
            left_out = (
                row.group == variant.without_generator if row.label else row.group in variant.without_sources
            )
            assert variant.held_out(row) == left_out
            assert bool(keep) == (not left_out)
        for label in (0, 1):
            assert {rows[index].label for index in np.flatnonzero(kept)} >= {label}
    assert leave_one_out(rows[::-1]) == variants


def test_sources_are_dealt_evenly() -> None:
    sizes = {(0, f"source{number}"): size for number, size in enumerate((9, 8, 7, 6, 5, 4, 3, 2, 1))}
    rows = rows_of(sizes | {(1, f"generator{number}"): 1 for number in range(7)})
    hands = {variant.without_sources for variant in leave_one_out(rows)}
    assert len(hands) == MOST_HANDS
    loads = [sum(sizes[0, name] for name in hand) for hand in hands]
    assert sorted(loads) == [9] * 5
    two = {variant.without_sources for variant in leave_one_out(rows_of(sizes | {(1, "a"): 1, (1, "b"): 1}))}
    assert len(two) == 2


@pytest.mark.parametrize(
    "groups", [{(0, "a"): 3, (0, "b"): 3, (1, "c"): 3}, {(0, "a"): 3, (1, "b"): 3, (1, "c"): 3}]
)
def test_too_few_groups_to_leave_one_out(groups: dict[tuple[int, str], int]) -> None:
    with pytest.raises(
        DataError, match=r"at least two generators and two sources .*, there are [12] and [12]"
    ):
        leave_one_out(rows_of(groups))


def test_the_whole_is_everything() -> None:
    assert WHOLE.name == ""
    assert WHOLE.keeps(rows_of({(0, "a"): 3, (1, "b"): 3}), seed=0).all()


@given(SOME_GROUPS, st.integers(0, 5), st.lists(st.floats(0.01, 1), min_size=2, max_size=4))
def test_fractions_are_nested_and_of_each_class(
    groups: dict[tuple[int, str], int], seed: int, shares: list[float]
) -> None:
    rows = rows_of(groups)
    labels = np.array([row.label for row in rows])
    smaller = np.zeros(len(rows), dtype=bool)
    for variant in fractions(shares):
        kept = variant.keeps(rows, seed)
        assert not (smaller & ~kept).any(), "what a smaller fraction has, a larger one has"
        for label in (0, 1):
            of = int((labels == label).sum())
            assert int(kept[labels == label].sum()) == max(1, round(variant.fraction * of))
        smaller = kept


def test_fractions_follow_the_seed() -> None:
    rows = rows_of({(0, "a"): 30, (1, "b"): 30})
    half = Variant(name="50pct", fraction=0.5)
    assert np.array_equal(half.keeps(rows, 0), half.keeps(rows, 0))
    assert not np.array_equal(half.keeps(rows, 0), half.keeps(rows, 1))
    kept = half.keeps(rows, 0)
    assert not np.array_equal(kept[:30], kept[30:]), "the classes are drawn on their own"


def test_fraction_of_what_is_left() -> None:
    rows = rows_of({(0, "a"): 10, (0, "b"): 10, (1, "c"): 10, (1, "d"): 10})
    variant = Variant(without_generator="c", without_sources=("a",), fraction=0.5)
    kept = [row for row, keep in zip(rows, variant.keeps(rows, 0), strict=True) if keep]
    assert [row.group for row in kept] == ["b"] * 5 + ["d"] * 5


def test_names_of_fractions() -> None:
    found = fractions([0.5, 0.07, 0.005, 1.0, 0.5])
    assert [variant.name for variant in found] == ["0.5pct", "7pct", "50pct", "100pct"]
    for wrong in (0.0, 1.5):
        with pytest.raises(ValidationError, match="fraction"):
            fractions([wrong])
