"""Training views: which passages through the chain a recipe asks for, and their pixels."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vestige.data.augment import apply_chain, random_patch
from vestige.data.manifest import Row
from vestige.errors import DataError, ImageError
from vestige.images import decode
from vestige.training.recipe import DataSection


@dataclass(frozen=True)
class View:
    """One passage: `row` indexes the manifest's rows, `draw` counts the passages of that picture."""

    row: int
    draw: int
    reconstructed: bool


def plan(data: DataSection, rows: int, reconstructed: list[int]) -> list[View]:
    """All views of a recipe, picture by picture, so that each is read once.

    Args:
        rows: number of rows of the manifest.
        reconstructed: indices of the rows that have a reconstruction.
    """
    having = set(reconstructed)
    return [
        View(row, draw, kind)
        for row in range(rows)
        for kind in ((False, True) if row in having else (False,))
        for draw in range(data.views)
    ]


def view_pixels(
    views: Sequence[View], rows: list[Row], data: DataSection, seed: int, reconstructions: Mapping[int, Path]
) -> list[npt.NDArray[np.uint8]]:
    """Pixels of some views of one picture: uint8 [s, s, 3] each.

    A reconstruction passes the same draws as its original, so that a pair differs in nothing but the
    autoencoder's traces.

    Args:
        views: all of the same row.
        reconstructions: the file with the reconstruction of a row.

    Raises:
        DataError: a picture cannot be read; it is never replaced by another.
    """
    sources: dict[bool, npt.NDArray[np.uint8]] = {}
    found = []
    for view in views:
        row = rows[view.row]
        if view.reconstructed not in sources:
            path = reconstructions[view.row] if view.reconstructed else row.path
            sources[view.reconstructed] = read_pixels(path)
        rng = np.random.default_rng([seed, view.draw, *_key(row.name)])
        chained = apply_chain(sources[view.reconstructed], data.chain, rng)
        found.append(random_patch(chained, data.patch, rng))
    return found


def read_pixels(path: Path) -> npt.NDArray[np.uint8]:
    """Pixels of a picture: uint8 [H, W, 3].

    Raises:
        DataError: it cannot be read; the message names it.
    """
    try:
        return decode(path).pixels
    except ImageError as error:
        raise DataError(f"{path}: {error.reason}") from error


def _key(name: str) -> list[int]:
    # By name and not by position: adding a source must not redraw all others.
    digest = hashlib.sha256(name.encode()).digest()
    return [int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:8], "little")]


def group_weights(rows: list[Row]) -> npt.NDArray[np.float64]:
    """Weight of each picture: classes weigh the same, groups within a class by the root of their size.

    Large groups should count more than small ones, but a gallery of a thousand near-alike pictures is not
    worth a thousand pictures. The mean weight is 1.
    """
    sizes: dict[tuple[int, str], int] = {}
    for row in rows:
        sizes[row.label, row.group] = sizes.get((row.label, row.group), 0) + 1
    weights = np.array([sizes[row.label, row.group] ** -0.5 for row in rows])
    labels = np.array([row.label for row in rows])
    for label in (0, 1):
        if (labels == label).any():
            weights[labels == label] /= weights[labels == label].sum()
    normalised: npt.NDArray[np.float64] = weights * len(rows) / weights.sum()
    return normalised


def deal_groups(rows: list[Row], folds: int) -> npt.NDArray[np.int64]:
    """Fold of each row: whole groups only, largest first into the emptiest fold, each class on its own."""
    fold = np.zeros(len(rows), dtype=np.int64)
    for label in (0, 1):
        members: dict[str, list[int]] = {}
        for index, row in enumerate(rows):
            if row.label == label:
                members.setdefault(row.group, []).append(index)
        load = [0] * folds
        for group in sorted(members, key=lambda name: (-len(members[name]), name)):
            target = load.index(min(load))
            fold[members[group]] = target
            load[target] += len(members[group])
    return fold
