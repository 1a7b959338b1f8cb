import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_files import photo

from vestige.images.views import dense_grid, extract, patch_grid

SIDE = st.integers(1, 900)


@settings(max_examples=300, deadline=None)
@given(SIDE, SIDE, st.integers(1, 300), st.integers(1, 30))
def test_patch_grid(width, height, size, count):
    views = patch_grid(width, height, size, count)
    assert 1 <= len(views) <= count
    assert len(set(views)) == len(views)
    assert views == patch_grid(width, height, size, count)
    for x, y in views:
        assert 0 <= x <= max(width - size, 0)
        assert 0 <= y <= max(height - size, 0)
    # Neighbours are not nearly the same view.
    gap = max(size // 4, 1)
    for i, (x, y) in enumerate(views):
        assert all(abs(x - a) >= gap or abs(y - b) >= gap for a, b in views[:i])


@settings(max_examples=300, deadline=None)
@given(SIDE, SIDE, st.integers(1, 300), st.integers(1, 400), st.integers(1, 200))
def test_dense_grid(width, height, size, stride, cells):
    views = dense_grid(width, height, size, stride, cells)
    assert 1 <= len(views) <= cells
    assert len(set(views)) == len(views)
    assert views == sorted(views, key=lambda view: (view[1], view[0]))
    xs, ys = sorted({x for x, _ in views}), sorted({y for _, y in views})
    assert len(xs) * len(ys) == len(views)
    assert min(xs) >= 0
    assert max(xs) <= max(width - size, 0)
    if cells >= 4:
        assert (xs[0], ys[0]) == (0, 0)
        assert (xs[-1], ys[-1]) == (max(width - size, 0), max(height - size, 0))
        if stride <= size and len(views) < cells // 4:
            # There was room, so nothing grew and every pixel is seen.
            seen = np.zeros(max(width, size), bool)
            for x in xs:
                seen[x : x + size] = True
            assert seen.all()


def test_dense_grid_keeps_the_stride_if_it_fits():
    assert dense_grid(100, 50, 50, 25, 99) == [(0, 0), (25, 0), (50, 0)]
    assert dense_grid(101, 50, 50, 25, 99) == [(0, 0), (17, 0), (34, 0), (51, 0)]
    assert dense_grid(30, 20, 50, 25, 99) == [(0, 0)]
    assert dense_grid(1000, 400, 100, 50, 1) == [(450, 150)]


def test_patch_grid_by_example():
    assert patch_grid(1024, 768, 224, 1) == [(400, 272)]
    assert patch_grid(624, 624, 224, 4) == [(0, 0), (400, 0), (0, 400), (400, 400)]
    five = patch_grid(824, 824, 224, 5)
    assert five[2] == (300, 300)
    assert five == [(0, 0), (600, 0), (300, 300), (0, 600), (600, 600)]
    assert patch_grid(100, 100, 224, 9) == [(0, 0)]
    assert [y for _, y in patch_grid(2000, 224, 224, 4)] == [0] * 4
    assert [x for x, _ in patch_grid(224, 2000, 224, 4)] == [0] * 4


@pytest.mark.parametrize("function", [patch_grid, dense_grid])
def test_arguments_below_one(function):
    arguments = [10, 10, 5, 3] if function is patch_grid else [10, 10, 5, 3, 4]
    for index in range(len(arguments)):
        wrong = list(arguments)
        wrong[index] = 0
        with pytest.raises(ValueError, match="at least 1, got 0"):
            function(*wrong)


def test_extract_inside_is_a_copy():
    pixels = photo()
    view = extract(pixels, 5, 3, 16)
    np.testing.assert_array_equal(view, pixels[3:19, 5:21])
    view[:] = 0
    np.testing.assert_array_equal(pixels, photo())


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 40))
def test_extract_reflects(width, height, size):
    pixels = photo(width, height)
    view = extract(pixels, 0, 0, size)
    assert view.shape == (size, size, 3)
    assert view.flags.c_contiguous
    padded = np.pad(pixels, ((0, max(size - height, 0)), (0, max(size - width, 0)), (0, 0)), mode="reflect")
    np.testing.assert_array_equal(view, padded[:size, :size])


def test_extract_by_hand():
    row = np.arange(3, dtype=np.uint8)[None, :, None].repeat(3, 2)
    assert extract(row, 0, 0, 8)[5, :, 1].tolist() == [0, 1, 2, 1, 0, 1, 2, 1]
    assert (extract(np.full((1, 1, 3), 9, np.uint8), 0, 0, 5) == 9).all()
