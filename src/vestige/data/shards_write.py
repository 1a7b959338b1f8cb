"""Write a data set as WebDataset shards and a manifest of them; the same input gives the same bytes.

OUT/SPLIT-000000.tar, ...  uncompressed tars of about one size, each of one split; without splits
                           pictures-000000.tar
OUT/shards.jsonl           what was asked for, then a line for each finished shard with its sha256
OUT/manifest.parquet       written last

A sample is KEY.EXT, the picture's bytes as they are, KEY.json with what the manifest says of it, and where
there are masks KEY.mask.png and KEY.changed.png. The key is the row's number in the manifest, from 0.
"""

import hashlib
import json
import os
import re
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from vestige.data.atomic import whole_file
from vestige.data.draws import name_key
from vestige.data.index import entry_row
from vestige.data.manifest import Row, read_manifest, sha256_of, write_manifest
from vestige.data.shards import SUFFIX, content_of
from vestige.data.shards_index import OWN, read_samples
from vestige.data.shards_record import Shard, ShardRecord
from vestige.errors import ConfigError, DataError, ImageError
from vestige.images.decode import read_file
from vestige.images.limits import PATIENT
from vestige.images.sniff import sniff
from vestige.lock import only_one
from vestige.progress import Progress

MANIFEST = "manifest.parquet"
MAKING = 1  # raised when the same input gives other bytes
BLOCK, RECORD = 512, 10240  # bytes that a tar consists of, and that tars are filled up to
SIZE = 10**9
SMALLEST = 10**4
AHEAD = 4  # pictures that each thread may have read before they are written
ENDINGS = {"JPEG": "jpg", "TIFF": "tif", "HEIF": "heic"}  # others are the format's name in lower case

Files = list[tuple[str, bytes]]  # endings and contents of a sample


@dataclass(frozen=True)
class Written:
    """What a call has done: all shards, and how many of them an earlier call had finished."""

    shards: list[Shard]
    kept: int
    manifest: Path


def write_shards(
    manifest: Path,
    out: Path,
    *,
    size: int = SIZE,
    seed: int | None = 0,
    workers: int = 2,
    progress: Progress | None = None,
) -> Written:
    """Write the pictures of a manifest as shards. Called again it goes on after the last finished shard.

    Args:
        size: a shard is closed before it would become longer; one picture may be longer than that.
        seed: pictures of a split are mixed by it, so that any part of a shard is a sample of the split; None
            keeps the order of the manifest.
        workers: threads that read pictures.

    Raises:
        ConfigError: another call writes there, or the size is too small.
        DataError: the manifest or a picture cannot be read, a picture is not what the manifest's sha256 says,
            or the folder holds something else.
    """
    if size < SMALLEST:
        raise ConfigError(f"shards of {size} bytes are too small; take {SMALLEST} or more")
    rows = read_manifest(manifest)
    asked = {"making": MAKING, "manifest_sha256": sha256_of(manifest), "size": size, "seed": seed}
    out.mkdir(parents=True, exist_ok=True)
    with only_one(out):
        record = ShardRecord(out, asked)
        writer = _Writer(out, rows, size, workers, progress or Progress(), record)
        for split in dict.fromkeys(row.split for row in rows):
            writer.write(split, _order(rows, split, seed))
        write_manifest(out / MANIFEST, writer.listed)
    return Written(writer.shards, writer.kept, out / MANIFEST)


class _Writer:
    """Writes splits one after the other and lists what is in the shards."""

    def __init__(
        self, out: Path, rows: Sequence[Row], size: int, workers: int, progress: Progress, record: ShardRecord
    ) -> None:
        self.out, self.rows, self.size, self.workers, self.record = out, rows, size, workers, record
        self.shards: list[Shard] = []
        self.listed: list[dict[str, Any]] = []
        self.kept = 0
        self._report = progress.counter("writing shards")
        self._names: set[str] = set()

    def write(self, split: str, order: Sequence[int]) -> None:
        stem = self._stem(split)
        done = number = 0
        with ThreadPoolExecutor(self.workers) as pool:
            while done < len(order):
                name = f"{stem}-{number:06d}{SUFFIX}"
                shard = self._finished(name, done)
                self.kept += shard is not None
                if shard is None:
                    shard = self._write_one(name, order, done, pool)
                    self.record.add(shard)
                self.shards.append(shard)
                self._list(self.out / name, shard)
                done, number = done + shard.rows, number + 1
                self._report(len(self.listed), len(self.rows))

    def _list(self, path: Path, shard: Shard) -> None:
        """Rows of the manifest, from what is in the file and not from what was meant to be."""
        read = read_samples(path, OWN)
        if read.problems:
            raise DataError(f"{read.problems[0][0]}: {read.problems[0][1]}")
        if len(read.entries) != shard.rows:
            raise DataError(f"{path}: damaged; delete it to have it written again")

        def relative(file: str) -> str:
            return Path(os.path.relpath(file, self.out)).as_posix()

        self.listed += [entry_row(entry, entry.sha256, relative) for entry in read.entries]

    def _finished(self, name: str, first: int) -> Shard | None:
        shard, path = self.record.known.get(name), self.out / name
        there = shard is not None and path.exists() and path.stat().st_size == shard.bytes
        return shard if there and shard is not None and shard.first == first else None

    def _write_one(self, name: str, order: Sequence[int], first: int, pool: ThreadPoolExecutor) -> Shard:
        count = 0
        with whole_file(self.out / name) as partial, partial.open("wb") as raw:
            shard = _Tar(raw)
            for number, files in self._samples(order[first:], pool):
                if count and shard.length_with(files) > self.size:
                    break
                for ending, content in files:
                    shard.add(f"{number:09d}.{ending}", content)
                count += 1
            shard.close()
            raw.flush()
            os.fsync(raw.fileno())
        return Shard(name, first, count, shard.length, shard.digest.hexdigest())

    def _samples(self, order: Sequence[int], pool: ThreadPoolExecutor) -> Iterator[tuple[int, Files]]:
        """Samples in order; a few more than are taken are read ahead."""
        waiting: deque[tuple[int, Future[Files]]] = deque()
        rest = iter(order)
        try:
            while True:
                while len(waiting) < AHEAD * self.workers and (number := next(rest, None)) is not None:
                    waiting.append((number, pool.submit(_files, self.rows[number])))
                if not waiting:
                    return
                number, files = waiting.popleft()
                yield number, files.result()
        finally:
            for _, files in waiting:
                files.cancel()

    def _stem(self, split: str) -> str:
        stem = split or "pictures"
        if not re.fullmatch(r"[A-Za-z0-9_-]+", stem) or stem in self._names:
            stem = f"split-{hashlib.sha256(split.encode()).hexdigest()[:12]}"
        self._names.add(stem)
        return stem


class _Tar:
    """A tar that is written from front to back, hashed and counted.

    Written out here and not by `tarfile`, whose headers differ between versions of Python. Nothing in it
    tells when, where or by whom it was written.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.digest, self.length = file, hashlib.sha256(), 0

    def add(self, name: str, data: bytes) -> None:
        """A file; its name has at most 100 letters of ASCII."""
        self._write(_header(name.encode("ascii"), len(data)) + data + b"\0" * (-len(data) % BLOCK))

    def length_with(self, files: Files) -> int:
        """Of the whole tar if these files were its last ones."""
        data = sum(BLOCK + len(content) + -len(content) % BLOCK for _, content in files)
        end = self.length + data + 2 * BLOCK
        return end + -end % RECORD

    def close(self) -> None:
        """Zeros at the end."""
        self._write(b"\0" * (self.length_with([]) - self.length))

    def _write(self, data: bytes) -> None:
        self.digest.update(data)
        self.length += len(data)
        self._file.write(data)


def _header(name: bytes, size: int) -> bytes:
    """A header of POSIX.1-1988 (ustar): octal numbers, and its sum with spaces in the place of the sum."""
    mode, nobody, time = b"0000644\0", b"0000000\0", b"00000000000\0"
    before = name.ljust(100, b"\0") + mode + nobody + nobody + b"%011o\0" % size + time
    after = (b"0" + bytes(100) + b"ustar\0" + b"00" + bytes(64) + nobody + nobody).ljust(BLOCK - 156, b"\0")
    total = sum(before) + sum(after) + 8 * ord(" ")
    return before + b"%06o\0 " % total + after


def _order(rows: Sequence[Row], split: str, seed: int | None) -> list[int]:
    members = [number for number, row in enumerate(rows) if row.split == split]
    if seed is None:
        return members
    # By the name of the split: another one does not mix this one anew.
    rng = np.random.default_rng([seed, *name_key(f"shards/{split}")])
    return [members[int(number)] for number in rng.permutation(len(members))]


def _files(row: Row) -> Files:
    """A sample's members; the picture first, so that readers have it at hand."""
    data = _bytes(row.content(), row.name)
    digest = hashlib.sha256(data).hexdigest()
    if row.sha256 and row.sha256.lower() != digest:
        raise DataError(f"{row.name}: its bytes are not those of the manifest's sha256; index the set again")
    said = {
        "path": row.name,
        "label": row.label,
        "group": row.group,
        "split": row.split,
        "license": row.licence,
        "source": row.source,
        "category": row.category,
        "kind": row.kind,
        # By the name that it had: rows that derive from one picture stay together.
        "picture": row.picture or row.name,
        "compare_with": row.compare_with,
        "manipulation": row.manipulation,
        "sha256": digest,
    }
    said = {name: value for name, value in said.items() if value != ""}
    text = json.dumps(said, ensure_ascii=True, sort_keys=True)
    files = [(_ending(data, row.name), data), ("json", text.encode())]
    for what, path in (("mask", row.mask), ("changed", row.changed)):
        if path is not None:
            content = _bytes(content_of(path), str(path))
            if _ending(content, str(path)) != "png":
                raise DataError(f"{path}: masks in shards are PNG files")
            files.append((f"{what}.png", content))
    return files


def _bytes(content: Path | bytes, name: str) -> bytes:
    try:
        return content if isinstance(content, bytes) else read_file(content, PATIENT)
    except ImageError as error:
        raise DataError(f"{name}: {error.reason}") from error


def _ending(data: bytes, name: str) -> str:
    try:
        kind = sniff(data)
    except ImageError as error:
        raise DataError(f"{name}: {error.reason}") from error
    return ENDINGS.get(kind, kind.lower())
