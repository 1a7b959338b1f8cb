"""Walk a folder: pictures by folder, everything else by name. Follows links, but never in circles."""

import os
from dataclasses import dataclass, field

from vestige.errors import DataError
from vestige.images.meant import is_meant_as_picture

# What operating systems and archivers leave behind; hidden files too.
_JUNK = {"thumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "system volume information"}
# Ends without a picture or a table that other tools bring along: not worth opening.
_OTHERS = (".txt", ".md", ".csv", ".json", ".jsonl", ".parquet", ".zip", ".tar", ".gz", ".py", ".sh", ".pdf")


@dataclass(frozen=True)
class Folder:
    """Pictures directly in one folder.

    Attributes:
        parts: folder names from the root down, () for the root itself.
        pictures: file names, sorted.
    """

    parts: tuple[str, ...]
    pictures: list[str]

    @property
    def name(self) -> str:
        """POSIX name relative to the root."""
        return "/".join(self.parts) or "."


@dataclass
class Tree:
    """A folder and everything below.

    Attributes:
        root: absolute, without links; folders below may be links and keep their names.
        folders: all of them, also empty ones, sorted by name.
        stray: files that are no pictures, and folders that are never looked into (these end in "/").
        loops: links that lead back to a folder above them; not followed.
    """

    root: str
    folders: list[Folder] = field(default_factory=list)
    stray: list[str] = field(default_factory=list)
    loops: list[str] = field(default_factory=list)

    def seen(self) -> str:
        """What is there, in a few words for error messages."""
        tops = sorted({folder.parts[0] for folder in self.folders if folder.parts})
        pictures = sum(len(folder.pictures) for folder in self.folders)
        shown = ", ".join(tops[:8]) + (", ..." if len(tops) > 8 else "")
        return f"{pictures} pictures in folders {shown}" if tops else f"{pictures} pictures and no folders"


def walk(root: str) -> Tree:
    """List a folder and everything below it, in an order that does not depend on the file system.

    Raises:
        DataError: a folder that cannot be listed.
    """
    # Without links, so that paths relative to it hold from any folder.
    tree = Tree(os.path.realpath(root))
    _walk(tree, (), frozenset())
    tree.folders.sort(key=lambda folder: folder.parts)
    tree.stray.sort()
    return tree


def _walk(tree: Tree, parts: tuple[str, ...], above: frozenset[tuple[int, int]]) -> None:
    path = os.path.join(tree.root, *parts)
    try:
        status = os.stat(path)
        if (status.st_dev, status.st_ino) in above:
            tree.loops.append("/".join(parts))
            return
        with os.scandir(path) as listing:
            items = sorted(listing, key=lambda item: item.name)
        folders = [item for item in items if os.path.isdir(item)]
    except OSError as error:
        raise DataError(f"{path}: the folder cannot be listed ({error.strerror})") from error
    inside = {item.name for item in folders}
    pictures = []
    for item in items:
        name = "/".join((*parts, item.name))
        if item.name.startswith(".") or item.name.lower() in _JUNK:
            tree.stray.append(name + "/" * (item.name in inside))
        elif item.name in inside:
            _walk(tree, (*parts, item.name), above | {(status.st_dev, status.st_ino)})
        elif _is_picture(item):
            pictures.append(item.name)
        else:
            tree.stray.append(name)
    tree.folders.append(Folder(parts, pictures))


def _is_picture(item: "os.DirEntry[str]") -> bool:
    return os.path.splitext(item.name)[1].lower() not in _OTHERS and is_meant_as_picture(item)
