"""Which files of a folder are meant as pictures."""

import os

from vestige.errors import ImageError
from vestige.images.sniff import sniff

# A file with such a name is meant as a picture even if its content is not one.
ENDINGS = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".tif", ".tiff", ".bmp", ".dib",
     ".gif", ".avif", ".heic", ".heif", ".hif")
)  # fmt: skip
HEAD = 512  # bytes that tell a picture from other files


def is_meant_as_picture(path: str | os.PathLike[str]) -> bool:
    """Whether a file has a picture's name, or begins like a picture.

    Of files without such a name, those that may not be read count as pictures, so that whoever reads them
    names them; what is no regular file (a pipe, a dead link) does not, and is never opened.
    """
    if os.path.splitext(path)[1].lower() in ENDINGS:
        return True
    if not os.path.isfile(path):
        return False
    try:
        with open(path, "rb") as file:
            sniff(file.read(HEAD))
    except ImageError:
        return False
    except OSError:
        return True
    return True
