"""Sinks take one report after another and keep them: the contract, and the plain text formats.

Every sink streams: a row has left the process when `write` returns, so a kill loses at most the row being
written. Every sink can be resumed: it reads which paths it has, drops a torn last row, and goes on.
"""

import csv
import io
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Protocol, TypeVar, runtime_checkable

from vestige.errors import ConfigError
from vestige.images.picture import Picture
from vestige.reports.output import Output, Target, not_ours, parse_row, resume_json_lines
from vestige.reports.records import finite, json_line, record_of
from vestige.reports.text import from_utf8, shorten, to_utf8
from vestige.results import ROW_FIELDS, ImageReport

_CELL_LIMIT = 32_000  # spreadsheets refuse cells of more than 32767 characters
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")


@runtime_checkable
class Sink(Protocol):
    """Where reports go.

    Attributes:
        done: paths that the sink holds, those of an earlier run included when it was opened to resume;
            a path whose earlier row was an error counts as done.
    """

    done: set[str]

    def write(self, report: ImageReport, picture: Picture | None = None) -> None:
        """Keep the report; one whose path is already held is ignored."""

    def close(self, interrupted: bool = False) -> None:
        """Finish the output. After `interrupted=True` it is valid, holds what came, and can be resumed."""


_Self = TypeVar("_Self", bound="BaseSink")


class BaseSink(ABC):
    """What all sinks share: which paths are held, of which model, and leaving a `with` block.

    Args:
        name: the file, for messages.
        model: name of the model of this run; if given, a resumed file of another model is refused at once
            and not only at the first write.
    """

    def __init__(self, name: str, model: str | None = None) -> None:
        self.done: set[str] = set()
        self._name = name
        self._model = model
        self._found_models: set[str] = set()
        self._closed = False

    def write(self, report: ImageReport, picture: Picture | None = None) -> None:
        """Keep the report; one whose path is already held is ignored.

        Raises:
            ConfigError: if the file was resumed and holds results of another model.
        """
        if report.path in self.done:
            return
        self._same_model(report.model)
        self._append(report, picture)
        self.done.add(report.path)

    def close(self, interrupted: bool = False) -> None:
        """Finish the output; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self._finish(interrupted)

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(interrupted=kind is not None)

    @abstractmethod
    def _append(self, report: ImageReport, picture: Picture | None) -> None:
        """Write one report that is not held yet."""

    @abstractmethod
    def _finish(self, interrupted: bool) -> None:
        """Finish and close the output."""

    def _found(self, path: str, model: str) -> None:
        """Take note of a row of an earlier run."""
        self.done.add(path)
        self._found_models.add(model)
        if self._model is not None:
            self._same_model(self._model)

    def _same_model(self, model: str) -> None:
        for other in self._found_models - {model}:
            raise ConfigError(
                f"cannot resume {self._name}: it holds results of model {other!r}, this run uses model "
                f"{model!r}; name another file, or use the same model"
            )


class JsonlSink(BaseSink):
    """JSON lines: one object per report, see `vestige.reports.records`.

    Args:
        target: a path, or a text stream.
        resume: go on with an existing file; without it, an existing file is overwritten.
        model: see `BaseSink`.

    Raises:
        ConfigError: if the file cannot be opened or resumed.
    """

    def __init__(self, target: Target, *, resume: bool = False, model: str | None = None) -> None:
        self._output = Output(target, resume)
        super().__init__(self._output.name, model)
        resume_json_lines(self._output, lambda row: self._found(row["path"], str(row.get("model"))))

    def _record(self, report: ImageReport) -> dict[str, Any]:
        return record_of(report)

    def _append(self, report: ImageReport, picture: Picture | None) -> None:
        self._output.write(json_line(self._record(report)) + "\n")

    def _finish(self, interrupted: bool) -> None:
        self._output.close()


class JsonSink(BaseSink):
    """One JSON array of the objects that `JsonlSink` writes, one on each line.

    A file is a valid array after every row: each row overwrites the closing bracket and writes it anew.
    A stream gets its closing bracket from `close`. Arguments and errors as for `JsonlSink`.
    """

    def __init__(self, target: Target, *, resume: bool = False, model: str | None = None) -> None:
        self._output = Output(target, resume)
        super().__init__(self._output.name, model)
        self._end = self._read() or self._output.write("[")
        if self._output.seekable:
            self._output.cut(self._end)
            self._output.write("\n]\n")

    def _read(self) -> int:
        """Offset behind the last whole row of an earlier run; 0 if there is nothing to resume."""
        end = 0
        bad: int | None = None
        for number, (offset, line) in enumerate(self._output.lines(), start=1):
            row = line.strip().removesuffix(b",")
            if bad is not None or (number == 1 and row != b"["):
                raise ConfigError(not_ours(self._name, f"line {bad or 1} is not as Vestige writes it"))
            record = parse_row(row)
            if record is not None:
                self._found(record["path"], str(record.get("model")))
            elif number > 1 and row not in (b"]", b""):
                bad = number  # torn if it is the last one
                continue
            if record is not None or number == 1:
                end = offset + len(line.rstrip().removesuffix(b","))
        return end

    def _append(self, report: ImageReport, picture: Picture | None) -> None:
        row = ("," if self.done else "") + "\n" + json_line(record_of(report))
        if not self._output.seekable:
            self._output.write(row)
            return
        tail = "\n]\n"
        self._end += self._output.write(row + tail, at=self._end) - len(tail)

    def _finish(self, interrupted: bool) -> None:
        if not self._output.seekable:
            self._output.write("\n]\n")
        self._output.close()


class CsvSink(BaseSink):
    """Comma-separated values with the columns of `vestige.results.ROW_FIELDS`: UTF-8, newline "\\n".

    Text is always quoted, numbers never are, what is not known is an empty cell. A text that a spreadsheet
    would run as a formula (it starts with = + - @ tab, newline or carriage return) gets a leading apostrophe,
    the path too; `unguarded` takes it away. Arguments and errors as for `JsonlSink`.
    """

    def __init__(self, target: Target, *, resume: bool = False, model: str | None = None) -> None:
        self._output = Output(target, resume)
        super().__init__(self._output.name, model)
        end = self._read()
        self._output.cut(end)
        if end == 0:
            self._output.write(",".join(ROW_FIELDS) + "\n")

    def _read(self) -> int:
        """Note the rows of an earlier run; returns the offset behind the last whole one."""
        end = 0

        def whole_rows() -> Iterator[str]:
            # A cell may hold newlines: a row is whole at a newline outside quotes. One whole row per item.
            nonlocal end
            quotes, row = 0, b""
            for offset, line in self._output.lines():
                quotes += line.count(b'"')
                row += line
                if line.endswith(b"\n") and quotes % 2 == 0:
                    end = offset + len(line)
                    yield row.decode("utf-8-sig")
                    row = b""
            if row and not end and not ",".join(ROW_FIELDS).encode().startswith(row):
                raise ConfigError(not_ours(self._name, "it is not a table of Vestige"))

        try:
            # strict=False: a stray quote of a hand-edited file is no reason to give up
            for number, row in enumerate(csv.reader(whole_rows()), start=1):
                if number == 1 and tuple(row) != ROW_FIELDS:
                    raise ConfigError(not_ours(self._name, "its columns are not those of this version"))
                if len(row) != len(ROW_FIELDS):
                    raise ConfigError(not_ours(self._name, f"row {number} has {len(row)} cells"))
                if number > 1:
                    cells = dict(zip(ROW_FIELDS, row, strict=True))
                    self._found(from_utf8(unguarded(cells["path"])), from_utf8(unguarded(cells["model"])))
        except (csv.Error, UnicodeDecodeError) as error:
            raise ConfigError(not_ours(self._name, f"it is not CSV in UTF-8 ({error})")) from error
        return end

    def _append(self, report: ImageReport, picture: Picture | None) -> None:
        buffer = io.StringIO()
        writer = csv.writer(buffer, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        writer.writerow([_cell(key, value) for key, value in report.row().items()])
        self._output.write(buffer.getvalue())

    def _finish(self, interrupted: bool) -> None:
        self._output.close()


def _cell(key: str, value: Any) -> Any:
    if not isinstance(value, str):
        value = finite(value)
        return "" if value is None else value
    # Old CSV readers stop at NUL. A path is never cut: it says which picture the row is about.
    text = to_utf8(value).replace("\0", "\ufffd")
    return guarded(text if key == "path" else shorten(text, _CELL_LIMIT))


def guarded(text: str) -> str:
    """The text with a leading apostrophe if a spreadsheet would take it for a formula."""
    return "'" + text if _FORMULA.match(text) else text


def unguarded(text: str) -> str:
    """Undo `guarded`."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text
