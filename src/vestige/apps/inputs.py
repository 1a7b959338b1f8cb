"""From what a user names to the pictures that are meant: files, folders, globs, standard input."""

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from vestige.images.meant import is_meant_as_picture

STDIN = "-"


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
            if is_meant_as_picture(path):
                yield path
            else:
                left_out.append(path)
