"""What a bulk run reads: one ordered list of items, whatever lies behind it."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from vestige.bulk.chunks import Item


class Source(Protocol):
    """An ordered, repeatable list of items.

    Attributes:
        left_out: files in folders that are neither pictures nor shards.
        random_access: whether the bytes of every item can be had without those before it. If not, items hold
            their bytes (`HeldPlace`).
    """

    left_out: Sequence[str]
    random_access: bool

    def count(self) -> int | None:
        """How many items there are; None if only reading to the end would tell."""

    def fingerprint(self) -> str:
        """Hex digest of the names, order and (for shards) state of the inputs: another one, other rows."""

    def items(self, skip: int = 0) -> Iterator[Item]:
        """All items in order, without the first `skip`, which are not read where that can be avoided.

        Raises:
            DataError: a shard or list is damaged, in one sentence that names it.
        """
