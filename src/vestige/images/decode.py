"""The way in: path, bytes, Pillow image or array -> `Picture`. Limits first, then pixels."""

import hashlib
import os
import stat
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from vestige.errors import ImageError
from vestige.images import containers, raster, safe
from vestige.images.arrays import from_array
from vestige.images.limits import DEFAULT, Limits
from vestige.images.picture import Picture
from vestige.images.sniff import known, sniff
from vestige.results import Facts

Source: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | Image.Image | npt.NDArray[np.generic]"
)


def decode(source: Source, limits: Limits = DEFAULT) -> Picture:
    """Decode one picture: the first of the file, upright, in 8-bit sRGB, at its own size.

    Args:
        source: a path; the bytes of a file; a Pillow image, which gives exactly the pixels of the file that
            it was opened from; or an array [H, W], [H, W, 1], [H, W, 3] or [H, W, 4] of uint8, uint16, bool
            or floats in [0, 1].
        limits: what the picture may cost.

    Returns:
        The picture; `facts.conversions` tells what was done to reach 8-bit sRGB.

    Raises:
        ImageError: for everything that can be wrong with a picture, with one of `errors.ImageErrorCode`.
        TypeError: if `source` is none of the above.
    """
    if isinstance(source, Image.Image):
        return _from_image(source, limits)
    if isinstance(source, np.ndarray):
        return _from_array(source, limits)
    if isinstance(source, (bytes, bytearray, memoryview)):
        length = source.nbytes if isinstance(source, memoryview) else len(source)
        if length > limits.max_bytes:
            raise too_long(limits)
        return _from_bytes(bytes(source), limits)
    if isinstance(source, (str, os.PathLike)):
        return _from_bytes(read_file(source, limits), limits)
    raise TypeError(f"expected a path, bytes, a Pillow image or a NumPy array, got {type(source).__name__}")


def read_file(path: str | os.PathLike[str], limits: Limits = DEFAULT) -> bytes:
    """The bytes of a regular file; never reads more than `max_bytes` + 1 of them.

    Raises:
        ImageError: `not_found`, `unreadable` or `too_large`.
    """
    try:
        # Opening a pipe or a device can block or have effects: look before opening.
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise ImageError("not_found", "This is a folder and not a file.")
        if not stat.S_ISREG(status.st_mode):
            raise ImageError("not_found", "This is not a regular file.")
        if status.st_size > limits.max_bytes:
            raise too_long(limits)
        with open(path, "rb") as file:
            data = file.read(limits.max_bytes + 1)
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        # ValueError: a null byte in the name.
        raise ImageError("not_found", "There is no such file.") from error
    except PermissionError as error:
        raise ImageError("unreadable", "The file may not be read (permission denied).") from error
    except OSError as error:
        words = os.strerror(error.errno) if error.errno else "unknown reason"
        raise ImageError("unreadable", f"The file cannot be read ({words}).") from error
    if len(data) > limits.max_bytes:
        raise too_long(limits)
    return data


def too_long(limits: Limits) -> ImageError:
    """The error for more bytes than the limits allow."""
    return ImageError("too_large", f"The file is longer than the limit of {limits.max_bytes} bytes.")


def _from_bytes(data: bytes, limits: Limits) -> Picture:
    kind = sniff(data)
    layout = containers.inspect(data, kind)
    raster.check_size(layout.width, layout.height, limits)
    if not layout.complete:
        # Asked here and not left to the decoder: Pillow can be told to accept half a picture, and a program
        # that uses us may have done so.
        raise ImageError("truncated", "The data end before the picture does.")
    decoded = None
    if safe.is_risky(kind, layout, len(data), limits):
        decoded = safe.decode_in_child(data, kind, limits)
    decoded = decoded or raster.from_bytes(data, kind, limits)
    notes = list(decoded.notes)
    if layout.bits > 8 and kind in {"AVIF", "HEIF"}:
        notes.insert(0, f"Reduced from {layout.bits} to 8 bits per channel.")
    return _picture(
        decoded,
        format=kind,
        frames=max(layout.frames, decoded.frames),
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        has_c2pa=layout.has_c2pa,
        conversions=notes,
    )


def _from_image(image: Image.Image, limits: Limits) -> Picture:
    decoded = raster.from_image(image, limits)
    return _picture(
        decoded, format=known(image.format) or "array", frames=decoded.frames, conversions=decoded.notes
    )


def _from_array(array: npt.NDArray[Any], limits: Limits) -> Picture:
    pixels, mode, notes = from_array(array, limits)
    height, width = pixels.shape[:2]
    return Picture(pixels, Facts(format="array", width=width, height=height, mode=mode, conversions=notes))


def _picture(decoded: raster.Raster, **facts: Any) -> Picture:
    height, width = decoded.pixels.shape[:2]
    return Picture(
        decoded.pixels,
        Facts(
            width=width,
            height=height,
            mode=decoded.mode,
            has_exif=decoded.metadata.exif is not None,
            has_xmp=decoded.metadata.xmp is not None,
            has_iptc=decoded.metadata.iptc is not None,
            has_icc=decoded.has_icc,
            jpeg=decoded.jpeg,
            **facts,
        ),
        decoded.metadata,
    )
