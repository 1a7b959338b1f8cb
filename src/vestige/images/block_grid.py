"""Where a grid of 8 x 8 blocks lies in a picture, as JPEG leaves it behind.

Along each axis, the step across a boundary is compared with the slopes beside it (mean difference of slope;
Minami and Zakhor, 1995, "An optimization approach for removing blocking effects in transform coding", there
squared). A grid found by such steps, and its offset after cropping, is what Li, Yuan and Yu (2009), "Passive
detection of doctored JPEG image via block artifact grid extraction", and later work read off pictures.

How far the strongest phase stands out is counted by votes, so that a few outlines cannot make a grid: strips
of 8 boundaries follow each other, each votes for the phase of its strongest one, and by chance a phase gets
one vote in eight.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

BLOCK = 8
LEAST_STRIPS = 6  # fewer could not agree by less than chance, whatever they said
CHANCE = 0.01  # a grid is found if noise agrees as well in one of a hundred pictures at most
_STRIDE = BLOCK + 1  # so that each phase is at the ends of its strip equally often: ends win more than others
_BAND = 512  # rows that are looked at together
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)

Pixels = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]


class Axis(NamedTuple):
    """The grid along one axis.

    Attributes:
        strengths: mean difference of slope at boundaries of each phase, 8 values in grey levels; phase k are
            the boundaries before pixels k, k + 8, ... NaN for a phase without any, in tiny pictures.
        votes: strips whose strongest boundary has each phase, 8 counts.
        strips: how many voted.
        phase: the phase with most votes (the first of equals).
        log10_chance: logarithm to base 10 of how often some phase of 16 gets so many votes by chance, at
            most 0.
    """

    strengths: tuple[float, ...]
    votes: tuple[int, ...]
    strips: int
    phase: int
    log10_chance: float

    @property
    def found(self) -> bool:
        """Whether the votes agree more than `CHANCE` allows."""
        return self.strips >= LEAST_STRIPS and self.log10_chance < math.log10(CHANCE)

    @property
    def contrast(self) -> float:
        """Strength of the phase over the mean of the other seven; 1 where nothing stands out or all is 0."""
        others = [value for phase, value in enumerate(self.strengths) if phase != self.phase]
        mean = float(np.mean(others))
        return self.strengths[self.phase] / mean if mean > 0 else 1.0


class BlockGrid(NamedTuple):
    """The grid across (boundaries between columns) and down (between rows)."""

    across: Axis
    down: Axis


def block_grid(pixels: Pixels) -> BlockGrid:
    """Measure the grid of a whole picture, in bands: takes a few megabytes beside the picture.

    Args:
        pixels: uint8 [H, W, 3], sRGB, at native resolution.
    """
    height, width = pixels.shape[:2]
    columns = np.zeros(max(width - 3, 0))
    rows = np.zeros(max(height - 3, 0))
    for start in range(0, height, _BAND):
        luma = pixels[start : start + _BAND + 3] @ _LUMA  # three rows more, for the last boundaries
        if width > 3:
            columns += _slope_steps(luma[:_BAND], 1).sum(0, dtype=np.float64)
        if len(luma) > 3:
            found = _slope_steps(luma, 0).mean(1, dtype=np.float64)
            rows[start : start + len(found)] = found
    return BlockGrid(axis_grid(columns / height), axis_grid(rows))


def axis_grid(steps: Values) -> Axis:
    """The grid along an axis.

    Args:
        steps: mean difference of slope at the boundaries before pixels 2, 3, ..., length - 2.
    """
    phases = (np.arange(len(steps)) + 2) % BLOCK
    strengths = tuple(
        float(steps[phases == phase].mean()) if (phases == phase).any() else math.nan
        for phase in range(BLOCK)
    )
    votes = np.zeros(BLOCK, int)
    for start in range(0, len(steps) - BLOCK + 1, _STRIDE):
        strip = steps[start : start + BLOCK]
        if strip.max() > strip.min():  # a strip in which nothing stands out has no vote
            votes[phases[start + int(strip.argmax())]] += 1
    strips, phase = int(votes.sum()), int(votes.argmax())
    chance = min(0.0, math.log10(2 * BLOCK) + _log10_tail(int(votes[phase]), strips))
    return Axis(strengths, tuple(int(count) for count in votes), strips, phase, chance)


def _slope_steps(luma: npt.NDArray[np.float32], axis: int) -> npt.NDArray[np.float32]:
    """|slope across a boundary - mean of the slopes on both sides|; three fewer along the axis.

    With four pixels a b | c d that is |(c - b) - ((b - a) + (d - c)) / 2| = |a - 3 b + 3 c - d| / 2.
    """
    steps: npt.NDArray[np.float32] = np.abs(np.diff(luma, 3, axis)) / np.float32(2)
    return steps


def _log10_tail(votes: int, strips: int) -> float:
    """log10 of the probability that at least so many of the strips vote for one given phase by chance."""
    terms = [
        math.lgamma(strips + 1)
        - math.lgamma(count + 1)
        - math.lgamma(strips - count + 1)
        + count * math.log(1 / BLOCK)
        + (strips - count) * math.log(1 - 1 / BLOCK)
        for count in range(votes, strips + 1)
    ]
    top = max(terms)
    return (top + math.log(math.fsum(math.exp(term - top) for term in terms))) / math.log(10)
