"""MANIFEST[:SPLIT], as options of several commands name pictures."""

from pathlib import Path


def manifest_and_split(text: str) -> tuple[str, str | None]:
    """What stands before the last colon, and the split behind it; None: all rows.

    A path that exists is taken as a whole, and the colon of a Windows drive is no separator.

    Returns:
        The path as it was given, "" if there is none; the caller says then what its option takes.
    """
    path, colon, split = text.rpartition(":")
    drive = len(path) == 1 and path.isalpha() and split.startswith(("\\", "/"))
    if not colon or drive or (text and Path(text).exists()):
        return text, None
    return path, split or None
