"""Power spectrum of a plane: Welch's average over windowed blocks, its rings, and the peaks that stand out.

Frequencies are in cycles per pixel along x and y, from -1/2 to 1/2. Power is given as a density: noise of
standard deviation s that is equally strong at all frequencies has the power s^2 at each.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

BLOCK = 256  # pixels along a side of a block, and values along a side of the spectrum
STEP = BLOCK // 2
HALF = BLOCK // 2
NEIGHBOURHOOD = 17  # values along a side of the square whose median is a peak's surroundings
APART = 2  # values between two peaks at least: the window spreads one frequency over so many
COARSE = BLOCK // 32  # frequencies below 1/32 are what the picture shows, and not searched for peaks
BANDS = 8  # between frequency 0 and 1/2, in which blocks are compared; what lies beyond is one more
LEAST = 3.0  # dB; smaller bumps are the shape of the spectrum

Plane = npt.NDArray[np.float32]
Values = npt.NDArray[np.float64]


class Spectrum(NamedTuple):
    """A power spectrum.

    Attributes:
        power: float64 [256, 256], frequency 0 at [128, 128], rows are y from -1/2 on. Its mean is the mean
            square of the plane under the windows.
        blocks: how many were averaged.
        equivalent: how many equally strong, independent blocks would scatter as much: a few blocks with all
            the grain make a spectrum as rough as if there were no others.
        window: rows and columns of a block; smaller than 256 where the plane is, the spectrum then being
            interpolated.
    """

    power: Values
    blocks: int
    equivalent: float
    window: tuple[int, int]

    @property
    def decibel(self) -> Values:
        """The power in dB, 0 dB being a power of 1; no less than -100."""
        return 10 * np.log10(np.maximum(self.power, 1e-10))


class Peak(NamedTuple):
    """A frequency that stands out.

    Attributes:
        x, y: cycles per pixel, x in [0, 1/2], y in (-1/2, 1/2]; (-x, -y) is the same.
        decibel: above the median of its surroundings.
    """

    x: float
    y: float
    decibel: float


def power_spectrum(plane: Plane) -> Spectrum:
    """Average the power of overlapping blocks under a Hann window (Welch, 1967).

    Args:
        plane: float [H, W], any size from 1 x 1.
    """
    window = min(BLOCK, plane.shape[0]), min(BLOCK, plane.shape[1])
    taper = np.outer(_hann(window[0]), _hann(window[1]))
    total = np.zeros((BLOCK, HALF + 1))
    y, x = np.ogrid[0:BLOCK, 0 : HALF + 1]
    band = (np.hypot(np.minimum(y, BLOCK - y), x) / BLOCK * BANDS / 0.5).astype(int).clip(max=BANDS).ravel()
    strengths = []
    for top in _starts(plane.shape[0]):
        for left in _starts(plane.shape[1]):
            block = plane[top : top + window[0], left : left + window[1]] * taper
            power = np.abs(np.fft.rfft2(block, (BLOCK, BLOCK))) ** 2
            strengths.append(np.bincount(band, power.ravel()))
            total += power
    total /= len(strengths) * (taper**2).sum()
    # A real plane's spectrum is the same at -f: the half that was not computed is the other one turned.
    y, x = np.ogrid[-HALF:HALF, -HALF:HALF]
    whole = total[np.where(x < 0, -y, y) % BLOCK, np.abs(x)]
    return Spectrum(whole, len(strengths), _equivalent(np.array(strengths), plane.shape), window)


def rings(spectrum: Spectrum, width: float = 1 / 128) -> tuple[Values, Values]:
    """Mean power at equal distances from frequency 0.

    Returns:
        The middles of the rings in cycles per pixel, up to the corners at about 0.7, and their mean power.
    """
    y, x = np.ogrid[-HALF:HALF, -HALF:HALF]
    number = (np.hypot(x, y) / BLOCK / width).astype(int).ravel()
    count = np.bincount(number)
    power = np.bincount(number, spectrum.power.ravel())
    filled = count > 0
    middles: Values = (np.flatnonzero(filled).astype(np.float64) + 0.5) * width
    return middles, power[filled] / count[filled]


def peaks(spectrum: Spectrum) -> list[Peak]:
    """Frequencies that stand out from their surroundings by more than `chance`, strongest first."""
    level = spectrum.decibel
    highest = level > level.min()
    for dy in range(-APART, APART + 1):
        for dx in range(-APART, APART + 1):
            highest &= level >= np.roll(level, (dy, dx), (0, 1))
    rows, columns = np.nonzero(highest)
    # The first row and column are -1/2, which is the same frequency as 1/2.
    y, x = (np.where(place == 0, HALF, place - HALF) for place in (rows, columns))
    once = ((x > 0) & (x < HALF)) | (np.isin(x, (0, HALF)) & (y >= 0))
    searched = once & (np.hypot(x, y) >= COARSE)
    above = level[rows, columns][searched] - _local_median(level, rows[searched], columns[searched])
    bar = chance(spectrum)
    found = [
        Peak(float(fx) / BLOCK, float(fy) / BLOCK, float(decibel))
        for fx, fy, decibel in zip(x[searched], y[searched], above, strict=True)
        if decibel >= bar
    ]
    return sorted(found, key=lambda peak: -peak.decibel)


def chance(spectrum: Spectrum) -> float:
    """How far, in dB above the median, the highest peak of mere noise rises in one of a hundred pictures.

    The power of noise averaged over n blocks is chi-square distributed with 2n degrees of freedom; its
    quantiles by Wilson and Hilferty (1931). At least 3 dB.
    """
    small = 2 / (9 * 2 * spectrum.equivalent)
    # 5.0 standard deviations: one in a hundred times 32,768 different frequencies.
    ratio = ((1 - small + 5.0 * math.sqrt(small)) / (1 - small)) ** 3
    return max(LEAST, 10 * math.log10(ratio))


def _hann(length: int) -> Values:
    return np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 2


def _starts(length: int) -> list[int]:
    """Blocks at equal steps of at most half a block, the last one ending at the edge."""
    free = max(length - BLOCK, 0)
    count = 1 + -(-free // STEP)
    return [index * free // max(count - 1, 1) for index in range(count)]


def _equivalent(strengths: Values, shape: tuple[int, ...]) -> float:
    """How many independent blocks of equal strength scatter as much (Welch, 1967, for the overlap).

    Args:
        strengths: power of each block in each band, [blocks, bands]; the band with the fewest decides.
        shape: of the plane.
    """
    bands = strengths[:, strengths.sum(0) > 0]
    if not bands.size:
        return 1.0
    number = (bands.sum(0) ** 2 / (bands**2).sum(0)).min()
    return float(max(1.0, number / (_overlap(shape[0]) * _overlap(shape[1]))))


def _overlap(length: int) -> float:
    """How many times more the average of an axis' blocks scatters than if they did not overlap."""
    starts, taper = np.array(_starts(length)), _hann(min(BLOCK, length))
    lags = np.abs(starts[:, None] - starts)
    shared = np.correlate(taper, taper, "full")[len(taper) - 1 :] / (taper**2).sum()
    correlation = np.where(lags < len(taper), shared[np.minimum(lags, len(taper) - 1)], 0) ** 2
    return float(correlation.sum() / len(starts))


def _local_median(level: Values, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]) -> Values:
    """Median of the squares around some values; the plane goes on at its other side."""
    wrapped = np.pad(level, NEIGHBOURHOOD // 2, mode="wrap")
    squares = np.lib.stride_tricks.sliding_window_view(wrapped, (NEIGHBOURHOOD, NEIGHBOURHOOD))
    flat = squares[rows, columns].reshape(len(rows), NEIGHBOURHOOD**2)
    medians: Values = np.median(flat, axis=1)
    return medians
