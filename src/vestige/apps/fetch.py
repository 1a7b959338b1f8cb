"""`vestige fetch`: the frozen weights that a model package does not contain, with the user's consent."""

import sys
from pathlib import Path

from rich.console import Console

from vestige.errors import ConfigError
from vestige.inference.card import Tower
from vestige.inference.package import find_card
from vestige.inference.tower import cached, check, describe, locate, megabytes, take, url
from vestige.inference.tower_fetch import can_download, fetch


def run(model: str, source: Path | None, yes: bool) -> None:
    """Put a package's tower where packages are looked for.

    Args:
        model: a shipped model's name or a package's folder.
        source: take this local file; None: download it.
        yes: the user agrees to the download and is not asked.

    Raises:
        ConfigError: no consent was given.
        ModelPackageError: no such model, or the tower cannot be had, is at no hub or is another file.
    """
    notes = Console(file=sys.stderr)
    _, card = find_card(model)
    if card.tower is None:
        _say(notes, f"{card.title}: nothing to fetch, the package contains all its weights")
        return
    if source is not None:
        check(card.tower, source)
    there = locate(card.tower, strict=False)
    if there is not None:
        _say(notes, f"already there: {there}")
        return
    if source is not None:
        _say(notes, f"copied to {take(card.tower, source)}")
        return
    can_download(card.tower, model)
    _say(notes, f"{card.title} needs {describe(card.tower)}")
    _say(notes, f"from {url(card.tower)}")
    _say(notes, f"to   {cached(card.tower)}")
    if not yes:
        _ask(notes, card.tower)
    download(card.tower, notes)


def for_scan(model: str, notes: Console) -> None:
    """Download what a model lacks, if anything; the user has agreed.

    Raises:
        ModelPackageError: no such model, or the tower cannot be had, is at no hub or is another file.
    """
    _, card = find_card(model)
    if card.tower is not None and locate(card.tower, strict=False) is None:
        can_download(card.tower, model)
        _say(notes, f"fetching {describe(card.tower)}, from {url(card.tower)}")
        download(card.tower, notes)


def download(tower: Tower, notes: Console) -> None:
    """Download a tower and say where it lies.

    Raises:
        ModelPackageError: it cannot be had or is another file.
    """
    _say(notes, f"sha256 is right, it lies at {fetch(tower)}")


def _ask(notes: Console, tower: Tower) -> None:
    if not sys.stdin.isatty():
        raise ConfigError("nothing was downloaded: nobody can be asked here, agree with --yes")
    notes.print(f"Download {megabytes(tower)}? [y/N] ", end="", markup=False, highlight=False)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise ConfigError("nothing was downloaded")


def _say(notes: Console, text: str) -> None:
    notes.print(text, markup=False, highlight=False, soft_wrap=True)
