"""The steps of protocols, against second implementations and by geometry."""

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from protocol_pictures import opened, photo, pixels_of
from scipy.ndimage import gaussian_filter

from vestige.evaluation.protocols import steps

sides = st.integers(1, 40)


@given(sides, sides, st.data())
def test_crops_are_native_pixels_from_the_middle(height: int, width: int, data: st.DataObject) -> None:
    tall, wide = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    # Every pixel tells where it comes from.
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([y, x, y * 0], -1).astype(np.uint8)
    found = steps.centre_crop(pixels, tall, wide)
    assert found.shape == (tall, wide, 3)
    above, below = found[0, 0, 0], height - 1 - found[-1, -1, 0]
    left, right = found[0, 0, 1], width - 1 - found[-1, -1, 1]
    assert below - above in (0, 1)
    assert right - left in (0, 1)
    assert (np.diff(found[:, 0, 0]) == 1).all()
    assert (np.diff(found[0, :, 1]) == 1).all()


@given(sides, sides)
def test_the_centre_square_is_the_largest(height: int, width: int) -> None:
    pixels = np.zeros((height, width, 3), np.uint8)
    side = min(height, width)
    assert steps.centre_square(pixels).shape == (side, side, 3)


@pytest.mark.parametrize("size", [(11, 5), (5, 11), (0, 5)])
def test_a_crop_that_does_not_fit_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="does not fit into 10 x 10"):
        steps.centre_crop(np.zeros((10, 10, 3), np.uint8), *size)


def test_resizing_averages_what_it_shrinks() -> None:
    # Stripes of one pixel vanish into their mean when the filter covers what is left out.
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    found = steps.resize(stripes, 16, 16)
    assert found.shape == (16, 16, 3)
    assert np.abs(found[:, 2:-2].astype(int) - 100).max() <= 1


def test_a_picture_of_this_size_is_not_resampled() -> None:
    pixels = photo(30, 20)
    assert np.array_equal(steps.resize(pixels, 20, 30), pixels)
    assert np.array_equal(steps.scale(pixels, 1.0), pixels)


@given(sides, sides, st.floats(0.01, 2))
@settings(max_examples=40)
def test_scaling_keeps_at_least_one_pixel(height: int, width: int, factor: float) -> None:
    found = steps.scale(np.zeros((height, width, 3), np.uint8), factor)
    assert found.shape == (max(1, round(height * factor)), max(1, round(width * factor)), 3)


@pytest.mark.parametrize("sigma", [0.5, 1, 2, 3])
def test_blur_is_a_gaussian(sigma: float) -> None:
    pixels = photo(50, 40)
    expected = gaussian_filter(pixels.astype(float), (sigma, sigma, 0), mode="mirror", truncate=4.0)
    assert np.abs(steps.blur(pixels, sigma) - expected).max() < 0.51  # rounding


@pytest.mark.parametrize("deviation", [2, 20])
def test_noise_has_the_strength_asked_for_and_is_independent(deviation: float) -> None:
    grey = np.full((200, 300, 3), 128, np.uint8)
    noise = steps.add_noise(grey, deviation, seed=5).astype(float) - 128
    # Rounding to whole levels adds the variance 1/12.
    assert noise.std() == pytest.approx(np.sqrt(deviation**2 + 1 / 12), rel=0.01)
    assert abs(noise.mean()) < 0.1
    correlations = np.corrcoef(noise.reshape(-1, 3).T)[np.triu_indices(3, 1)]
    assert np.abs(correlations).max() < 0.02
    assert abs(np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]) < 0.02


def test_noise_follows_from_its_seed() -> None:
    grey = np.full((8, 8, 3), 128, np.uint8)
    assert np.array_equal(steps.add_noise(grey, 9, 2**200), steps.add_noise(grey, 9, 2**200))
    assert not np.array_equal(steps.add_noise(grey, 9, 1), steps.add_noise(grey, 9, 2))


def test_noise_is_clipped() -> None:
    white = np.full((20, 20, 3), 255, np.uint8)
    assert steps.add_noise(white, 5, 0).min() > 225


def test_gamma_by_hand() -> None:
    pixels = np.array([[[0, 255, 128], [64, 200, 10]]], np.uint8)
    expected = [[[round(255 * (value / 255) ** 1.1) for value in row] for row in pixels[0]]]
    assert np.array_equal(steps.gamma(pixels, 1.1), expected)
    assert np.array_equal(steps.gamma(pixels, 1.0), pixels)


def test_sharpening_steepens_edges_and_leaves_flat_areas() -> None:
    edge = np.full((20, 20, 3), 80, np.uint8)
    edge[:, 10:] = 160
    found = steps.sharpen(edge, 0.6, 60)
    assert found[10, 9, 0] < 80
    assert found[10, 10, 0] > 160
    assert (found[:, :5] == 80).all()
    assert (found[:, 15:] == 160).all()


def test_png_loses_nothing() -> None:
    pixels = photo(33, 21)
    assert np.array_equal(pixels_of(steps.encode_png(pixels)), pixels)


@pytest.mark.parametrize(("chroma", "factors"), [("4:4:4", (1, 1)), ("4:2:0", (2, 2))])
def test_jpeg_has_the_chroma_asked_for(chroma: steps.Chroma, factors: tuple[int, int]) -> None:
    image = opened(steps.encode_jpeg(photo(32, 32), 75, chroma))
    assert image.layer[0][1:3] == factors
    assert image.layer[1][1:3] == (1, 1)
    assert not image.info.get("progressive")


def test_what_is_reopened_is_what_readers_get() -> None:
    content = steps.encode_webp(photo(48, 32), 60)
    with Image.open(BytesIO(content)) as image:
        assert image.format == "WEBP"
        assert np.array_equal(steps.reopened(content), np.asarray(image.convert("RGB")))
