"""From a data set on the disk to a manifest: read the layout, look at every picture, write rows."""

import csv
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vestige.data.check import Check, Looked, look_at, sample
from vestige.data.journal import Journal
from vestige.data.layouts import Found, read
from vestige.data.layouts.found import Entry
from vestige.data.manifest import write_manifest
from vestige.data.summary import Line, summarise
from vestige.errors import DataError

# Goes through a sequence while showing how far it is, as `vestige.progress.Progress.track` does.
Track = Callable[[Sequence[int], str], Iterable[int]]


@dataclass
class Indexed:
    """A data set that was looked at.

    Attributes:
        found: its entries, stray files and findings.
        rows: rows of the manifest (keys of `vestige.data.manifest.COLUMNS`), readable pictures only.
        problems: (path, reason) of pictures that cannot be read; paths as in the manifest.
        lines: counts by split and group.
        looked: how many pictures were looked at.
        resumed: how many of these an earlier run had looked at.
    """

    found: Found
    rows: list[dict[str, Any]] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    looked: int = 0
    resumed: int = 0


def inspect(
    path: str | Path,
    benchmark: str | None = None,
    *,
    name: str = "",
    real: str | Path | None = None,
    most: int = 64,
    workers: int = 2,
    track: Track = lambda items, _: items,
) -> Indexed:
    """Look at a data set without writing anything.

    Args:
        path, benchmark, name, real: as for `vestige.data.layouts.read`.
        most: pictures of each split, group and class whose headers are read; 0 reads all.
        workers: threads.
        track: shows progress.

    Returns:
        No rows; `problems` only of pictures that were looked at.

    Raises:
        DataError, ConfigError: as `vestige.data.layouts.read`.
    """
    found = read(path, benchmark, name=name, real=real)
    chosen = sample(found.entries, most)
    seen = look_at(chosen, "header", workers)
    looked = [(chosen[number], next(seen)) for number in track(range(len(chosen)), "reading headers")]
    return Indexed(
        found,
        problems=[(_shown(entry), one.problem) for entry, one in looked if one.problem],
        lines=summarise(found.entries, looked),
        looked=len(chosen),
    )


def index(
    path: str | Path,
    out: str | Path,
    benchmark: str | None = None,
    *,
    name: str = "",
    real: str | Path | None = None,
    check: Check = "full",
    hashes: bool = True,
    workers: int = 2,
    track: Track = lambda items, _: items,
) -> Indexed:
    """Write the manifest of a data set.

    Pictures that cannot be read get no row; they are listed in `OUT.problems.csv` beside the manifest. While
    it works, a file `OUT.part.jsonl` keeps what was done; after a kill the same call goes on from there, with
    the same result.

    Args:
        path, benchmark, name, real: as for `vestige.data.layouts.read`.
        out: CSV or Parquet; paths in it are relative to its folder.
        check: "full" decodes every picture, "header" only reads how it begins.
        hashes: whether the column sha256 is filled.
        workers: threads.
        track: shows progress.

    Raises:
        DataError: as `vestige.data.layouts.read`; no readable picture; `out` cannot be written.
        ConfigError: as `vestige.data.layouts.read`.
    """
    out = Path(out)
    if out.suffix.lower() not in {".csv", ".parquet"}:
        raise DataError(f"{out}: a manifest ends in .csv or .parquet")
    found = read(path, benchmark, name=name, real=real)
    journal = Journal(out.with_name(out.name + ".part.jsonl"), found.entries, check)
    resumed = len(journal.done)
    try:
        looked = _look(found.entries, journal, check, workers, track)
    finally:
        journal.close()
    indexed = Indexed(found, looked=len(looked), resumed=resumed)
    relative = _relative_to(os.path.realpath(out.parent))
    for entry, one in zip(found.entries, looked, strict=True):
        if one.problem:
            shown = relative(entry.file)
            indexed.problems.append((f"{shown}#{entry.member}" if entry.member else shown, one.problem))
        else:
            indexed.rows.append(_row(entry, one, relative, hashes))
    indexed.lines = summarise(found.entries, zip(found.entries, looked, strict=True))
    _write_problems(out.with_suffix(".problems.csv"), indexed.problems)
    if not indexed.rows:
        raise DataError(f"{path}: none of {len(looked)} pictures can be read, first {indexed.problems[0][1]}")
    try:
        write_manifest(out, indexed.rows)
    except OSError as error:
        raise DataError(f"{out}: cannot be written ({error.strerror})") from error
    journal.remove()
    return indexed


def _look(entries: list[Entry], journal: Journal, check: Check, workers: int, track: Track) -> list[Looked]:
    todo = [number for number in range(len(entries)) if number not in journal.done]
    seen = look_at((entries[number] for number in todo), check, workers)
    done = dict(journal.done)
    for number in track(todo, "reading pictures"):
        done[number] = next(seen)
        journal.add(number, done[number])
    return [done[number] for number in range(len(entries))]


def _row(entry: Entry, looked: Looked, relative: Callable[[str], str], hashes: bool) -> dict[str, Any]:
    return {
        "path": relative(entry.file),
        "member": entry.member,
        "label": entry.label,
        "group": entry.group,
        "split": entry.split,
        "license": entry.licence,
        "source": entry.source,
        "category": entry.category,
        "picture": entry.picture,
        "compare_with": entry.compare_with,
        "mask": relative(entry.mask) if entry.mask else "",
        "changed": relative(entry.changed) if entry.changed else "",
        "manipulation": entry.manipulation,
        "sha256": looked.sha256 if hashes else "",
    }


def _relative_to(base: str) -> Callable[[str], str]:
    """POSIX paths relative to a folder without links; absolute ones where there is no way (other drives)."""

    def relative(file: str) -> str:
        try:
            return Path(os.path.relpath(file, base)).as_posix()
        except ValueError:
            return Path(file).as_posix()

    return relative


def _write_problems(path: Path, problems: list[tuple[str, str]]) -> None:
    if not problems:
        path.unlink(missing_ok=True)  # of an earlier run
        return
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("path", "reason"))
        writer.writerows(problems)


def _shown(entry: Entry) -> str:
    return f"{entry.file}#{entry.member}" if entry.member else entry.file
