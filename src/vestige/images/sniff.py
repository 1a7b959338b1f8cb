"""What kind of file this is, by its content and never by its name."""

import re
from typing import Literal, cast

from vestige.errors import ImageError

Format = Literal["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF"]

ACCEPTED = "JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF and HEIF"

_MAGIC: tuple[tuple[bytes, Format], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"BM", "BMP"),
)

_AVIF_BRANDS = {b"avif", b"avis"}
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
_RAW_BRANDS = {b"crx "}

# Kinds that people do hand in by mistake. The first match wins, so longer prefixes stand first.
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", "a PDF document"),
    (b"8BPS", "a Photoshop document (PSD)"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 code stream"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL picture"),
    (b"\xff\x0a", "a JPEG XL code stream"),
    (b"\0\0\1\0", "a Windows icon (ICO)"),
    (b"\0\0\2\0", "a Windows cursor (CUR)"),
    (b"icns", "an Apple icon (ICNS)"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (b"\0\0\1\xba", "an MPEG video"),
    (b"\0\0\1\xb3", "an MPEG video"),
    (b"OggS", "an Ogg recording"),
    (b"ID3", "an MP3 recording"),
    (b"fLaC", "a FLAC recording"),
    (b"DDS ", "a DDS texture"),
    (b"qoif", "a QOI picture"),
    (b"v/1\x01", "an OpenEXR picture"),
    (b"#?RADIANCE", "a Radiance HDR picture"),
    (b"SIMPLE  =", "a FITS picture"),
    (b"\x8aMNG", "an MNG animation"),
    (b"IIRO", "a camera raw file"),
    (b"IIU\0", "a camera raw file"),
    (b"FUJIFILM", "a camera raw file"),
    (b"%!PS", "a PostScript document"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript document"),
    (b"MZ", "a Windows program"),
    (b"\x7fELF", "a program"),
    (b"SQLite format 3", "a database"),
    (b"\x93NUMPY", "a NumPy array file"),
    (b"\x89HDF", "an HDF5 file"),
)


def sniff(data: bytes) -> Format:
    """The format of the file.

    Args:
        data: the whole file, or at least its first 512 bytes.

    Raises:
        ImageError: `empty` for no bytes, `unsupported` for everything outside the allow-list; the reason
            names what the file looks like and what is accepted.
    """
    if not data:
        raise ImageError("empty", "The file is empty (0 bytes).")
    for magic, name in _MAGIC:
        if data.startswith(magic) and (name != "BMP" or _is_bmp(data)):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        brands = _brands(data)
        if brands & _AVIF_BRANDS:
            return "AVIF"
        if brands & _HEIF_BRANDS:
            return "HEIF"
    guess = _guess(data)
    words = f"The file looks like {guess}" if guess else "The file is of a kind that is not known"
    raise ImageError("unsupported", f"{words}; {ACCEPTED} are accepted.")


def known(name: str | None) -> Format | None:
    """The accepted format that Pillow calls `name`, None if it is not one of ours."""
    if name == "MPO":
        return "JPEG"
    if name in {"JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF"}:
        return cast(Format, name)
    return None


def _is_bmp(data: bytes) -> bool:
    # "BM" alone also begins ordinary text: ask for a header size that exists.
    return len(data) < 18 or int.from_bytes(data[14:18], "little") in {12, 16, 40, 52, 56, 64, 108, 124}


def _brands(data: bytes) -> set[bytes]:
    end = min(int.from_bytes(data[:4], "big"), len(data), 512)
    return {data[8:12], *(data[at : at + 4] for at in range(16, end - 3, 4))}


def _guess(data: bytes) -> str:
    """What people would call the file; nothing if that is not known."""
    if data[4:8] == b"ftyp":
        if _brands(data) & _RAW_BRANDS:
            return "a camera raw file"
        return "an MP4 or QuickTime video or sound"
    if data[4:8] in {b"moov", b"mdat", b"wide"}:
        return "a QuickTime video"
    if data[:4] == b"RIFF":
        return {b"AVI ": "an AVI video", b"WAVE": "a WAVE recording"}.get(data[8:12], "a RIFF file")
    for magic, words in _OTHERS:
        if data.startswith(magic):
            return words
    if re.match(rb"P[1-7]\s", data):
        return "a PNM picture (PBM, PGM, PPM)"
    return _guess_text(data[:4096])


def _guess_text(head: bytes) -> str:
    """Words for text of a few known kinds; nothing for what is not text."""
    encoding = "utf-16" if head[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
    try:
        # A character may be cut at the end of the head.
        text = head.decode(encoding, "strict" if len(head) < 4096 else "ignore")
    except UnicodeDecodeError:
        return ""
    if any(ord(letter) < 32 and letter not in "\t\n\r\f" for letter in text):
        return ""
    start = text.lstrip().lower()
    if "<svg" in start:
        return "an SVG drawing"
    if start.startswith(("<!doctype html", "<html")) or "<html" in start:
        return "a web page (HTML)"
    if start.startswith("<?xml"):
        return "an XML document"
    if start.startswith("version https://git-lfs"):
        return "a Git LFS pointer and not the file itself"
    return "plain text"
