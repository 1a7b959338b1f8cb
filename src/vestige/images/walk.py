"""From what a user names to files: folders (recursive, sorted) and glob patterns."""

import glob
import os
from collections.abc import Iterator


def expand(argument: str, unlisted: list[str]) -> Iterator[tuple[str, bool]]:
    """Files that an argument means.

    Args:
        argument: a file, a folder or a glob pattern. What does not exist comes back as it is.
        unlisted: folders inside whose files the system does not tell are added here.

    Yields:
        The file, and whether it was found in a folder rather than named or matched.
    """
    if os.path.isdir(argument):
        yield from _found(argument, unlisted)
    elif not os.path.lexists(argument) and glob.has_magic(argument):
        matches = sorted(glob.glob(argument, recursive=True))
        for match in matches or [argument]:
            if os.path.isdir(match):
                yield from _found(match, unlisted)
            else:
                yield match, False
    else:
        yield argument, False


def _found(folder: str, unlisted: list[str]) -> Iterator[tuple[str, bool]]:
    def note(error: OSError) -> None:
        unlisted.append(str(error.filename))

    for parent, folders, files in os.walk(folder, onerror=note):
        folders.sort()
        for name in sorted(files):
            yield os.path.join(parent, name), True
