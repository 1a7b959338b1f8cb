"""Parquet: the rows of many reports as one typed table, for pandas, DuckDB, Polars and the like."""

import json
import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, cast

from vestige.errors import ConfigError, VestigeError
from vestige.images.picture import Picture
from vestige.reports.output import Target, is_stream, not_ours
from vestige.reports.records import finite, json_line
from vestige.reports.sinks import BaseSink, JsonlSink
from vestige.reports.text import from_utf8, to_utf8
from vestige.results import ROW_FIELDS, SCHEMA_VERSION, ImageReport

_FLOATS = frozenset({"probability", "logit", "spread", "deviation", "generated_share"})
_INTEGERS = frozenset({"width", "height"})
_BATCH = 10_000


class ParquetSink(BaseSink):
    """A table with the columns of `vestige.results.ROW_FIELDS`: text, float64, and int32 for sizes.

    A Parquet file is only whole once it is closed, so rows first go to a journal, `FILE.part.jsonl`, one JSON
    line each, and the table is made of it by `close`. After a kill the journal holds every row; after
    `close(interrupted=True)` there are both a valid table and the journal; after a complete `close` the
    journal is gone. Resuming takes the journal, or the finished table where there is none. An existing table
    stays as it is until `close` replaces it.

    Args:
        target: a path; Parquet cannot be streamed.
        resume: go on with an existing journal or table.
        model: see `BaseSink`.

    Raises:
        ConfigError: without pyarrow, for a stream, or if the files cannot be opened or resumed.
    """

    def __init__(self, target: Target, *, resume: bool = False, model: str | None = None) -> None:
        if is_stream(target):
            raise ConfigError("Parquet cannot be written to a stream: name a file, or choose JSON lines")
        pyarrow_modules()
        self._path = Path(cast("str | os.PathLike[str]", target))
        if self._path.is_dir():
            raise ConfigError(f"cannot write {self._path}: it is a folder")
        super().__init__(str(self._path), model)
        self._journal_path = self._path.with_name(self._path.name + ".part.jsonl")
        if resume and self._path.is_file() and not self._journal_path.exists():
            self._journal_from_table()
        self._journal = _Journal(self._journal_path, resume=resume, model=model)
        self.done = self._journal.done

    def _journal_from_table(self) -> None:
        # Renamed when whole: a kill halfway must not leave a journal that has less than the table.
        draft = self._journal_path.with_name(self._journal_path.name + f".{os.getpid()}.tmp")
        try:
            with open(draft, "w", encoding="utf-8", newline="\n") as file:
                file.writelines(json_line(row) + "\n" for row in _table_rows(self._path))
            os.replace(draft, self._journal_path)
        except OSError as error:
            raise ConfigError(f"cannot resume {self._path}: {error.strerror or error}") from error
        finally:
            draft.unlink(missing_ok=True)

    def _append(self, report: ImageReport, picture: Picture | None) -> None:
        self._journal.write(report)

    def _finish(self, interrupted: bool) -> None:
        self._journal.close()
        draft = self._path.with_name(f"{self._path.name}.{os.getpid()}.tmp")
        try:
            _write_table(self._journal_path, draft)
            os.replace(draft, os.path.realpath(self._path))
            if not interrupted:
                self._journal_path.unlink()
        except OSError as error:
            raise VestigeError(
                f"cannot write {self._path}: {error.strerror or error}; all rows are in {self._journal_path}"
            ) from error
        finally:
            draft.unlink(missing_ok=True)


class _Journal(JsonlSink):
    """JSON lines with the columns of the table only."""

    def _record(self, report: ImageReport) -> dict[str, Any]:
        return cast("dict[str, Any]", finite(report.row()))


def pyarrow_modules() -> tuple[Any, Any]:
    """`pyarrow` and `pyarrow.parquet`.

    Raises:
        ConfigError: pyarrow is missing.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError("Parquet output needs pyarrow: pip install 'vestige[bulk]'") from error
    return pyarrow, pyarrow.parquet


def table_schema() -> Any:
    """The `pyarrow.Schema` of every table of results.

    Raises:
        ConfigError: pyarrow is missing.
    """
    pa, _ = pyarrow_modules()
    kinds = {**dict.fromkeys(_FLOATS, pa.float64()), **dict.fromkeys(_INTEGERS, pa.int32())}
    fields = [pa.field(name, kinds.get(name, pa.string()), nullable=name != "path") for name in ROW_FIELDS]
    return pa.schema(fields, metadata={"vestige.schema_version": str(SCHEMA_VERSION)})


def _table_rows(path: Path) -> Iterator[dict[str, Any]]:
    pa, pq = pyarrow_modules()
    try:
        with pq.ParquetFile(path) as table:
            if tuple(table.schema_arrow.names) != ROW_FIELDS:
                raise ConfigError(not_ours(str(path), "its columns are not those of this version"))
            for batch in table.iter_batches(batch_size=_BATCH):
                for row in batch.to_pylist():
                    yield {
                        key: from_utf8(cell) if isinstance(cell, str) else cell for key, cell in row.items()
                    }
    except pa.ArrowInvalid as error:
        raise ConfigError(not_ours(str(path), "it is not a Parquet file")) from error


def table_of(reports: Iterable[ImageReport]) -> Any:
    """A `pyarrow.Table` with a row per report, in order; the columns are those of `ROW_FIELDS`.

    Raises:
        ConfigError: pyarrow is missing.
    """
    return _table(cast("dict[str, Any]", finite(report.row())) for report in reports)


def _table(rows: Iterable[dict[str, Any]]) -> Any:
    pa, _ = pyarrow_modules()
    clean = [
        {key: to_utf8(cell) if isinstance(cell, str) else cell for key, cell in row.items()} for row in rows
    ]
    return pa.Table.from_pylist(clean, schema=table_schema())


def _write_table(journal: Path, path: Path) -> None:
    _, pq = pyarrow_modules()
    with (
        open(journal, encoding="utf-8") as file,
        pq.ParquetWriter(path, table_schema(), compression="zstd") as table,
    ):
        lines = iter(file)
        while rows := [json.loads(line) for line in islice(lines, _BATCH)]:
            table.write_table(_table(rows))
