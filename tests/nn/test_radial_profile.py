"""The radial profile against numpy.fft."""

import numpy as np
import pytest
import torch

from vestige.nn.radial_profile import BINS, RadialProfile


def by_numpy(image: np.ndarray) -> np.ndarray:
    luma = 255 * (0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2])
    size = len(luma)
    window = np.hanning(size)
    power = np.abs(np.fft.fft2((luma - luma.mean()) * window[:, None] * window)) ** 2 / size**2
    sums, counts = np.zeros(BINS), np.zeros(BINS)
    for row in range(size):
        for column in range(size):
            # Distance from the zero frequency, in cycles per image, around the corner.
            radius = np.hypot(min(row, size - row), min(column, size - column)) / size
            ring = int(radius / 0.5 * BINS)
            if ring < BINS:
                sums[ring] += power[row, column]
                counts[ring] += 1
    profile = np.log(sums / np.maximum(counts, 1) + 1e-4)
    return profile - profile.mean()


@pytest.mark.parametrize("size", [64, 96, 224])
def test_profile_is_numpys(size: int) -> None:
    images = np.random.default_rng(0).random((2, 3, size, size))
    images[1] = np.sin(np.arange(size) * 2 * np.pi / 8) * 0.4 + 0.5
    expected = np.stack([by_numpy(image) for image in images])
    found = RadialProfile()(torch.from_numpy(images).float())
    np.testing.assert_allclose(found[0], expected[0], atol=2e-3)
    # A pure wave: single precision leaves a little in the rings where almost nothing is.
    np.testing.assert_allclose(found[1], expected[1], atol=3e-2)


def test_a_wave_peaks_in_its_ring() -> None:
    wave = torch.sin(torch.arange(128) * 2 * torch.pi / 8).expand(1, 3, 128, 128) * 0.4 + 0.5
    assert int(RadialProfile()(wave).argmax()) == int(0.125 / 0.5 * BINS)


def test_exporting_leaves_nothing_behind() -> None:
    # A size that no other test has looked at: the tables are made while the exporter watches.
    images = torch.rand(2, 3, 72, 72)
    program = torch.export.export(RadialProfile(), (images,))
    torch.testing.assert_close(program.module()(images), RadialProfile()(images), atol=1e-4, rtol=1e-4)
