"""Frequency bands of differences: the DCT of square blocks, and colours that are less alike than RGB."""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Colours = Literal["rgb", "opponent"]

# Rows are the axes. Differences of R, G and B are strongly correlated: sampled one by one they would come out
# far too colourful. Along grey and two opponent axes little correlation is left.
_AXES: dict[Colours, tuple[tuple[float, float, float], ...]] = {
    "rgb": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "opponent": ((1, 1, 1), (1, 0, -1), (1, -2, 1)),
}


def colour_matrix(colours: Colours) -> npt.NDArray[np.float64]:
    """Orthonormal float64 [3, 3]; a row for each axis: R, G, B, or grey, red-blue and green-magenta."""
    axes = np.array(_AXES[colours], dtype=np.float64)
    found: npt.NDArray[np.float64] = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    return found


def to_colours(values: Floats, colours: Colours) -> Floats:
    """RGB -> the axes of `colours`; energy is kept.

    Args:
        values: float [..., 3].
    """
    found: Floats = values @ colour_matrix(colours).T.astype(values.dtype)
    return found


def from_colours(values: Floats, colours: Colours) -> Floats:
    """Inverse of `to_colours`."""
    found: Floats = values @ colour_matrix(colours).astype(values.dtype)
    return found


def dct_matrix(block: int) -> npt.NDArray[np.float64]:
    """The orthonormal DCT-II: float64 [block, block], a row for each frequency, the lowest first."""
    frequencies, places = np.arange(block)[:, None], np.arange(block)
    angles = np.pi * frequencies * (places + 0.5) / block
    matrix: npt.NDArray[np.float64] = np.sqrt(2 / block) * np.cos(angles)
    matrix[0] /= np.sqrt(2)
    return matrix


def to_bands(values: Floats, block: int) -> Floats:
    """DCT of blocks, aligned to the upper left corner; energy is kept.

    Args:
        values: float [..., H, W, 3], sides multiples of `block`.
        block: side in pixels; 1 leaves values as they are.

    Returns:
        [..., H/block, W/block, block, block, 3]: vertical frequencies, then horizontal ones.

    Raises:
        ValueError: sides that blocks do not fill.
    """
    *rest, height, width, channels = values.shape
    if height % block or width % block:
        raise ValueError(f"sides must be multiples of {block}, got {height} x {width}")
    matrix = dct_matrix(block).astype(values.dtype)
    cut = values.reshape(*rest, height // block, block, width // block, block, channels)
    return _transform(cut.swapaxes(-4, -3), matrix)


def from_bands(bands: Floats) -> Floats:
    """Inverse of `to_bands`: [..., h, w, block, block, 3] -> [..., h block, w block, 3]."""
    *rest, rows, columns, block, _, channels = bands.shape
    blocks = _transform(bands, dct_matrix(block).T.astype(bands.dtype)).swapaxes(-4, -3)
    found: Floats = blocks.reshape(*rest, rows * block, columns * block, channels)
    return found


def each_band(values: Floats, block: int, colours: Colours) -> Iterator[tuple[tuple[int, int, int], Floats]]:
    """All bands and channels one after the other: what `to_bands` says of `to_colours`, in little memory.

    Args:
        values: float [N, H, W, 3], sides multiples of `block`.

    Yields:
        (vertical frequency, horizontal frequency, channel), and float [N, H/block * W/block].
    """
    matrix, axes = dct_matrix(block), colour_matrix(colours)
    for row in range(block):
        down = _project(values, matrix[row], axis=1)  # [N, H/block, W, 3]
        for column in range(block):
            band = _project(down, matrix[column], axis=2)  # [N, H/block, W/block, 3]
            for channel in range(3):
                found = band @ axes[channel].astype(band.dtype)
                yield (row, column, channel), found.reshape(len(values), -1)


def _transform(blocks: Floats, matrix: Floats) -> Floats:
    """The matrix on both axes of blocks [..., block, block, channels]."""
    *rest, block, _, channels = blocks.shape
    down = matrix @ blocks.reshape(*rest, block, block * channels)
    found: Floats = matrix @ down.reshape(*rest, block, block, channels)
    return found


def _project(values: Floats, weights: Floats, axis: int) -> Floats:
    """Weighted sums of each len(weights) neighbours along an axis of [N, H, W, 3], at least float32."""
    if len(weights) == 1:  # a block of one pixel; no copy
        return values.astype(np.result_type(values, np.float32), copy=False)
    weights = weights.astype(np.result_type(values, np.float32))
    found: Floats | None = None
    for place, weight in enumerate(weights):
        part = values[:, place :: len(weights)] if axis == 1 else values[:, :, place :: len(weights)]
        weighted = np.multiply(part, weight, dtype=weights.dtype)
        found = weighted if found is None else np.add(found, weighted, out=found)
    assert found is not None
    return found
