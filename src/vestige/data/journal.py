"""What a long run has done so far, one JSON line per picture, so that a killed run can go on."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import IO

from vestige.data.check import Check, Looked, stamp
from vestige.data.layouts.found import Entry
from vestige.errors import DataError


class Journal:
    """A file beside the manifest that lives while the manifest is being made.

    Args:
        path: of the file.
        entries: the data set, in order.
        check: how pictures are looked at.

    Attributes:
        done: position in `entries` -> what was seen, from a run before. Empty if that run was about another
            set or another check; pictures that changed since are left out.

    Raises:
        DataError: the file cannot be written.
    """

    def __init__(self, path: Path, entries: list[Entry], check: Check) -> None:
        self.path = path
        self._entries = entries
        self._key = _fingerprint(entries, check)
        self.done = self._read()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Written anew, so that a line that a kill cut short does not stay in the middle; beside the old
            # one, so that a kill at this moment loses nothing.
            new = path.with_name(path.name + ".new")
            with new.open("w", encoding="utf-8") as file:
                self._file: IO[str] = file
                self._write({"key": self._key})
                for number in sorted(self.done):
                    self.add(number, self.done[number])
            new.replace(path)
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise DataError(f"{path}: cannot be written ({error.strerror})") from error

    def add(self, number: int, looked: Looked) -> None:
        """Note what was seen of `entries[number]`."""
        self._write({"n": number, "stamp": stamp(self._entries[number]), **asdict(looked)})
        if number % 16 == 0:
            self._file.flush()

    def close(self) -> None:
        """Keep what was noted for a later run."""
        self._file.close()

    def remove(self) -> None:
        """The run is over: nothing to go on with."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def _write(self, line: dict[str, object]) -> None:
        self._file.write(json.dumps(line, ensure_ascii=True) + "\n")

    def _read(self) -> dict[int, Looked]:
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return {}
        done: dict[int, Looked] = {}
        if not lines or _parsed(lines[0]).get("key") != self._key:
            return done
        for line in lines[1:]:
            values = _parsed(line)
            number, seen = values.pop("n", None), values.pop("stamp", None)
            if not isinstance(number, int) or not 0 <= number < len(self._entries):
                continue
            if seen == list(stamp(self._entries[number])):
                done[number] = Looked(**values)  # type: ignore[arg-type]
        return done


def _parsed(line: str) -> dict[str, object]:
    try:
        values = json.loads(line)
    except ValueError:  # cut short by a kill
        return {}
    return values if isinstance(values, dict) else {}


def _fingerprint(entries: Iterable[Entry], check: Check) -> str:
    digest = hashlib.sha256(f"1 {check}\n".encode())
    for entry in entries:
        digest.update(f"{entry.file}\0{entry.member}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()
