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
        matches = sorted(_matches(argument))
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


def _matches(pattern: str) -> set[str]:
    """As `glob.glob(recursive=True)`, but `**` follows no links to folders: such may lead in circles."""
    head, tail = _around_stars(pattern)
    if tail is None:
        return set(glob.glob(pattern))
    found: set[str] = set()
    for base in glob.glob(head) if glob.has_magic(head) else [head]:
        for parent, folders, files in os.walk(base or os.curdir):
            folders[:] = [name for name in folders if not name.startswith(".")]
            own = parent if base else os.path.relpath(parent)
            own = "" if own == os.curdir and not base else own
            if tail:
                found |= _matches(os.path.join(glob.escape(own), tail))
            else:
                found |= {os.path.join(own, name) for name in ["", *files] if not name.startswith(".")}
    return found - {""}


def _around_stars(pattern: str) -> tuple[str, str | None]:
    """What stands before the first component `**` of a pattern, and behind it; None if there is none."""
    parts = pattern.replace(os.altsep or os.sep, os.sep).split(os.sep)
    if "**" not in parts:
        return pattern, None
    at = parts.index("**")
    head = os.sep.join(parts[:at]) or (os.sep if at else "")
    return head, os.sep.join(parts[at + 1 :])
