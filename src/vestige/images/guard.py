"""Around every call into a decoder: one kind of error comes out, and no warning is printed."""

import contextlib
import logging
import threading
import warnings
from collections.abc import Iterator
from typing import Any

from PIL import Image

from vestige.errors import ImageError, ImageErrorCode

# Pillow logs what it then raises; without a handler Python would print it to the user's terminal.
logging.getLogger("PIL.TiffImagePlugin").addHandler(logging.NullHandler())

_lock = threading.Lock()
_users = 0
_entry: Any = None

_EARLY_END = ("truncated", "premature", "not enough", "end of file", "buffer is not large enough")
_FOREIGN = ("unsupported", "cannot handle", "unknown pixel mode", "unknown compression", "not installed")
_TOO_LARGE = ("decompressed data too large", "too much memory used in text", "decompression bomb")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings that Pillow raises, and no others.

    `warnings.catch_warnings` restores the whole filter list and so breaks when two threads overlap. Here one
    entry, for Pillow's modules only, stands in the list while at least one thread decodes.
    """
    global _users, _entry
    with _lock:
        _users += 1
        if _users == 1:
            warnings.filterwarnings("ignore", module=r"PIL\.")
            _entry = warnings.filters[0]
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                # Someone else may have reset the filters meanwhile.
                with contextlib.suppress(ValueError):
                    warnings.filters.remove(_entry)  # type: ignore[attr-defined]


@contextlib.contextmanager
def decoding() -> Iterator[None]:
    """Turn whatever a decoder raises on hostile data into one `ImageError`.

    Raises:
        ImageError: `truncated`, `unsupported`, `too_large` or `corrupt`. KeyboardInterrupt and SystemExit
            pass untouched.
    """
    try:
        with quiet():
            yield
    except ImageError:
        raise
    except Exception as error:  # Pillow leaks a dozen types, from IndexError to zlib.error
        raise typed(error) from error


def typed(error: Exception) -> ImageError:
    """The `ImageError` that says what a decoder's exception means."""
    words = str(error).lower()
    code: ImageErrorCode
    if isinstance(error, MemoryError):
        return ImageError("too_large", "Decoding this picture needs more memory than there is.")
    if isinstance(error, Image.DecompressionBombError):
        return ImageError(
            "too_large", "The picture has more pixels than Pillow's own limit (PIL.Image.MAX_IMAGE_PIXELS)."
        )
    if any(part in words for part in _TOO_LARGE):
        return ImageError("too_large", "A compressed text or colour profile unpacks to more than is allowed.")
    if isinstance(error, EOFError) or any(part in words for part in _EARLY_END):
        code, reason = "truncated", "The data end before the picture does"
    elif any(part in words for part in _FOREIGN):
        code, reason = "unsupported", "The picture uses a variant of its format that is not supported"
    else:
        code, reason = "corrupt", "The picture's data are damaged"
    return ImageError(code, f"{reason}{_detail(error)}.")


def _detail(error: Exception) -> str:
    """The decoder's own words in brackets, if they are fit for print and name no file."""
    words = " ".join(str(error).split()).rstrip(".")
    if not words or len(words) > 100 or not words.isprintable() or any(mark in words for mark in "/\\<>"):
        return ""
    return f" ({words})"
