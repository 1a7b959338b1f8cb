"""Block DCT and colours: invertible, energy preserving, the same whole or band by band."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import dctn

from vestige.methods.nirnet.bands import (
    Colours,
    dct_matrix,
    each_band,
    from_bands,
    from_colours,
    to_bands,
    to_colours,
)

COLOURS: list[Colours] = ["rgb", "opponent"]


def random(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 20, (*shape, 3))


@settings(deadline=None, max_examples=40)
@given(
    block=st.integers(1, 9),
    rows=st.integers(1, 4),
    columns=st.integers(1, 4),
    rest=st.sampled_from([(), (1,), (2, 3)]),
    colours=st.sampled_from(COLOURS),
    seed=st.integers(0, 2**32 - 1),
)
def test_there_and_back(
    block: int, rows: int, columns: int, rest: tuple[int, ...], colours: Colours, seed: int
) -> None:
    values = random(seed, *rest, rows * block, columns * block)
    bands = to_bands(to_colours(values, colours), block)
    assert bands.shape == (*rest, rows, columns, block, block, 3)
    np.testing.assert_allclose(np.square(bands).sum(), np.square(values).sum(), rtol=1e-10)
    np.testing.assert_allclose(from_colours(from_bands(bands), colours), values, atol=1e-10)


@pytest.mark.parametrize("block", [1, 2, 3, 8])
def test_bands_are_scipys_dct_of_each_block(block: int) -> None:
    values = random(0, 3 * block, 2 * block)
    bands = to_bands(values, block)
    for row in range(3):
        for column in range(2):
            part = values[row * block : (row + 1) * block, column * block : (column + 1) * block]
            expected = dctn(part, axes=(0, 1), norm="ortho")
            np.testing.assert_allclose(bands[row, column], expected, atol=1e-12)


def test_the_matrix_is_orthonormal() -> None:
    np.testing.assert_allclose(dct_matrix(8) @ dct_matrix(8).T, np.eye(8), atol=1e-12)


def test_vertical_frequencies_come_first() -> None:
    stripes = np.zeros((8, 8, 3))
    stripes[::2] = 1  # rows differ, columns do not
    energy = np.square(to_bands(stripes, 8)[0, 0]).sum(-1)
    assert energy[:, 0].sum() == pytest.approx(energy.sum())
    assert energy[0].sum() < energy.sum()


def test_grey_has_no_opponent_colours() -> None:
    grey = np.repeat(random(1, 4, 4)[..., :1], 3, axis=-1)
    found = to_colours(grey, "opponent")
    np.testing.assert_allclose(found[..., 0], grey[..., 0] * np.sqrt(3))
    np.testing.assert_allclose(found[..., 1:], 0, atol=1e-12)


def test_rgb_is_left_as_it_is() -> None:
    values = random(2, 4, 4)
    assert np.array_equal(to_colours(values, "rgb"), values)


@pytest.mark.parametrize("colours", COLOURS)
@pytest.mark.parametrize("block", [1, 2, 5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_band_after_the_other_gives_the_same(block: int, colours: Colours, dtype: type) -> None:
    values = random(3, 2, 3 * block, 4 * block).astype(dtype)
    expected = to_bands(to_colours(values, colours), block)
    places = []
    for place, coefficients in each_band(values, block, colours):
        places.append(place)
        assert coefficients.shape == (2, 12)
        assert coefficients.dtype == dtype
        np.testing.assert_allclose(
            coefficients, expected[(..., *place)].reshape(2, 12), atol=1e-4 if dtype == np.float32 else 1e-10
        )
    assert len(set(places)) == len(places) == block * block * 3


def test_values_are_not_changed_while_they_are_taken_apart() -> None:
    values = random(4, 2, 4, 4)
    before = values.copy()
    for block in (1, 4):
        for _, coefficients in each_band(values, block, "rgb"):
            coefficients *= 0
    assert np.array_equal(values, before)


def test_sides_that_blocks_do_not_fill() -> None:
    with pytest.raises(ValueError, match="multiples of 8, got 16 x 12"):
        to_bands(random(0, 16, 12), 8)
