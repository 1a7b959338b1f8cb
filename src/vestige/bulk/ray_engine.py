"""The engine of a cluster: Ray Data with an autoscaling pool of actors, each with the model loaded once."""

import logging
import os
import pickle
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any

from vestige.bulk.chunks import Chunk
from vestige.bulk.engines import Scored
from vestige.bulk.pool import DEATHS, carefully
from vestige.bulk.scorer import ScoreOptions, score_items
from vestige.errors import ConfigError, VestigeError

WINDOW = 256  # chunks for each actor that are handed to Ray Data at once,
WINDOW_AT_LEAST = 2048  # and for all of them together: actors are started anew for each window
PATIENCE = 5.0  # seconds for a cluster to be found
STORE = 512 * 2**20  # bytes of the object store of a local cluster: descriptions and tables are small


class RayEngine:
    """Scores chunks on a Ray cluster; see `vestige.bulk.engines.Engine`.

    Every node needs the same Vestige, the model and the inputs at the same paths. Chunks go to Ray Data in
    windows, so that the memory of the driver does not grow with the run; a chunk is a block of its own, so
    its batches are those of every other engine. Ray starts actors that died again and repeats what they had;
    a chunk that killed `vestige.bulk.pool.DEATHS` of them is scored in a process apart.

    Args:
        address: of the cluster; None: one on this computer, for this run.
        actors: least and most actors; None: one to as many as there are processors.
        gpus: GPUs of each actor, may be a part of one.
        cpus: processors of each actor.
    """

    def __init__(
        self,
        address: str | None = None,
        actors: tuple[int, int] | None = None,
        *,
        gpus: float = 0.0,
        cpus: float = 1.0,
    ) -> None:
        self.address, self.actors, self.gpus, self.cpus = address, actors, gpus, cpus
        _ray()

    def run(self, chunks: Iterable[Chunk], options: ScoreOptions) -> Iterator[Scored]:
        """See `vestige.bulk.engines.Engine.run`."""
        rest = iter(chunks)
        with _cluster(self.address, self.actors, self.cpus, self.gpus) as ray:
            self._check_gpus(ray.cluster_resources().get("GPU", 0))
            actors = self.actors or (1, max(1, int(ray.cluster_resources().get("CPU", 1) / self.cpus)))
            # It outlives the actors that die, and so knows what they died of; should it die itself, its
            # successor counts anew.
            counting = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(_Begun)
            deaths = counting.remote()
            size = max(WINDOW_AT_LEAST, WINDOW * actors[1])
            while window := list(islice(rest, size)):
                yield from self._window(ray, window, options, actors, deaths)

    def _check_gpus(self, there: float) -> None:
        """Ray waits for what is not there, for ever; a cluster elsewhere may grow."""
        if self.address is None and self.gpus > there:
            raise ConfigError(f"--gpus {self.gpus:g}: Ray sees {there:g} GPUs on this computer")

    def _window(
        self, ray: Any, window: list[Chunk], options: ScoreOptions, actors: tuple[int, int], deaths: Any
    ) -> Iterator[Scored]:
        import pyarrow as pa

        rows = [{"first": chunk.first, "chunk": pickle.dumps(chunk)} for chunk in window]
        blocks = [pa.Table.from_pylist([row]) for row in rows]
        scored = ray.data.from_arrow(blocks).map_batches(
            _Scoring,
            fn_constructor_args=(options, deaths, os.getcwd()),
            batch_size=1,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(min_size=actors[0], max_size=actors[1]),
            num_cpus=self.cpus,
            num_gpus=self.gpus or None,
        )
        waiting = iter(window)
        try:
            for batch in scored.iter_batches(batch_size=1, batch_format="pyarrow", prefetch_batches=4):
                for row in batch.to_pylist():
                    chunk = next(waiting)
                    if row["first"] != chunk.first:
                        raise VestigeError("Ray gave tables in another order than chunks; please report it")
                    if row["error"] is not None:
                        raise VestigeError(row["error"])
                    yield Scored(chunk, pickle.loads(row["table"]))
        except ray.exceptions.RayError as error:
            raise VestigeError(f"the Ray cluster failed: {_first_line(error)}") from error
        if next(waiting, None) is not None:
            raise VestigeError("Ray lost tables on its way; please report it")


class _Begun:
    """How often each chunk was begun and not ended; an actor beside those that score."""

    def __init__(self) -> None:
        self._times: dict[int, int] = {}

    def begin(self, first: int) -> int:
        """How often it was begun before."""
        self._times[first] = self._times.get(first, 0) + 1
        return self._times[first] - 1

    def end(self, first: int) -> None:
        """It is done."""
        self._times.pop(first, None)


class _Scoring:
    """What every actor does: one row with a chunk in, one row with its table out."""

    def __init__(self, options: ScoreOptions, deaths: Any, folder: str) -> None:
        self._options, self._deaths = options, deaths
        with suppress(OSError):  # not there on this node: absolute paths do without it
            os.chdir(folder)

    def __call__(self, batch: Any) -> Any:
        import pyarrow as pa

        answers = [self._answer(pickle.loads(row["chunk"])) for row in batch.to_pylist()]
        fields = [("first", pa.int64()), ("table", pa.binary()), ("error", pa.string())]
        return pa.Table.from_pylist(answers, schema=pa.schema(fields))

    def _answer(self, chunk: Chunk) -> dict[str, Any]:
        import ray

        table, error = None, None
        try:
            before = ray.get(self._deaths.begin.remote(chunk.first))
            if before >= DEATHS:
                table = carefully(chunk, self._options)
            else:
                table = score_items(chunk.items, self._options)
            self._deaths.end.remote(chunk.first)
        except VestigeError as told:
            error = str(told)  # not raised: Ray would try again, or tell of it in pages
        return {"first": chunk.first, "table": None if table is None else pickle.dumps(table), "error": error}


def _ray() -> Any:
    # Read when it is imported. Its own log files have everything.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ConfigError("the Ray engine needs ray: pip install 'vestige[bulk]'") from error
    return ray


@contextmanager
def _cluster(address: str | None, actors: tuple[int, int] | None, cpus: float, gpus: float) -> Iterator[Any]:
    """Ray, connected; what was started here is stopped."""
    ray = _ray()
    mine = not ray.is_initialized()
    if mine:
        _connect(ray, address, actors, cpus, gpus)
    try:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.execution_options.preserve_order = True
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        yield ray
    finally:
        if mine:
            ray.shutdown()


def _connect(ray: Any, address: str | None, actors: tuple[int, int] | None, cpus: float, gpus: float) -> None:
    common = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    where = "on this computer" if address is None else f"at {address}"
    try:
        if address is not None:
            _knock(address)
            ray.init(address=address, **common)
            return
        local: dict[str, Any] = {"include_dashboard": False, "object_store_memory": STORE}
        if actors is not None:
            local["num_cpus"] = max(1, round(actors[1] * cpus))
        ray.init(address="local", **local, **common)
    except (OSError, RuntimeError, ValueError) as error:
        raise ConfigError(f"no Ray cluster {where}: {_first_line(error)}") from error


def _knock(address: str) -> None:
    """Find out within seconds whether anybody listens; Ray itself tries for minutes.

    Raises:
        OSError: nobody does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():  # otherwise it is a word, such as "auto"
        socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE).close()


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
