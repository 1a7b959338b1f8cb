"""Error level analysis against Pillow's own difference."""

import io

import numpy as np
import pytest
from PIL import Image, ImageChops

from vestige.images.ela import error_level, levels


def photo(seed: int = 0, height: int = 96, width: int = 128) -> np.ndarray:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    base = np.stack([x * 1.5, y * 2, 255 - x], -1) + rng.normal(0, 12, (height, width, 3))
    return base.clip(0, 255).astype(np.uint8)


def saved(pixels: np.ndarray, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=2)
    return Image.open(buffer).convert("RGB")


@pytest.mark.parametrize("quality", [1, 75, 90, 100])
def test_as_pillow_subtracts(quality: int) -> None:
    pixels = photo()
    expected = ImageChops.difference(Image.fromarray(pixels), saved(pixels, quality))
    found = error_level(pixels, quality)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, np.asarray(expected))


def test_what_was_compressed_alike_changes_least() -> None:
    once = np.asarray(saved(photo(1), 90))
    assert levels(error_level(once, 90)).mean < 0.5 * levels(error_level(photo(1), 90)).mean


def test_a_flat_picture_has_no_error() -> None:
    flat = levels(error_level(np.full((20, 30, 3), 128, np.uint8)))
    assert flat == (0, 0, 0)


def test_an_aligned_piece_is_that_of_the_whole() -> None:
    pixels = photo(2)
    whole, piece = error_level(pixels), error_level(pixels[32:80, 16:96])
    np.testing.assert_array_equal(piece[1:-1, 1:-1], whole[33:79, 17:95])


def test_numbers_by_hand() -> None:
    difference = np.zeros((10, 10, 3), np.uint8)
    difference[0, 0] = 30
    difference[0, 1] = (5, 5, 6)
    found = levels(difference)
    assert found.mean == pytest.approx((3 * 30 + 16) / 300)
    assert found.quantile_99 == 6  # 297 of 300 values are not above it
    assert found.largest == 30


@pytest.mark.parametrize("quality", [0, 101])
def test_qualities_that_are_none(quality: int) -> None:
    with pytest.raises(ValueError, match=str(quality)):
        error_level(photo(), quality)


def test_one_pixel() -> None:
    assert error_level(photo()[:1, :1]).shape == (1, 1, 3)
