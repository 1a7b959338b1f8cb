"""A small reader of TIFF tag directories: the structure of TIFF files and of EXIF blocks.

Pillow reads every tag's data on opening; files exist whose tags all point at the same megabytes. This reader
looks only at the directory and refuses those first.
"""

import struct
from dataclasses import dataclass, field

from vestige.errors import ImageError

ORIENTATION = 0x0112
C2PA_STORE = 0xCD41

# Bytes per value of each type, BYTE to IFD and the three of BigTIFF.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_SIZES |= {16: 8, 17: 8, 18: 8}
_LETTERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q"}
_MAX_TAGS = 4096


@dataclass(frozen=True)
class Directory:
    """One tag directory.

    Attributes:
        tags: tag number to (type, count, offset of the value in the block).
        next_offset: where the next directory starts, 0 if there is none.
    """

    block: bytes
    order: str
    tags: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    next_offset: int = 0

    def numbers(self, tag: int, at_most: int = 2**20) -> tuple[int, ...]:
        """Whole numbers stored under a tag; empty if it is missing, of another type or outside the block."""
        kind, count, offset = self.tags.get(tag, (0, 0, 0))
        letter = _LETTERS.get(kind)
        if letter is None or count > at_most:
            return ()
        try:
            return struct.unpack_from(f"{self.order}{count}{letter}", self.block, offset)
        except (struct.error, OverflowError):
            return ()

    def number(self, tag: int, default: int = 0) -> int:
        """The first whole number stored under a tag."""
        return next(iter(self.numbers(tag)), default)


def first(block: bytes) -> Directory:
    """The first directory of a TIFF file or an EXIF block ("II*\\0" or "MM\\0*" on).

    Raises:
        ImageError: `truncated` if the directory lies outside the block, `corrupt` if it is absurd.
    """
    order = "<" if block[:2] == b"II" else ">"
    if block[2:4] in {b"+\0", b"\0+"}:
        return read(block, order, int.from_bytes(block[8:16], "little" if order == "<" else "big"), big=True)
    return read(block, order, int.from_bytes(block[4:8], "little" if order == "<" else "big"))


def read(block: bytes, order: str, offset: int, big: bool = False) -> Directory:
    """The directory at `offset`; `big` for BigTIFF.

    Raises:
        ImageError: `truncated` or `corrupt`, see `first`.
    """
    try:
        (count,) = struct.unpack_from(order + ("Q" if big else "H"), block, offset)
        if count > _MAX_TAGS:
            raise ImageError("corrupt", f"The picture's tag directory claims {count} tags.")
        start = offset + (8 if big else 2)
        width, form = (20, "HHQ") if big else (12, "HHI")
        tags: dict[int, tuple[int, int, int]] = {}
        outside = 0
        for at in range(start, start + count * width, width):
            tag, kind, number = struct.unpack_from(order + form, block, at)
            length = _SIZES.get(kind, 0) * number
            value = at + (12 if big else 8)
            if length > (8 if big else 4):
                (value,) = struct.unpack_from(order + ("Q" if big else "I"), block, value)
                outside += min(length, max(len(block) - value, 0))
            tags[tag] = (kind, number, value)
        # Tags do not overlap in honest files; some slack for careless writers.
        if outside > 4 * len(block) + 2**16:
            raise ImageError("corrupt", "The picture's tags point at the same data many times over.")
        # EXIF blocks often end without the link to a next directory.
        link = block[start + count * width : start + count * width + (8 if big else 4)]
        return Directory(block, order, tags, int.from_bytes(link, "little" if order == "<" else "big"))
    except (struct.error, OverflowError) as error:
        raise ImageError("truncated", "The data end before the picture's tag directory does.") from error


def orientation(exif: bytes | None) -> int:
    """EXIF orientation 1-8 of an EXIF block; 1 where there is none or it makes no sense."""
    if not exif or exif[:2] not in {b"II", b"MM"}:
        return 1
    try:
        value = first(exif).number(ORIENTATION, 1)
    except ImageError:
        return 1
    return value if 1 <= value <= 8 else 1
