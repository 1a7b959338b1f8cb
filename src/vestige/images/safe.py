"""The time limit: what could take long is decoded in a child process that can be killed.

A decoder in C cannot be interrupted from Python, only a process can. Starting one costs a few tenths of a
second, so it is done only for pictures that could take more than a quarter of the limit by a pessimistic
guess: at the default limit AVIF and HEIF from 12 megapixels, WebP from 20, PNG and TIFF from 40, JPEG from 80
or with very many scans, BMP with megabytes of run lengths. Ordinary photographs stay in the process.
"""

import base64
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from vestige.errors import ImageError
from vestige.images.containers import Layout
from vestige.images.limits import Limits
from vestige.images.picture import RawMetadata
from vestige.images.raster import Raster
from vestige.images.sniff import Format
from vestige.results import JpegFacts

# Seconds, about three times what one slow core was seen to need.
_PER_MEGAPIXEL: dict[Format, float] = {
    "JPEG": 0.03, "PNG": 0.06, "BMP": 0.02, "GIF": 0.04, "TIFF": 0.06, "WEBP": 0.12, "AVIF": 0.2, "HEIF": 0.2,
}  # fmt: skip
_PER_SCAN_MEGAPIXEL = 0.006
_PER_MEGABYTE = 0.02
_PER_LOOPED_MEGABYTE = 1.0


def expected_seconds(kind: Format, layout: Layout, length: int) -> float:
    """A pessimistic guess of how long decoding takes."""
    megapixels = layout.width * layout.height / 1e6
    scans = _PER_SCAN_MEGAPIXEL * (layout.passes - 1)
    per_megabyte = _PER_LOOPED_MEGABYTE if layout.looped else _PER_MEGABYTE
    return megapixels * (_PER_MEGAPIXEL[kind] + scans) + length / 1e6 * per_megabyte


def is_risky(kind: Format, layout: Layout, length: int, limits: Limits) -> bool:
    """Whether decoding could come near the time limit and so belongs in a child process."""
    return limits.max_seconds is not None and expected_seconds(kind, layout, length) > limits.max_seconds / 4


def decode_in_child(data: bytes, kind: Format, limits: Limits) -> Raster | None:
    """Decode in a child process, with the same result as `raster.from_bytes`.

    Returns:
        None if no child could be started (frozen program, no processes allowed).

    Raises:
        ImageError: `too_slow` if the child was killed at the limit, `internal` if it died by itself, or
            whatever decoding raised.
    """
    if not sys.executable:
        return None
    # Run from the folder that holds the package: `-m` puts it first on the path, so that the child imports
    # this very package whatever the caller's working folder is. A plain child needs no guarded __main__,
    # works from threads and daemons, and inherits no locks.
    home = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "vestige.images.worker", kind, str(limits.max_pixels)]
    try:
        with _in_memory() as answer:
            done = subprocess.run(
                command,
                input=data,
                stdout=answer,
                stderr=subprocess.DEVNULL,
                cwd=home,
                timeout=limits.max_seconds,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
                check=False,
            )
            answer.seek(0)
            return _unpacked(answer, done.returncode)
    except subprocess.TimeoutExpired:
        raise ImageError(
            "too_slow", f"Decoding the picture took longer than the limit of {limits.max_seconds:g} seconds."
        ) from None
    except OSError:
        return None


def _in_memory() -> IO[bytes]:
    """A file for the child to write to; a picture does not go to the disk if it need not."""
    if sys.platform == "linux":
        return os.fdopen(os.memfd_create("vestige-pixels"), "w+b")
    return tempfile.TemporaryFile()


def pack(raster: Raster | ImageError, out: IO[bytes]) -> None:
    """Write what `decode_in_child` reads: the length of a JSON header, the header, the bare pixels.

    Plain data instead of pickles: the child handles hostile files and is not to be trusted with more.
    """
    if isinstance(raster, ImageError):
        head: dict[str, Any] = {"code": raster.code, "reason": raster.reason}
        pixels = None
    else:
        pixels = raster.pixels
        blocks = {"exif": raster.metadata.exif, "xmp": raster.metadata.xmp, "iptc": raster.metadata.iptc}
        head = {
            "shape": pixels.shape,
            "mode": raster.mode,
            "notes": raster.notes,
            "blocks": {name: base64.b64encode(block).decode() for name, block in blocks.items() if block},
            "text": raster.metadata.text,
            "has_icc": raster.has_icc,
            "frames": raster.frames,
            "jpeg": raster.jpeg.model_dump() if raster.jpeg else None,
        }
    text = json.dumps(head).encode()
    out.write(len(text).to_bytes(8, "big") + text)
    if pixels is not None:
        out.write(np.ascontiguousarray(pixels).data)
    out.flush()


def _unpacked(answer: IO[bytes], returncode: int) -> Raster:
    try:
        if returncode:
            raise ValueError(f"exit status {returncode}")
        head = json.loads(answer.read(int.from_bytes(answer.read(8), "big")))
        if "code" in head:
            raise ImageError(head["code"], head["reason"])
        pixels = np.empty(head["shape"], np.uint8)
        if answer.readinto(pixels) != pixels.size:  # type: ignore[attr-defined]
            raise ValueError("pixels are missing")
        blocks = {name: base64.b64decode(block) for name, block in head["blocks"].items()}
        jpeg = JpegFacts.model_validate(head["jpeg"]) if head["jpeg"] else None
        return Raster(
            pixels=pixels,
            mode=head["mode"],
            notes=head["notes"],
            metadata=RawMetadata(text=head["text"], **blocks),
            has_icc=head["has_icc"],
            frames=head["frames"],
            jpeg=jpeg,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ImageError("internal", "The decoder crashed on this picture.") from error
