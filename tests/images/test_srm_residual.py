"""The high-pass filter against a second implementation, and its numbers by hand."""

import numpy as np
import pytest
from scipy import ndimage, stats

from vestige.images.residual import KERNEL, luma, srm_residual, statistics


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 255, (height, width)).astype(np.float32)


@pytest.mark.parametrize("size", [(3, 3), (3, 40), (5, 4), (64, 33)])
def test_as_scipy_computes_it(size: tuple[int, int]) -> None:
    plane = noise(*size)
    square = np.array(
        [[-1, 2, -2, 2, -1], [2, -6, 8, -6, 2], [-2, 8, -12, 8, -2], [2, -6, 8, -6, 2], [-1, 2, -2, 2, -1]]
    )
    expected = ndimage.correlate(plane.astype(float), square / 12, mode="mirror")
    found = srm_residual(plane)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_as_the_workshops_bank_has_it() -> None:
    srm = pytest.importorskip("vestige.nn.srm")
    np.testing.assert_allclose(KERNEL, srm.filters()[-1], atol=1e-7)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 2), (2, 7)])
def test_sides_of_one_or_two_pixels(size: tuple[int, int]) -> None:
    found = srm_residual(noise(*size))
    assert found.shape == size
    assert np.isfinite(found).all()
    assert np.abs(srm_residual(np.full(size, 99, np.float32))).max() < 1e-3


def test_ramps_and_parabolas_vanish() -> None:
    y, x = np.mgrid[0:40, 0:40].astype(np.float32)
    for plane in (x, y, 0.1 * x**2 + y, 0.1 * y**2 + 3):
        assert np.abs(srm_residual(plane)[2:-2, 2:-2]).max() < 1e-2


def test_one_pixel_leaves_the_kernel() -> None:
    plane = np.zeros((9, 9), np.float32)
    plane[4, 4] = 12
    assert srm_residual(plane)[4, 4] == pytest.approx(-12)
    assert srm_residual(plane)[4, 5] == pytest.approx(8)
    assert srm_residual(plane)[2, 2] == pytest.approx(-1)


def test_statistics_by_hand_and_by_scipy() -> None:
    found = statistics(np.array([[0, 0, 3, -4]], np.float32))
    assert found.rms == pytest.approx((25 / 4) ** 0.5)
    assert found.mean_absolute == pytest.approx(7 / 4)
    assert found.quantile_99 == pytest.approx(3.97)  # three hundredths of the way from 4 back to 3
    assert found.silent == 0.5
    values = np.random.default_rng(1).laplace(0, 3, (200, 300)).astype(np.float32)
    assert statistics(values).kurtosis == pytest.approx(stats.kurtosis(values.astype(float), axis=None))
    assert statistics(np.zeros((4, 4), np.float32)) == (0, 0, 0, 0, 1)


def test_silence_is_flatness() -> None:
    pixels = np.full((40, 40, 3), (10, 200, 77), np.uint8)
    assert statistics(srm_residual(luma(pixels))).silent == 1


def test_brightness() -> None:
    pixels = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    np.testing.assert_allclose(luma(pixels), [[76.245, 149.685, 29.07, 255]], rtol=1e-5)
