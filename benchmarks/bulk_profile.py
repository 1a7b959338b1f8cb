"""The path of a picture through `vestige bulk`, taken apart into seconds of each part; for `bulk_speed.py`.

Functions on the way are replaced by ones that look at the clock. One that was renamed is an error here, not a
part that takes no time.
"""

import hashlib
import io
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pyarrow.parquet as pq

from vestige import detector as front
from vestige.bulk import scorer
from vestige.bulk.chunks import CHUNK, FilePlace, Item
from vestige.detector import Detector
from vestige.images import colour, containers, metadata, raster
from vestige.images.limits import Limits

CLAIMS, FACTS = "metadata, claims, C2PA", "facts and hash"
OF_PICTURE = ("read", "container", "decode", "colour", FACTS, "views", CLAIMS)
OF_BATCH = ("patches to floats", "network")  # shared among pictures by their views
OF_CHUNK = ("verdict and report", "table row", "rest")  # shared equally
PARTS = (*OF_PICTURE, *OF_BATCH, *OF_CHUNK)
BROKEN = "unreadable"
PASSES = 3
decode: Any = import_module("vestige.images.decode")  # by its name alone one gets the function


class Clock:
    """Seconds by part; what a part calls that is a part of its own counts there only.

    Attributes:
        views: how many views each picture gave, in order.
    """

    def __init__(self) -> None:
        self.views: list[int] = []
        self._spent: dict[str, float] = defaultdict(float)
        self._inside: list[float] = []

    def timed(self, part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The call, with its time added to a part."""

        def within(*arguments: Any, **named: Any) -> Any:
            self._inside.append(0.0)
            began = time.perf_counter()
            try:
                return call(*arguments, **named)
            finally:
                spent = time.perf_counter() - began
                self._spent[part] += spent - self._inside.pop()
                if self._inside:
                    self._inside[-1] += spent

        return within

    def counted(self, look: Callable[..., Any]) -> Callable[..., Any]:
        """`Detector._look`, with the number of views noted."""

        def within(*arguments: Any, **named: Any) -> Any:
            found = look(*arguments, **named)
            self.views.append(len(found[0]))
            return found

        return within

    def taken(self) -> dict[str, float]:
        """What was spent since the last call."""
        found, self._spent = dict(self._spent), defaultdict(float)
        return found


class TimedPlace:
    """A file; reading it begins a new picture."""

    def __init__(self, path: str, clock: Clock, before: list[dict[str, float]]) -> None:
        self._path, self._clock, self._before = path, clock, before

    def read(self, limits: Limits) -> bytes:
        """See `vestige.bulk.chunks.Place.read`."""
        self._before.append(self._clock.taken())
        data: bytes = self._clock.timed("read", decode.read_file)(self._path, limits)
        return data


def profile(paths: Sequence[str], options: scorer.ScoreOptions) -> dict[str, Any]:
    """Milliseconds of each picture by part, the median of several passes; JSON-ready."""
    detector = scorer.detector_of(options)
    table = scorer.score_items([Item(path, FilePlace(path)) for path in paths], options)  # warms up, too
    clock = Clock()
    with ExitStack() as stack:
        _watch(clock, detector, stack)
        passes = [_one_pass(paths, options, clock) for _ in range(PASSES)]
    pictures = []
    for path, *found in zip(paths, *passes, strict=True):
        row = found[0][0]
        pictures.append(
            {
                "format": row["format"] or BROKEN,
                "megapixels": round((row["width"] or 0) * (row["height"] or 0) / 1e6, 4),
                "bytes": os.path.getsize(path),
                "ms": {
                    part: round(1000 * statistics.median(seconds.get(part, 0.0) for _, seconds in found), 4)
                    for part in PARTS
                },
            }
        )
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return {
        "pictures": pictures,
        "bytes_per_row": round(buffer.tell() / len(paths), 1),
        "patches_per_picture": round(sum(clock.views) / PASSES / len(paths), 3),
    }


def _watch(clock: Clock, detector: Detector, stack: ExitStack) -> None:
    found: list[tuple[Any, str, str]] = [
        (decode, "sniff", "container"),
        (containers, "inspect", "container"),
        (raster, "from_bytes", "decode"),
        (colour, "to_srgb", "colour"),
        (metadata, "collect", CLAIMS),
        (raster, "jpeg_facts", FACTS),
        (decode, "_picture", FACTS),
        (detector, "_look", "views"),
        (detector._credentials, "read", CLAIMS),
        (front, "read_claims", CLAIMS),
        (front, "read_marks", CLAIMS),
        (detector._session, "run", "patches to floats"),
        (detector, "_report", "verdict and report"),
        (scorer, "table_of", "table row"),
    ]
    for owner, name, part in found:
        stack.enter_context(mock.patch.object(owner, name, clock.timed(part, getattr(owner, name))))
    stack.enter_context(mock.patch.object(detector, "_look", clock.counted(detector._look)))
    timed_hash = SimpleNamespace(sha256=clock.timed(FACTS, hashlib.sha256))
    stack.enter_context(mock.patch.object(decode, "hashlib", timed_hash))
    bare = SimpleNamespace(run=clock.timed("network", detector._session._session.run))
    stack.enter_context(mock.patch.object(detector._session, "_session", bare))


_Timed = tuple[dict[str, Any], dict[str, float]]  # a row of the table, seconds by part


def _one_pass(paths: Sequence[str], options: scorer.ScoreOptions, clock: Clock) -> list[_Timed]:
    found = []
    for at in range(0, len(paths), CHUNK):
        found += _one_chunk(paths[at : at + CHUNK], options, clock)
    return found


def _one_chunk(paths: Sequence[str], options: scorer.ScoreOptions, clock: Clock) -> list[_Timed]:
    before: list[dict[str, float]] = []
    items = [Item(path, TimedPlace(path, clock, before)) for path in paths]
    clock.taken()
    known = len(clock.views)
    began = time.perf_counter()
    table = scorer.score_items(items, options)
    whole = time.perf_counter() - began
    rows, last = table.to_pylist(), clock.taken()
    # What had been counted when picture N + 1 began belongs to picture N; the last one shares with the batch.
    each = [*before[1:], {part: last.pop(part, 0.0) for part in OF_PICTURE}]
    last["rest"] = whole - sum(sum(one.values()) for one in [*each, last])
    views = iter(clock.views[known:])
    shares = [0 if row["error_code"] else next(views) for row in rows]
    for seconds, share in zip(each, shares, strict=True):
        seconds.update({part: last.get(part, 0.0) * share / max(1, sum(shares)) for part in OF_BATCH})
        seconds.update({part: last.get(part, 0.0) / len(rows) for part in OF_CHUNK})
    return list(zip(rows, each, strict=True))
