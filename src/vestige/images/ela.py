"""Error level analysis: what one more JPEG compression changes, place by place.

Krawetz (2007), "A picture's worth: digital image analysis and forensics". It shows first of all where edges
and contrast are; different levels on like surfaces can, but need not, come from different histories.
"""

import io
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

QUALITY = 90  # of the recompression, on the scale of the IJG library

Pixels = npt.NDArray[np.uint8]


class Levels(NamedTuple):
    """Numbers about an error level, in grey levels of 0-255, over all channels.

    Attributes:
        mean: of the absolute differences.
        quantile_99: 99 % of them are not above it.
        largest: the largest one.
    """

    mean: float
    quantile_99: float
    largest: int


def error_level(pixels: Pixels, quality: int = QUALITY) -> Pixels:
    """Absolute difference between a picture and its JPEG of the given quality, 4:2:0, standard tables.

    The JPEG is made and read by Pillow. Of a piece of a picture that begins and ends at multiples of 16
    pixels the result is that of the whole, but for single pixels along its edges, where colours are
    interpolated.

    Args:
        pixels: uint8 [H, W, 3], sRGB; up to 65,500 pixels along a side.
        quality: 1-100.

    Returns:
        uint8 [H, W, 3].
    """
    if not 1 <= quality <= 100:
        raise ValueError(f"quality must lie in 1-100, got {quality}")
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    with Image.open(buffer, formats=["JPEG"]) as image:
        again = np.asarray(image.convert("RGB"))
    difference: Pixels = np.maximum(pixels, again) - np.minimum(pixels, again)
    return difference


def levels(difference: Pixels) -> Levels:
    """Numbers about a difference of `error_level`, uint8 [H, W, 3]."""
    counts = np.bincount(difference.ravel(), minlength=256)
    share = np.cumsum(counts) / difference.size
    return Levels(
        mean=float((counts * np.arange(256)).sum() / difference.size),
        quantile_99=float(np.searchsorted(share, 0.99)),
        largest=int(difference.max()),
    )
