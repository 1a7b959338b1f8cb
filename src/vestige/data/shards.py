"""Pictures in uncompressed tar shards: `SHARD.tar/MEMBER` is read by its offset, without unpacking.

Where the manifest says at which byte a member begins, nothing else is needed to read it. Otherwise the
headers of a shard are read once in each process, at its first member; 24 bytes are kept of each member.
"""

import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any, NamedTuple

from vestige.errors import DataError
from vestige.images.limits import PATIENT

SUFFIX = ".tar"
HEADER = 512  # bytes of a member's header, which stands just before its data
# Members that lie closer together than this are read at once: a seek on a disk or a request over a network
# takes as long as reading so many bytes.
GAP = 256 * 2**10
RUN = 32 * 2**20  # bytes that are read at once, if a single member has no more


class Place(NamedTuple):
    """Where a member's data lie in its shard, in bytes."""

    offset: int
    size: int


class Named(NamedTuple):
    """A member of a shard; without a place its shard's headers are read to find it."""

    member: str
    place: Place | None = None


def split_path(text: str, is_folder: Callable[[str], bool]) -> tuple[str, str] | None:
    """Shard and member of "SHARD.tar/MEMBER"; None for any other path.

    Args:
        text: with "/" between its parts.
        is_folder: of a path that ends in ".tar"; a folder of that name is no shard.
    """
    lower = text.lower()
    end = lower.find(SUFFIX + "/")
    while end >= 0:
        shard, member = text[: end + len(SUFFIX)], text[end + len(SUFFIX) + 1 :]
        if member and not is_folder(shard):
            return shard, member
        end = lower.find(SUFFIX + "/", end + 1)
    return None


def is_shard(path: Path) -> bool:
    """Whether members of this file are members of a tar."""
    return path.suffix.lower() == SUFFIX


def content_of(path: Path) -> Path | bytes:
    """What a decoder takes of a path that may name a member of a shard: the file, or the member's bytes.

    Raises:
        DataError: the shard cannot be read, or has no such member.
    """
    found = split_path(path.as_posix(), os.path.isdir)
    return path if found is None else read_shard(Path(found[0]), [Named(found[1])])[0]


def opened(path: Path) -> Path | IO[bytes]:
    """The same for what takes a path or an open file, such as `PIL.Image.open`."""
    content = content_of(path)
    return io.BytesIO(content) if isinstance(content, bytes) else content


def read_shard(path: Path, members: Sequence[Named]) -> list[bytes]:
    """Bytes of some members, in their order here; members that lie close together are read at once.

    Raises:
        DataError: the shard cannot be read, has no such member, or has another one at the place.
    """
    places = [_normal(path, one) for one in members]
    found: list[bytes] = [b""] * len(members)
    try:
        with path.open("rb") as file:
            for run in _runs(places):
                start = places[run[0]].offset - HEADER
                end = max(places[number].offset + places[number].size for number in run)
                file.seek(start)
                data = memoryview(file.read(end - start))
                for number in run:
                    begin = places[number].offset - HEADER - start
                    block = data[begin : begin + HEADER + places[number].size]
                    _check(path, members[number], places[number], block)
                    found[number] = bytes(block[HEADER:])
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    return found


def members_of(path: Path) -> Iterator[tuple[tarfile.TarInfo, Callable[[], bytes]]]:
    """Headers of all members from front to back, each with what reads its data while it is at hand.

    Raises:
        DataError: no uncompressed tar, or it is damaged or cut off.
    """
    try:
        with tarfile.open(path, "r:") as archive:
            while (info := archive.next()) is not None:
                yield info, lambda info=info: _data(archive, info)  # type: ignore[misc]
                archive.members.clear()  # type: ignore[attr-defined]  # else a million headers stay in memory
            # A header that cannot be read ends the archive for tarfile, unless it is the first one.
            if not _ends_well(path, archive.offset):
                raise tarfile.ReadError("it ends in the middle, or its headers are damaged")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read as an uncompressed tar ({_reason(error)})") from error


def place_of(path: Path, member: str) -> Place:
    """Where a member lies, from the shard's headers.

    Raises:
        DataError: the shard cannot be read, or has no such regular file, or two of them.
    """
    return _index(path).place(path, member)


class _Index:
    """Places of a shard's regular files, by hashes of their names."""

    def __init__(self, names: Sequence[bytes], places: Sequence[Place]) -> None:
        import numpy as np

        hashes = np.frombuffer(b"".join(names), "<u8")
        order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[order]
        self._places = np.array(places, np.int64).reshape(-1, 2)[order]

    def place(self, path: Path, member: str) -> Place:
        import numpy as np

        wanted = np.frombuffer(_hash(member), "<u8")[0]
        first, last = (int(np.searchsorted(self._hashes, wanted, side)) for side in ("left", "right"))
        if first == last:
            raise DataError(f"{path}: has no file {member}")
        if last - first > 1:
            raise DataError(f"{path}: has {member} {last - first} times; keep one of them")
        return Place(*map(int, self._places[first]))


def _index(path: Path) -> _Index:
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    return _built(path, status.st_size, status.st_mtime_ns)


# Not bounded: dropping the index of a shard would mean reading all its headers again for one picture.
@cache
def _built(path: Path, size: int, changed: int) -> _Index:
    names, places = [], []
    for info, _ in members_of(path):
        if is_file(info):
            names.append(_hash(info.name))
            places.append(Place(info.offset_data, info.size))
    return _Index(names, places)


def is_file(info: tarfile.TarInfo) -> bool:
    """Whether the bytes of a member stand in the tar as they are: no folder, no link, no sparse file."""
    return info.isreg() and not info.issparse()


def _normal(path: Path, one: Named) -> Place:
    place = one.place or place_of(path, one.member)
    if place.size > PATIENT.max_bytes:
        raise DataError(f"{path}/{one.member}: longer than the limit of {PATIENT.max_bytes} bytes")
    if place.offset < HEADER or place.size < 0:
        raise DataError(f"{path}/{one.member}: nothing can lie at {place.offset}, {place.size} bytes")
    return place


def _runs(places: Sequence[Place]) -> Iterator[list[int]]:
    """Indices of members that are read at once, in the order in which they lie in the shard."""
    run: list[int] = []
    start = end = 0
    for number in sorted(range(len(places)), key=lambda number: places[number]):
        offset, size = places[number]
        if run and (offset - HEADER - end > GAP or offset + size - start > RUN):
            yield run
            run = []
        if not run:
            start, end = offset - HEADER, 0
        run.append(number)
        end = max(end, offset + size)
    if run:
        yield run


def _check(path: Path, one: Named, place: Place, block: memoryview) -> None:
    """A shard that was replaced since its places were noted must not give other pictures."""
    if len(block) < HEADER + place.size:
        raise DataError(f"{path}/{one.member}: the shard ends before it does")
    try:
        info = tarfile.TarInfo.frombuf(bytes(block[:HEADER]), "utf-8", "surrogateescape")
        good = info.size == place.size and _plain(info.name) == _plain(one.member)
    except tarfile.TarError:
        good = False
    # Long names and others do not stand in the header itself: then all headers tell.
    if not good and place_of(path, one.member) != place:
        raise DataError(
            f"{path}/{one.member}: does not lie where the manifest says; the shard was replaced, "
            "make the manifest again"
        )


def _data(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(info)
    return b"" if file is None else file.read()


def _ends_well(path: Path, offset: int) -> bool:
    """Whether an archive ends at this byte: with zeros, as it should, or with the file."""
    with path.open("rb") as file:
        file.seek(offset)
        block: Any = file.read(HEADER)
    return not block.strip(b"\0")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _plain(name: str) -> str:
    return name.removeprefix("./")


def _hash(name: str) -> bytes:
    return hashlib.blake2b(_plain(name).encode("utf-8", "surrogateescape"), digest_size=8).digest()
