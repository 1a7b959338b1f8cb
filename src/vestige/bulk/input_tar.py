"""Pictures in tar archives, WebDataset shards among them: members are read where they lie."""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import RawIOBase
from itertools import islice
from typing import IO, NamedTuple

from vestige.bulk.chunks import Item, NoPlace, Place
from vestige.bulk.sections import Digest, must_be_as_before, state_of, unreadable
from vestige.bulk.tar_members import Front, begins_like_picture, is_meant_by_name, members
from vestige.errors import DataError, ImageError, ImageErrorCode
from vestige.images.decode import too_long
from vestige.images.limits import Limits
from vestige.images.meant import HEAD


@dataclass(frozen=True)
class SlicePlace:
    """A run of bytes within a file, such as a member of an uncompressed tar archive.

    Attributes:
        path: the file.
        offset, length: in bytes.
    """

    path: str
    offset: int
    length: int

    def read(self, limits: Limits) -> bytes:
        """See `Place.read`."""
        if self.length > limits.max_bytes:
            raise too_long(limits)
        try:
            # Opened each time: that costs little beside a picture, and nothing stays open.
            with open(self.path, "rb", buffering=0) as file:
                file.seek(self.offset)
                data = _read_all(file, self.length)
        except FileNotFoundError as error:
            raise ImageError("not_found", "The archive is not there any more.") from error
        except OSError as error:
            words = error.strerror or str(error)
            raise ImageError("unreadable", f"The archive cannot be read ({words}).") from error
        if len(data) < self.length:
            raise ImageError("truncated", "The archive ends before the picture does.")
        return data


class TarShard:
    """An uncompressed archive. Headers are read once to count, and again to go through the items.

    Raises:
        ConfigError: there is no such file.
        DataError: when counted or gone through: the archive is damaged.
    """

    random_access = True

    def __init__(self, path: str) -> None:
        self._path = path
        self._state = state_of(path)
        self._scanned: _Scanned | None = None

    def count(self) -> int:
        """See `Section.count`."""
        return self._scan().pictures

    def describe(self, digest: Digest) -> None:
        """See `Section.describe`."""
        digest.add("tar", self._path, *self._state)

    def items(self, skip: int = 0) -> Iterator[Item]:
        """See `Section.items`."""
        targets = self._scan().link_targets
        known: dict[str, SlicePlace] = {}
        for info in islice(self._pictures(known, targets), skip, None):
            yield Item(f"{self._path}/{info.name}", _place(self._path, info, known))

    def _scan(self) -> "_Scanned":
        if self._scanned is None:
            pictures, targets = 0, set()
            for info in self._pictures({}, frozenset()):
                pictures += 1
                if info.islnk():
                    targets.add(info.linkname)
            self._scanned = _Scanned(pictures, frozenset(targets))
        return self._scanned

    def _pictures(self, known: dict[str, SlicePlace], targets: frozenset[str]) -> Iterator[tarfile.TarInfo]:
        """The members that are meant as pictures; where the `targets` before them lie is added to `known`."""
        must_be_as_before(self._path, self._state)
        with _opened(self._path) as file:
            front = Front(file)
            for info, whole in members(front, self._path, self._state.size):
                if info.name in targets and _is_plain(info):
                    known[info.name] = SlicePlace(self._path, info.offset_data, info.size)
                if _is_meant(info, front):
                    yield info
                elif not whole:
                    raise DataError(f"{self._path}: is damaged (it ends within the member {info.name})")


class _Scanned(NamedTuple):
    """What counting leaves behind.

    Attributes:
        pictures: how many members are meant as such.
        link_targets: names of members that hard links among the pictures lead to.
    """

    pictures: int
    link_targets: frozenset[str]


def _place(shard: str, info: tarfile.TarInfo, known: dict[str, SlicePlace]) -> Place:
    if _is_plain(info):
        return SlicePlace(shard, info.offset_data, info.size)
    if info.islnk() and info.linkname in known:
        return known[info.linkname]
    return NoPlace(why_not(info))


def why_not(info: tarfile.TarInfo) -> ImageError:
    """Why a member that is called like a picture has no content of its own that is read."""
    code: ImageErrorCode = "not_found"
    if info.isreg():
        code, reason = "unsupported", "Sparse members of archives are not read; unpack the archive."
    elif info.islnk():
        reason = "This is a link, and the archive has no such file before it that can be read."
    elif info.issym():
        reason = "This is a symbolic link; in archives they are not followed."
    else:
        reason = "This is not a regular file."
    return ImageError(code, reason)


def _is_plain(info: tarfile.TarInfo) -> bool:
    return info.isreg() and not info.issparse()


def _is_meant(info: tarfile.TarInfo, file: Front) -> bool:
    """Whether a member is a picture by its name or, for files, by how it begins."""
    if info.isdir():
        return False
    if is_meant_by_name(info.name):
        return True
    if not _is_plain(info):
        return False
    file.seek(info.offset_data)
    return begins_like_picture(file.read(min(info.size, HEAD)))


def _read_all(file: RawIOBase, length: int) -> bytes:
    """`length` bytes, or what there is of them: one call may give less than is asked for."""
    parts = []
    while length and (part := file.read(length)):
        parts.append(part)
        length -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _opened(path: str) -> IO[bytes]:
    try:
        return open(path, "rb")
    except OSError as error:
        raise unreadable(path, error) from error
