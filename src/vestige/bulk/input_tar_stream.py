"""Pictures in compressed tar archives, which can be read only from front to back."""

import bz2
import gzip
import lzma
import tarfile
from collections.abc import Callable, Iterator
from itertools import islice
from typing import IO, cast

from vestige.bulk.chunks import HeldPlace, Item, NoPlace, Place
from vestige.bulk.input_tar import TarShard, why_not
from vestige.bulk.sections import Digest, must_be_as_before, state_of, unreadable
from vestige.bulk.tar_members import Front, begins_like_picture, is_meant_by_name, members, refused
from vestige.errors import ImageError
from vestige.images.decode import too_long
from vestige.images.limits import PATIENT, Limits
from vestige.images.meant import HEAD

TAR_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
MOST_HELD = 256 * 2**20  # longest member that is taken into memory, in bytes

_Opener = Callable[[str], IO[bytes]]
_COMPRESSIONS: tuple[tuple[bytes, _Opener], ...] = (
    (b"\x1f\x8b", cast(_Opener, gzip.open)),
    (b"BZh", cast(_Opener, bz2.open)),
    (b"\xfd7zXZ\0", cast(_Opener, lzma.open)),
)


def tar_section(path: str, limits: Limits = PATIENT) -> "TarShard | TarStream":
    """The items of an archive, compressed or not as its content tells.

    Args:
        path: the archive.
        limits: larger pictures of a compressed one are not held in memory.

    Raises:
        ConfigError: there is no such file.
        DataError: the system refuses to read it.
    """
    state_of(path)  # a pipe must not be opened
    try:
        with open(path, "rb") as file:
            head = file.read(6)
    except OSError as error:
        raise unreadable(path, error) from error
    for magic, opener in _COMPRESSIONS:
        if head.startswith(magic):
            return TarStream(path, opener, limits)
    return TarShard(path)


class TarStream:
    """A compressed archive: items hold their bytes, and how many there are is known at the end.

    Args:
        path: the archive.
        opener: opens it decompressed.
        limits: larger pictures are not held in memory.
    """

    random_access = False

    def __init__(self, path: str, opener: _Opener, limits: Limits = PATIENT) -> None:
        self._path, self._opener, self._limits = path, opener, limits
        self._state = state_of(path)

    def count(self) -> None:
        """See `Section.count`."""

    def describe(self, digest: Digest) -> None:
        """See `Section.describe`."""
        digest.add("tar", self._path, *self._state)

    def items(self, skip: int = 0) -> Iterator[Item]:
        """See `Section.items`."""
        return islice(self._all(), skip, None)

    def _all(self) -> Iterator[Item]:
        must_be_as_before(self._path, self._state)
        try:
            file = self._opener(self._path)
        except OSError as error:
            raise unreadable(self._path, error) from error
        with file:
            front = Front(file)
            for info, _ in members(front, self._path, None):
                place = self._place(info, front)
                if place is not None:
                    yield Item(f"{self._path}/{info.name}", place)
                if place is _CUT:
                    return

    def _place(self, info: tarfile.TarInfo, front: Front) -> Place | None:
        """The bytes of a member; None if it is not meant as a picture, `_CUT` if the archive ends in it."""
        meant = is_meant_by_name(info.name)
        if not info.isreg() or info.issparse():
            return NoPlace(_why_not(info)) if meant and not info.isdir() else None
        try:
            head = b"" if meant else front.read(min(info.size, HEAD))
        except Exception as error:
            raise refused(self._path, error) from error
        if not meant and not begins_like_picture(head):
            return None
        if info.size > self._limits.max_bytes:
            return NoPlace(too_long(self._limits))
        if info.size > MOST_HELD:
            reason = f"In compressed archives, pictures of at most {MOST_HELD} bytes are read."
            return NoPlace(ImageError("too_large", reason))
        try:
            data = head + front.read(info.size - len(head))
        except EOFError:
            return _CUT
        except Exception as error:  # each decompressor has errors of its own
            raise refused(self._path, error) from error
        return HeldPlace(data) if len(data) == info.size else _CUT


def _why_not(info: tarfile.TarInfo) -> ImageError:
    if info.islnk():  # what it leads to has gone by
        return ImageError(
            "not_found", "Hard links in compressed archives are not followed; unpack the archive."
        )
    return why_not(info)


_CUT = NoPlace(ImageError("truncated", "The archive ends before the picture does."))
