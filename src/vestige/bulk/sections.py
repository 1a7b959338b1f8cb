"""What the list of inputs is put together from: sections, each a run of items of one kind."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple, Protocol

from vestige.bulk.chunks import FilePlace, Item, NoPlace
from vestige.errors import ConfigError, DataError, ImageError


class Digest:
    """A hash of texts in order; where one ends and the next begins matters."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, *texts: object) -> None:
        """Take in texts, or what `str` makes of other values."""
        for text in texts:
            # File names may have lone surrogates.
            data = str(text).encode("utf-8", "surrogatepass")
            self._hash.update(len(data).to_bytes(8, "big") + data)

    def hex(self) -> str:
        """Of all that was taken in."""
        return self._hash.hexdigest()


class Section(Protocol):
    """Items that belong together: files, or what one shard, table or list holds.

    Attributes:
        random_access: see `vestige.bulk.sources.Source`.
    """

    random_access: bool

    def count(self) -> int | None:
        """How many items; None if only reading to the end would tell."""

    def describe(self, digest: Digest) -> None:
        """Add what decides the rows: names in order, and for shards their state."""

    def items(self, skip: int = 0) -> Iterator[Item]:
        """The items in order without the first `skip`, of which there are that many."""


class State(NamedTuple):
    """What tells that a shard is not what it was."""

    size: int
    changed: int


class Files:
    """Files of their own; only their names are in memory."""

    random_access = True

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths

    def count(self) -> int:
        """See `Section.count`."""
        return len(self._paths)

    def describe(self, digest: Digest) -> None:
        """See `Section.describe`."""
        for path in self._paths:
            digest.add("file", path)

    def items(self, skip: int = 0) -> Iterator[Item]:
        """See `Section.items`."""
        for path in islice(self._paths, skip, None):
            yield Item(path, FilePlace(path))


def listed_item(source: str, number: int, cell: str | None) -> Item:
    """The item that a row of a list or table names.

    Args:
        source: the list or table; relative paths are taken from its folder.
        number: of the row, from 0; the name of a row without a path is made of it.
        cell: the path, if there is one.
    """
    if cell is None or not cell.strip():
        return Item(f"{source}#{number}", NoPlace(ImageError("not_found", "The row names no file.")))
    if "://" in cell:
        reason = "This is an address on a network; only local files are read."
        return Item(cell, NoPlace(ImageError("not_found", reason)))
    path = os.path.join(os.path.dirname(source), cell)
    return Item(path, FilePlace(path))


def state_of(path: str) -> State:
    """The state of a shard, table or list.

    Raises:
        ConfigError: there is no such file.
        DataError: the system does not tell.
    """
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        # ValueError: a null byte in the name.
        raise ConfigError(f"{path}: there is no such file") from error
    except OSError as error:
        raise unreadable(path, error) from error
    if not os.path.isfile(path):
        raise ConfigError(f"{path}: is not a regular file")
    return State(status.st_size, status.st_mtime_ns)


def must_be_as_before(path: str, state: State) -> None:
    """Refuse a file that has changed: what was counted would not be what is read.

    Raises:
        DataError: it has, or is gone.
    """
    try:
        now = state_of(path)
    except ConfigError as error:
        raise DataError(str(error)) from error
    if now != state:
        raise DataError(f"{path}: was changed while it was being read")


def unreadable(path: str, error: OSError) -> DataError:
    """The error for a shard, table or list that the system refuses to read."""
    return DataError(f"{path}: cannot be read ({error.strerror or error})")
