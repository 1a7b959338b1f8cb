"""Places that misbehave once, or always; they are unpickled in processes of their own."""

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vestige.bulk.chunks import Chunk, FilePlace, HeldPlace, Item, chunks_of
from vestige.images.limits import Limits


@dataclass(frozen=True)
class DeadlyPlace:
    """Kills the process that reads it: each time, or as long as there are tokens (files) in a folder."""

    data: bytes
    tokens: str | None = None

    def read(self, limits: Limits) -> bytes:
        if self.tokens is not None:
            left = sorted(Path(self.tokens).iterdir())
            if not left:
                return self.data
            left[0].unlink()
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


@dataclass(frozen=True)
class FailingPlace:
    """Raises what no place should raise."""

    def read(self, limits: Limits) -> bytes:
        raise RuntimeError("the disk sings")


class ListSource:
    """A source made of items in memory.

    Attributes:
        taken: how many items were taken from it.
    """

    left_out: Sequence[str] = ()
    random_access = True

    def __init__(self, items: Sequence[Item], name: str = "these") -> None:
        self.all, self.name, self.taken = items, name, 0

    def count(self) -> int | None:
        return len(self.all)

    def fingerprint(self) -> str:
        return f"{self.name} {len(self.all)}"

    def items(self, skip: int = 0) -> Iterator[Item]:
        for item in self.all[skip:]:
            self.taken += 1
            yield item


def held(pictures: dict[str, bytes], count: int) -> list[Item]:
    """Items that go through some pictures again and again, under names of their own."""
    known = list(pictures.items())
    return [
        Item(f"{number:04d}-{name}", HeldPlace(data))
        for number, (name, data) in ((number, known[number % len(known)]) for number in range(count))
    ]


def files(folder: Path) -> list[Item]:
    return [Item(str(path), FilePlace(str(path))) for path in sorted(folder.rglob("*")) if path.is_file()]


def cut(items: Sequence[Item], size: int) -> list[Chunk]:
    return list(chunks_of(items, 0, size))
