"""Which shards of a folder are finished, so that a killed call can go on."""

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vestige.data.atomic import whole_file
from vestige.errors import ConfigError, DataError

RECORD = "shards.jsonl"
_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


@dataclass(frozen=True)
class Shard:
    """A finished shard.

    Attributes:
        shard: the file's name.
        first, rows: which of its split's rows it holds, in the order in which they are written.
        bytes, sha256: of the file.
    """

    shard: str
    first: int
    rows: int
    bytes: int
    sha256: str


class ShardRecord:
    """The file shards.jsonl: shards that are there count as finished if they stand in it.

    Args:
        out: the folder, held by this process alone.
        asked: all that the shards' bytes follow from.

    Attributes:
        known: finished shards by the names of their files.

    Raises:
        DataError: the folder holds something else, or shards of something else.
    """

    def __init__(self, out: Path, asked: dict[str, Any]) -> None:
        self.path = out / RECORD
        self.known: dict[str, Shard] = {}
        if self.path.exists():
            self._read(asked)
            for left in out.glob(".*.part"):  # by a call that was killed: nobody else is at work here
                left.unlink(missing_ok=True)
            return
        if any(not file.name.startswith(".") for file in out.iterdir()):
            raise DataError(f"{out}: not empty, and no folder of shards that were begun; choose another one")
        with whole_file(self.path) as partial:
            partial.write_text(json.dumps(asked) + "\n", encoding="utf-8")

    def add(self, shard: Shard) -> None:
        """Note that a shard is finished."""
        if self.known.get(shard.shard) == shard:  # made again, because its file was gone
            return
        self.known[shard.shard] = shard
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(shard)) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _read(self, asked: dict[str, Any]) -> None:
        try:
            text = self.path.read_text(encoding="utf-8")
            lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
            known = [Shard(**line) for line in lines[1:]]
        except (OSError, ValueError, TypeError) as error:
            raise DataError(f"{self.path}: cannot be read as a record of shards ({error})") from error
        if not lines or lines[0] != asked:
            raise DataError(
                f"{self.path.parent}: holds shards of another manifest, or of another size or order; choose "
                "another folder"
            )
        if not text.endswith("\n"):  # a kill cut the last line short
            with whole_file(self.path) as partial:
                partial.write_text(text[: text.rfind("\n") + 1], encoding="utf-8")
        self.known = {shard.shard: shard for shard in known}


def parse_size(text: str) -> int:
    """Bytes of "1GB", "500 MB", "64MiB" or "1000000".

    Raises:
        ConfigError: it is no size.
    """
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,15})?)\s*([a-z]*)", text.strip().lower(), re.ASCII)
    if found is None or found[2] not in _UNITS:
        raise ConfigError(f"{text!r} is no size; say for example 500MB or 1GB")
    return int(float(found[1]) * _UNITS[found[2]])
