"""Look at every picture of a data set once: can it be read, what is it, and what is its hash?"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, TypeVar

from vestige.data.layouts.found import Entry
from vestige.data.manifest import read_member
from vestige.data.shards import content_of
from vestige.errors import DataError, ImageError
from vestige.images import containers, raster
from vestige.images.decode import decode, read_file
from vestige.images.limits import PATIENT, Limits
from vestige.images.sniff import sniff

Check = Literal["full", "header"]
T = TypeVar("T")


@dataclass(frozen=True)
class Looked:
    """What was seen of one picture.

    Attributes:
        problem: why it cannot be used; "" if it can, and the rest is empty if it cannot.
        format: "JPEG", "PNG", ...
        width, height: upright pixels after a full check, as stored after a check of the header.
        sha256: of the file's bytes, or of the member's.
    """

    problem: str = ""
    format: str = ""
    width: int = 0
    height: int = 0
    sha256: str = ""


def look(entry: Entry, check: Check = "full", limits: Limits = PATIENT) -> Looked:
    """Read one picture.

    Args:
        check: "full" decodes every pixel, exactly as a scan does; "header" finds damage only where the file
            ends too early or contradicts itself.
    """
    try:
        entry.file.encode()
    except UnicodeEncodeError:
        return Looked("The file's name is not Unicode text; rename it.")
    try:
        content = (
            read_member(Path(entry.file), entry.member, entry.place)
            if entry.member
            else _whole(entry.file, limits)
        )
        if len(content) > limits.max_bytes:
            raise ImageError(
                "too_large", f"The picture is longer than the limit of {limits.max_bytes} bytes."
            )
        if entry.sha256 and hashlib.sha256(content).hexdigest() != entry.sha256.lower():
            return Looked("Its sha256 is not the one that the table states.")
        if check == "full":
            facts = decode(content, limits).facts
            return Looked("", facts.format, facts.width, facts.height, facts.sha256 or "")
        kind = sniff(content)
        layout = containers.inspect(content, kind)
        raster.check_size(layout.width, layout.height, limits)
        if not layout.complete:
            raise ImageError("truncated", "The data end before the picture does.")
    except ImageError as error:
        return Looked(error.reason)
    except DataError as error:
        return Looked(str(error))
    return Looked("", kind, layout.width, layout.height, hashlib.sha256(content).hexdigest())


def _whole(file: str, limits: Limits) -> bytes:
    content = content_of(Path(file))
    return content if isinstance(content, bytes) else read_file(file, limits)


def look_at(entries: Iterable[Entry], check: Check, workers: int) -> Iterator[Looked]:
    """Look at many pictures with threads, in order; only a few more than are taken are in memory.

    Args:
        workers: threads; 1 works in the caller's.
    """
    if workers <= 1:
        yield from (look(entry, check) for entry in entries)
        return
    rest = iter(entries)
    with ThreadPoolExecutor(workers) as pool:
        waiting = [pool.submit(look, entry, check) for entry in islice(rest, 4 * workers)]
        try:
            while waiting:
                yield waiting.pop(0).result()
                waiting += [pool.submit(look, entry, check) for entry in islice(rest, 1)]
        finally:
            for task in waiting:
                task.cancel()


def stamp(entry: Entry) -> tuple[int, int]:
    """Size and time of change of an entry's file, (-1, -1) if there is none: what a resumed run compares."""
    try:
        status = os.stat(entry.file)
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns


def sample(entries: list[Entry], most: int) -> list[Entry]:
    """At most `most` entries of each split, group and class, evenly spaced; all of them for 0."""
    if most < 1:
        return entries
    cells: dict[tuple[str, str, int], list[Entry]] = {}
    for entry in entries:
        cells.setdefault((entry.split, entry.group, entry.label), []).append(entry)
    chosen: list[Entry] = []
    for cell in cells.values():
        count = min(most, len(cell))
        chosen += [cell[number * len(cell) // count] for number in range(count)]
    return chosen
