"""How a JPEG was encoded: tables, estimated quality, subsampling."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image

from vestige.results import JpegFacts

# ITU-T T.81, tables K.1 and K.2, in row order.
_LUMA = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
_CHROMA = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
)  # fmt: skip
_TOLERANCE = 0.05  # of the table's sum: neighbouring qualities differ by about two per cent

_RATIOS = {
    (1, 1): "4:4:4",
    (2, 1): "4:2:2",
    (2, 2): "4:2:0",
    (1, 2): "4:4:0",
    (4, 1): "4:1:1",
    (4, 2): "4:1:0",
}


@lru_cache(maxsize=1)
def _scaled_tables() -> npt.NDArray[np.int32]:
    """int32 [100, 2, 64]: luminance and chrominance tables of the IJG library for quality 1 to 100."""
    quality = np.arange(1, 101)
    scale = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    base = np.array([_LUMA, _CHROMA])
    tables: npt.NDArray[np.int32] = (base[None] * scale[:, None, None] + 50).astype(np.int32) // 100
    return np.clip(tables, 1, 255)


@lru_cache(maxsize=256)
def estimate_quality(luma: tuple[int, ...], chroma: tuple[int, ...] | None = None) -> int | None:
    """The IJG quality whose tables come nearest.

    Args:
        luma: 64 integers in row order; this table decides.
        chroma: 64 integers in row order; settles ties between qualities with the same luminance table.

    Returns:
        1-100; None if even the nearest table differs by more than five per cent of the table's sum, as for
        encoders with tables of their own (Photoshop, most cameras).
    """
    if len(luma) != 64 or (chroma is not None and len(chroma) != 64):
        return None
    tables = _scaled_tables()
    distance = np.abs(tables[:, 0] - np.array(luma)).sum(1)
    if distance.min() > _TOLERANCE * sum(luma):
        return None
    nearest = np.flatnonzero(distance == distance.min())
    if chroma is not None and len(nearest) > 1:
        second = np.abs(tables[nearest, 1] - np.array(chroma)).sum(1)
        nearest = nearest[second == second.min()]
    return int(nearest[-1]) + 1


def jpeg_facts(image: Image.Image) -> JpegFacts | None:
    """How a JPEG was encoded, from Pillow's image of it (before or after loading); None for other images."""
    tables = getattr(image, "quantization", None)
    layers = getattr(image, "layer", None)
    if image.format not in {"JPEG", "MPO"} or not tables or not layers:
        return None
    luma = tables.get(layers[0][3])
    chroma = tables.get(layers[1][3]) if len(layers) >= 3 else None
    return JpegFacts(
        quality=estimate_quality(tuple(luma), tuple(chroma) if chroma else None) if luma else None,
        subsampling=_subsampling(layers),
        progressive=bool(image.info.get("progressive")),
        quantisation=[list(table) for table in tables.values()],
    )


def _subsampling(layers: list[tuple[int, int, int, int]]) -> str:
    """Chroma subsampling in the usual notation; the sampling factors themselves where that has no word."""
    if len(layers) < 3:
        return "grey"
    (_, across, down, _), *others = layers[:3]
    chroma = {(other[1], other[2]) for other in others}
    if len(chroma) == 1:
        wide, tall = chroma.pop()
        if wide and tall and not across % wide and not down % tall:
            ratio = (across // wide, down // tall)
            if ratio in _RATIOS:
                return _RATIOS[ratio]
    return ",".join(f"{layer[1]}x{layer[2]}" for layer in layers)
