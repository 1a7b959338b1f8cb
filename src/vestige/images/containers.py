"""The outside of a picture file: size, frames and completeness, read without decoding anything.

Pillow parses headers in Python loops, some of which run for minutes on a file made for it, and allocates a
canvas for WebP as soon as it is opened. So each file is walked here first, within budgets; what is absurd is
refused before a decoder sees it. Damage inside the compressed data is left to the decoder to find.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from vestige.errors import ImageError, ImageErrorCode
from vestige.images import tiff_tags
from vestige.images.sniff import Format

_MAX_SEGMENTS = 50_000  # JPEG segments; the largest honest files (ICC, extended XMP, C2PA) have a few hundred
_MAX_JUNK = 65_536  # bytes between JPEG segments
_MAX_EXIF_SEGMENTS = 100  # Pillow joins them in quadratic time
_MAX_CHUNKS = 200_000  # PNG and WebP chunks, ISO boxes
_MAX_PACKED_CHUNKS = 256  # compressed PNG text and profiles; each may unpack to a megabyte
_MAX_BLOCKS = 1_000_000  # GIF data blocks
_MAX_FRAMES = 10_000  # counting stops here

# None, CCITT, LZW, JPEG, Deflate, PackBits, SGILog, LZMA, Zstandard; not WebP, JPEG 2000 or JPEG XL.
_TIFF_PACKINGS = {1, 2, 3, 4, 5, 6, 7, 8, 32771, 32773, 32946, 34676, 34677, 34925, 50000}
_C2PA_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")


@dataclass(frozen=True)
class Layout:
    """What the container says.

    Attributes:
        width, height: declared pixels as stored; 0 where the container does not say.
        frames: pictures in the file.
        complete: False if the file certainly ends before its picture does.
        has_c2pa: whether a C2PA manifest store is embedded.
        passes: how often the decoder runs over all pixels (scans of a progressive JPEG).
        bits: bits per channel as stored.
        looped: whether Pillow unpacks the data in a Python loop (run lengths of BMP).
    """

    width: int = 0
    height: int = 0
    frames: int = 1
    complete: bool = True
    has_c2pa: bool = False
    passes: int = 1
    bits: int = 8
    looped: bool = False


def inspect(data: bytes, kind: Format) -> Layout:
    """Walk the file's structure.

    Raises:
        ImageError: `truncated` if it ends before its header does, `corrupt` if it is absurd.
    """
    try:
        return _WALKERS[kind](data)
    except (struct.error, IndexError) as error:
        raise ImageError("truncated", "The data end within the picture's header.") from error


# In compressed JPEG data FF is followed by 00 or a restart marker; anything else ends the scan.
_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def _jpeg(data: bytes) -> Layout:
    width = height = frames = scans = exif_segments = junk = segments = 0
    bits = 8
    has_c2pa = complete = False
    at = 2
    while True:
        match = _SCAN_END.search(data, at) if scans else None
        mark = match.start() if match else (-1 if scans else data.find(b"\xff", at))
        if mark < 0 or mark + 2 > len(data):
            break
        junk += 0 if scans else mark - at
        marker = data[mark + 1]
        at = mark + 2
        if marker == 0xD9:
            complete = scans > 0
            break
        if marker in {0x00, 0x01, 0xFF} or 0xD0 <= marker <= 0xD8:
            junk += 2
            at -= marker == 0xFF
        else:
            length = int.from_bytes(data[at : at + 2], "big")
            body = data[at + 2 : at + length]
            if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC} and not scans:
                bits, height, width = struct.unpack_from(">BHH", body)
            elif marker == 0xE1 and body.startswith(b"Exif\0\0"):
                exif_segments += 1
            elif marker == 0xE2 and body.startswith(b"MPF\0") and not scans:
                frames = _mpo_frames(body[4:])
            elif marker == 0xEB and body.startswith(b"JP"):
                has_c2pa = has_c2pa or b"c2pa" in body
            scans += marker == 0xDA
            at += max(length, 2)
        segments += 1
        if segments > _MAX_SEGMENTS or junk > _MAX_JUNK or exif_segments > _MAX_EXIF_SEGMENTS:
            raise ImageError("corrupt", "The JPEG file has more segments than any picture needs.")
    if scans and not complete:
        # A stray byte may have led past the end marker; a file that has none at all is cut for certain.
        complete = data.find(b"\xff\xd9", data.find(b"\xff\xda")) >= 0
    return Layout(width, height, max(frames, 1), complete, has_c2pa, max(scans, 1), bits)


def _mpo_frames(index: bytes) -> int:
    try:
        return tiff_tags.first(index).number(0xB001, 1)
    except ImageError:
        return 1


def _png(data: bytes) -> Layout:
    width, height, bits = struct.unpack_from(">IIB", data, 16)
    if data[12:16] != b"IHDR":
        raise ImageError("corrupt", "The PNG file does not begin with its header chunk.")
    animated = has_c2pa = ended = False
    frames = chunks = packed = 0
    at = 8
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        at += 12 + length
        animated = animated or name == b"acTL"
        frames += name == b"fcTL"
        packed += name in {b"zTXt", b"iTXt", b"iCCP"}
        has_c2pa = has_c2pa or name == b"caBX"
        chunks += 1
        if chunks > _MAX_CHUNKS or packed > _MAX_PACKED_CHUNKS:
            raise ImageError("corrupt", "The PNG file has more chunks than any picture needs.")
        if name == b"IEND":
            ended = True
            break
    return Layout(width, height, max(frames, 1) if animated else 1, ended, has_c2pa, 1, bits)


def _webp(data: bytes) -> Layout:
    end = 8 + int.from_bytes(data[4:8], "little")
    width = height = frames = chunks = 0
    has_c2pa = False
    at = 12
    while at + 8 <= min(end, len(data)):
        name, length = struct.unpack_from("<4sI", data, at)
        body = at + 8
        if name == b"VP8X":
            width = int.from_bytes(data[body + 4 : body + 7], "little") + 1
            height = int.from_bytes(data[body + 7 : body + 10], "little") + 1
        elif name == b"VP8 " and not width:
            width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, body + 6))
        elif name == b"VP8L" and not width:
            (packed,) = struct.unpack_from("<I", data, body + 1)
            width, height = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
        frames += name == b"ANMF"
        has_c2pa = has_c2pa or name == b"C2PA"
        at = body + length + length % 2
        chunks += 1
        if chunks > _MAX_CHUNKS:
            raise ImageError("corrupt", "The WebP file has more chunks than any picture needs.")
    return Layout(width, height, max(frames, 1), end <= len(data) + 1, has_c2pa)


def _tiff(data: bytes) -> Layout:
    page = tiff_tags.first(data)
    width, height = page.number(0x0100), page.number(0x0101)
    if page.number(0x0103, 1) not in _TIFF_PACKINGS:
        # Asked here because libtiff prints to the terminal about those that it was built without.
        raise ImageError("unsupported", "The TIFF file uses a compression that is not supported.")
    tile = page.number(0x0142) * page.number(0x0143)
    if tile > 4 * max(width * height, 2**20):
        raise ImageError("corrupt", "The TIFF file declares tiles that are larger than its picture.")
    starts = page.numbers(0x0111) or page.numbers(0x0144)
    order = page.order
    big = data[2:4] in {b"+\0", b"\0+"}
    seen: set[int] = set()
    link = page.next_offset
    while link and link not in seen and len(seen) < _MAX_FRAMES:
        seen.add(link)
        try:
            link = tiff_tags.read(data, order, link, big).next_offset
        except ImageError:
            seen.discard(link)
            break
    complete = not starts or max(starts) < len(data)
    bits = max(page.numbers(0x0102, at_most=16), default=1)
    return Layout(width, height, 1 + len(seen), complete, tiff_tags.C2PA_STORE in page.tags, 1, bits)


def _bmp(data: bytes) -> Layout:
    (header,) = struct.unpack_from("<I", data, 14)
    if header == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        packing = 0
    else:
        width, height, _, bits, packing = struct.unpack_from("<iiHHI", data, 18)
    width, height = abs(width), abs(height)
    needed = 14 + header + (width * bits + 31) // 32 * 4 * height
    complete = packing not in {0, 3} or needed <= len(data)
    return Layout(width, height, complete=complete, looped=packing in {1, 2})


def _gif(data: bytes) -> Layout:
    width, height = struct.unpack_from("<HH", data, 6)
    at = 13 + _palette_length(data[10])
    frames = blocks = 0
    complete = False
    while at < len(data) and frames < _MAX_FRAMES and blocks < _MAX_BLOCKS:
        mark = data[at]
        if mark == 0x21:
            at += 2
        elif mark == 0x2C and at + 10 <= len(data):
            left, top, wide, tall, flags = struct.unpack_from("<HHHHB", data, at + 1)
            if not frames:  # Pillow lets the first frame enlarge the canvas
                width, height = max(width, left + wide), max(height, top + tall)
            at += 11 + _palette_length(flags)
        else:
            break  # the end, or junk after the last frame
        while at < len(data) and data[at] and blocks < _MAX_BLOCKS:
            at += 1 + data[at]
            blocks += 1
        if mark == 0x2C:
            complete = complete or at < len(data)
            frames += at < len(data)
        at += 1
    if blocks >= _MAX_BLOCKS and not complete:
        raise ImageError("corrupt", "The GIF file has more data blocks than any picture needs.")
    return Layout(width, height, max(frames, 1), complete)


def _palette_length(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Top-level ISO boxes: name, start of the content, end of the box (may lie beyond the file)."""
    at = count = 0
    while at + 8 <= len(data) and count < _MAX_CHUNKS:
        length, name = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, start)
            start += 8
        end = at + length if length else len(data)
        yield name, start, end
        at = max(end, start)
        count += 1


def _iso(data: bytes) -> Layout:
    width = height = 0
    bits = 8
    complete = has_meta = has_pixels = has_c2pa = False
    for name, start, end in _boxes(data):
        if name == b"uuid":
            has_c2pa = has_c2pa or data[start : start + 16] == _C2PA_UUID
        elif name in {b"meta", b"moov"}:
            meta = data[start:end]
            has_meta = True
            has_pixels = has_pixels or b"idat" in meta
            # Properties are taken wherever they stand: the largest size bounds what can be decoded.
            for match in re.finditer(b"ispe", meta):
                size = struct.unpack_from(">II", meta, match.end() + 4)
                width, height = max((width, height), size, key=lambda pair: pair[0] * pair[1])
            for match in re.finditer(b"pixi", meta):
                bits = max(bits, *meta[match.end() + 5 : match.end() + 5 + meta[match.end() + 4]], 0)
        has_pixels = has_pixels or name == b"mdat"
        complete = has_pixels and end <= len(data)
    if not has_meta:
        code: ImageErrorCode = "corrupt" if complete else "truncated"
        raise ImageError(code, "The file holds no description of a picture.")
    return Layout(width, height, 1, complete, has_c2pa, 1, bits)


_WALKERS = {
    "JPEG": _jpeg,
    "PNG": _png,
    "WEBP": _webp,
    "TIFF": _tiff,
    "BMP": _bmp,
    "GIF": _gif,
    "AVIF": _iso,
    "HEIF": _iso,
}
