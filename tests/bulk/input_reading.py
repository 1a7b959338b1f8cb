"""What items of a source hold, as the code that scores them would find it."""

import io
import pickle
import tarfile
from collections.abc import Iterable
from pathlib import Path

from vestige.bulk.chunks import Item
from vestige.bulk.inputs import open_source
from vestige.bulk.sources import Source
from vestige.errors import DataError, ImageError
from vestige.images.limits import DEFAULT, Limits

JPEG = b"\xff\xd8\xff\xe0 begins like a picture: "
PNG = b"\x89PNG\r\n\x1a\n begins like a picture: "


def content(item: Item, limits: Limits = DEFAULT) -> bytes | str:
    """The bytes of an item as another process would read them, or the code of the error."""
    try:
        return pickle.loads(pickle.dumps(item)).place.read(limits)
    except ImageError as error:
        # Reasons are sentences.
        return error.code if error.reason.endswith(".") else error.reason


def contents(source: Source, skip: int = 0) -> list[tuple[str, bytes | str]]:
    return [(item.name, content(item)) for item in source.items(skip)]


def contents_until_told(path: Path) -> tuple[list[tuple[str, bytes | str]], str]:
    """What an archive gives, and the sentence with which it ends if it is damaged."""
    found = []
    try:
        for item in open_source([str(path)]).items():
            found.append((item.name, content(item)))
    except DataError as error:
        return found, str(error)
    return found, ""


def names(source: Source) -> list[str]:
    return [item.name for item in source.items()]


def write_tar(
    path: Path, files: Iterable[tuple[str, bytes]], mode: str = "w", kind: int = tarfile.GNU_FORMAT
) -> Path:
    with tarfile.open(path, mode, format=kind) as tar:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path
