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
from vestige.data.manifest import PLACE_COLUMNS, write_manifest
from vestige.data.shards import is_shard
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
    out = manifest_path(out)
    found = read(path, benchmark, name=name, real=real)
    return write_index(found, out, path, check=check, hashes=hashes, workers=workers, track=track)


def manifest_path(out: str | Path) -> Path:
    """Where a manifest is to be written.

    Raises:
        DataError: by its ending, it would be none.
    """
    out = Path(out)
    if out.suffix.lower() not in {".csv", ".parquet"}:
        raise DataError(f"{out}: a manifest ends in .csv or .parquet")
    return out


def write_index(
    found: Found,
    out: Path,
    path: str | Path,
    *,
    check: Check | None,
    hashes: bool,
    workers: int,
    track: Track,
    problems: Sequence[tuple[str, str]] = (),
) -> Indexed:
    """Look at the pictures that a reader found, and write their manifest; arguments as for `index`.

    Args:
        found: any data set.
        path: of the data set, for messages.
        check: None looks at nothing: hashes are those that the entries state.
        problems: (file, reason) of what the reader could not take for a picture, to be listed with the rest.

    Raises:
        DataError: no readable picture; `out` cannot be written.
    """
    if check is None:
        return _finished(
            Indexed(found),
            [Looked(sha256=entry.sha256) for entry in found.entries],
            out,
            path,
            hashes,
            problems,
        )
    journal = Journal(out.with_name(out.name + ".part.jsonl"), found.entries, check)
    resumed = len(journal.done)
    try:
        looked = _look(found.entries, journal, check, workers, track)
    finally:
        journal.close()
    indexed = _finished(
        Indexed(found, looked=len(looked), resumed=resumed), looked, out, path, hashes, problems
    )
    journal.remove()
    return indexed


def _finished(
    indexed: Indexed,
    looked: list[Looked],
    out: Path,
    path: str | Path,
    hashes: bool,
    problems: Sequence[tuple[str, str]],
) -> Indexed:
    """Write the manifest and the list of problems."""
    found = indexed.found
    relative = _relative_to(os.path.realpath(out.parent))
    indexed.problems += [(relative(file), reason) for file, reason in problems]
    for entry, one in zip(found.entries, looked, strict=True):
        if one.problem:
            indexed.problems.append((_named(entry, relative), one.problem))
        else:
            indexed.rows.append(entry_row(entry, one.sha256 if hashes else "", relative))
    pairs = zip(found.entries, looked, strict=True) if indexed.looked else ()
    indexed.lines = summarise(found.entries, pairs)
    _write_problems(out.with_suffix(".problems.csv"), indexed.problems)
    if not indexed.rows:
        first = f", first {indexed.problems[0][1]}" if indexed.problems else ""
        raise DataError(f"{path}: none of {len(looked) + len(problems)} pictures can be read{first}")
    try:
        write_manifest(out, indexed.rows)
    except OSError as error:
        raise DataError(f"{out}: cannot be written ({error.strerror})") from error
    return indexed


def _look(entries: list[Entry], journal: Journal, check: Check, workers: int, track: Track) -> list[Looked]:
    todo = [number for number in range(len(entries)) if number not in journal.done]
    seen = look_at((entries[number] for number in todo), check, workers)
    done = dict(journal.done)
    for number in track(todo, "reading pictures"):
        done[number] = next(seen)
        journal.add(number, done[number])
    return [done[number] for number in range(len(entries))]


def entry_row(entry: Entry, sha256: str, relative: Callable[[str], str]) -> dict[str, Any]:
    """The manifest's row of an entry.

    Args:
        sha256: of the picture's bytes; "" if not known.
        relative: an absolute path -> as it stands in the manifest.
    """
    in_shard = is_shard(Path(entry.file)) and entry.member
    row = {
        "path": f"{relative(entry.file)}/{entry.member}" if in_shard else relative(entry.file),
        "member": "" if in_shard else entry.member,
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
        "sha256": sha256,
    }
    # Left out and not empty: manifests of other data sets are what they were.
    row |= {"kind": entry.kind} if entry.kind else {}
    return row | (dict(zip(PLACE_COLUMNS, entry.place, strict=True)) if entry.place else {})


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
    return _named(entry, str)


def _named(entry: Entry, shown: Callable[[str], str]) -> str:
    if not entry.member:
        return shown(entry.file)
    return f"{shown(entry.file)}{'/' if is_shard(Path(entry.file)) else '#'}{entry.member}"
