"""The grid that JPEG leaves: by hand, after cropping, and not in noise."""

import io
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vestige.images.block_grid import LEAST_STRIPS, Axis, axis_grid, block_grid


def scene(seed: int, height: int = 200, width: int = 232, slope: float = 1.0) -> np.ndarray:
    """Noise whose amplitude falls off like 1/f^slope, as in photographs: uint8 [H, W, 3]."""
    rng = np.random.default_rng(seed)
    y, x = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    frequency = np.hypot(y, x)
    frequency[0, 0] = 1
    plane = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(height, width))) / frequency**slope, (height, width))
    plane = 128 + 35 * plane / plane.std()
    return np.repeat(plane.clip(0, 255).round().astype(np.uint8)[..., None], 3, 2)


def compressed(pixels: np.ndarray, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


def test_steps_by_hand() -> None:
    """Flat blocks: with a b | c d, |(c - b) - ((b - a) + (d - c)) / 2| is the step at a boundary."""
    row = np.repeat(np.arange(10) % 2 * 40, 8).astype(np.uint8)  # a step of 40 before pixels 8, 16, ...
    found = block_grid(np.tile(row[None, :, None], (4, 1, 3)))
    # One pixel beside the boundary half of the step stands between the outer slopes.
    assert found.across.strengths == pytest.approx((40, 20, 0, 0, 0, 0, 0, 20))
    # 77 boundaries (before pixels 2 to 78) hold strips at 0, 9, ..., 63.
    assert found.across.votes == (8, 0, 0, 0, 0, 0, 0, 0)
    assert found.across.contrast == pytest.approx(40 / (40 / 7))
    assert found.across.log10_chance == pytest.approx(math.log10(16 * 0.125**8))
    assert found.across.found
    # Of four rows there is one boundary, before row 2: no strip can vote.
    assert found.down.strips == 0
    assert not found.down.found
    assert [math.isnan(strength) for strength in found.down.strengths] == [phase != 2 for phase in range(8)]


def test_the_chance_by_hand() -> None:
    steps = np.zeros(9 * 10)
    steps[[9 * strip + 3 for strip in range(10)]] = 1  # each strip votes for another phase, two for two
    found = axis_grid(steps)
    assert sum(found.votes) == found.strips == 10
    assert max(found.votes) == 2
    tail = 1 - sum(math.comb(10, k) * 0.125**k * 0.875 ** (10 - k) for k in range(2))
    assert found.log10_chance == pytest.approx(min(0, math.log10(16 * tail)))
    assert not found.found


# From quality 69 on this scene's own detail hides the steps at some places; all of these were tried once.
@settings(max_examples=20, deadline=None)
@given(dx=st.integers(0, 15), dy=st.integers(0, 15), seed=st.integers(0, 20), quality=st.integers(40, 65))
def test_the_grid_moves_with_the_crop(dx: int, dy: int, seed: int, quality: int) -> None:
    picture = compressed(scene(seed), quality)
    cropped = np.asarray(picture.crop((dx, dy, *picture.size)))
    found = block_grid(cropped)
    assert (found.across.phase, found.down.phase) == (-dx % 8, -dy % 8)
    assert found.across.found
    assert found.down.found


@pytest.mark.parametrize("slope", [0.0, 1.0, 2.0])
def test_noise_has_no_grid(slope: float) -> None:
    axes = [axis for seed in range(40) for axis in block_grid(scene(seed, slope=slope))]
    assert sum(axis.found for axis in axes) <= 2, "one in a hundred pictures, if any"


def test_bands_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.asarray(compressed(scene(3), 60))
    whole = block_grid(pixels)
    monkeypatch.setattr("vestige.images.block_grid._BAND", 7)
    banded = block_grid(pixels)
    for one, other in zip(whole, banded, strict=True):
        assert one.strengths == pytest.approx(other.strengths, rel=1e-5)
        assert one.votes == other.votes


def test_a_picture_and_its_transpose() -> None:
    pixels = np.asarray(compressed(scene(4), 60))
    found, turned = block_grid(pixels), block_grid(pixels.transpose(1, 0, 2))
    assert turned.across.votes == found.down.votes
    assert turned.down.strengths == pytest.approx(found.across.strengths, rel=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (4, 4), (8, 1), (1, 40), (11, 12)])
def test_tiny_pictures_have_no_grid(size: tuple[int, int]) -> None:
    found = block_grid(scene(5)[: size[0], : size[1]])
    assert not found.across.found
    assert not found.down.found
    assert found.down.strips < LEAST_STRIPS


def test_a_flat_picture_has_no_votes() -> None:
    found = block_grid(np.full((200, 200, 3), 77, np.uint8))
    assert (found.across.strips, found.across.contrast, found.across.log10_chance) == (0, 1.0, 0.0)
    assert isinstance(found.across, Axis)
