"""All tags of an EXIF block by name, directory by directory; bounded, and never raises."""

import struct
from collections.abc import Iterator
from typing import Literal

from PIL import ExifTags

from vestige.provenance.exif import decode_user_comment
from vestige.provenance.text import decode
from vestige.provenance.tree_node import Node, binary

MAX_ENTRIES = 512
"""Entries read of one directory."""
MAX_DIRECTORIES = 16
MAX_TEXT_BYTES = 16_000
MAX_NUMBERS = 32
"""Numbers shown of one value."""

_LAYOUTS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I"}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 129: 1}
_TEXT, _BYTES, _UNDEFINED = (2, 129), (1, 6), 7
_FEW_BYTES = 16  # shown as numbers
_RATIONALS = {5: "I", 10: "i"}
_USER_COMMENT = 0x9286
_WINDOWS_TAGS = range(0x9C9B, 0x9CA0)
_PLAIN_UNDEFINED = {0x9000, 0xA000, 0x0002}  # versions: four digits
# Tags that hold the place of another directory.
_BELOW = {
    0x8769: "Exif directory",
    0x8825: "GPS directory",
    0xA005: "Interoperability directory",
    0x014A: "Sub-directory",
}

Order = Literal["<", ">"]


def exif_nodes(block: bytes) -> list[Node]:
    """Directories of an EXIF block with their tags.

    Args:
        block: from the TIFF header on; an "Exif" prefix is tolerated.
    """
    block = block.removeprefix(b"Exif\0\0")
    order: Order
    if block[:4] == b"II*\0":
        order = "<"
    elif block[:4] == b"MM\0*":
        order = ">"
    else:
        return [Node("(unread)", f"no EXIF: it begins with {binary(block)}")]
    seen: set[int] = set()
    found: list[Node] = []
    offset = _u32(block, 4, order)
    while offset and offset not in seen and len(seen) < MAX_DIRECTORIES:
        name = "Main directory" if not found else f"Directory {len(found) + 1} (preview)"
        node, offset = _directory(block, order, offset, name, seen)
        found.append(node)
    return found


def _directory(block: bytes, order: Order, offset: int, name: str, seen: set[int]) -> tuple[Node, int]:
    """A directory as a node, and where the next one lies, 0 if nowhere."""
    seen.add(offset)
    if offset < 8 or offset + 2 > len(block):
        return Node(name, "damaged: it lies outside the block"), 0
    (count,) = struct.unpack_from(order + "H", block, offset)
    shown = min(count, MAX_ENTRIES)
    entries = list(_entries(block, order, offset + 2, shown, name, seen))
    if count > shown:
        entries.append(Node("…", f"{count - shown} more entries left out: too many in one directory"))
    return Node(name, "", tuple(entries)), _u32(block, offset + 2 + 12 * count, order)


def _entries(
    block: bytes, order: Order, start: int, count: int, directory: str, seen: set[int]
) -> Iterator[Node]:
    for index in range(count):
        at = start + 12 * index
        if at + 12 > len(block):
            yield Node("(damaged)", f"the block ends before the last {count - index} entries")
            return
        tag, kind, items = struct.unpack_from(order + "HHI", block, at)
        name = _name(tag, directory)
        if tag in _BELOW and items >= 1:
            below = _u32(block, at + 8, order)  # of several sub-directories the list lies there instead
            if items == 1 and below not in seen and len(seen) < MAX_DIRECTORIES:
                yield _directory(block, order, below, _BELOW[tag], seen)[0]
            else:
                yield Node(name, f"not followed: {items} directories, or one that was shown before")
            continue
        size = _SIZES.get(kind, 0) * items
        where = at + 8 if size <= 4 else _u32(block, at + 8, order)
        if not size or where >= len(block):
            yield Node(name, f"damaged: type {kind}, {items} values that lie outside the block")
            continue
        yield Node(name, _value(tag, kind, items, block[where : where + min(size, MAX_TEXT_BYTES)], order))


def _name(tag: int, directory: str) -> str:
    tables = {"GPS directory": ExifTags.GPSTAGS, "Interoperability directory": _interop()}
    name = tables.get(directory, ExifTags.TAGS).get(tag)
    return name or f"tag 0x{tag:04X}"


def _interop() -> dict[int, str]:
    return {int(tag): tag.name for tag in ExifTags.Interop}


def _value(tag: int, kind: int, items: int, data: bytes, order: Order) -> str:
    """A value as text; `data` is cut to `MAX_TEXT_BYTES`."""
    if tag == _USER_COMMENT:
        return decode_user_comment(data, order)
    if tag in _WINDOWS_TAGS and kind in (1, _UNDEFINED):
        return data.decode("utf-16-le", "replace").strip("\0 ")
    size = _SIZES[kind] * items
    if kind in _TEXT:
        more = f" [cut: {size} bytes in all]" if size > len(data) else ""
        return "; ".join(part.strip() for part in decode(data).split("\0") if part.strip()) + more
    if kind in _BYTES and items > _FEW_BYTES:
        return binary(data, size)
    if kind == _UNDEFINED:
        if tag in _PLAIN_UNDEFINED and data.isascii():
            return data.decode("ascii").strip("\0 ")
        return binary(data, size)
    shown = min(items, MAX_NUMBERS)
    try:
        if kind in _RATIONALS:
            pairs = struct.unpack_from(f"{order}{2 * shown}{_RATIONALS[kind]}", data)
            numbers = [_ratio(*pair) for pair in zip(pairs[::2], pairs[1::2], strict=True)]
        else:
            numbers = [
                f"{number:g}" for number in struct.unpack_from(f"{order}{shown}{_LAYOUTS[kind]}", data)
            ]
    except struct.error:
        return f"damaged: {binary(data, size)}"
    return ", ".join(numbers) + (f", … ({items} values in all)" if items > shown else "")


def _ratio(above: int, below: int) -> str:
    if below == 1:
        return str(above)
    return f"{above}/{below}" + (f" = {above / below:.6g}" if below else "")


def _u32(data: bytes, offset: int, order: Order) -> int:
    """32-bit number at `offset`, 0 if it does not fit."""
    if offset + 4 > len(data):
        return 0
    return int.from_bytes(data[offset : offset + 4], "little" if order == "<" else "big")
