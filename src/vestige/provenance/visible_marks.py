"""Marks that generators paint into their pictures, where they can be told from the picture."""

import numpy as np
import numpy.typing as npt

from vestige.provenance.wording import claim
from vestige.results import Claim

ORIGIN = "A visible mark"
# DALL-E 2 signed with five squares in the lower right corner: 16 px each at 1024 px, less in smaller copies.
DALLE_COLOURS = np.array(
    [(255, 255, 102), (66, 255, 255), (81, 218, 76), (255, 110, 60), (60, 70, 255)], np.float64
)
DALLE_SIDES = (16, 12, 8, 6, 4)
_NEAR = 36.0  # grey levels by which the middle of a square may be off: chroma of strong JPEG compression
_FLAT = 20.0  # and its standard deviation


def read_marks(pixels: npt.NDArray[np.uint8]) -> list[Claim]:
    """Claims that stand in the pixels themselves, for everybody to see and to paint or cut off.

    Args:
        pixels: uint8 [H, W, 3], sRGB, upright, at native resolution.
    """
    if any(_has_squares(pixels, side) for side in DALLE_SIDES):
        words = (
            "in the lower right corner, five coloured squares, is the one that DALL-E 2 put on its pictures"
        )
        return [claim(ORIGIN, "generator", words, "DALL-E 2 colour squares", "generated")]
    return []


def _has_squares(pixels: npt.NDArray[np.uint8], side: int) -> bool:
    height, width = pixels.shape[:2]
    if height < side or width < 5 * side:
        return False
    bar = pixels[height - side :, width - 5 * side :].astype(np.float64)
    squares = bar.reshape(side, 5, side, 3).swapaxes(0, 1)
    edge = max(1, side // 4)  # what compression and resampling mix with the neighbours
    middles = squares[:, edge:-edge, edge:-edge].reshape(5, -1, 3)
    near = np.abs(middles.mean(1) - DALLE_COLOURS).max() <= _NEAR
    return bool(near and middles.std(1).max() <= _FLAT)
