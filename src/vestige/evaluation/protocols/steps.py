"""The steps that protocols are made of: small pure functions on uint8 [H, W, 3] arrays in sRGB.

Values are computed in sRGB as they are stored, as browsers and platforms do it, not in linear light.
The same input gives the same pixels; encoded bytes also depend on the version of the codec in Pillow.
"""

from io import BytesIO
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from vestige.images import decode

Pixels = npt.NDArray[np.uint8]
Chroma = Literal["4:4:4", "4:2:0"]

LANCZOS = Image.Resampling.LANCZOS
BICUBIC = Image.Resampling.BICUBIC


def shorter_side(pixels: Pixels) -> int:
    """The smaller of height and width, in pixels."""
    height, width = pixels.shape[:2]
    return int(min(height, width))


def longer_side(pixels: Pixels) -> int:
    """The larger of height and width, in pixels."""
    height, width = pixels.shape[:2]
    return int(max(height, width))


def centre_crop(pixels: Pixels, height: int, width: int) -> Pixels:
    """The middle of the picture; an odd remainder leaves one pixel more at the right and bottom.

    Args:
        height, width: of the part that is kept, in pixels; not larger than the picture.

    Returns:
        uint8 [height, width, 3]: native pixels.

    Raises:
        ValueError: the picture is smaller than that.
    """
    found_height, found_width = pixels.shape[:2]
    if not (1 <= height <= found_height and 1 <= width <= found_width):
        raise ValueError(
            f"a crop of {width} x {height} pixels does not fit into {found_width} x {found_height}"
        )
    top, left = (found_height - height) // 2, (found_width - width) // 2
    return pixels[top : top + height, left : left + width]


def centre_square(pixels: Pixels) -> Pixels:
    """The largest square in the middle of the picture: native pixels."""
    side = shorter_side(pixels)
    return centre_crop(pixels, side, side)


def resize(pixels: Pixels, height: int, width: int, resampling: Image.Resampling = LANCZOS) -> Pixels:
    """Resample to a size, antialiased when shrinking; a picture that has this size is not resampled."""
    if pixels.shape[:2] == (height, width):
        return pixels
    # No reducing_gap: it would shrink in two steps with other results.
    return np.asarray(Image.fromarray(pixels).resize((width, height), resampling, reducing_gap=None))


def scale(pixels: Pixels, factor: float, resampling: Image.Resampling = LANCZOS) -> Pixels:
    """Resample both sides by a factor, rounded to whole pixels, at least one."""
    height, width = (max(1, round(side * factor)) for side in pixels.shape[:2])
    return resize(pixels, height, width, resampling)


def blur(pixels: Pixels, sigma: float) -> Pixels:
    """Convolve with a Gaussian sampled to 4 sigma, mirrored at the edges without repeating them.

    Not Pillow's `GaussianBlur`: that is a chain of box blurs, far from a Gaussian at small sigma.

    Args:
        sigma: in pixels, above 0.
    """
    radius = int(np.ceil(4 * sigma))
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    weights /= weights.sum()
    values = pixels.astype(np.float64)
    for axis in (0, 1):
        length = values.shape[axis]
        pad = [(radius, radius) if axis == number else (0, 0) for number in range(3)]
        padded = np.pad(values, pad, mode="reflect")
        values = np.zeros(values.shape)
        for offset, weight in enumerate(weights):
            values += weight * padded.take(range(offset, offset + length), axis)
    return _rounded(values)


def add_noise(pixels: Pixels, deviation: float, seed: int) -> Pixels:
    """Add independent Gaussian noise to every value, then round and clip.

    Args:
        deviation: standard deviation in grey levels of 0-255.
        seed: not negative; the same seed gives the same noise.
    """
    return _rounded(pixels + np.random.default_rng(seed).normal(0, deviation, pixels.shape))


def gamma(pixels: Pixels, exponent: float) -> Pixels:
    """Raise the values, taken as 0-1, to a power, rounded to 8 bits; above 1 the picture gets darker."""
    table = _rounded(255 * (np.arange(256) / 255) ** exponent)
    return table[pixels]


def sharpen(pixels: Pixels, radius: float, percent: int) -> Pixels:
    """Unsharp mask of Pillow: add `percent` of the difference to a blur of `radius` pixels."""
    mask = ImageFilter.UnsharpMask(radius, percent, threshold=0)
    return np.asarray(Image.fromarray(pixels).filter(mask))


def encode_jpeg(pixels: Pixels, quality: int, chroma: Chroma = "4:2:0") -> bytes:
    """A baseline JPEG without metadata, quality 1-95 on the scale of the IJG library."""
    return _encoded(pixels, "JPEG", quality=quality, subsampling=chroma, progressive=False, optimize=False)


def encode_webp(pixels: Pixels, quality: int) -> bytes:
    """A lossy WebP without metadata, quality 0-100, effort 4; sides up to 16383 pixels."""
    return _encoded(pixels, "WEBP", quality=quality, method=4, lossless=False)


def encode_png(pixels: Pixels) -> bytes:
    """A PNG without metadata: lossless."""
    return _encoded(pixels, "PNG", compress_level=1)


def reopened(content: bytes) -> Pixels:
    """The pixels that a reader of these bytes gets."""
    return decode(content).pixels


def _encoded(pixels: Pixels, kind: str, **options: int | str) -> bytes:
    out = BytesIO()
    Image.fromarray(pixels).save(out, kind, **options)
    return out.getvalue()


def _rounded(values: npt.NDArray[np.float64]) -> Pixels:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
