"""A signature and its spectrum as pictures, each on a scale that is the same for all pictures."""

import base64
import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from vestige.reports.signature import GAIN

BELOW, ABOVE = 20.0, 30.0  # dB about the median of a spectrum that are shown
CELLS = 240  # along the longer side of the map of strength
_BAND = 256  # rows that are drawn at once

Pixels = npt.NDArray[np.uint8]
# From black over purple and orange to pale yellow: even in brightness, and told apart by all common kinds of
# colour blindness.
_RAMP = ((0, 0, 4), (59, 15, 112), (140, 41, 129), (222, 73, 104), (254, 159, 109), (252, 253, 191))


def amplified(residual: npt.NDArray[np.float32]) -> tuple[Pixels, float]:
    """The signature about a middle grey, `GAIN` times as strong.

    Args:
        residual: float32 [H, W, 3], in units of pictures in [-1, 1].

    Returns:
        uint8 [H, W, 3], and the share of values that are stronger than can be shown.
    """
    drawn = np.empty(residual.shape, np.uint8)
    clipped = 0
    for start in range(0, len(residual), _BAND):  # a large picture's floats would not fit twice
        values = residual[start : start + _BAND] * (127.5 * GAIN) + 127.5
        clipped += int(((values < 0) | (values > 255)).sum())
        drawn[start : start + _BAND] = np.clip(values, 0, 255).round()
    return drawn, clipped / residual.size


def strength(residual: npt.NDArray[np.float32]) -> tuple[Pixels, float]:
    """Where the signature is strong: its root mean square in the cells of a grid.

    Returns:
        uint8 [h, w, 3] with at most 240 cells along the longer side, black nothing, pale the strongest
        hundredth of the cells; and what pale means, in grey levels.
    """
    height, width = residual.shape[:2]
    cell = -(-max(height, width) // CELLS)
    rows, columns = np.arange(0, height, cell), np.arange(0, width, cell)
    squares = np.empty((len(rows), len(columns)))
    for number, start in enumerate(rows):
        along = np.square(residual[start : start + cell], dtype=np.float64).mean((0, 2))
        squares[number] = np.add.reduceat(along, columns) / np.diff([*columns, width])
    levels = np.sqrt(squares) * 127.5
    top = float(np.quantile(levels, 0.99))
    return coloured(levels / max(top, 1e-9)), top


def spectrum_picture(decibel: npt.NDArray[np.float64]) -> Pixels:
    """A spectrum as uint8 [512, 512, 3]: black 20 dB below its median, pale yellow 30 dB above."""
    shown = coloured((decibel - np.median(decibel) + BELOW) / (BELOW + ABOVE))
    larger: Pixels = shown.repeat(2, 0).repeat(2, 1)
    return larger


def coloured(values: npt.NDArray[np.float64]) -> Pixels:
    """Values in [0, 1], clipped to it, on a ramp from black to pale yellow: uint8 [..., 3]."""
    places = np.linspace(0, 1, len(_RAMP))
    channels = [np.interp(values, places, [colour[channel] for colour in _RAMP]) for channel in range(3)]
    drawn: Pixels = np.stack(channels, -1).round().astype(np.uint8)
    return drawn


def png(pixels: Pixels) -> bytes:
    """The bytes of a PNG file of uint8 [H, W, 3]."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG")
    return buffer.getvalue()


def data_uri(pixels: Pixels) -> str:
    """The picture as a PNG inside a page."""
    return "data:image/png;base64," + base64.b64encode(png(pixels)).decode("ascii")
