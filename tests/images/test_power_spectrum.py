"""Spectra against definitions, known waves and mere noise."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vestige.images.spectrum import BLOCK, Peak, chance, peaks, power_spectrum, rings


def noise(seed: int, height: int = 512, width: int = 512, deviation: float = 3.0) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, deviation, (height, width)).astype(np.float32)


def wave(x: float, y: float, height: int = 512, width: int = 512) -> npt.NDArray[np.float32]:
    down, across = np.indices((height, width))
    return np.cos(2 * np.pi * (x * across + y * down) + 1).astype(np.float32)


def test_one_block_by_definition() -> None:
    plane = noise(0, BLOCK, BLOCK)
    window = [0.5 - 0.5 * math.cos(2 * math.pi * (n + 0.5) / BLOCK) for n in range(BLOCK)]
    taper = np.outer(window, window)
    found = power_spectrum(plane)
    energy = float((taper**2).sum())
    assert found.power.mean() == pytest.approx(float(((plane * taper) ** 2).sum()) / energy), "Parseval"
    down, across = np.indices(plane.shape)
    for y, x in ((0, 0), (7, -20), (-128, 3), (50, 127), (-128, -128)):
        turning = np.exp(-2j * np.pi * (x * across + y * down) / BLOCK)
        expected = abs((plane * taper * turning).sum()) ** 2 / energy
        assert found.power[y + 128, x + 128] == pytest.approx(expected)
    assert (found.blocks, found.window) == (1, (BLOCK, BLOCK))


def test_power_is_the_variance_of_noise() -> None:
    found = power_spectrum(noise(1, 700, 900))
    assert found.power.mean() == pytest.approx(9, rel=0.02)
    middles, levels = rings(found)
    np.testing.assert_allclose(levels[5:80], 9, rtol=0.15)
    assert middles[-1] == pytest.approx(2**-0.5, abs=0.01)
    # Steps of 111 and of 107 pixels: half a block is the most.
    assert found.blocks == 5 * 7
    assert 20 < found.equivalent < found.blocks


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (3, 5), (255, 257), (40, 300)])
def test_small_planes_have_a_spectrum_of_the_same_size(size: tuple[int, int]) -> None:
    found = power_spectrum(noise(2, *size))
    assert found.power.shape == (BLOCK, BLOCK)
    assert np.isfinite(found.decibel).all()
    assert found.window == (min(size[0], BLOCK), min(size[1], BLOCK))
    peaks(found)


@settings(max_examples=15, deadline=None)
@given(x=st.floats(0.04, 0.46), y=st.floats(-0.46, 0.46))
@example(x=0.25, y=0.40821073)
def test_a_wave_is_found_at_its_frequency(x: float, y: float) -> None:
    # Almost silent: in louder noise the noise decides halfway between two frequencies which one is the peak.
    clear = peaks(power_spectrum(noise(3, deviation=0.003) + 2 * wave(x, y)))[0]
    assert abs(clear.x - x) <= 0.5001 / BLOCK
    assert abs(clear.y - y) <= 0.5001 / BLOCK
    found = power_spectrum(noise(3) + 2 * wave(x, y))
    first = peaks(found)[0]
    assert abs(first.x - clear.x) <= 1 / BLOCK
    assert abs(first.y - clear.y) <= 1 / BLOCK
    row, column = round(first.y * BLOCK) + 128, round(first.x * BLOCK) + 128
    around = found.power[row - 4 : row + 5, column - 4 : column + 5]
    # Half of the wave's power, the other half being at (-x, -y); and the noise's own.
    assert around.sum() / BLOCK**2 == pytest.approx(2**2 / 4 + 9 * 81 / BLOCK**2, rel=0.15)


@pytest.mark.parametrize(
    ("x", "y"), [(0.5, 0.5), (0.5, 0.0), (0.0, 0.5), (0.125, 0.0), (0.0, 0.25), (0.375, -0.125), (0.5, 0.25)]
)
def test_a_frequency_is_listed_once(x: float, y: float) -> None:
    found = peaks(power_spectrum(noise(4) + wave(x, y)))
    assert [(peak.x, peak.y) for peak in found] == [(x, y)]


def test_blocks_of_eight_leave_multiples_of_an_eighth() -> None:
    plane = noise(5, deviation=0.6)
    plane[:, ::8] += 3
    found = peaks(power_spectrum(plane))
    assert sorted(peak.x for peak in found) == [0.125, 0.25, 0.375, 0.5]
    assert {peak.y for peak in found} == {0.0}


@pytest.mark.parametrize("size", [(100, 100), (256, 256), (300, 300), (260, 400), (512, 512), (700, 500)])
def test_noise_has_no_peaks(size: tuple[int, int]) -> None:
    found = [peaks(power_spectrum(noise(seed, *size))) for seed in range(5)]
    assert sum(map(len, found)) == 0, "one in a hundred pictures, if any"


def test_noise_that_fades_has_no_peaks() -> None:
    """A few strong blocks scatter more than many equal ones, and the bar rises."""
    strength = np.linspace(0, 1, 600, dtype=np.float32) ** 6
    fading, even = power_spectrum(noise(6, 600, 600) * strength), power_spectrum(noise(6, 600, 600))
    assert fading.blocks == even.blocks
    assert chance(fading) > chance(even) + 1
    assert peaks(fading) == []


def test_the_bar_for_one_block_by_hand() -> None:
    # The power of noise at one frequency is exponentially distributed, with the median ln 2.
    by_hand = 10 * math.log10(-math.log(0.01 / 32768) / math.log(2))
    assert chance(power_spectrum(noise(7, 256, 256))) == pytest.approx(by_hand, abs=0.6)


def test_nothing_has_no_peaks() -> None:
    found = power_spectrum(np.zeros((300, 300), np.float32))
    assert peaks(found) == []
    assert found.decibel.max() == -100


def test_strongest_peaks_come_first() -> None:
    found = peaks(power_spectrum(noise(8) + wave(0.2, 0.1) + 3 * wave(0.3, -0.3) + 2 * wave(0.1, 0.4)))
    assert [round(peak.x, 1) for peak in found] == [0.3, 0.1, 0.2]
    assert isinstance(found[0], Peak)
    assert found[0].decibel - found[1].decibel == pytest.approx(20 * math.log10(3 / 2), abs=2)


def test_a_wave_shows_in_its_ring() -> None:
    middles, levels = rings(power_spectrum(5 * wave(0.3, 0.2)))
    assert middles[levels.argmax()] == pytest.approx(math.hypot(0.3, 0.2), abs=1 / 128)
