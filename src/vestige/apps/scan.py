"""`vestige scan`: pictures in, verdicts out, in as many forms as were asked for."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vestige.apps import fetch
from vestige.apps.inputs import STDIN, collect
from vestige.detector import Detector
from vestige.errors import ConfigError
from vestige.images import Limits
from vestige.images.decode import Source
from vestige.inference.package import DEFAULT_MODEL
from vestige.reports import BaseSink, Format, open_sink
from vestige.reports.terminal import TerminalSink
from vestige.results import ImageReport, Verdict

DONE, FAILED_ON, SOME_UNREADABLE, NOTHING = 0, 1, 2, 3
NAMED = 5  # files left out of a folder that are named one by one

FAIL_VERDICTS = {
    "generated": {verdict for verdict in Verdict if verdict.says_generated},
    "inconclusive": {Verdict.INCONCLUSIVE},
}


@dataclass(frozen=True)
class ScanOptions:
    """What the user asked for; see `vestige scan --help`."""

    text_format: Format | None = None
    output: Path | None = None
    parquet: Path | None = None
    html: Path | None = None
    model: str | None = None
    threshold: float | None = None
    fpr: float | None = None
    fail_on: frozenset[str] = frozenset()
    resume: bool = False
    threads: int | None = None
    max_bytes: int = Limits().max_bytes
    max_pixels: int = Limits().max_pixels
    quiet: bool = False
    fetch: bool = False
    trust_anchors: Path | None = None
    fetch_manifests: bool = False


@dataclass
class _Tally:
    """What decides the exit code."""

    read: int = 0
    unreadable: int = 0
    verdicts: set[Verdict] = field(default_factory=set)

    def add(self, report: ImageReport) -> None:
        if report.verdict is None:
            self.unreadable += 1
        else:
            self.read += 1
            self.verdicts.add(report.verdict)

    def exit_code(self, fail_on: frozenset[str]) -> int:
        if not self.read:
            return NOTHING
        # A script that asks for generated pictures wants to hear of one even if another file was broken.
        if any(FAIL_VERDICTS[name] & self.verdicts for name in fail_on):
            return FAILED_ON
        return SOME_UNREADABLE if self.unreadable else DONE


def run(arguments: list[str], options: ScanOptions) -> int:
    """Scan and report; returns the exit code.

    Raises:
        ConfigError, ModelPackageError: before any picture is read.
    """
    _check(options)
    inputs = collect(arguments)
    notes = Console(file=sys.stderr)
    say_left_out(inputs.left_out, notes)
    if options.fetch:
        fetch.for_scan(options.model or DEFAULT_MODEL, notes)
    detector = Detector.load(
        options.model or DEFAULT_MODEL,
        threshold=options.threshold,
        fpr=options.fpr,
        limits=Limits(max_bytes=options.max_bytes, max_pixels=options.max_pixels),
        threads=options.threads,
        trust_anchors=options.trust_anchors,
        fetch_manifests=options.fetch_manifests,
    )
    tally = _Tally()
    with ExitStack() as stack:
        sinks = [stack.enter_context(sink) for sink in _open_sinks(options, detector.card.title)]
        todo = _todo(inputs.paths, sinks, options.resume, notes)
        table = None
        shown = Console(highlight=False)
        if not options.quiet and not _uses_stdout(options):
            table = TerminalSink(shown)
        # Rows and bar on one terminal must go through one console, or they overwrite each other.
        bar = shown if table is not None and shown.is_terminal else notes
        progress = stack.enter_context(_progress(bar, options.quiet))
        task = progress.add_task("scanning", total=len(todo))
        if table is not None:
            stack.enter_context(table)
        scanned = detector.stream(
            _sources(todo, options.max_bytes),
            heat_map=options.html is not None,
            keep_pictures=options.html is not None,
        )
        for path, (report, picture) in zip(todo, scanned, strict=True):
            report = report.model_copy(update={"path": "<stdin>" if path == STDIN else path})
            for sink in sinks:
                sink.write(report, picture)
            if table is not None:
                table.write(report)
            tally.add(report)
            progress.advance(task)
    if not inputs.paths:
        notes.print("vestige: no pictures found", markup=False, highlight=False)
    elif not todo:
        notes.print("vestige: nothing left to do, all pictures are in the output already", highlight=False)
        return DONE
    if options.html is not None:
        notes.print(f"report: {options.html / 'index.html'}", markup=False, highlight=False, soft_wrap=True)
    return tally.exit_code(options.fail_on)


def _check(options: ScanOptions) -> None:
    if options.output is not None and options.text_format is None:
        raise ConfigError("--output needs a format: --json, --jsonl or --csv")
    if options.resume and not (options.output or options.parquet or options.html):
        raise ConfigError("--resume continues files: name one with --output, --parquet or --html")
    if options.resume and _uses_stdout(options):
        raise ConfigError("--resume cannot continue standard output: give --output a file")


def _uses_stdout(options: ScanOptions) -> bool:
    return options.text_format is not None and options.output is None


def _open_sinks(options: ScanOptions, model: str) -> Iterator[BaseSink]:
    if options.text_format is not None:
        target: Any = options.output if options.output is not None else sys.stdout
        yield open_sink(target, options.text_format, resume=options.resume, model=model)
    if options.parquet is not None:
        yield open_sink(options.parquet, "parquet", resume=options.resume, model=model)
    if options.html is not None:
        yield open_sink(options.html, "html", resume=options.resume, model=model)


def _todo(paths: list[str], sinks: list[BaseSink], resume: bool, notes: Console) -> list[str]:
    """Paths that are not yet in all outputs."""
    if not resume or not sinks:
        return paths
    done = set.intersection(*(sink.done for sink in sinks))
    todo = [path for path in paths if path not in done]
    if len(todo) < len(paths):
        notes.print(f"resuming: {len(paths) - len(todo)} of {len(paths)} pictures are done", highlight=False)
    return todo


def _sources(paths: list[str], max_bytes: int) -> Iterator[Source]:
    for path in paths:
        # One byte more than allowed is enough to be refused.
        yield sys.stdin.buffer.read(max_bytes + 1) if path == STDIN else path


def say_left_out(left_out: Sequence[str], notes: Console) -> None:
    """Name files in folders that are not judged."""
    if not left_out:
        return
    count = len(left_out)
    names = ", ".join(left_out[:NAMED]) + (", ..." if count > NAMED else "")
    what = "1 file that is no picture" if count == 1 else f"{count} files that are no pictures"
    notes.print(f"left out: {what} ({names})", markup=False, highlight=False, soft_wrap=True)


def _progress(console: Console, quiet: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=quiet or not console.is_terminal,
    )
