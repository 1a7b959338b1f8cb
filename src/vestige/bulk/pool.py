"""The engine of one computer: a process per processor, each with the model loaded once.

Each process is given one chunk at a time, and a picture's bytes are read where it is scored. A process that
dies is replaced and its chunk scored again; see `ProcessPool` for chunks that kill.
"""

import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from vestige.bulk.chunks import Chunk, HeldPlace, Item, NoPlace
from vestige.bulk.engines import Scored
from vestige.bulk.scorer import ScoreOptions, detector_of, score_items
from vestige.errors import ImageError, VestigeError

AHEAD = 8  # chunks for each process that may be under way: a slow one does not keep the others waiting
HELD = 256 * 2**20  # bytes of pictures that may be under way, beyond a chunk for each process
DEATHS = 2  # a chunk that killed so many processes is looked at picture by picture

# Not forked: a fork of a process with threads, as ONNX Runtime and pyarrow start some, may hang.
_CONTEXT = get_context("spawn")


class ProcessPool:
    """Scores chunks in processes of its own; see `vestige.bulk.engines.Engine`.

    What kills its process (a decoder's crash, the system short of memory) costs a second try. A chunk that
    has killed two is gone through picture by picture in a process apart: those that kill again alone become
    rows with the error code "internal", and the others are scored together as always.

    Args:
        processes: how many; as many as processors are at hand is best (`benchmarks/bulk_speed.py`).
    """

    def __init__(self, processes: int) -> None:
        self.processes = processes

    def run(self, chunks: Iterable[Chunk], options: ScoreOptions) -> Iterator[Scored]:
        """See `vestige.bulk.engines.Engine.run`."""
        with _workers(self.processes, options) as workers:
            yield from _in_order(_Todo(chunks, self.processes), workers, options)


class _Todo:
    """Chunks from the source, in order, until their tables are given away: at most so many at a time."""

    def __init__(self, chunks: Iterable[Chunk], processes: int) -> None:
        self._rest = iter(chunks)
        self._processes = processes
        self._held = 0
        self._under_way: deque[Chunk] = deque()
        self._again: deque[Chunk] = deque()
        self._tables: dict[int, Any] = {}
        self._deaths: dict[int, int] = {}

    def next(self) -> Chunk | None:
        """The chunk to be scored next; None if there is none, or too many are under way."""
        if self._again:
            return self._again.popleft()
        if self._enough():
            return None
        chunk = next(self._rest, None)
        if chunk is not None:
            self._under_way.append(chunk)
            self._held += _held_bytes(chunk)
        return chunk

    def _enough(self) -> bool:
        under_way = len(self._under_way)
        return under_way >= AHEAD * self._processes or (self._held > HELD and under_way >= self._processes)

    def done(self, chunk: Chunk, table: Any) -> None:
        """Keep a table until its turn comes."""
        self._tables[chunk.first] = table

    def died(self, chunk: Chunk) -> bool:
        """Take back a chunk whose process died; False if it has killed often enough."""
        self._deaths[chunk.first] = self._deaths.get(chunk.first, 0) + 1
        if self._deaths[chunk.first] >= DEATHS:
            return False
        self._again.append(chunk)
        return True

    def ready(self) -> Iterator[Scored]:
        """What can be given away in order."""
        while self._under_way and self._under_way[0].first in self._tables:
            chunk = self._under_way.popleft()
            self._held -= _held_bytes(chunk)
            yield Scored(chunk, self._tables.pop(chunk.first))


def _held_bytes(chunk: Chunk) -> int:
    return sum(len(item.place.data) for item in chunk.items if isinstance(item.place, HeldPlace))


class _DiedError(Exception):
    """The process of a worker is gone, or cannot score what it was given."""


class _Worker:
    """One process and the pipe to it; replaced by `restart` when it has died."""

    def __init__(self, options: ScoreOptions) -> None:
        self._options = options
        self.chunk: Chunk | None = None
        self._start()

    def _start(self) -> None:
        pipe, other = _CONTEXT.Pipe()
        process = _CONTEXT.Process(target=_work, args=(other, self._options), daemon=True)
        with _deaf_to_ctrl_c():
            process.start()
            self.pipe, self._process = pipe, process
        # Without our copy of its end, the pipe tells when the process has died.
        other.close()

    def give(self, chunk: Chunk) -> None:
        """Have a chunk scored."""
        self.chunk = chunk
        self.ask(chunk.items)

    def ask(self, items: Iterable[Item]) -> None:
        """Send items; `take` gets their table. No items: only load the model."""
        with suppress(OSError):  # it has died: `take` will tell
            self.pipe.send(tuple(items))

    def take(self) -> Any:
        """The table of what was sent.

        Raises:
            _DiedError: there is none.
            VestigeError: the model cannot be loaded.
        """
        try:
            answer = self.pipe.recv()
        except (EOFError, OSError) as error:
            raise _DiedError from error
        if isinstance(answer, _Failed):
            raise _DiedError(answer.why)
        if isinstance(answer, VestigeError):
            raise answer
        return answer

    def restart(self) -> None:
        """A new process for one that has died.

        Raises:
            VestigeError: none can be started.
        """
        self.stop()
        try:
            self._start()
        except OSError as error:
            raise _no_process(error) from error

    def stop(self) -> None:
        """End the process at once; it has nothing that could be lost."""
        if self.pipe.closed:
            return  # stopped before, and none was started in its place
        self.pipe.close()
        self._process.kill()
        self._process.join()
        self._process.close()


class _Failed(NamedTuple):
    """What a process answers if scoring itself failed, which is not the fault of one picture's file."""

    why: str


def _in_order(todo: _Todo, workers: list[_Worker], options: ScoreOptions) -> Iterator[Scored]:
    idle = list(workers)
    while True:
        while idle and (chunk := todo.next()) is not None:
            idle.pop().give(chunk)
        busy = {worker.pipe: worker for worker in workers if worker.chunk is not None}
        if not busy:
            return
        for pipe in connection.wait(list(busy)):
            worker = busy[pipe]  # type: ignore[index]
            chunk, worker.chunk = worker.chunk, None
            assert chunk is not None
            idle.append(worker)
            try:
                todo.done(chunk, worker.take())
            except _DiedError:
                worker.restart()
                if not todo.died(chunk):
                    todo.done(chunk, carefully(chunk, options))
        yield from todo.ready()


def carefully(chunk: Chunk, options: ScoreOptions) -> Any:
    """The table of a chunk that kills: in a process apart, first each picture alone to find the guilty."""
    import pyarrow as pa

    with _workers(1, options) as (worker,):
        try:
            worker.ask(())
            worker.take()
        except _DiedError as error:
            raise VestigeError(
                f"processes that score pictures die when they start{_because(error)}"
            ) from error
        items, alone = [], []
        for item in chunk.items:
            worker.ask([item])
            try:
                alone.append(worker.take())
            except _DiedError as error:
                worker.restart()
                item = Item(item.name, NoPlace(ImageError("internal", _guilty(error))))
                alone.append(_surely(worker, item))
            items.append(item)
        # Together, so that scores are those of a run in which nothing died.
        worker.ask(items)
        try:
            return worker.take()
        except _DiedError:
            return pa.concat_tables(alone)


def _surely(worker: _Worker, item: Item) -> Any:
    for _ in range(DEATHS):
        worker.ask([item])
        try:
            return worker.take()
        except _DiedError:  # nothing of the item is read: somebody else has killed it
            worker.restart()
    raise VestigeError("processes that score pictures are killed as soon as they start")


def _guilty(error: _DiedError) -> str:
    return f"The process that scored this picture died{_because(error)}."


def _because(error: _DiedError) -> str:
    return f" ({error})" if str(error) else ""


@contextmanager
def _workers(count: int, options: ScoreOptions) -> Iterator[list[_Worker]]:
    found: list[_Worker] = []
    try:
        for _ in range(count):
            found.append(_started(options))
        yield found
    finally:
        for worker in found:
            worker.stop()


def _started(options: ScoreOptions) -> _Worker:
    try:
        return _Worker(options)
    except OSError as error:
        raise _no_process(error) from error


def _no_process(error: OSError) -> VestigeError:
    return VestigeError(f"cannot start a process: {error.strerror or error}")


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """A process started here ignores Ctrl-C from its first moment on, if this is the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _work(pipe: "Connection[Any, Any]", options: ScoreOptions) -> None:
    """Life of a process: items in, table out, until the other end of the pipe is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            items = pipe.recv()
        except (EOFError, OSError):
            return  # the run has ended, or was killed
        try:
            pipe.send(_answer(items, options))
        except OSError:
            return


def _answer(items: Sequence[Item], options: ScoreOptions) -> Any:
    """The table of items, None if there are none, or what went wrong."""
    try:
        detector_of(options)
        return score_items(items, options) if items else None
    except VestigeError as error:
        return error
    except Exception as error:
        return _Failed(f"{type(error).__name__}: {error}")
