"""One bulk run: a source through an engine into a table, resumable at any moment, each input one row."""

import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

import vestige
from vestige.bulk.chunks import CHUNK, chunks_of
from vestige.bulk.commits import RUN, Parts, counted, discard, is_run_of
from vestige.bulk.engines import Engine, Scored
from vestige.bulk.finished import FINISHED, finished_run
from vestige.bulk.scorer import ScoreOptions
from vestige.bulk.sources import Source
from vestige.errors import ConfigError
from vestige.inference.package import load_package
from vestige.lock import only_one
from vestige.provenance.trust import load_trust_list
from vestige.reports.parquet import pyarrow_modules

PART_SECONDS = 10.0  # work that a kill costs at most
PART_ROWS = 65_536
UNREADABLE = "error: "
# What shapes rows; one of the first two is there, and without pillow-heif a HEIC is unsupported.
LIBRARIES = ("onnxruntime", "onnxruntime-gpu", "pillow", "pillow-heif", "numpy", "c2pa-python")


class Watcher(Protocol):
    """Whoever wants to know how far a run is."""

    def begun(self, done: int, total: int | None, counts: Counter[str]) -> None:
        """Before the first chunk; `done` inputs are in the output already."""

    def scored(self, scored: Scored) -> None:
        """A chunk was scored; it is committed within ten seconds."""


@dataclass(frozen=True)
class BulkOptions:
    """How the output is made.

    Attributes:
        parts: leave a folder of part files instead of one file.
        restart: throw away what an earlier run with this output has.
    """

    parts: bool = False
    restart: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Attributes:
        rows: all rows of the output.
        counts: rows by verdict, and by "error: CODE".
        new: rows that this call added.
        seconds: that scoring them took.
    """

    rows: int
    counts: Counter[str] = field(default_factory=Counter)
    new: int = 0
    seconds: float = 0.0

    @property
    def unreadable(self) -> dict[str, int]:
        """Rows by error code, the most frequent first."""
        return {
            key.removeprefix(UNREADABLE): count
            for key, count in self.counts.most_common()
            if key.startswith(UNREADABLE)
        }


def work_folder(output: Path, options: BulkOptions) -> Path:
    """Where the parts are: beside the output, or the output itself if it is to be a folder of parts."""
    return output if options.parts else output.with_name(output.name + ".parts")


def run_bulk(
    source: Source,
    output: Path,
    engine: Engine,
    score: ScoreOptions,
    options: BulkOptions,
    watcher: Watcher,
) -> Outcome:
    """Score all items of a source that are not in the output yet.

    Called again after any interruption it goes on behind the last committed row; called again after the end
    it does nothing. Rows stand in the order of the inputs.

    Args:
        output: a Parquet file, or with `options.parts` a folder.

    Raises:
        ConfigError: the output belongs to other inputs, options or versions, or cannot be written.
        ModelPackageError: the model cannot be loaded.
        DataError: a shard cannot be read.
        VestigeError: the system refuses to write, or no worker can be started.
    """
    facts = _facts(source, score)
    _check_output(output, options)
    folder = work_folder(output, options)
    try:
        with only_one(folder):
            return _run_here(source, output, folder, facts, engine, score, options, watcher)
    finally:
        if not options.parts:
            _remove_empty(folder)


def _run_here(
    source: Source,
    output: Path,
    folder: Path,
    facts: dict[str, Any],
    engine: Engine,
    score: ScoreOptions,
    options: BulkOptions,
    watcher: Watcher,
) -> Outcome:
    if options.restart:
        _check_replaced(output)
        discard(folder)
    outcome = _finished_before(output, folder, facts) if _to_be_kept(output, options) else None
    if outcome is None:
        parts = Parts(folder, facts)
        watcher.begun(parts.end, source.count(), parts.counts)
        outcome = _score_rest(source, parts, engine, score, watcher)
        if not options.parts:
            parts.assemble(output, {FINISHED: json.dumps(facts, sort_keys=True)})
    # What another run with this output has done is not this one's to throw away.
    if not options.parts and is_run_of(folder, facts):
        discard(folder)
    return outcome


def _to_be_kept(output: Path, options: BulkOptions) -> bool:
    return output.is_file() and not options.restart


def _score_rest(
    source: Source, parts: Parts, engine: Engine, score: ScoreOptions, watcher: Watcher
) -> Outcome:
    began, before = time.monotonic(), parts.end
    if not parts.complete:
        scored = engine.run(chunks_of(source.items(before), before), score)
        for tables in _in_parts(_watched(scored, watcher)):
            parts.add(tables)
        parts.finish()
    return Outcome(parts.end, parts.counts, parts.end - before, time.monotonic() - began)


def _watched(scored: Iterable[Scored], watcher: Watcher) -> Iterator[Any]:
    for one in scored:
        watcher.scored(one)
        yield one.table


def _in_parts(tables: Iterable[Any]) -> Iterator[list[Any]]:
    """Tables in bundles, by time and rows; what is there when the run is stopped makes a bundle, too."""
    held: list[Any] = []
    began = time.monotonic()
    rest = iter(tables)
    while True:
        try:
            table = next(rest, None)
        except BaseException:
            # Stopped or failed: what is scored is scored.
            if held:
                yield held
            raise
        if table is None:
            break
        held.append(table)
        if time.monotonic() - began >= PART_SECONDS or sum(one.num_rows for one in held) >= PART_ROWS:
            yield held
            held, began = [], time.monotonic()
    if held:
        yield held


def _facts(source: Source, score: ScoreOptions) -> dict[str, Any]:
    """What the rows of a run depend on, JSON-ready."""
    package = load_package(score.model, Path(score.tower) if score.tower else None)
    options = asdict(score)
    for name in ("model", "tower", "threads"):  # the card says which files; threads change no verdict
        del options[name]
    trusted = load_trust_list(score.trust_anchors)
    options["trust_anchors"] = (
        hashlib.sha256(trusted.anchors.encode()).hexdigest() if trusted.anchors else None
    )
    return {
        "inputs": source.fingerprint(),
        "model": package.card.title,
        "card": hashlib.sha256(package.card.model_dump_json().encode()).hexdigest(),
        "options": options,
        "chunk": CHUNK,
        "versions": {"vestige": vestige.__version__, **{name: _version(name) for name in LIBRARIES}},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _check_output(output: Path, options: BulkOptions) -> None:
    if options.parts and output.is_file():
        raise ConfigError(f"cannot write {output}: it is a file, with --parts the output is a folder")
    try:
        os.stat(output.with_name(output.name + ".parts") if output.name else output)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ConfigError(f"cannot write {output}: {error.strerror or error}") from error
    if not options.parts and output.is_dir():
        raise ConfigError(f"cannot write {output}: it is a folder; name a file, or use --parts")
    if not output.absolute().parent.is_dir():
        raise ConfigError(f"cannot write {output}: there is no folder {output.absolute().parent}")


def _finished_before(output: Path, folder: Path, facts: dict[str, Any]) -> Outcome | None:
    """The outcome of this very run if its table is there; None if a run is under way that will replace it.

    Raises:
        ConfigError: it is the table of something else.
    """
    known = finished_run(output)
    if known == json.dumps(facts, sort_keys=True):
        _, pq = pyarrow_modules()
        counts: Counter[str] = Counter()
        with output.open("rb") as file, pq.ParquetFile(file) as table:
            for batch in table.iter_batches(columns=["verdict", "error_code"]):
                counts.update(counted(batch))
            return Outcome(table.metadata.num_rows, counts)
    if (folder / RUN).exists():
        return None
    _check_replaced(output)
    raise ConfigError(
        f"{output}: is there already and holds another run than this one would be; name another output, "
        "or replace it with --restart"
    )


def _check_replaced(output: Path) -> None:
    """Only a table of ours is replaced: the last of some shards may have been taken for the output.

    Raises:
        ConfigError: it is something else.
    """
    if output.is_file() and finished_run(output) is None:
        raise ConfigError(
            f"{output}: is there already, is no table of vestige bulk and will not be replaced; name another "
            "output"
        )


def _remove_empty(folder: Path) -> None:
    # Whatever is not ours stays.
    with suppress(OSError):
        folder.rmdir()
