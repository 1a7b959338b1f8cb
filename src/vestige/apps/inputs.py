"""From what a user names to the pictures that are meant: files, folders, globs, standard input."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from vestige.images.meant import is_meant_as_picture
from vestige.images.walk import expand

STDIN = "-"


@dataclass
class Inputs:
    """Pictures to be scanned, in order, each once.

    Attributes:
        paths: file names; "-" is standard input. Names that do not exist stay in: they become errors.
        left_out: files in folders that are no pictures by content and by name, and folders that may not be
            listed.
    """

    paths: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def collect(arguments: Sequence[str]) -> Inputs:
    """Expand files, folders (recursive, sorted) and glob patterns."""
    found = Inputs()
    seen: set[str] = set()
    for path in _meant(arguments, found.left_out):
        if path not in seen:
            seen.add(path)
            found.paths.append(path)
    return found


def _meant(arguments: Sequence[str], left_out: list[str]) -> Iterator[str]:
    for argument in arguments:
        if argument == STDIN:
            yield argument
            continue
        for path, in_folder in expand(argument, left_out):
            if in_folder and not is_meant_as_picture(path):
                left_out.append(path)
            else:
                yield path
