"""NumPy arrays -> pixels."""

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from vestige.errors import ImageError
from vestige.images.limits import Limits
from vestige.images.raster import check_size

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def from_array(array: npt.NDArray[Any], limits: Limits) -> tuple[npt.NDArray[np.uint8], str, list[str]]:
    """Pixels, Pillow's name for the kind of array, and what was done.

    Args:
        array: [H, W], [H, W, 1], [H, W, 3] or [H, W, 4], sRGB; uint8, uint16, bool, or floats in [0, 1].
        limits: only `max_pixels` matters.

    Returns:
        uint8 [H, W, 3] (a copy), mode, sentences.

    Raises:
        ImageError: `unsupported` for another shape, type or range, `corrupt` for values that are not numbers,
            `empty`, `too_large`.
    """
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in {2, 3} or channels not in _MODES:
        hint = "; move the channels last" if array.ndim == 3 and array.shape[0] in _MODES else ""
        raise ImageError(
            "unsupported",
            f"Arrays must have the shape [H, W], [H, W, 1], [H, W, 3] or [H, W, 4], got {array.shape}{hint}.",
        )
    if array.size == 0:
        raise ImageError("empty", "The array has no pixels.")
    check_size(array.shape[1], array.shape[0], limits)
    notes: list[str] = []
    values = _bytes(array, notes)
    mode = _MODES[channels] if array.dtype == np.uint8 else f"{_MODES[channels]};{array.dtype.name}"
    if channels == 4:
        alpha = values[:, :, 3]
        if not (alpha == 255).all():
            notes.append("Transparent areas laid over white.")
            return _over_white(values[:, :, :3], alpha), mode, notes
        values = values[:, :, :3]
    pixels = np.empty((*array.shape[:2], 3), np.uint8)
    pixels[:] = values if values.ndim == 3 else values[:, :, None]
    return pixels, mode, notes


def _bytes(array: npt.NDArray[Any], notes: list[str]) -> npt.NDArray[np.uint8]:
    values: npt.NDArray[np.uint8]
    if array.dtype == np.uint8:
        values = array
        return values
    if array.dtype == np.bool_:
        values = np.where(array, np.uint8(255), np.uint8(0))
        return values
    if array.dtype == np.uint16:
        notes.append("Reduced from 16 to 8 bits per channel.")
        values = (array >> 8).astype(np.uint8)
        return values
    if array.dtype.kind != "f":
        raise ImageError(
            "unsupported", f"Arrays must hold uint8, uint16, bool or floats in [0, 1], got {array.dtype}."
        )
    low, high = float(array.min()), float(array.max())
    if not np.isfinite(low) or not np.isfinite(high):
        raise ImageError("corrupt", "The array holds values that are not numbers (NaN or infinite).")
    if low < 0 or high > 1:
        raise ImageError(
            "unsupported",
            f"Floats must lie in [0, 1], got {low:.4g} to {high:.4g}; divide by the white level first.",
        )
    notes.append("Scaled from floats in [0, 1] to 0 to 255.")
    values = np.rint(array * np.float32(255)).astype(np.uint8)
    return values


def _over_white(colour: npt.NDArray[np.uint8], alpha: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    # By Pillow, so that an array and an image of the same values give the same pixels.
    height, width = alpha.shape
    white = Image.new("RGB", (width, height), (255, 255, 255))
    mask = Image.fromarray(np.ascontiguousarray(alpha))
    white.paste(Image.fromarray(np.ascontiguousarray(colour)), mask=mask)
    return np.array(white)
