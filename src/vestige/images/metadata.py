"""Raw metadata blocks, as Pillow found them while opening; none of them is interpreted here."""

import contextlib
import struct
from typing import Any

from PIL import Image, TiffImagePlugin

from vestige.images.picture import RawMetadata

_MAX_TEXT = 2**20  # characters per entry
_MAX_TEXTS = 8 * 2**20  # characters of all entries
_MAX_BLOCK = 16 * 2**20

_IPTC_RESOURCE = 0x0404
_IPTC_TAG = 33723
_EXIF_TAG, _GPS_TAG = 0x8769, 0x8825
# Tags of a TIFF file that describe its pixels or hold other blocks, rather than tell of the picture's making.
_STRUCTURE = {
    *range(254, 260), 262, 263, 264, 265, 266, 273, *range(277, 282), 284, 290, 291, 292, 293, 297, 301, 317,
    *range(318, 323), 323, 324, 325, 330, 338, 339, 340, 341, 347, *range(512, 522), 529, 530, 531, 532,
    700, _IPTC_TAG, 34377, 34675, 37724, _EXIF_TAG, _GPS_TAG, 40965,
}  # fmt: skip


def exif_block(image: Image.Image) -> bytes | None:
    """The EXIF block from its TIFF header on; from ImageMagick's hexadecimal text if that is all there is."""
    block = image.info.get("exif")
    if block is None and isinstance(text := image.info.get("Raw profile type exif"), str):
        with contextlib.suppress(ValueError):
            block = bytes.fromhex("".join(text.split("\n")[3:]))
    if not isinstance(block, bytes) or len(block) > _MAX_BLOCK:
        return None
    return block.removeprefix(b"Exif\0\0") or None


def collect(image: Image.Image) -> RawMetadata:
    """All blocks of a loaded image. Damaged blocks are left out, long texts are cut."""
    is_tiff = isinstance(image, TiffImagePlugin.TiffImageFile)
    return RawMetadata(
        exif=_tiff_exif(image) if is_tiff else exif_block(image),
        xmp=_xmp(image.info.get("xmp")),
        iptc=_iptc(image),
        text=_texts(image),
    )


def _xmp(packet: Any) -> bytes | None:
    if isinstance(packet, str):
        packet = packet.encode()
    if not isinstance(packet, bytes) or len(packet) > _MAX_BLOCK:
        return None
    return packet.rstrip(b"\0") or None


def _iptc(image: Image.Image) -> bytes | None:
    records: Any = None
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        records = image.tag_v2.get(_IPTC_TAG)
        if isinstance(records, tuple) and all(isinstance(value, int) for value in records):
            # Some writers declare the records as 32-bit numbers; their bytes are what counts.
            with contextlib.suppress(struct.error):
                records = struct.pack(f"{image.tag_v2._endian}{len(records)}I", *records)
        if records is None:
            with contextlib.suppress(Exception):
                records = image.get_photoshop_blocks().get(_IPTC_RESOURCE, {}).get("data")
    elif isinstance(resources := image.info.get("photoshop"), dict):
        records = resources.get(_IPTC_RESOURCE)
    return records if isinstance(records, bytes) and 0 < len(records) <= _MAX_BLOCK else None


def _texts(image: Image.Image) -> dict[str, str]:
    found: dict[str, Any] = {}
    if image.format == "PNG":
        # Pillow keeps text chunks, also those behind the pixels, beside entries of its own that are not text.
        found = {str(key): text for key, text in image.info.items() if isinstance(text, str)}
        found.pop("Raw profile type exif", None)
    elif image.format in {"JPEG", "MPO", "GIF"} and "comment" in image.info:
        found = {"comment": image.info["comment"]}
    texts: dict[str, str] = {}
    room = _MAX_TEXTS
    for key, value in found.items():
        text = _decoded(value)[: min(_MAX_TEXT, room)]
        room -= len(text)
        if text:
            texts[key[:1024]] = text
    return texts


def _decoded(value: Any) -> str:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.decode("latin-1")
    return str(value)


def _tiff_exif(image: Image.Image) -> bytes | None:
    """The descriptive tags of a TIFF file as an EXIF block of their own, None if there are none."""
    try:
        found = image.getexif()
        block = Image.Exif()
        for tag, value in found.items():
            if tag not in _STRUCTURE and not (isinstance(value, (bytes, str)) and len(value) > _MAX_TEXT):
                block[tag] = value
        for tag in (_EXIF_TAG, _GPS_TAG):
            if inner := found.get_ifd(tag):
                block.get_ifd(tag).update(inner)
        if not dict(block) and not any(found.get_ifd(tag) for tag in (_EXIF_TAG, _GPS_TAG)):
            return None
        return block.tobytes().removeprefix(b"Exif\0\0")
    except Exception:  # damaged tags end in several types; the picture is readable without them
        return None
