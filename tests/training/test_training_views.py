"""Which views a recipe asks for, how they are cut, weighted and dealt into folds."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tiny_workshop import rows_of, write_set

from vestige.data.manifest import read_manifest
from vestige.errors import DataError
from vestige.training.recipe import DataSection
from vestige.training.views import View, capped, deal_groups, group_weights, plan, view_pixels

DATA = DataSection(patch=64, views=3)


def test_a_group_of_both_classes_is_dealt_once() -> None:
    rows = rows_of({(0, "a"): 3, (0, "b"): 5, (0, "c"): 4, (1, "a"): 9, (1, "x"): 2, (1, "y"): 1})
    fold = deal_groups(rows, 2)
    of_a = {int(fold[index]) for index, row in enumerate(rows) if row.group == "a"}
    assert len(of_a) == 1
    for label in (0, 1):
        assert {int(fold[index]) for index, row in enumerate(rows) if row.label == label} == {0, 1}


def test_plan_goes_picture_by_picture() -> None:
    views = plan(DATA, 2, [1])
    assert views == [
        *(View(0, draw, False) for draw in range(3)),
        *(View(1, draw, False) for draw in range(3)),
        *(View(1, draw, True) for draw in range(3)),
    ]


def test_views_can_be_replayed_and_differ(tmp_path: Path) -> None:
    rows = read_manifest(write_set(tmp_path))
    views = plan(DATA, len(rows), [])[3:6]
    first, again = (view_pixels(views, rows, DATA, 0, {}) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(one, other)
    assert len({one.tobytes() for one in first}) == 3
    other_seed = view_pixels(views, rows, DATA, 1, {})
    assert not all(np.array_equal(one, other) for one, other in zip(first, other_seed, strict=True))


def test_adding_a_source_does_not_redraw_the_others(tmp_path: Path) -> None:
    rows = read_manifest(write_set(tmp_path))
    alone = view_pixels([View(0, 0, False)], rows[5:6], DATA, 0, {})
    among = view_pixels([View(5, 0, False)], rows, DATA, 0, {})
    assert np.array_equal(alone[0], among[0])


def test_reconstruction_passes_the_draws_of_its_original(tmp_path: Path) -> None:
    rows = read_manifest(write_set(tmp_path))
    same = tmp_path / "same.png"
    Image.open(rows[0].path).save(same)
    original, reconstructed = view_pixels([View(0, 1, False), View(0, 1, True)], rows, DATA, 0, {0: same})
    assert np.array_equal(original, reconstructed)


def test_unreadable_picture_is_named(tmp_path: Path) -> None:
    rows = read_manifest(write_set(tmp_path))
    rows[2].path.write_bytes(b"not a picture")
    with pytest.raises(DataError, match=f"{rows[2].name}: "):
        view_pixels([View(2, 0, False)], rows, DATA, 0, {})


def test_cap_of_each_group() -> None:
    rows = rows_of({(0, "a"): 9, (1, "a"): 7, (1, "b"): 2, (0, "c"): 4})
    kept = capped(rows, 4, seed=0)
    sizes = Counter((row.label, row.group) for row in kept)
    assert sizes == {(0, "a"): 4, (1, "a"): 4, (1, "b"): 2, (0, "c"): 4}
    assert kept == [row for row in rows if row in kept], "in the order of the manifest"
    assert capped(rows, 4, seed=0) == kept
    assert capped(rows, 4, seed=1) != kept
    assert capped(rows, None, seed=0) == rows
    real, generated = ([row.name for row in kept if (row.label, row.group) == (k, "a")] for k in (0, 1))
    assert {int(name[1:-4]) for name in real} != set(range(4)), "drawn, not the first"
    assert generated != real


def test_cap_does_not_redraw_other_groups() -> None:
    few = {(0, "a"): 9, (1, "b"): 8}
    kept = capped(rows_of(few), 3, seed=5)
    more = capped(rows_of({(0, "new"): 20, **few, (1, "newer"): 5}), 3, seed=5)
    assert [row for row in more if row.group in {"a", "b"}] == kept
    # A smaller cap keeps a part of what a larger one keeps.
    assert {row.name for row in capped(rows_of(few), 2, seed=5)} < {row.name for row in kept}


def test_weights_by_class_and_group() -> None:
    rows = rows_of({(0, "a"): 100, (0, "b"): 4, (1, "c"): 9})
    weights = group_weights(rows)
    assert weights.mean() == pytest.approx(1)
    assert weights[:104].sum() == pytest.approx(weights[104:].sum())
    assert weights[:100].sum() / weights[100:104].sum() == pytest.approx(10 / 2)


@given(
    st.dictionaries(
        st.tuples(st.sampled_from([0, 1]), st.text("abcdefgh", min_size=1, max_size=2)), st.integers(1, 9)
    ),
    st.integers(2, 5),
)
def test_folds_hold_whole_groups(groups: dict[tuple[int, str], int], folds: int) -> None:
    rows = rows_of(groups)
    fold = deal_groups(rows, folds)
    homes: dict[tuple[int, str], set[int]] = {}
    for row, number in zip(rows, fold.tolist(), strict=True):
        homes.setdefault((row.label, row.group), set()).add(number)
    assert all(len(home) == 1 for home in homes.values())
    for label in (0, 1):
        used = {number for (of, _), home in homes.items() if of == label for number in home}
        assert used == set(range(min(folds, sum(of == label for of, _ in groups))))
