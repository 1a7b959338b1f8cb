"""File bytes or a Pillow image -> pixels and what the decoder told about them."""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from vestige.errors import ImageError
from vestige.images import colour, metadata, tiff_tags
from vestige.images.facts import jpeg_facts
from vestige.images.guard import decoding
from vestige.images.limits import Limits
from vestige.images.picture import RawMetadata
from vestige.images.sniff import Format
from vestige.results import JpegFacts

_ORIENTATION, _BITS = 0x0112, 0x0102


@dataclass(frozen=True)
class Raster:
    """Decoded pixels.

    Attributes:
        pixels: uint8 [H, W, 3], sRGB, upright.
        mode: Pillow's name for the colour mode as stored.
        notes: what was done to the pixels, in order.
        frames: pictures in the file as the decoder counts them; 1 where only the container knows.
    """

    pixels: npt.NDArray[np.uint8]
    mode: str
    notes: list[str]
    metadata: RawMetadata
    has_icc: bool
    frames: int
    jpeg: JpegFacts | None


def from_bytes(data: bytes, kind: Format, limits: Limits) -> Raster:
    """Decode the first picture of a file of a known format.

    Raises:
        ImageError: see `vestige.images.guard.decoding`; `too_large` before any pixel is decoded.
    """
    # The plugin is called directly: `Image.open` would try others, apply a global pixel limit and hide the
    # reason of a failure. It gives the same pixels.
    with decoding(), _PLUGINS[kind](BytesIO(data)) as image:
        return _read(image, limits, own=True)


def from_image(image: Image.Image, limits: Limits) -> Raster:
    """The pixels of a Pillow image, which stays as it is apart from being loaded.

    Raises:
        ImageError: see `vestige.images.guard.decoding`; `empty` for an image without pixels.
    """
    with decoding():
        return _read(image, limits, own=False)


def check_size(width: int, height: int, limits: Limits) -> None:
    """Refuse pictures of too many pixels.

    Raises:
        ImageError: `too_large`.
    """
    if width * height > limits.max_pixels:
        raise ImageError(
            "too_large",
            f"The picture has {width} x {height} pixels, more than the limit of {limits.max_pixels}.",
        )


def _read(image: Image.Image, limits: Limits, own: bool) -> Raster:
    check_size(*image.size, limits)
    if 0 in image.size:
        raise ImageError("empty", "The picture has no pixels.")
    mode = image.mode
    notes = _decoder_notes(image)
    bits, turned = 16, 1
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        # Pillow turns TIFF files upright itself while loading, and then forgets the tag.
        turned = image.tag_v2.get(_ORIENTATION, 1)
        bits = max(image.tag_v2.get(_BITS, (16,)))
    image.load()
    check_size(*image.size, limits)
    found = metadata.collect(image)
    if isinstance(turned, int) and 2 <= turned <= 8:
        notes.append(f"Turned upright (EXIF orientation {turned}).")
        orientation = 1
    else:
        orientation = tiff_tags.orientation(metadata.exif_block(image))
    profile = image.info.get("icc_profile")
    pixels = colour.to_srgb(
        image if own else image.copy(),
        profile if isinstance(profile, bytes) and profile else None,
        orientation,
        bits,
        notes,
    )
    return Raster(
        pixels=pixels,
        mode=mode,
        notes=notes,
        metadata=found,
        has_icc=bool(profile),
        frames=_frames(image),
        jpeg=jpeg_facts(image),
    )


def _decoder_notes(image: Image.Image) -> list[str]:
    """What Pillow will do to the values by itself while loading."""
    tiles = getattr(image, "tile", None) or []
    raw = {str(tile[3][0] if isinstance(tile[3], tuple) else tile[3]) for tile in tiles if tile[3]}
    if not image.mode.startswith("I") and any(";16" in name for name in raw):
        return ["Reduced from 16 to 8 bits per channel."]
    return []


def _frames(image: Image.Image) -> int:
    # Elsewhere counting means walking through the file, which `containers` does within a budget.
    if image.format in {"AVIF", "HEIF", "WEBP", "PNG", "MPO"}:
        return int(getattr(image, "n_frames", 1) or 1)
    return 1


def _heif(stream: BytesIO) -> Any:
    try:
        # The class is used without registering it, which would change Pillow for the whole program.
        from pillow_heif.as_plugin import HeifImageFile
    except ImportError:
        raise ImageError(
            "unsupported", "HEIF pictures need an extra package: pip install 'vestige[heif]'."
        ) from None
    return HeifImageFile(stream)


_PLUGINS: dict[Format, Callable[[BytesIO], Any]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
    "HEIF": _heif,
}
