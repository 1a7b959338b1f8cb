"""Frozen weights that a package does not contain: where their file lies on this computer.

It is looked for in the folder that VESTIGE_TOWERS names, under any name, then in Vestige's own cache folder,
where `vestige fetch` puts it. Only the file whose sha256 the card names is ever used.
"""

import hashlib
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from vestige.errors import ModelPackageError
from vestige.inference.card import Tower
from vestige.inference.tower_weights import Parts, Scales

TOWERS = "VESTIGE_TOWERS"
CACHE = "VESTIGE_CACHE"
HUB = "https://huggingface.co"


@dataclass(frozen=True)
class TowerFile:
    """A tower's file, checked, and what the graph takes of it.

    Attributes:
        scales: for what it takes as int8, by the names in `parts`.
    """

    path: Path
    parts: Parts
    scales: Scales = field(default_factory=dict)


def cache_folder() -> Path:
    """Where towers are kept: in VESTIGE_CACHE, else in `vestige` in the user's cache folder."""
    own = os.environ.get(CACHE)
    return (Path(own).expanduser() if own else _user_cache() / "vestige") / "towers"


def cached(tower: Tower) -> Path:
    """The path of a tower in the cache folder, whether or not it is there."""
    return cache_folder() / f"{tower.sha256}.safetensors"


def megabytes(tower: Tower) -> str:
    """Its size in words."""
    return f"{tower.bytes / 1e6:.3g} MB"


def describe(tower: Tower) -> str:
    """Which tower it is and how large, in words."""
    if tower.origin is not None:
        return f"{tower.origin.strip(' .')}, {megabytes(tower)}"
    at = "" if tower.revision == "main" else f" at {tower.revision}"
    return f"{tower.file} of {tower.hub}{at}, {megabytes(tower)}"


def hub() -> str:
    """Address of the Hugging Face hub; HF_ENDPOINT names another, as in `huggingface_hub`."""
    return (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")


def url(tower: Tower) -> str:
    """From where it is downloaded.

    Raises:
        ValueError: it is at no hub.
    """
    if tower.hub is None:
        raise ValueError("a tower that is at no hub has no address")
    return f"{hub()}/{tower.hub}/resolve/{quote(tower.revision, safe='')}/{quote(tower.file)}"


def by_hand(model: str | Path) -> str:
    """How a user gives the file of a tower that no hub has, in words.

    Args:
        model: name or folder of the package.
    """
    command = f"vestige fetch {shlex.quote(str(model))} --from FILE"
    return f"give the file with {command} or put it into the folder that {TOWERS} names"


def locate(tower: Tower, file: Path | None = None, *, strict: bool = True) -> Path | None:
    """The tower's file on this computer; None: it is not there.

    Args:
        file: use this one and look nowhere else.
        strict: a damaged file in the cache folder is an error; False: it counts as none.

    Raises:
        ModelPackageError: `file` is another file, the kept one is damaged, VESTIGE_TOWERS is no folder.
    """
    if file is not None:
        check(tower, file)
        return file
    folder = os.environ.get(TOWERS)
    if folder:
        found = _search(tower, Path(folder).expanduser())
        if found is not None:
            return found
    kept = cached(tower)
    if is_tower(tower, kept):
        return kept
    if strict and kept.exists():
        by = "vestige fetch" if tower.hub is not None else "vestige fetch MODEL --from FILE"
        raise ModelPackageError(f"{kept}: altered or damaged; remove it, or have it replaced by {by}")
    return None


def require(tower: Tower, title: str, model: str | Path, file: Path | None = None) -> Path:
    """As `locate`, for a package that cannot do without.

    Args:
        title: of the package.
        model: its name or folder, for the command that the message names.

    Raises:
        ModelPackageError: as `locate`, or the tower is not there.
    """
    found = locate(tower, file)
    if found is None and tower.hub is None:
        raise ModelPackageError(
            f"{title}: its tower ({describe(tower)}) is not on this computer, and it is at no hub: "
            f"{by_hand(model)}"
        )
    if found is None:
        command = f"vestige fetch {shlex.quote(str(model))}"
        raise ModelPackageError(
            f"{title}: its tower ({describe(tower)}) is not on this computer, and nothing was downloaded. "
            f"Get it with: {command} (or --fetch with vestige scan), or from a file of yours with: "
            f"{command} --from FILE; it will lie at {cached(tower)}"
        )
    return found


def check(tower: Tower, file: Path) -> None:
    """Refuse a file that is not the tower's.

    Raises:
        ModelPackageError: it cannot be read, or has another size or sha256.
    """
    try:
        size = file.stat().st_size
        digest = sha256_of(file)
    except OSError as error:
        raise ModelPackageError(f"{file}: cannot be read ({error.strerror})") from error
    if digest != tower.sha256:
        raise ModelPackageError(
            f"{file}: not the tower, which is {describe(tower)}: its sha256 is {digest[:12]}... "
            f"({size} bytes) and the card says {tower.sha256[:12]}... ({tower.bytes} bytes)"
        )


def is_tower(tower: Tower, file: Path) -> bool:
    """Whether a file is the tower's, by its size and sha256."""
    try:
        return file.stat().st_size == tower.bytes and sha256_of(file) == tower.sha256
    except OSError:
        return False


def take(tower: Tower, file: Path) -> Path:
    """Copy a local file of the tower into the cache folder; returns where it lies.

    Raises:
        ModelPackageError: it is another file, or the cache folder cannot be written to.
    """
    check(tower, file)

    def copy(folder: Path) -> Path:
        return Path(shutil.copyfile(file, folder / "copy"))

    return keep(tower, copy)


def keep(tower: Tower, get: Callable[[Path], Path]) -> Path:
    """Put what `get` writes into a folder of its own into the cache folder, whole or not at all.

    Args:
        get: writes the tower's file somewhere into an empty folder and returns its path.

    Raises:
        ModelPackageError: it is another file, of which nothing is kept, or the cache folder cannot be
            written to.
    """
    place = cached(tower)
    with _writing(place.parent):
        place.parent.mkdir(parents=True, exist_ok=True)
        # In the same folder: what is moved there from another disk would not arrive in one piece.
        with tempfile.TemporaryDirectory(prefix=".part-", dir=place.parent) as folder:
            found = get(Path(folder))
            if not is_tower(tower, found):
                source = describe(tower) if tower.hub is None else url(tower)
                raise ModelPackageError(
                    f"{source}: another file than the one that the package was made with, its sha256 is "
                    f"{sha256_of(found)[:12]}... and the card says {tower.sha256[:12]}...; nothing was kept"
                )
            found.replace(place)
    return place


def sha256_of(file: Path) -> str:
    """Of a file's content, in hexadecimal digits.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def _search(tower: Tower, folder: Path) -> Path | None:
    if not folder.is_dir():
        raise ModelPackageError(f"{TOWERS}={folder}: there is no such folder; correct it or leave it out")
    return next((file for file in sorted(folder.glob("*.safetensors")) if is_tower(tower, file)), None)


def _user_cache() -> Path:
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return Path(local) if local else Path.home() / "AppData" / "Local"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return given if given.is_absolute() else Path.home() / ".cache"


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ModelPackageError(
            f"{folder}: the tower cannot be put there ({error.strerror or error}); {CACHE} can name another"
        ) from error
