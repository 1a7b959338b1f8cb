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
from vestige.images.file_facts import vector
from vestige.images.limits import PATIENT
from vestige.methods.nirnet.imprints import Imprinter
from vestige.training.recipe import DataSection

# What counts as generated though it was made of a real picture: a file with a reconstruction, or an imprint.
Made = Path | Imprinter
IMPRINT = 1  # stream of draws of its own, so that the chain draws what it draws for the original


@dataclass(frozen=True)
class View:
    """One passage: `row` indexes the manifest's rows, `draw` counts the passages of that picture.

    `reconstructed` says that it is not of the picture itself but of what was made of it to count as
    generated: a reconstruction, or the picture with an imprint.
    """

    row: int
    draw: int
    reconstructed: bool


def plan(data: DataSection, rows: int, reconstructed: list[int]) -> list[View]:
    """All views of a recipe, picture by picture, so that each is read once.

    Args:
        rows: number of rows of the manifest.
        reconstructed: indices of the rows that have a reconstruction or get imprints.
    """
    having = set(reconstructed)
    return [
        View(row, draw, kind)
        for row in range(rows)
        for kind in ((False, True) if row in having else (False,))
        for draw in range(data.views)
    ]


def capped(rows: list[Row], per_group: int | None, seed: int) -> list[Row]:
    """At most `per_group` rows of each group of each class, drawn by seed, in the order of the manifest."""
    if per_group is None:
        return rows
    groups: dict[tuple[int, str], list[int]] = {}
    for index, row in enumerate(rows):
        groups.setdefault((row.label, row.group), []).append(index)
    kept: set[int] = set()
    for (label, group), members in groups.items():
        # By name and not by position: adding a group must not redraw the others.
        rng = np.random.default_rng([seed, label, *name_key(group)])
        kept.update(int(index) for index in rng.permutation(members)[:per_group])
    return [row for index, row in enumerate(rows) if index in kept]


def view_pixels(
    views: Sequence[View], rows: list[Row], data: DataSection, seed: int, made: Mapping[int, Made]
) -> list[npt.NDArray[np.uint8]]:
    """Pixels of some views of one picture: uint8 [s, s, 3] each.

    What was made of a picture passes the same draws as its original, so that a pair differs in nothing but
    the autoencoder's traces, or the imprint.

    Args:
        views: all of the same row.
        made: of a row, the file with its reconstruction, or what puts an imprint on it, another for each
            passage.

    Raises:
        DataError: a picture cannot be read; it is never replaced by another.
    """
    files: dict[bool, npt.NDArray[np.uint8]] = {}
    found = []
    for view in views:
        row = rows[view.row]
        how = made[view.row] if view.reconstructed else None
        of_file = isinstance(how, Path)
        if of_file not in files:
            files[of_file] = read_pixels(how if isinstance(how, Path) else row.content(), row.name)
        pixels, passage = files[of_file], [seed, view.draw, *name_key(row.name)]
        if isinstance(how, Imprinter):
            pixels = how(pixels, np.random.default_rng([IMPRINT, *passage]))
        rng = np.random.default_rng(passage)
        chained = apply_chain(pixels, data.chain, rng)
        found.append(random_patch(chained, data.patch, rng))
    return found


def read_pixels(source: Path | bytes, name: str = "") -> npt.NDArray[np.uint8]:
    """Pixels of a picture: uint8 [H, W, 3].

    Args:
        name: how the picture is called where `source` holds its bytes.

    Raises:
        DataError: it cannot be read; the message names it.
    """
    try:
        return decode(source, PATIENT).pixels
    except ImageError as error:
        raise DataError(f"{name if isinstance(source, bytes) else source}: {error.reason}") from error


def read_facts(row: Row) -> npt.NDArray[np.float32]:
    """What is known of a picture's file, float32 [F] (see `vestige.images.file_facts`).

    Raises:
        DataError: it cannot be read; the message names it.
    """
    try:
        return vector(decode(row.content(), PATIENT).facts)
    except ImageError as error:
        raise DataError(f"{row.name}: {error.reason}") from error


def name_key(name: str) -> list[int]:
    """Two numbers that seed what is drawn for a picture or a group of this name.

    By name and not by position: adding a source must not redraw all others.
    """
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
