"""The EXIF block: a bounded reader of the few TIFF tags that say something of a picture's making."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from vestige.provenance.text import decode

MAX_ENTRIES = 512
"""Directory entries looked at; real files have fewer than a hundred."""
MAX_VALUE_BYTES = 2_000_000
"""Bytes read of one value; ComfyUI workflows reach several hundred kilobytes."""

_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 129: 1}
_EXIF_IFD = 0x8769
_GPS_IFD = 0x8825
_GPS_LATITUDE = 2
_GPS_LONGITUDE = 4
_USER_COMMENT = 0x9286

TEXT_TAGS = {
    "DocumentName": 0x010D,
    "ImageDescription": 0x010E,
    "Make": 0x010F,
    "Model": 0x0110,
    "Software": 0x0131,
    "DateTime": 0x0132,
    "Artist": 0x013B,
    "Copyright": 0x8298,
    "DateTimeOriginal": 0x9003,
    "OffsetTime": 0x9010,
    "OffsetTimeOriginal": 0x9011,
    "LensMake": 0xA433,
    "LensModel": 0xA434,
}
WINDOWS_TAGS = {"XPTitle": 0x9C9B, "XPComment": 0x9C9C, "XPAuthor": 0x9C9D}
NUMBER_TAGS = {
    "ExposureTime": 0x829A,
    "FNumber": 0x829D,
    "ISO": 0x8827,
    "FocalLength": 0x920A,
    "FileSource": 0xA300,
}


# Only these are read, so that entries which all point at one large value cost little.
_WANTED = frozenset(
    (*TEXT_TAGS.values(), *WINDOWS_TAGS.values(), *NUMBER_TAGS.values(), _USER_COMMENT, _EXIF_IFD, _GPS_IFD)
)
_GPS_WANTED = frozenset((_GPS_LATITUDE, _GPS_LONGITUDE))


class _Entry(NamedTuple):
    kind: int
    data: bytes


@dataclass(frozen=True)
class Exif:
    """What was read of an EXIF block.

    Attributes:
        texts: tag name to text, for `TEXT_TAGS`, `WINDOWS_TAGS` and "UserComment"; never empty strings.
        numbers: tag name to numerator and denominator, for `NUMBER_TAGS`; integers have denominator 1.
        has_position: a latitude and a longitude are there. The coordinates themselves are never read out.
    """

    texts: Mapping[str, str]
    numbers: Mapping[str, tuple[int, int]]
    has_position: bool


def parse_exif(block: bytes) -> Exif:
    """Reads the EXIF block as far as it makes sense; never raises.

    Args:
        block: from the TIFF header on; an "Exif" prefix is tolerated.
    """
    if block.startswith(b"Exif\0\0"):
        block = block[6:]
    order: Literal["<", ">"]
    if block[:4] == b"II*\0":
        order = "<"
    elif block[:4] == b"MM\0*":
        order = ">"
    else:
        return Exif({}, {}, False)
    main = _directory(block, order, _u32(block, 4, order), _WANTED)
    entries = main
    pointer = main.get(_EXIF_IFD)
    if pointer is not None:
        # Some writers put camera tags into the main directory: what stands there wins.
        entries = {**_directory(block, order, _u32(pointer.data, 0, order), _WANTED), **main}
    return Exif(_texts(entries, order), _numbers(entries, order), _has_position(block, order, main))


def _texts(entries: Mapping[int, _Entry], order: Literal["<", ">"]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for name, tag in TEXT_TAGS.items():
        if tag in entries:
            # Copyright separates its two holders by NUL; other tags end with it.
            parts = decode(entries[tag].data).split("\0")
            texts[name] = "; ".join(part.strip() for part in parts if part.strip())
    for name, tag in WINDOWS_TAGS.items():
        if tag in entries:
            texts[name] = entries[tag].data.decode("utf-16-le", "replace").strip("\0 ")
    if _USER_COMMENT in entries:
        texts["UserComment"] = decode_user_comment(entries[_USER_COMMENT].data, order)
    return {name: text for name, text in texts.items() if text.strip()}


def _numbers(entries: Mapping[int, _Entry], order: Literal["<", ">"]) -> dict[str, tuple[int, int]]:
    numbers: dict[str, tuple[int, int]] = {}
    for name, tag in NUMBER_TAGS.items():
        entry = entries.get(tag)
        number = _number(entry, order) if entry else None
        if number is not None:
            numbers[name] = number
    return numbers


def _number(entry: _Entry, order: str) -> tuple[int, int] | None:
    layout = {1: "B", 3: "H", 4: "I", 5: "II", 7: "B", 9: "i", 10: "ii"}.get(entry.kind)
    if layout is None or len(entry.data) < struct.calcsize(order + layout):
        return None
    numbers = struct.unpack_from(order + layout, entry.data)
    return (numbers[0], numbers[1]) if len(numbers) == 2 else (numbers[0], 1)


def _has_position(block: bytes, order: Literal["<", ">"], main: Mapping[int, _Entry]) -> bool:
    pointer = main.get(_GPS_IFD)
    if pointer is None:
        return False
    gps = _directory(block, order, _u32(pointer.data, 0, order), _GPS_WANTED)
    # Cameras without a fix write the directory all the same, filled with zeros (denominators aside).
    return all(tag in gps and any(gps[tag].data[:4]) for tag in (_GPS_LATITUDE, _GPS_LONGITUDE))


def _directory(
    block: bytes, order: Literal["<", ">"], offset: int, wanted: frozenset[int]
) -> dict[int, _Entry]:
    """Wanted entries of one directory by tag; the first of equal tags wins; what does not fit is left out."""
    if offset < 8 or offset + 2 > len(block):
        return {}
    (count,) = struct.unpack_from(order + "H", block, offset)
    entries: dict[int, _Entry] = {}
    for index in range(min(count, MAX_ENTRIES)):
        start = offset + 2 + 12 * index
        if start + 12 > len(block):
            break
        tag, kind, items = struct.unpack_from(order + "HHI", block, start)
        size = _TYPE_BYTES.get(kind, 0) * items
        where = start + 8 if size <= 4 else _u32(block, start + 8, order)
        if tag not in wanted or tag in entries or size == 0 or where >= len(block):
            continue
        # A value that runs past the block is read as far as it goes: cut files keep most of a prompt.
        entries[tag] = _Entry(kind, bytes(block[where : where + min(size, MAX_VALUE_BYTES)]))
    return entries


def _u32(data: bytes, offset: int, order: Literal["<", ">"]) -> int:
    """32-bit number at `offset`, 0 (never a valid directory) if it does not fit."""
    return int.from_bytes(data[offset : offset + 4], "little" if order == "<" else "big")


def decode_user_comment(data: bytes, order: Literal["<", ">"]) -> str:
    """Text of a UserComment: eight bytes that name the encoding, then the text."""
    prefix, body = data[:8], data[8:]
    if prefix.startswith(b"UNICODE"):
        return _utf16(body, order).strip("\0 ")
    if prefix.startswith(b"JIS"):
        try:
            return body.decode("iso2022_jp").strip("\0 ")
        except UnicodeDecodeError:
            return body.decode("shift_jis", "replace").strip("\0 ")
    if prefix.startswith(b"ASCII\0") or prefix == bytes(8):
        return decode(body).strip("\0 ")
    return decode(data).strip("\0 ")


def _utf16(body: bytes, order: Literal["<", ">"]) -> str:
    """Text after "UNICODE": the standard asks for the order of the block, but popular writers always use
    big endian, and some write UTF-8. The reading with more ASCII characters is the right one.
    """
    if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return body.decode("utf-16", "replace")
    start = body[:4000]
    little, big = (_ascii_characters(start, encoding) for encoding in ("utf-16-le", "utf-16-be"))
    if little == big == 0 and start.isascii():
        return decode(body)
    little_endian = little > big if little != big else order == "<"
    return body[: len(body) & ~1].decode("utf-16-le" if little_endian else "utf-16-be", "replace")


def _ascii_characters(data: bytes, encoding: str) -> int:
    return sum(9 <= ord(character) < 127 for character in data.decode(encoding, "replace"))
