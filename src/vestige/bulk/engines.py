"""What an engine is: chunks in, their tables out, in the same order."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol

from vestige.bulk.chunks import Chunk
from vestige.bulk.scorer import ScoreOptions


class Scored(NamedTuple):
    """A chunk with its `pyarrow.Table`: a row per item, in order."""

    chunk: Chunk
    table: Any


class Engine(Protocol):
    """Something that scores chunks by `vestige.bulk.scorer.score_items`, wherever it likes.

    An engine takes chunks only a bounded number ahead of what it has given (back-pressure), gives each
    exactly once and in order, and scores a chunk again whose worker died; what kills workers again and again
    becomes rows with the error code "internal".
    """

    def run(self, chunks: Iterable[Chunk], options: ScoreOptions) -> Iterator[Scored]:
        """Score chunks in order.

        Raises:
            VestigeError: no worker can be started, or the model cannot be loaded.
        """
