"""Training views: which passages through the chain a recipe asks for, and their pixels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vestige.data.augment import apply_chain, random_patch
from vestige.data.draws import name_key
from vestige.data.labelled import Labelled
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

    `reconstructed` says that it is not of the picture itself but of what was made of it: a reconstruction or
    the picture with an imprint, which count as generated, or what `manipulated` says, an index into the
    manipulated pictures.
    """

    row: int
    draw: int
    reconstructed: bool
    manipulated: int | None = None


def plan(
    data: DataSection, rows: int, reconstructed: list[int], labelled: Sequence[Labelled] = ()
) -> list[View]:
    """All views of a recipe, picture by picture, so that each is read once.

    Args:
        rows: number of rows of the manifest.
        reconstructed: indices of the rows that have a reconstruction or get imprints.
        labelled: manipulated pictures.
    """
    having = set(reconstructed)
    of_row: dict[int, list[int]] = {}
    for index, one in enumerate(labelled):
        of_row.setdefault(one.host, []).append(index)
    return [
        View(row, draw, reconstructed=made, manipulated=index)
        for row in range(rows)
        for made, index in (
            (False, None),
            *([(True, None)] if row in having else []),
            *((True, index) for index in of_row.get(row, [])),
        )
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
    views: Sequence[View],
    rows: list[Row],
    data: DataSection,
    seed: int,
    made: Mapping[int, Made],
    labelled: Sequence[Labelled] = (),
) -> list[npt.NDArray[np.uint8]]:
    """Pixels of some views of one picture: uint8 [s, s, 3] each.

    What was made of a picture passes the same draws as its original, so that a pair differs in nothing but
    the autoencoder's traces, the imprint, or the manipulation, as long as both are of one size.

    Args:
        views: all of the same row.
        made: of a row, the file with its reconstruction, or what puts an imprint on it, another for each
            passage.
        labelled: manipulated pictures, as the views count them.

    Raises:
        DataError: a picture cannot be read; it is never replaced by another.
    """
    files: dict[Path | None, npt.NDArray[np.uint8]] = {}
    found = []
    for view in views:
        row = rows[view.row]
        how = made_of(view, made, labelled)
        file = how if isinstance(how, Path) else None
        if file not in files:
            files[file] = read_pixels(file or row.content(), row.name)
        pixels, passage = files[file], passage_seed(seed, view, row.name)
        if isinstance(how, Imprinter):
            pixels = how(pixels, np.random.default_rng([IMPRINT, *passage]))
        rng = np.random.default_rng(passage)
        chained = apply_chain(pixels, data.chain, rng)
        found.append(random_patch(chained, data.patch, rng))
    return found


def made_of(view: View, made: Mapping[int, Made], labelled: Sequence[Labelled]) -> Made | None:
    """What a view shows in place of the picture itself; None: the picture."""
    if view.manipulated is not None:
        return labelled[view.manipulated].picture
    return made[view.row] if view.reconstructed else None


def passage_seed(seed: int, view: View, name: str) -> list[int]:
    """What seeds all that is drawn for a view, whatever was made of the picture called `name`."""
    return [seed, view.draw, *name_key(name)]


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
    """Fold of each row: whole groups only, largest first into the emptiest fold, each class on its own.

    A group of both classes, such as a source whose pictures were also manipulated, is dealt as one, before
    all others.
    """
    fold = np.zeros(len(rows), dtype=np.int64)
    members: tuple[dict[str, list[int]], dict[str, list[int]]] = ({}, {})
    for index, row in enumerate(rows):
        members[row.label].setdefault(row.group, []).append(index)
    both = {name: [*members[0][name], *members[1][name]] for name in members[0] if name in members[1]}
    dealt = _deal(both, [0] * folds)
    for own in members:
        load = [0] * folds
        for name, target in dealt.items():
            load[target] += len(own[name])
        target_of = dealt | _deal({name: some for name, some in own.items() if name not in dealt}, load)
        for name, some in own.items():
            fold[some] = target_of[name]
    return fold


def _deal(groups: Mapping[str, list[int]], load: list[int]) -> dict[str, int]:
    """Largest first into the emptiest fold, which `load` counts."""
    found = {}
    for name in sorted(groups, key=lambda name: (-len(groups[name]), name)):
        found[name] = load.index(min(load))
        load[found[name]] += len(groups[name])
    return found
