"""Power spectra of imprints: their mean over pictures, its curve, and whether a grid stands out of it.

Upsampling leaves peaks at multiples of 1/8 cycle per pixel: 1/2 by 2, 1/4 by 4, 1/8 by 8. JPEG leaves peaks
at the same places.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vestige.images.spectrum import BLOCK, HALF, Spectrum, power_spectrum, rings

Imprints = npt.NDArray[np.floating]  # [N, H, W, 3], grey levels
Values = npt.NDArray[np.float64]
Decibel = npt.NDArray[np.float64]  # [129, 129], see `mean_decibel`

LUMA = (0.299, 0.587, 0.114)
FLOOR = 1e-4  # power of a hundredth of a grey level: a blank difference must not count as far as a log can go
TOGETHER = 8  # imprints whose power is averaged before the log is taken
GRID = BLOCK // 8  # values between two multiples of 1/8
AROUND = 12  # values from a multiple of 1/8 to the edge of the square that it is compared with
NEAR = 3  # values around it that a window spreads it over, left out of the comparison
# Pixels along the side of an imprint. A window spreads a frequency over 2 * BLOCK / side values to each side,
# 5 for 96. From 64 down that is most of what is compared along an axis: a peak would hide itself.
SMALLEST = 96


class GridPeak(NamedTuple):
    """How far a multiple of 1/8 stands out.

    Attributes:
        x, y: cycles per pixel, both from 0 to 1/2.
        decibel: above the median of the surroundings.
    """

    x: float
    y: float
    decibel: float


def mean_decibel(imprints: Imprints) -> Decibel:
    """Mean log power spectrum of the luma of imprints, mirrored frequencies averaged.

    The log is taken of the mean power of `TOGETHER` imprints in a row, each in units of its own median: of
    single ones it would lie 3 dB lower at frequencies 0 and 1/2, where upsampling leaves traces, than
    elsewhere. The mean is of logs, so that few pictures with lines of their own do not draw them here.

    Args:
        imprints: [N, H, W, 3] in grey levels, N from 1; for `grid_peaks` sides from `SMALLEST` on.

    Returns:
        float64 [129, 129] in dB: rows are frequencies 0, 1/256, ..., 1/2 cycles per pixel down, columns the
        same across. White noise of a standard deviation of one grey level has about 0 dB everywhere.
    """
    weights = np.array(LUMA, np.float32)
    total = np.zeros((HALF + 1, HALF + 1))
    groups = np.array_split(np.arange(len(imprints)), max(1, len(imprints) // TOGETHER))
    for group in groups:
        powers = [
            power_spectrum(np.asarray(imprints[at], np.float32) @ weights).power + FLOOR for at in group
        ]
        medians = [float(np.median(power)) for power in powers]
        shape = np.mean([power / median for power, median in zip(powers, medians, strict=True)], axis=0)
        total += len(group) * 10 * np.log10(_quadrant(shape)) + 10 * np.log10(medians).sum()
    decibel: Decibel = total / len(imprints)
    return decibel


def ring_curve(decibel: Decibel) -> tuple[Values, Values]:
    """Mean of a log power spectrum at equal distances from frequency 0.

    Args:
        decibel: float64 [129, 129], as `mean_decibel` gives it.

    Returns:
        The middles of the rings in cycles per pixel, 1/64 apart, and the means in dB.
    """
    places = np.abs(np.arange(-HALF, HALF))
    # The rings of any values on the plane are their means; a spectrum of decibels is not one of powers.
    whole = Spectrum(decibel[np.ix_(places, places)], 1, 1.0, (BLOCK, BLOCK))
    return rings(whole, 1 / 64)


def grid_peaks(decibel: Decibel) -> list[GridPeak]:
    """All multiples of 1/8 but (0, 0), with how far each stands out of its surroundings.

    Photographs have ridges along both axes; a place on an axis is compared with that axis alone.

    Args:
        decibel: float64 [129, 129], as `mean_decibel` gives it.
    """
    found = []
    for row in range(0, HALF + 1, GRID):
        for column in range(0, HALF + 1, GRID):
            if row or column:
                above = decibel[row, column] - _surroundings(decibel, row, column)
                found.append(GridPeak(column / BLOCK, row / BLOCK, float(above)))
    return found


def _quadrant(power: Values) -> Values:
    """Means over mirrored frequencies: [256, 256] -> [129, 129]."""
    # Rows and columns begin at -1/2, which is the same frequency as 1/2.
    places = np.arange(HALF + 1)
    sides = (HALF + places) % BLOCK, HALF - places
    found: Values = np.mean([power[np.ix_(down, across)] for down in sides for across in sides], axis=0)
    return found


def _surroundings(decibel: Decibel, row: int, column: int) -> float:
    """The level around a place, what is next to it left out; the square ends where the quadrant ends."""
    rows, columns = (
        np.arange(max(0, at - AROUND), min(HALF, at + AROUND) + 1) if at else np.zeros(1, int)
        for at in (row, column)
    )
    apart = np.maximum(np.abs(rows - row)[:, None], np.abs(columns - column))
    return float(np.median(decibel[np.ix_(rows, columns)][apart > NEAR]))
