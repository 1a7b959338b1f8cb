"""From what a user names to the pictures that are meant: files, folders, globs, standard input."""

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vestige.errors import ImageError
from vestige.images.sniff import sniff

STDIN = "-"
HEAD = 512  # bytes that tell a picture from other files

# Inside a folder, a file with such a name is meant as a picture even if its content is not one.
PICTURE_NAMES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".mpo",
        ".png",
        ".apng",
        ".webp",
        ".tif",
        ".tiff",
        ".bmp",
        ".dib",
        ".gif",
        ".avif",
        ".heic",
        ".heif",
        ".hif",
    ]
)


@dataclass
class Inputs:
    """Pictures to be scanned, in order, each once.

    Attributes:
        paths: file names; "-" is standard input. Names that do not exist stay in: they become errors.
        left_out: files in folders that are no pictures by content and by name.
    """

    paths: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def collect(arguments: Sequence[str]) -> Inputs:
    """Expand files, folders (recursive, sorted) and glob patterns."""
    found = Inputs()
    seen: set[str] = set()
    for path in _expand(arguments, found.left_out):
        if path not in seen:
            seen.add(path)
            found.paths.append(path)
    return found


def _expand(arguments: Sequence[str], left_out: list[str]) -> Iterator[str]:
    for argument in arguments:
        if argument == STDIN:
            yield argument
        elif os.path.isdir(argument):
            yield from _walk(argument, left_out)
        elif not os.path.lexists(argument) and glob.has_magic(argument):
            matches = sorted(glob.glob(argument, recursive=True))
            for match in matches or [argument]:
                yield from _walk(match, left_out) if os.path.isdir(match) else [match]
        else:
            yield argument


def _walk(folder: str, left_out: list[str]) -> Iterator[str]:
    for parent, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            path = os.path.join(parent, name)
            if _is_picture(path):
                yield path
            else:
                left_out.append(path)


def _is_picture(path: str) -> bool:
    if Path(path).suffix.lower() in PICTURE_NAMES:
        return True
    try:
        with open(path, "rb") as file:
            sniff(file.read(HEAD))
    except ImageError:
        return False
    except OSError:
        return True  # unreadable: the scan says so, by name
    return True
