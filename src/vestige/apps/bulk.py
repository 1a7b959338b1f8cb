"""`vestige bulk`: pictures by the million into one table, with progress and a summary."""

import os
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vestige.apps.scan import DONE, NOTHING, SOME_UNREADABLE, say_left_out
from vestige.bulk.engines import Engine, Scored
from vestige.bulk.inputs import open_source
from vestige.bulk.run import UNREADABLE, BulkOptions, Outcome, run_bulk, work_folder
from vestige.bulk.scorer import ScoreOptions
from vestige.errors import ConfigError
from vestige.progress import QUIET
from vestige.reports.text import visible
from vestige.results import Verdict

NAMED = 5  # unreadable pictures that are named one by one


@dataclass(frozen=True)
class Request:
    """What the user asked for; see `vestige bulk --help`."""

    score: ScoreOptions
    output: BulkOptions
    column: str | None = None
    engine: str = "local"
    processes: int | None = None
    ray_address: str | None = None
    actors: tuple[int, int] | None = None
    gpus: float = 0.0
    quiet: bool = False


def run(inputs: list[str], output: Path, request: Request) -> int:
    """Score and tell; returns the exit code.

    Raises:
        VestigeError: see `vestige.bulk.run.run_bulk`.
    """
    notes = Console(file=sys.stderr)
    _check(request)
    engine = _engine(request)
    source = open_source(inputs, request.column, output, request.score.limits)
    say_left_out(source.left_out, notes)
    if source.count() == 0:
        _say(notes, "vestige: no pictures found")
        return NOTHING
    if request.engine == "ray" and not source.random_access:
        raise ConfigError(
            "compressed tar shards can only be read from front to back: unpack them for --engine ray"
        )
    shown = _Shown(notes, request.quiet)
    try:
        outcome = run_bulk(source, output, engine, request.score, request.output, shown)
    except KeyboardInterrupt:
        shown.close()
        folder = work_folder(output, request.output)
        same = "the same command without --restart" if request.output.restart else "the same command"
        _say(notes, f"what was scored is kept in {folder}: {same} goes on from there")
        raise
    finally:
        shown.close()
    _summary(outcome, output, shown, request.quiet, notes)
    if not outcome.rows or sum(outcome.unreadable.values()) == outcome.rows:
        return NOTHING
    return SOME_UNREADABLE if outcome.unreadable else DONE


def _engine(request: Request) -> Engine:
    if request.engine == "ray":
        from vestige.bulk.ray_engine import RayEngine

        return RayEngine(request.ray_address, request.actors, gpus=request.gpus)
    from vestige.bulk.pool import ProcessPool

    return ProcessPool(request.processes or processors())


def processors() -> int:
    """Processors that this process may use."""
    try:
        return len(os.sched_getaffinity(0))  # type: ignore[attr-defined,unused-ignore]
    except AttributeError:
        return os.cpu_count() or 1


def _check(request: Request) -> None:
    if request.engine == "ray":
        if request.processes is not None:
            raise ConfigError("--processes is for --engine local; with --engine ray use --actors MIN,MAX")
    elif request.ray_address is not None or request.actors is not None or request.gpus:
        raise ConfigError("--ray-address, --actors and --gpus need --engine ray")


def _say(console: Console, text: str) -> None:
    try:
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    except (OSError, SystemExit):
        console.quiet = True  # nobody reads it any more; the table is what counts


class _Shown:
    """How far a run is: a bar on a terminal, a line every 30 seconds elsewhere."""

    def __init__(self, console: Console, quiet: bool) -> None:
        self._console, self._quiet = console, quiet
        self._bar: Progress | None = None
        self.unreadable: list[str] = []
        self._bad = 0
        self._done = 0
        self._total: int | None = None
        self._said = time.monotonic()
        self._rate = _Rate()

    def begun(self, done: int, total: int | None, counts: Counter[str]) -> None:
        """See `vestige.bulk.run.Watcher.begun`."""
        self._done, self._total = done, total
        self._bad = sum(count for key, count in counts.items() if key.startswith(UNREADABLE))
        self._rate.add(done)
        if self._quiet:
            return
        if done:
            _say(self._console, f"going on: {done:,} of {_of(total)} pictures are done")
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("scoring"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[note]}"),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("", total=total, completed=done, note="")

    def scored(self, scored: Scored) -> None:
        """See `vestige.bulk.run.Watcher.scored`."""
        self._done += scored.table.num_rows
        self._rate.add(self._done)
        codes = scored.table.column("error_code")
        if codes.null_count < len(codes):
            self._note_unreadable(scored.table)
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, note=self._note())
        elif not self._quiet and time.monotonic() - self._said >= QUIET:
            self._said = time.monotonic()
            _say(self._console, f"{self._done:,} of {_of(self._total)}, {self._note()}{self._left()}")

    def _note_unreadable(self, table: Any) -> None:
        for row in table.select(["path", "error_code", "error"]).to_pylist():
            if row["error_code"] is not None:
                self._bad += 1
                if len(self.unreadable) < NAMED:
                    self.unreadable.append(visible(f"{row['path']}: {row['error']}"))

    def _note(self) -> str:
        return f"{self._rate.per_second:.1f} per second" + (
            f", {self._bad:,} unreadable" if self._bad else ""
        )

    def _left(self) -> str:
        if self._total is None or not self._rate.per_second:
            return ""
        return f", {duration((self._total - self._done) / self._rate.per_second)} left"

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class _Rate:
    """Pictures per second over the last minute."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def add(self, done: int) -> None:
        now = time.monotonic()
        self._seen.append((now, done))
        while now - self._seen[0][0] > 60 and len(self._seen) > 2:
            self._seen.popleft()

    @property
    def per_second(self) -> float:
        (begin, before), (end, done) = self._seen[0], self._seen[-1]
        return (done - before) / (end - begin) if end > begin else 0.0


def _of(total: int | None) -> str:
    return "an unknown number of" if total is None else f"{total:,}"


def duration(seconds: float) -> str:
    """Such as "45 s", "12 min" or "3 h 20 min"."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _summary(outcome: Outcome, output: Path, shown: _Shown, quiet: bool, notes: Console) -> None:
    if quiet:
        return
    if not outcome.rows:
        _say(notes, "vestige: no pictures found")
        return
    if not outcome.new:
        _say(notes, f"nothing left to do: {output} holds all {outcome.rows:,} pictures")
    verdicts = [(verdict.words, outcome.counts[verdict.value]) for verdict in Verdict]
    told = ", ".join(f"{count:,} {words}" for words, count in verdicts if count)
    bad = outcome.unreadable
    if bad:
        codes = ", ".join(f"{count:,} {code}" for code, count in bad.items())
        told += f"{', ' if told else ''}{sum(bad.values()):,} unreadable ({codes})"
    _say(notes, f"{outcome.rows:,} pictures: {told}")
    for line in shown.unreadable:
        _say(notes, f"  {line}")
    if len(shown.unreadable) < sum(bad.values()):
        _say(notes, "  ... all of them have error_code and error in the table")
    if outcome.new:
        rate = outcome.new / max(outcome.seconds, 1e-9)
        _say(notes, f"{output}: {outcome.new:,} scored in {duration(outcome.seconds)}, {rate:.1f} per second")
