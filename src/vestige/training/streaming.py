"""Batches of crops in an order that reads shards from front to back, for disks on which seeks are slow.

An epoch shows as many crops as there are pictures. Its order follows from the seed alone:

1. The shards are shuffled. Walking through them, every picture is taken so often that groups come by the root
   of their size, as everywhere in training: those of large groups sometimes not at all, those of small ones
   several times.
2. What was taken is cut into equal sections, one for each lane: a process that prepares batches. Lanes thus
   read different shards, except at the ends of their sections.
3. A lane's section is cut into windows. A window takes from `TOGETHER` shards at once, is read from front to
   back, and its pictures are mixed. Two pictures of one batch are at most about a window apart.

What is read of a window stays in memory undecoded, and the next one is read meanwhile.
"""

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from vestige.data.augment import random_patch
from vestige.data.manifest import Row
from vestige.data.shards import Named, is_shard, place_of, read_shard
from vestige.errors import ConfigError, DataError, ImageError
from vestige.images.decode import read_file
from vestige.images.limits import PATIENT
from vestige.progress import Progress
from vestige.training.pictures import CropBatches, Pictures
from vestige.training.views import read_pixels

TOGETHER = 8  # shards that a window takes from
KEPT = 2  # windows in memory besides the one that is being read: batches may lie across their border
ORDER = 0x5EAD  # tells this stream of draws from others of the same seed

Indices = npt.NDArray[np.int64]


class Stream:
    """Pictures of some rows, read window by window.

    Args:
        rows: members of shards, files or both; the files of a folder count as a shard, and so does a Parquet
            file.
        window: pictures that are mixed and held in memory by each lane, three times over.
        seed: of the order.
        lanes: how many processes prepare batches, on all devices together: a part of what decides the order.

    Raises:
        ConfigError: there are fewer pictures than lanes.
    """

    def __init__(self, rows: Sequence[Row], window: int, seed: int, lanes: int = 1) -> None:
        if len(rows) < lanes:
            raise ConfigError(
                f"{len(rows)} pictures cannot be divided among {lanes} processes that prepare batches"
            )
        self.rows, self.window, self.seed, self.lanes = rows, window, seed, lanes
        shards: dict[Path, int] = {}
        self._shard_of = np.array([shards.setdefault(_shard(row), len(shards)) for row in rows], np.int64)
        self._shards = len(shards)
        # Of a shard in the order in which they lie there, as far as the rows say it.
        offsets = np.array([row.place.offset if row.place else 0 for row in rows], np.int64)
        self._sorted: Indices = np.lexsort((offsets, self._shard_of))
        groups = [(row.label, row.group) for row in rows]
        sizes = Counter(groups)
        weights = np.array([sizes[group] ** -0.5 for group in groups])
        self._often = weights / weights.sum() * len(rows)
        self._orders: dict[tuple[int, int], Indices] = {}
        self._reader = _Reader(self)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def section(self) -> int:
        """Pictures of a lane in an epoch; the few that do not go evenly into the lanes are left out of it."""
        return len(self.rows) // self.lanes

    def fill(self, progress: Progress) -> None:
        """Make sure that all shards can be read and hold what the rows name, without reading pictures.

        Raises:
            DataError: one cannot, or does not.
        """
        members: dict[Path, list[Row]] = {}
        for row in self.rows:
            if row.member and is_shard(row.path):
                members.setdefault(row.path, []).append(row)
        for path in progress.track(list(members), "looking at shards"):
            rows = members[path]
            places = [row.place or place_of(path, row.member) for row in rows]
            last = max(range(len(rows)), key=places.__getitem__)
            for number in {0, last}:  # a shard that was cut off or replaced shows at its end
                read_shard(path, [Named(rows[number].member, places[number])])

    def order(self, epoch: int, lane: int) -> Indices:
        """Rows of a lane in the order in which an epoch shows them: int64 [section]."""
        found = self._orders.get((epoch, lane))
        if found is None:
            found = self._orders[epoch, lane] = self._mixed(epoch, lane)
            # Two, for the end of an epoch. The thread that reads ahead asks, too.
            for old in list(self._orders)[:-2]:
                self._orders.pop(old, None)
        return found

    def content(self, epoch: int, lane: int, position: int) -> tuple[Row, bytes]:
        """A row and the bytes of its picture, by its position in a lane's section.

        Raises:
            DataError: it cannot be read.
        """
        index = int(self.order(epoch, lane)[position])
        return self.rows[index], self._reader.window(epoch, lane, position // self.window)[index]

    def windows(self) -> int:
        """How many windows a section has."""
        return -(-self.section // self.window)

    def window_of(self, epoch: int, lane: int, number: int) -> Indices:
        """Rows of a window, int64 [at most `window`]."""
        return self.order(epoch, lane)[number * self.window : (number + 1) * self.window]

    def _taken(self, epoch: int) -> Indices:
        """Rows of an epoch, shard after shard: int64 [len(rows)], some of them several times."""
        rng = np.random.default_rng([ORDER, self.seed, epoch])
        rank = rng.permutation(self._shards)
        walk = self._sorted[np.argsort(rank[self._shard_of[self._sorted]], kind="stable")]
        # Ticks at equal distances along the sums: a picture comes so often as ticks fall on it.
        ends = np.cumsum(self._often[walk])
        ticks = (np.arange(len(walk)) + rng.random()) * (ends[-1] / len(walk))
        found: Indices = walk[np.minimum(np.searchsorted(ends, ticks, "right"), len(walk) - 1)]
        return found

    def _mixed(self, epoch: int, lane: int) -> Indices:
        """The order of one lane in one epoch, computed anew."""
        own = self._taken(epoch)[lane * self.section : (lane + 1) * self.section]
        rng = np.random.default_rng([ORDER, self.seed, epoch, lane])
        own = _together(own, self._shard_of[own])
        for first in range(0, len(own), self.window):
            own[first : first + self.window] = rng.permutation(own[first : first + self.window])
        return own


class StreamedBatches(Dataset[tuple[int, Tensor]]):
    """Batches of random crops in the order of a stream; numbered as `CropBatches` numbers them.

    Seed, lanes, window and the number of a batch decide all of it, whatever was read before. A process is
    quick where it takes every `lanes`-th batch, as the workers of a `DataLoader` do that take turns.

    Args:
        first, count: numbers of the batches that this dataset holds.
    """

    def __init__(self, stream: Stream, size: int, crop: int, first: int = 0, count: int = 1) -> None:
        self.stream, self.size, self.crop = stream, size, crop
        self.first, self.count = first, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[int, Tensor]:
        """Number of the batch, and uint8 [size, 3, crop, crop].

        Raises:
            DataError: a picture cannot be read.
        """
        number = self.first + index
        turn, lane = divmod(number, self.stream.lanes)
        rng = np.random.default_rng([self.stream.seed, number])
        patches = []
        for position in range(turn * self.size, (turn + 1) * self.size):
            row, data = self.stream.content(*self._epoch(position, lane))
            pixels = read_pixels(data, row.name)
            # The whole crop as the multiple: a smaller picture is reflected at its edges.
            patches.append(random_patch(pixels, self.crop, rng, multiple=self.crop))
        return number, torch.from_numpy(np.stack(patches)).permute(0, 3, 1, 2)

    def _epoch(self, position: int, lane: int) -> tuple[int, int, int]:
        epoch, inside = divmod(position, self.stream.section)
        return epoch, lane, inside


def batches_of(
    pictures: Pictures | Stream, size: int, crop: int, seed: int, first: int, count: int
) -> Dataset[tuple[int, Tensor]]:
    """Numbered batches of crops: drawn from all pictures, or in the order of a stream of the same seed."""
    if isinstance(pictures, Stream):
        return StreamedBatches(pictures, size, crop, first, count)
    return CropBatches(pictures, size, crop, seed, first, count)


class _Reader:
    """Windows in memory; in each process its own."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._windows: dict[tuple[int, int, int], Future[dict[int, bytes]]] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._process = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return {"_stream": self._stream, "_windows": {}, "_pool": None, "_process": -1}

    def window(self, epoch: int, lane: int, number: int) -> dict[int, bytes]:
        """Bytes of the pictures of a window by their rows; the next one is read meanwhile."""
        if self._process != os.getpid():  # a thread does not come along into a forked process
            self._windows, self._pool, self._process = {}, None, os.getpid()
        wanted = (epoch, lane, number)
        if wanted not in self._windows:
            self._begin(wanted)
        following = self._after(*wanted)
        found = self._windows[wanted].result()
        if following not in self._windows:
            for old in list(self._windows)[: max(0, len(self._windows) - KEPT)]:
                if old != wanted:
                    self._windows.pop(old).cancel()
            self._begin(following)
        return found

    def _begin(self, window: tuple[int, int, int]) -> None:
        self._pool = self._pool or ThreadPoolExecutor(1)
        self._windows[window] = self._pool.submit(self._read, *window)

    def _after(self, epoch: int, lane: int, number: int) -> tuple[int, int, int]:
        last = number + 1 == self._stream.windows()
        return (epoch + 1, lane, 0) if last else (epoch, lane, number + 1)

    def _read(self, epoch: int, lane: int, number: int) -> dict[int, bytes]:
        rows = self._stream.rows
        found: dict[int, bytes] = {}
        shards: dict[Path, list[int]] = {}
        for index in np.unique(self._stream.window_of(epoch, lane, number)).tolist():
            row = rows[index]
            if row.member and is_shard(row.path):
                shards.setdefault(row.path, []).append(index)
            else:
                found[index] = _bytes(row)
        for path, indices in shards.items():
            wanted = [Named(rows[index].member, rows[index].place) for index in indices]
            found.update(zip(indices, read_shard(path, wanted), strict=True))
        return found


def _together(rows: Indices, shards: Indices) -> Indices:
    """Rows that lie shard after shard -> taken from `TOGETHER` shards at once, evenly to their ends."""
    if not len(rows):
        return rows
    begins = np.flatnonzero(np.r_[True, shards[1:] != shards[:-1]])
    sizes = np.diff(np.r_[begins, len(rows)])
    batch = np.repeat(np.arange(len(begins)) // TOGETHER, sizes)
    share = (np.arange(len(rows)) - np.repeat(begins, sizes) + 0.5) / np.repeat(sizes, sizes)
    return rows[np.lexsort((share, batch))]


def _shard(row: Row) -> Path:
    return row.path if row.member else row.path.parent


def _bytes(row: Row) -> bytes:
    content = row.content()
    try:
        return content if isinstance(content, bytes) else read_file(content, PATIENT)
    except ImageError as error:
        raise DataError(f"{row.name}: {error.reason}") from error
