"""The members of a tar archive, header by header, front to back; none of them is kept in memory."""

import os
import tarfile
from collections.abc import Iterator
from typing import IO, Any, NamedTuple, cast

from vestige.errors import DataError, ImageError
from vestige.images.meant import ENDINGS, HEAD
from vestige.images.sniff import sniff

_BEHIND = 64 * 2**10  # bytes behind the end mark that are looked at: tar fills up to 10 KiB with zeros


class Front:
    """A file that is read from front to back, with what was read last.

    `tarfile` takes a damaged header for the end of the archive: only the block itself tells them apart.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.last = b""

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; fewer only at the end."""
        self.last = self._file.read(size)
        return self.last

    def seek(self, position: int) -> int:
        """Go to a position, not before the one at hand in compressed files."""
        return self._file.seek(position)

    def tell(self) -> int:
        """The position."""
        return self._file.tell()


class Member(NamedTuple):
    """A member whose header was read; the file stands at its content.

    Attributes:
        whole: whether its content ends before the file does, as far as the length of the file is known.
    """

    info: tarfile.TarInfo
    whole: bool


def members(file: Front, shard: str, size: int | None) -> Iterator[Member]:
    """All members in order. An archive that ends within the content of a member ends with it.

    Args:
        shard: name of the archive, for errors.
        size: length of the file in bytes; None if that is not known, as with compressed archives.

    Raises:
        DataError: the archive is damaged, or cut off elsewhere than within the content of a member.
    """
    tar, info = _first(file, shard)
    while info is not None:
        if info.size < 0 or tar.offset < info.offset_data:
            # Followed back, such a header would be read for ever.
            raise _damaged(shard, f"the header at byte {info.offset} contradicts itself")
        whole = size is None or info.offset_data + _stored(info) <= size
        yield Member(info, whole)
        if not whole:
            return  # who goes through the members has seen it
        if size is not None and tar.offset > size:
            raise _cut_off(shard)
        info = _next(tar, file, shard)
    _must_have_ended(file, shard)


def is_meant_by_name(name: str) -> bool:
    """Whether a member's name has the ending of a picture."""
    return os.path.splitext(name)[1].lower() in ENDINGS


def begins_like_picture(data: bytes) -> bool:
    """Whether content begins like a picture."""
    try:
        sniff(data[:HEAD])
    except ImageError:
        return False
    return True


def _first(file: Front, shard: str) -> tuple[tarfile.TarFile, tarfile.TarInfo | None]:
    try:
        # UTF-8 whatever the locale: names must not depend on who reads them.
        tar = tarfile.TarFile(fileobj=cast(Any, file), encoding="utf-8", errors="surrogateescape")
        return tar, tar.next()
    except Exception as error:
        raise refused(shard, error) from error


def _next(tar: tarfile.TarFile, file: Front, shard: str) -> tarfile.TarInfo | None:
    cast(Any, tar).members = []  # a million of them would fill the memory
    try:
        return tar.next()
    except Exception as error:  # tarfile and decompressors raise about anything on foreign bytes
        raise refused(shard, error) from error


def _stored(info: tarfile.TarInfo) -> int:
    # Links have no content, whatever their header says. Of sparse members less is stored than their length;
    # they are not read.
    return info.size if info.isreg() and not info.issparse() else 0


def _must_have_ended(file: Front, shard: str) -> None:
    if not file.last:
        raise _cut_off(shard)
    if any(file.last) or len(file.last) < tarfile.BLOCKSIZE:
        raise _damaged(shard, f"there is no valid header at byte {file.tell() - len(file.last)}")
    try:
        behind = file.read(_BEHIND)
    except Exception as error:
        raise refused(shard, error) from error
    if any(behind):
        raise DataError(
            f"{shard}: goes on behind its end; archives put one behind the other have to be taken apart"
        )


def _cut_off(shard: str) -> DataError:
    return DataError(f"{shard}: is cut off (it has no end mark, so that members may be missing)")


def refused(shard: str, error: Exception) -> DataError:
    """The error for whatever reading an archive has raised."""
    if isinstance(error, OSError) and error.errno is not None:
        return DataError(f"{shard}: cannot be read ({error.strerror or error})")
    return _damaged(shard, str(error) or type(error).__name__)


def _damaged(shard: str, why: str) -> DataError:
    return DataError(f"{shard}: is no tar archive, or damaged ({why})")
