"""Pictures inside a page: thumbnails, and heat maps as transparent overlays, both as data URIs."""

import base64
import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from vestige.results import HeatMap

THUMBNAIL_SIDE = 480
_OVERLAY_SIDE = 240
_MAX_CELLS = 512
# Orange and blue stay apart for all common kinds of colour blindness; the page's verdicts use the same two.
_GENERATED = np.array([224, 82, 6], dtype=np.float32)
_REAL = np.array([10, 96, 184], dtype=np.float32)
_QUIET = 0.15  # |2p - 1| below this is drawn fully transparent


def thumbnail(pixels: npt.NDArray[np.uint8], side: int = THUMBNAIL_SIDE) -> tuple[str, int, int]:
    """A JPEG of at most `side` pixels on the long side.

    Args:
        pixels: uint8 [H, W, 3], sRGB.
        side: longest side of the result in pixels.

    Returns:
        Data URI, width and height.
    """
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    picture.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return _data_uri(picture, "JPEG", quality=82, optimize=True), picture.width, picture.height


def overlay(heat_map: HeatMap, width: int, height: int) -> str | None:
    """The heat map as an RGBA PNG to lay over the picture.

    Orange leans to generated, blue to real; the more a place leans, the less transparent it is, and near 50 %
    it is not drawn at all. Cells are interpolated smoothly, so no border in it is a finding.

    Args:
        heat_map: rows of cells over the whole picture.
        width, height: size of the picture under it; only the shape matters.

    Returns:
        Data URI; None if the map is ragged, not finite, or of one cell, and so says nothing of where.
    """
    try:
        cells = np.asarray(heat_map.probabilities, dtype=np.float32)
    except ValueError:
        return None
    if cells.ndim != 2 or cells.size < 2 or max(cells.shape) > 32767 or not np.isfinite(cells).all():
        return None
    scale = _OVERLAY_SIDE / max(width, height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    grid = Image.fromarray(cells)
    grid.thumbnail((_MAX_CELLS, _MAX_CELLS), Image.Resampling.BOX)
    smooth = np.clip(np.asarray(grid.resize(size, Image.Resampling.BICUBIC)), 0.0, 1.0)

    lean = np.abs(2 * smooth - 1)
    alpha = np.clip((lean - _QUIET) / (1 - _QUIET), 0, 1)
    rgba = np.empty((*smooth.shape, 4), dtype=np.uint8)
    rgba[..., :3] = np.where(smooth[..., None] > 0.5, _GENERATED, _REAL)
    # 48 steps cannot be told from 256 by eye and make the PNG several times smaller.
    rgba[..., 3] = np.round(alpha * 48) * (240 / 48)
    return _data_uri(Image.fromarray(rgba), "PNG", optimize=True)


def _data_uri(picture: Image.Image, kind: str, **options: object) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
