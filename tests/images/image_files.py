"""Small image files made in memory, good and hostile ones."""

import struct
import zlib
from io import BytesIO

import numpy as np
from PIL import ExifTags, Image


def photo(width: int = 48, height: int = 32) -> np.ndarray:
    """uint8 [H, W, 3]: smooth gradients with some noise, different in every corner."""
    y, x = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(7).integers(0, 24, (height, width, 3))
    base = np.stack([x * 200 // width, y * 200 // height, (x + y) * 100 // (width + height)], -1)
    return (base + noise).astype(np.uint8)


def saved(image: Image.Image | np.ndarray, kind: str, **options: object) -> bytes:
    out = BytesIO()
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    image.save(out, kind, **options)
    return out.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(
    width: int,
    height: int,
    rows: bytes,
    bits: int = 8,
    colour: int = 2,
    before: bytes = b"",
    after: bytes = b"",
) -> bytes:
    """A PNG of raw rows, each beginning with its filter byte; chunks before and after the pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    body = header + before + chunk(b"IDAT", zlib.compress(rows)) + after + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def exif_block(orientation: int) -> bytes:
    """A little-endian EXIF block that holds one tag."""
    return b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 0x0112, 3, 1, orientation) + b"\0\0\0\0"


def exif_tags(**tags: object) -> Image.Exif:
    """EXIF to save with a picture; tags by their names in `PIL.ExifTags.Base`."""
    exif = Image.Exif()
    for name, value in tags.items():
        exif[ExifTags.Base[name]] = value
    return exif


def matrix_profile(red: tuple, green: tuple, blue: tuple, gamma: float) -> bytes:
    """An ICC v2 display profile: colorant XYZ (relative to D50) and one gamma for all channels."""

    def number(value: float) -> bytes:
        return struct.pack(">i", round(value * 65536))

    def xyz(values: tuple) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(number(value) for value in values)

    name = b"Test colours"
    text = b"desc\0\0\0\0" + struct.pack(">I", len(name) + 1) + name + b"\0" + b"\0" * 78
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    bodies = {b"desc": text, b"wtpt": xyz((0.9642, 1.0, 0.8249)), b"cprt": b"text\0\0\0\0none\0"}
    bodies |= {b"rXYZ": xyz(red), b"gXYZ": xyz(green), b"bXYZ": xyz(blue)}
    bodies |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    offset = 128 + 4 + 12 * len(bodies)
    table, data = struct.pack(">I", len(bodies)), b""
    for tag, body in bodies.items():
        table += tag + struct.pack(">II", offset + len(data), len(body))
        data += body + b"\0" * (-len(body) % 4)
    header = struct.pack(">I4sI4s4s4s", offset + len(data), b"lcms", 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    header += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + b"\0" * 28
    header += number(0.9642) + number(1.0) + number(0.8249)
    return header.ljust(128, b"\0") + table + data


def slow_jpeg(side: int, scans: int) -> bytes:
    """A progressive JPEG whose last scan is repeated: tiny, and slow in proportion to side**2 * scans."""
    data = saved(Image.new("RGB", (side, side), (9, 9, 9)), "JPEG", progressive=True)
    last = data[data.rfind(b"\xff\xc4") : -2]
    return data[:-2] + last * scans + b"\xff\xd9"
