"""Facts of the file as numbers: the input of models that never look at the picture.

Such a model is the control of every benchmark: what it gets right, the files alone give away. The length of
the file is not among them: after equal encoding it still tells busy pictures from smooth ones, which is a
fact of the picture.
"""

import math

import numpy as np
import numpy.typing as npt

from vestige.results import Facts

_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "AVIF", "HEIF")
_CHROMA = ("4:2:0", "4:2:2", "4:4:4")
_UNKNOWN_QUALITY = 0.9  # about that of cameras and editors, which have tables of their own
_GREY_MODES = {"1", "L", "LA", "La", "I", "F"}

# Packages name these in their card: a change of names, order or meaning makes a new list, and older packages
# are then refused.
NAMES: tuple[str, ...] = (
    *(f"format_{name.lower()}" for name in _FORMATS),
    "log_width",
    "log_height",
    "log_aspect_ratio",
    "square",
    "multiples_of_64",
    "jpeg_quality",
    "jpeg_standard_tables",
    *(f"jpeg_{name.replace(':', '')}" for name in _CHROMA),
    "jpeg_other_chroma",
    "jpeg_progressive",
    "mode_grey",
    "mode_palette",
    "mode_alpha",
    "several_frames",
    "has_exif",
    "has_xmp",
    "has_iptc",
    "has_icc",
    "has_c2pa",
)


def vector(facts: Facts) -> npt.NDArray[np.float32]:
    """The facts as numbers, in the order of `NAMES`; always finite, not standardised.

    - `format_*`: 1 for the format of the file, else 0; all 0 for pixels in memory ("array").
    - `log_width`, `log_height`: natural logarithm of pixels; `log_aspect_ratio`: of width / height.
    - `square`, `multiples_of_64` (both sides): 0 or 1.
    - `jpeg_quality`: IJG quality / 100. 1 for what is no JPEG, 0.9 for a JPEG whose tables are not near the
      IJG's; `jpeg_standard_tables` (1 if they are near) tells these two from measured ones.
    - `jpeg_420`, `jpeg_422`, `jpeg_444`, `jpeg_other_chroma`, `jpeg_progressive`: 0 or 1; no chroma flag is
      set for a grey JPEG, and none of them for what is no JPEG.
    - `mode_grey`, `mode_palette`, `mode_alpha`: the colour mode as stored, 0 or 1.
    - `several_frames` and `has_*`: 0 or 1.

    Returns:
        float32 [F], F = len(NAMES).
    """
    width, height = max(facts.width, 1), max(facts.height, 1)
    log_width, log_height = math.log(width), math.log(height)
    mode = facts.mode.split(";")[0]
    values = [
        *(float(facts.format == name) for name in _FORMATS),
        log_width,
        log_height,
        log_width - log_height,
        float(width == height),
        float(width % 64 == 0 and height % 64 == 0),
        *_jpeg(facts),
        float(mode in _GREY_MODES),
        float(mode in {"P", "PA"}),
        float(mode in {"RGBA", "RGBa", "LA", "La", "PA"}),
        float(facts.frames > 1),
        float(facts.has_exif),
        float(facts.has_xmp),
        float(facts.has_iptc),
        float(facts.has_icc),
        float(facts.has_c2pa),
    ]
    return np.array(values, dtype=np.float32)


def _jpeg(facts: Facts) -> list[float]:
    """Quality, standard tables, the chroma flags, progressive."""
    jpeg = facts.jpeg
    if jpeg is None:
        quality = _UNKNOWN_QUALITY if facts.format == "JPEG" else 1.0
        return [quality, 0.0, *(0.0 for _ in _CHROMA), 0.0, 0.0]
    known = jpeg.quality is not None
    quality = min(max(jpeg.quality, 1), 100) / 100 if jpeg.quality is not None else _UNKNOWN_QUALITY
    return [
        quality,
        float(known),
        *(float(jpeg.subsampling == name) for name in _CHROMA),
        float(jpeg.subsampling not in {*_CHROMA, "grey"}),
        float(jpeg.progressive),
    ]
