"""Colour profile and C2PA manifest store as they lie in a file: bytes cut out of their containers.

Decoding reports only that they are there. The file has been decoded before, so its structure is sound enough
to walk; whatever is not as it should be gives nothing.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from vestige.errors import ImageError
from vestige.images import tiff_tags
from vestige.images.tiff_tags import C2PA_STORE

MAX_BLOCK = 16 * 2**20
"""Bytes kept of a block."""
MAX_PIECES = 10_000
"""Segments or chunks looked at."""

_ICC_MARK = b"ICC_PROFILE\0"
_ICC_TAG = 34675
_C2PA_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}


@dataclass(frozen=True)
class Embedded:
    """Blocks that `RawMetadata` has not.

    Attributes:
        icc: the ICC profile.
        c2pa: the JUMBF boxes of a C2PA manifest store.
    """

    icc: bytes | None = None
    c2pa: bytes | None = None


def read_embedded(data: bytes, kind: str) -> Embedded:
    """Both blocks of a file, as far as they are there; never raises.

    Args:
        data: the whole file.
        kind: its format, as in `Facts.format`; formats that hold neither give nothing.
    """
    reader = {
        "JPEG": _jpeg,
        "PNG": _png,
        "WEBP": _webp,
        "TIFF": _tiff,
        "AVIF": _iso,
        "HEIF": _iso,
    }.get(kind)
    if reader is None:
        return Embedded()
    try:
        icc, c2pa = reader(data)
    except (struct.error, IndexError, zlib.error, ImageError):
        return Embedded()
    return Embedded(icc[:MAX_BLOCK] or None, c2pa[:MAX_BLOCK] or None)


def _jpeg(data: bytes) -> tuple[bytes, bytes]:
    profile: dict[int, bytes] = {}
    boxes: dict[int, list[tuple[int, bytes]]] = {}
    for marker, body in _segments(data):
        if marker == 0xE2 and body.startswith(_ICC_MARK) and len(body) > 14:
            profile.setdefault(body[12], body[14:])
        elif marker == 0xEB and body.startswith(b"JP") and len(body) >= 16:
            instance, number = struct.unpack_from(">HI", body, 2)
            boxes.setdefault(instance, []).append((number, body[8:]))
    store = b""
    for pieces in boxes.values():
        whole = b"".join(_continued(piece, bool(index)) for index, (_, piece) in enumerate(sorted(pieces)))
        if b"c2pa" in whole[:200]:
            store += whole
    return b"".join(profile[number] for number in sorted(profile)), store


def _continued(piece: bytes, further: bool) -> bytes:
    """A piece of a box that is split over segments, each of which repeats the head of the box."""
    head = 16 if piece[:4] == b"\0\0\0\1" else 8
    return piece[head:] if further else piece


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and body of the segments before the compressed data."""
    at = 2
    for _ in range(MAX_PIECES):
        at = data.find(b"\xff", at)
        if at < 0 or at + 4 > len(data) or data[at + 1] == 0xDA:
            return
        marker = data[at + 1]
        if marker in (0x00, 0xFF) or marker in _WITHOUT_LENGTH:
            at += 1 if marker == 0xFF else 2
            continue
        length = max(int.from_bytes(data[at + 2 : at + 4], "big"), 2)
        yield marker, data[at + 4 : at + 2 + length]
        at += 2 + length


def _png(data: bytes) -> tuple[bytes, bytes]:
    profile = store = b""
    at = 8
    for _ in range(MAX_PIECES):
        if at + 8 > len(data):
            break
        length, name = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        if name == b"iCCP" and not profile:
            packed = body[body.index(b"\0") + 2 :] if b"\0" in body else b""
            profile = zlib.decompressobj().decompress(packed, MAX_BLOCK)
        elif name == b"caBX" and not store:
            store = body
        at += 12 + length
    return profile, store


def _webp(data: bytes) -> tuple[bytes, bytes]:
    found = {b"ICCP": b"", b"C2PA": b""}
    at = 12
    for _ in range(MAX_PIECES):
        if at + 8 > len(data):
            break
        name, length = struct.unpack_from("<4sI", data, at)
        if name in found and not found[name]:
            found[name] = data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
    return found[b"ICCP"], found[b"C2PA"]


def _tiff(data: bytes) -> tuple[bytes, bytes]:
    tags = tiff_tags.first(data).tags

    def block(tag: int) -> bytes:
        _, count, offset = tags.get(tag, (0, 0, 0))
        return data[offset : offset + min(count, MAX_BLOCK)]

    return block(_ICC_TAG), block(C2PA_STORE)


def _iso(data: bytes) -> tuple[bytes, bytes]:
    profile = store = b""
    head = data[: 4 * 2**20]  # descriptions stand before the pixels
    match = re.search(b"colr(?:prof|rICC)", head)
    if match and match.start() >= 4:
        length = int.from_bytes(head[match.start() - 4 : match.start()], "big")
        profile = data[match.end() : match.start() - 4 + length]
    at = data.find(_C2PA_UUID)
    if at >= 8:
        end = at - 8 + int.from_bytes(data[at - 8 : at - 4], "big")
        box = data[at:end]
        # Between identifier and store stand version, purpose and an offset, of varying length.
        start = box.find(b"jumb")
        store = box[start - 4 :] if start >= 4 else b""
    return profile, store
