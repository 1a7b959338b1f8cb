"""What bulk runs are made of: items (a name and where its bytes lie) in numbered chunks of fixed size.

Which pictures share a chunk follows from their order alone, never from who scores it or when: the last bits
of a score depend on what shares a batch with it, and an interrupted run must end with the table of an
uninterrupted one.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, Protocol

from vestige.errors import ImageError
from vestige.images.decode import read_file, too_long
from vestige.images.limits import Limits

CHUNK = 32  # pictures scored at once: enough for full batches, few enough to balance processes


class Place(Protocol):
    """Where the bytes of one picture lie. Places are small and picklable: they travel, bytes do not."""

    def read(self, limits: Limits) -> bytes:
        """The bytes of the file, at most `limits.max_bytes` of them.

        Raises:
            ImageError: they cannot be had.
        """


@dataclass(frozen=True)
class FilePlace:
    """A file of its own."""

    path: str

    def read(self, limits: Limits) -> bytes:
        """See `Place.read`."""
        return read_file(self.path, limits)


@dataclass(frozen=True)
class HeldPlace:
    """Bytes in memory, of inputs that can be read only from front to back."""

    data: bytes

    def read(self, limits: Limits) -> bytes:
        """See `Place.read`."""
        if len(self.data) > limits.max_bytes:
            raise too_long(limits)
        return self.data


@dataclass(frozen=True)
class NoPlace:
    """A picture that is named and not there, such as an empty cell of a table."""

    error: ImageError

    def read(self, limits: Limits) -> bytes:
        """See `Place.read`."""
        raise self.error


class Item(NamedTuple):
    """One input: the name its row gets, and where its bytes lie."""

    name: str
    place: Place


class Chunk(NamedTuple):
    """Items that are scored together.

    Attributes:
        first: number of the first item among all inputs.
    """

    first: int
    items: Sequence[Item]

    @property
    def end(self) -> int:
        """Number behind the last item."""
        return self.first + len(self.items)


def chunks_of(items: Iterable[Item], first: int = 0, size: int = CHUNK) -> Iterator[Chunk]:
    """Cut items into chunks; only the last one may be shorter.

    Args:
        first: number of the first item given.
    """
    rest = iter(items)
    while members := tuple(islice(rest, size)):
        yield Chunk(first, members)
        first += len(members)
