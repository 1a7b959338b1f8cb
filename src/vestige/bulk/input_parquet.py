"""Pictures in Parquet tables: their bytes, or paths of their files."""

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from vestige.bulk.chunks import Item
from vestige.bulk.parquet_columns import Table, parquet_modules
from vestige.bulk.sections import Digest, listed_item, must_be_as_before
from vestige.errors import DataError, ImageError
from vestige.images.decode import too_long
from vestige.images.limits import Limits

_NAMES_AT_ONCE = 4096
# A row group of others may hold gigabytes: only so many of its pictures are in memory.
_PICTURES_AT_ONCE = 64
_BUFFER = 2**20  # bytes read at once of a column


@dataclass(frozen=True)
class RowPlace:
    """A cell of a Parquet table.

    Rows are best read in order: each process goes through a row group from front to back, and from its
    beginning again for a row before the last one.

    Attributes:
        path: the file.
        row_group: number of the row group, from 0.
        row: within the row group, from 0.
        column: of binary values; of a struct its field, as "image.bytes".
    """

    path: str
    row_group: int
    row: int
    column: str

    def read(self, limits: Limits) -> bytes:
        """See `Place.read`."""
        with _READER.lock:
            cell = _READER.cell(self)
            if not cell.is_valid:
                raise ImageError("empty", "The cell of the table holds no picture.")
            data = cell.as_buffer()
            if data.size > limits.max_bytes:
                raise too_long(limits)
            return bytes(data.to_pybytes())


class ParquetTable:
    """The rows of a table.

    Args:
        table: what `parquet_columns.look_into` found.

    Raises:
        DataError: when gone through: the table is damaged, or has changed.
    """

    random_access = True

    def __init__(self, table: Table) -> None:
        self._table = table

    def count(self) -> int:
        """See `Section.count`."""
        return sum(self._table.groups)

    def describe(self, digest: Digest) -> None:
        """See `Section.describe`."""
        digest.add("table", self._table.path, *self._table.state, self._table.column)

    def items(self, skip: int = 0) -> Iterator[Item]:
        """See `Section.items`."""
        table = self._table
        must_be_as_before(table.path, table.state)
        first = 0
        for group, rows in enumerate(table.groups):
            if skip < first + rows:
                yield from self._group(group, first, max(skip - first, 0))
            first += rows

    def _group(self, group: int, first: int, skip: int) -> Iterator[Item]:
        """Items of a row group whose first row has the number `first`, without the first `skip`."""
        table = self._table
        if table.holds_paths:
            for row, cell in self._texts(group, [table.column], skip):
                yield listed_item(table.path, first + row, cell)
            return
        columns = [f"{table.struct}.path"] if table.struct else []
        columns += [table.names] if table.names else []
        for row, name in self._texts(group, columns, skip):
            # Names in tables are often not unique, rows are.
            shown = f"{table.path}#{first + row}" + (f"/{name}" if name else "")
            yield Item(shown, RowPlace(table.path, group, row, table.column))

    def _texts(self, group: int, columns: list[str], skip: int) -> Iterator[tuple[int, str | None]]:
        """Row numbers within a group, and the first text that one of the columns has in the row."""
        rows = self._table.groups[group]
        if not columns:
            for row in range(skip, rows):
                yield row, None
            return
        at = 0
        for batch in self._batches(group, columns):
            cells = [_cells(_column(batch, column)) for column in columns]
            for row in range(max(skip - at, 0), batch.num_rows):
                found = (str(one[row]) for one in cells if one[row] is not None)
                yield at + row, next((text for text in found if text), None)
            at += batch.num_rows
        if at != rows:
            raise DataError(f"{self._table.path}: is damaged (row group {group} has {at} of {rows} rows)")

    def _batches(self, group: int, columns: list[str]) -> Iterator[Any]:
        _, parquet = parquet_modules()
        path = self._table.path
        try:
            with parquet.ParquetFile(path) as file:
                yield from file.iter_batches(
                    _NAMES_AT_ONCE, row_groups=[group], columns=columns, use_threads=False
                )
        except Exception as error:  # pyarrow raises about anything on damaged files
            raise DataError(f"{path}: row group {group} cannot be read ({error})") from error


def _cells(column: Any) -> list[Any]:
    """Values of a column; text that is no UTF-8 as names of files are read."""
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        pa, _ = parquet_modules()
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        cells = column.cast(pa.large_binary()).to_pylist()
        return [None if cell is None else os.fsdecode(cell) for cell in cells]


def _column(batch: Any, column: str) -> Any:
    """A column of a batch; with "STRUCT.FIELD" the field of a struct of which nothing else was read."""
    if column in batch.schema.names:
        return batch.column(column)
    return batch.column(column.rpartition(".")[0]).flatten()[0]


class _Reader:
    """The row group that this process reads, as far as it has come."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._group: tuple[str, int, str] | None = None
        self._file: Any = None
        self._forget()

    def _forget(self) -> None:
        self._batches: Iterator[Any] = iter(())
        self._cells: Any = ()
        self._first = 0
        self._broken = ""

    def cell(self, place: RowPlace) -> Any:
        """The scalar in a cell.

        Raises:
            ImageError: it cannot be read.
        """
        group = (place.path, place.row_group, place.column)
        if group != self._group or place.row < self._first:
            self._open(*group)
        while place.row >= self._first + len(self._cells):
            # Not tried again for each row behind the damage: that would read what is before it each time.
            self._broken = self._broken or self._advance(place.column)
            if self._broken:
                raise ImageError("corrupt", f"The table is damaged ({self._broken}).")
        return self._cells[place.row - self._first]

    def _open(self, path: str, row_group: int, column: str) -> None:
        _, parquet = parquet_modules()
        if self._file is not None:
            self._file.close()
        self._group = self._file = None
        self._forget()
        try:
            self._file = parquet.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)
            self._batches = self._file.iter_batches(
                _PICTURES_AT_ONCE, row_groups=[row_group], columns=[column], use_threads=False
            )
        except FileNotFoundError as error:
            raise ImageError("not_found", "The table is not there any more.") from error
        except Exception as error:  # pyarrow raises about anything on damaged files
            raise ImageError("unreadable", f"The table cannot be read ({error}).") from error
        self._group = (path, row_group, column)

    def _advance(self, column: str) -> str:
        """Go on to the next rows; returns why that cannot be done, or nothing."""
        try:
            batch = next(self._batches, None)
            cells = None if batch is None else _column(batch, column)
        except Exception as error:  # as above
            return str(error) or type(error).__name__
        if cells is None:
            return "it has fewer rows than it says"
        self._first += len(self._cells)
        self._cells = cells
        return ""


_READER = _Reader()
