"""A folder in which a run finds its starting weights and its own stages together, as links."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from vestige.errors import ConfigError
from vestige.training.stages import NETWORK, STAGE


def lay_out_weights(
    folder: Path, weights: Path | None, stages: Mapping[str, Path], called: Mapping[str, str]
) -> Path:
    """A folder of starting weights in which a run finds its own stages and no others; made anew.

    Only links, and folders with nothing but links in them, are ever removed from it.

    Args:
        folder: that becomes it.
        weights: the starting weights; folders that links lead to are part of it.
        stages: name of the stage -> its folder.
        called: stage -> another name that it gets here.

    Returns:
        `folder`.

    Raises:
        ConfigError: `folder` holds files of its own or lies about `weights`, or `weights` cannot be read.
    """
    named = {called.get(name, name): stage for name, stage in stages.items()}
    links: dict[Path, Path] = {}
    if weights is not None:
        _require_apart(folder, weights)
        for path in _files_below(weights, folder):
            place = path.relative_to(weights)
            if place.parts[0] not in {*stages, *named}:
                links[place] = _real(path)
    for name, stage in named.items():
        links |= {Path(name, file): _real(stage / file) for file in (STAGE, NETWORK)}
    _clear(folder)
    folder.mkdir(parents=True)
    # Folders are made and files linked: a search in depth does not follow links to folders.
    for place, target in links.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        link(folder / place, target)
    return folder


def link(place: Path, target: Path) -> None:
    """A symbolic link at `place`; an old one is replaced."""
    if place.is_symlink():
        place.unlink()
    place.symlink_to(_real(target))


def _require_apart(folder: Path, weights: Path) -> None:
    # Both as written and as links lead: links below `folder` are removed.
    for ours, theirs in ((folder.absolute(), weights.absolute()), (_real(folder), _real(weights))):
        if ours == theirs or ours in theirs.parents:
            raise ConfigError(
                f"{weights}: starting weights cannot lie in {folder}, where links to them are laid out; move "
                "them elsewhere"
            )


def _files_below(weights: Path, folder: Path) -> list[Path]:
    try:
        return list(_walk(weights, (_real(folder),)))
    except OSError as error:
        raise ConfigError(
            f"{weights}: cannot be read as a folder of starting weights ({error.filename}: {error.strerror})"
        ) from error


def _walk(folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    """Files at any depth, through links to folders too, but not into a folder from within itself.

    Args:
        above: real paths of folders that are not entered.
    """
    real = _real(folder)
    if real in above:
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from _walk(path, (*above, real))
        else:
            yield path


def _clear(folder: Path) -> None:
    """Remove a folder of links.

    Raises:
        ConfigError: it is something else; nothing was removed.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ConfigError(
            f"{folder}: must be a folder, links to the starting weights are laid out there; move it elsewhere"
        )
    found = [(Path(place), folders, files) for place, folders, files in os.walk(folder, topdown=False)]
    for place, _, files in found:
        for name in files:
            if not (place / name).is_symlink():
                raise ConfigError(f"{folder}: holds files of its own ({place / name}); move them elsewhere")
    for place, folders, files in found:
        for path in (place / name for name in [*folders, *files]):
            if path.is_symlink():
                path.unlink()
        place.rmdir()


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # unlike Path.resolve, never fails at a link to itself
