"""Frozen features on disk, shared by runs, by methods and by processes at the same time.

KIND/store.json       what all of the folder's features have in common; the folder's name is its hash
KIND/WRITER.rows      float16, one row per view, all of one shape; only ever appended to
KIND/WRITER.index     a line of JSON with the shape, then records: a key and how many rows belong to it

A row counts from when its record is in the index, which is written after it: a kill leaves rows without a
record, never a record without rows. Each writer has files of its own, so writers cannot disturb each other;
readers merge all. Nothing is locked, and a folder may be deleted when nobody uses it.
"""

import hashlib
import json
import os
import struct
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from vestige.errors import DataError

STORE = "store.json"
KEY_BYTES = 16
_RECORD = struct.Struct(f"<{KEY_BYTES}sI")

Half = npt.NDArray[np.float16]
Shape = tuple[int, ...]


class Rows(Protocol):
    """What training needs of an array of features: a NumPy array has it, and so have rows on disk."""

    @property
    def shape(self) -> Shape:
        """(N, ...)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """float16."""

    def __len__(self) -> int:
        """N."""

    def __getitem__(self, index: Any, /) -> Any:
        """The rows at an index of any kind that NumPy knows."""


class StoredRows:
    """Rows of features in memory-mapped files; what is indexed is read, no more.

    Args:
        maps: float16 arrays with rows of one shape.
        segments, positions: int64 [N], for each row which of the maps holds it, and where.
    """

    dtype = np.dtype(np.float16)

    def __init__(
        self, maps: Sequence[Half], segments: npt.NDArray[np.int64], positions: npt.NDArray[np.int64]
    ) -> None:
        self._maps, self._segments, self._positions = maps, segments, positions
        self.shape: Shape = (len(segments), *maps[0].shape[1:])

    def __getstate__(self) -> dict[str, Any]:
        # Processes that train together share the system's pages of the files; copies would be gigabytes.
        return {**self.__dict__, "_maps": [_where(columns) for columns in self._maps]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._maps = [where if isinstance(where, np.ndarray) else where.mapped() for where in state["_maps"]]

    def __len__(self) -> int:
        return len(self._segments)

    def __getitem__(self, index: Any) -> Half:
        """A copy of the rows at an index of any kind that NumPy knows: float16 [..., *shape of a row]."""
        segments, positions = self._segments[index], self._positions[index]
        found = np.empty((*np.shape(segments), *self.shape[1:]), np.float16)
        for segment in np.unique(segments):
            here = segments == segment
            found[here] = self._maps[segment][positions[here]]
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self[:], dtype)


class _Where(NamedTuple):
    """Where an array lies in a memory-mapped file."""

    file: str
    length: int
    offset: int
    shape: Shape
    strides: tuple[int, ...]

    def mapped(self) -> Half:
        """The array again, in whatever process."""
        whole = np.memmap(self.file, np.uint8, mode="r", shape=(self.length,))
        return np.ndarray(self.shape, np.float16, whole, self.offset, self.strides)  # type: ignore[no-any-return]


def _where(array: Half) -> "_Where | Half":
    """Where an array lies; the array itself if that is not a file."""
    root: Any = array
    while isinstance(getattr(root, "base", None), np.ndarray):
        root = root.base
    if not isinstance(root, np.memmap) or root.filename is None:
        return array
    start = array.__array_interface__["data"][0] - root.__array_interface__["data"][0]
    begin = root.offset
    return _Where(str(root.filename), begin + root.nbytes, begin + start, array.shape, array.strides)


class Place(NamedTuple):
    """Where the rows of a key lie: in the files called `segment`, from `first`; `side` is of the views."""

    segment: str
    side: int
    first: int
    rows: int


@dataclass
class _Segment:
    """What one writer wrote of one shape, as far as it was read.

    Attributes:
        end: byte of the index up to which it was read.
        rows: how many rows that part of the index speaks of.
    """

    side: int
    shapes: tuple[Shape, ...]
    end: int
    rows: int = 0

    @property
    def widths(self) -> list[int]:
        """Numbers that each tensor has in a row."""
        return [int(np.prod(shape, dtype=np.int64)) for shape in self.shapes]


class FeatureStore:
    """Features of one kind: one way to cut views, one network or part of it.

    Args:
        folder: of many stores.
        kind: what decides the features apart from the key of a view; JSON values.
    """

    def __init__(self, folder: Path, kind: Mapping[str, Any]) -> None:
        text = json.dumps(kind, sort_keys=True)
        self.folder = folder / hashlib.sha256(text.encode()).hexdigest()[:32]
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / STORE).exists():
            partial = self.folder / f"{uuid.uuid4().hex}.part"
            partial.write_text(json.dumps(kind, indent=2, sort_keys=True) + "\n", encoding="utf-8")
            partial.replace(self.folder / STORE)
        self._segments: dict[str, _Segment] = {}
        self._places: dict[bytes, Place] = {}
        self._writing: dict[tuple[int, tuple[Shape, ...]], str] = {}
        self.refresh()

    def __contains__(self, key: bytes) -> bool:
        return key in self._places

    def __getitem__(self, key: bytes) -> Place:
        """Raises KeyError if the store does not hold it, as far as was read."""
        return self._places[key]

    def refresh(self) -> None:
        """Read what was added since, by this process or by others."""
        # The oldest first: where two writers computed the same, a later run takes the same of the two.
        for index in sorted(self.folder.glob("*.index")):
            self._read(index)

    def add(self, side: int, keys: Sequence[bytes], counts: Sequence[int], features: Sequence[Half]) -> None:
        """Append features of views; they are found after the next `refresh`.

        Args:
            side: of the views.
            keys: of `KEY_BYTES` bytes each.
            counts: how many consecutive rows belong to each key.
            features: one or several tensors, float16 with sum(counts) rows each.
        """
        shapes = tuple(feature.shape[1:] for feature in features)
        # Taken out until all is written: after a full disk nothing is appended to half a row.
        name = self._writing.pop((side, shapes), None) or self._begin(side, shapes)
        rows = np.concatenate([feature.reshape(len(feature), -1) for feature in features], axis=1)
        with (self.folder / f"{name}.rows").open("ab") as file:
            file.write(rows.astype("<f2", copy=False).tobytes())
            file.flush()
            os.fsync(file.fileno())
        with (self.folder / f"{name}.index").open("ab") as file:
            file.write(b"".join(_RECORD.pack(*record) for record in zip(keys, counts, strict=True)))
        self._writing[side, shapes] = name

    def read(self, places: Sequence[Place]) -> list[StoredRows]:
        """The rows of some places, all of one shape, one after the other; for each tensor.

        Raises:
            DataError: they have different shapes.
        """
        names = sorted({place.segment for place in places})
        shapes = self._segments[names[0]].shapes
        if any(self._segments[name].shapes != shapes for name in names):
            raise DataError(f"{self.folder}: views of one size have features of different shapes; delete it")
        number = {name: index for index, name in enumerate(names)}
        counts = [place.rows for place in places]
        segments = np.repeat(np.array([number[place.segment] for place in places], np.int64), counts)
        positions = np.concatenate([np.arange(p.first, p.first + p.rows, dtype=np.int64) for p in places])
        maps = [self._map(name) for name in names]
        return [
            StoredRows([columns[position] for columns in maps], segments, positions)
            for position in range(len(shapes))
        ]

    def _map(self, name: str) -> list[Half]:
        segment = self._segments[name]
        ends = np.cumsum([0, *segment.widths])
        whole = np.memmap(
            self.folder / f"{name}.rows", np.dtype("<f2"), mode="r", shape=(segment.rows, int(ends[-1]))
        )
        return [
            whole[:, start:end].reshape(segment.rows, *shape)
            for shape, start, end in zip(segment.shapes, ends, ends[1:], strict=False)
        ]

    def _begin(self, side: int, shapes: tuple[Shape, ...]) -> str:
        # Names begin with the time, so that they sort by age.
        name = f"{time.time_ns():020d}-{uuid.uuid4().hex[:12]}"
        (self.folder / f"{name}.rows").open("xb").close()
        with (self.folder / f"{name}.index").open("xb") as file:
            file.write(json.dumps({"side": side, "shapes": shapes}).encode() + b"\n")
        return name

    def _read(self, index: Path) -> None:
        name = index.stem
        with index.open("rb") as file:
            if name not in self._segments:
                header = file.readline()
                if not header.endswith(b"\n"):  # its writer has just begun, or was killed there
                    return
                values = json.loads(header)
                shapes = tuple(tuple(shape) for shape in values["shapes"])
                self._segments[name] = _Segment(values["side"], shapes, file.tell())
            segment = self._segments[name]
            file.seek(segment.end)
            records = file.read()
        rows = index.with_suffix(".rows")
        written = rows.stat().st_size // (2 * sum(segment.widths)) if rows.exists() else 0
        for key, count in _RECORD.iter_unpack(records[: len(records) // _RECORD.size * _RECORD.size]):
            if segment.rows + count > written:  # a copy of a folder may have been cut off anywhere
                return
            self._places.setdefault(key, Place(name, segment.side, segment.rows, count))
            segment.end += _RECORD.size
            segment.rows += count
