"""Lists of paths: text with one path a line, or CSV with a column `path`."""

import csv
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from vestige.bulk.chunks import Item
from vestige.bulk.sections import Digest, listed_item, state_of, unreadable
from vestige.errors import ConfigError, DataError

LIST_ENDINGS = (".txt", ".lst", ".csv")
_COLUMN = "path"


class PathList:
    """The rows of a list, each an input, even if several name the same file. Blank lines are none.

    Raises:
        ConfigError: there is no such file, or a CSV file has no column `path`.
        DataError: it cannot be read.
    """

    random_access = True

    def __init__(self, path: str) -> None:
        self._path = path
        self._is_csv = os.path.splitext(path)[1].lower() == ".csv"
        self._count: int | None = None
        state_of(path)  # a pipe must not be opened
        if self._is_csv:
            next(self._cells(), None)

    def count(self) -> int:
        """See `Section.count`."""
        if self._count is None:
            self._count = sum(1 for _ in self._cells())
        return self._count

    def describe(self, digest: Digest) -> None:
        """See `Section.describe`."""
        for item in self.items():
            digest.add("file", item.name)

    def items(self, skip: int = 0) -> Iterator[Item]:
        """See `Section.items`."""
        for number, cell in islice(enumerate(self._cells()), skip, None):
            yield listed_item(self._path, number, cell)

    def _cells(self) -> Iterator[str | None]:
        return self._csv() if self._is_csv else self._lines()

    def _lines(self) -> Iterator[str]:
        # Only line feeds end lines: names may hold whatever else `str.splitlines` cuts at.
        with self._opened("\n") as lines:
            for line in lines:
                line = line.removesuffix("\n").removesuffix("\r")
                if line.strip():
                    yield line

    def _csv(self) -> Iterator[str | None]:
        with self._opened("") as lines:
            reader = csv.DictReader(lines, strict=True)
            try:
                names = reader.fieldnames or []
                if _COLUMN not in names:
                    raise ConfigError(
                        f"{self._path}: has no column {_COLUMN}, only {', '.join(names) or 'none'}"
                    )
                for row in reader:
                    yield row[_COLUMN]
            except csv.Error as error:
                raise DataError(
                    f"{self._path}, behind line {reader.line_num}: cannot be read as CSV ({error})"
                ) from error

    @contextmanager
    def _opened(self, newline: str) -> Iterator[Iterator[str]]:
        try:
            # Names that are no UTF-8 come through as the system gives them.
            with open(self._path, encoding="utf-8-sig", errors="surrogateescape", newline=newline) as file:
                yield file
        except OSError as error:
            raise unreadable(self._path, error) from error
