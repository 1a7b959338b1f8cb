"""Where rows go: a text stream such as stdout, or a file that grows row by row and can be resumed."""

import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

from vestige.errors import ConfigError, VestigeError

Target = str | os.PathLike[str] | TextIO


def is_stream(target: Target) -> bool:
    """Whether the target is an open stream and not a path."""
    return hasattr(target, "write")


class Output:
    """A text stream or a file; what was written has left the process when `write` returns.

    A path is opened at once, so that a bad one is known before hours of work. Without `resume` an existing
    file is replaced by an empty one at that moment (in one step: who reads the old one keeps it, and it stays
    if the folder cannot be written to). With `resume` its content stays. Missing folders are made.

    Attributes:
        name: the path, or the stream's name, for messages.
        seekable: whether what was written can be read and overwritten: a file, no stream, pipe or device.

    Raises:
        ConfigError: if the file cannot be opened.
    """

    def __init__(self, target: Target, resume: bool = False) -> None:
        self._stream: TextIO | None = None
        self._file: BinaryIO | None = None
        self.seekable = False
        if is_stream(target):
            self._stream = cast(TextIO, target)
            self.name = getattr(target, "name", None) or "the output stream"
        else:
            path = Path(cast("str | os.PathLike[str]", target))
            self.name = str(path)
            try:
                self._file = _open(path, resume)
                self.seekable = path.is_file()
            except OSError as error:
                raise ConfigError(f"cannot write {path}: {error.strerror or error}") from error

    def write(self, text: str, at: int | None = None) -> int:
        """Write text at the byte offset `at` (default: where the last write ended), flush; returns its bytes.

        Raises:
            VestigeError: if the system refuses (full disk); a broken pipe stays a BrokenPipeError.
        """
        try:
            if self._file is None:
                stream = cast(TextIO, self._stream)
                stream.write(_encodable(text, stream))
                stream.flush()
                return len(text)
            if at is not None:
                self._file.seek(at)
            data = text.encode("utf-8")
            self._file.write(data)
            self._file.flush()
            return len(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise VestigeError(f"cannot write {self.name}: {error.strerror or error}") from error

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Lines from the start of the file, with their offsets; each keeps its newline if it has one."""
        if not self.seekable:
            return
        file = cast(BinaryIO, self._file)
        file.seek(0)
        offset = 0
        for line in file:
            yield offset, line
            offset += len(line)

    def cut(self, offset: int) -> None:
        """Drop everything from the byte offset on, and go on writing there."""
        if self.seekable:
            file = cast(BinaryIO, self._file)
            file.seek(offset)
            file.truncate()

    def close(self) -> None:
        """Close the file; a stream is not ours and stays open."""
        if self._file is not None:
            self._file.close()


def _open(path: Path, resume: bool) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not path.is_file() and not path.is_dir():
        return open(path, "wb")  # a device or a named pipe: nothing to replace or to resume
    if not (resume and path.exists()):
        real = os.path.realpath(path)  # a link stays a link
        if os.path.isdir(real):
            raise IsADirectoryError(0, "it is a folder")
        blank = f"{real}.{os.getpid()}.tmp"
        open(blank, "wb").close()
        os.replace(blank, real)
    return open(path, "r+b")


def _encodable(text: str, stream: TextIO) -> str:
    encoding = getattr(stream, "encoding", None)
    if encoding is None or isinstance(stream, io.StringIO):
        return text
    return text.encode(encoding, "backslashreplace").decode(encoding)


def resume_json_lines(output: Output, found: Callable[[dict[str, Any]], None]) -> None:
    """Read the JSON lines of a file, drop a torn last line, and go on behind the last whole one.

    Args:
        output: a file opened with `resume=True`.
        found: called with each object, in order.

    Raises:
        ConfigError: if a line is not an object with a "path".
    """
    end = 0
    for number, (offset, line) in enumerate(output.lines(), start=1):
        whole = line.endswith(b"\n")
        record = parse_row(line)
        if record is None and not whole and line.startswith(b"{"):
            output.cut(offset)  # a kill in the middle of a write
            return
        if record is None and line.strip():
            raise ConfigError(not_ours(output.name, f"line {number} is not a row of a report"))
        if record is not None:
            found(record)
        end = offset + len(line)
        if not whole:
            end += output.write("\n", at=end)
    output.cut(end)


def parse_row(line: bytes) -> dict[str, Any] | None:
    """The JSON object in a line if it has a path, else None."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("path"), str) else None


def not_ours(name: str, why: str) -> str:
    """The sentence for a file that cannot be resumed."""
    return f"cannot resume {name}: {why}; name another file, or leave out resuming to overwrite it"
