"""What is known of the pixels of training views: which were changed, which are generated.

The maps of a picture go through the same passage as its pixels, as far as this moves them.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from vestige.data.augment import ChainConfig, draw_passage, draw_patch
from vestige.data.labelled import Labelled
from vestige.data.manifest import Row
from vestige.data.shards import opened
from vestige.errors import DataError
from vestige.methods.base import TRUTH_CELL as CELL
from vestige.progress import Progress
from vestige.training.features import WORKERS, Bucket
from vestige.training.recipe import DataSection
from vestige.training.views import View, passage_seed, read_pixels

CHANGED, GENERATED = 0, 1  # channels
CHUNK = 256

Truth = npt.NDArray[np.float16]
Map = npt.NDArray[np.float32]


def truth_of(
    buckets: Sequence[Bucket],
    views: Sequence[View],
    rows: Sequence[Row],
    data: DataSection,
    seed: int,
    labelled: Sequence[Labelled],
    progress: Progress,
) -> list[Truth]:
    """The truth of all views, for each bucket float16 [N, 2, S / 8, S / 8] in [0, 1].

    Channel CHANGED is the share of a cell that was changed, GENERATED the share that is generated. A picture
    without masks is wholly of its label and unchanged; one with the mask of generated pixels alone counts as
    changed where they are, one with the mask of changed pixels alone as wholly of its label. What was
    reconstructed or imprinted is all generated, and nothing in it was changed: there is no place at which it
    differs from the rest.

    Raises:
        DataError: a mask cannot be read, or is not of its picture's size.
    """
    found = []
    with ThreadPoolExecutor(WORKERS) as pool:
        for bucket in buckets:
            truth = np.zeros((len(bucket.views), 2, bucket.side // CELL, bucket.side // CELL), np.float16)
            drawn: list[int] = []  # rows of the bucket whose maps differ from place to place
            for number, index in enumerate(bucket.views.tolist()):
                view = views[index]
                row = rows[view.row]
                if view.manipulated is not None or (not view.reconstructed and (row.mask or row.changed)):
                    drawn.append(number)
                else:
                    truth[number, GENERATED] = 1 if view.reconstructed else row.label
            chunks = [drawn[start : start + CHUNK] for start in range(0, len(drawn), CHUNK)]
            if chunks:
                of = partial(_of_view, rows=rows, data=data, seed=seed, labelled=labelled)
                for chunk in progress.track(chunks, f"looking up masks of views of {bucket.side} pixels"):
                    maps = pool.map(of, [views[int(bucket.views[number])] for number in chunk])
                    for number, cells in zip(chunk, maps, strict=True):
                        truth[number] = cells
            found.append(truth)
    return found


def _of_view(
    view: View, rows: Sequence[Row], data: DataSection, seed: int, labelled: Sequence[Labelled]
) -> Truth:
    row = rows[view.row]
    if view.manipulated is not None:
        one = labelled[view.manipulated]
        maps = (read_mask(one.changed), read_mask(one.generated))
    else:
        size = read_pixels(row.content(), row.name).shape[:2]
        generated = (
            np.full(size, row.label, np.float32) if row.mask is None else _mask_of(row, row.mask, size)
        )
        changed = generated if row.changed is None else _mask_of(row, row.changed, size)
        maps = (changed, generated)
    return np.stack([cells(values) for values in passed(maps, data.chain, data.patch, seed, view, row.name)])


def _mask_of(row: Row, path: Path, size: tuple[int, ...]) -> Map:
    values = read_mask(path)
    if values.shape != size:
        raise DataError(
            f"{path}: a mask of {values.shape[1]}x{values.shape[0]} pixels for {row.name} of "
            f"{size[1]}x{size[0]}; both must be of one size"
        )
    return values


def passed(
    maps: Sequence[Map], chain: ChainConfig, size: int, seed: int, view: View, name: str
) -> list[npt.NDArray[np.float32]]:
    """Maps of a picture [H, W] -> those of a view [S, S], moved as its pixels are."""
    rng = np.random.default_rng(passage_seed(seed, view, name))
    height, width = maps[0].shape
    passage = draw_passage(height, width, chain, rng)
    moved = [passage.map(values) for values in maps]
    height, width = moved[0].shape
    patch = draw_patch(height, width, size, rng)
    return [patch.cut(values) for values in moved]


def cells(values: Map) -> Truth:
    """Means of cells: [S, S] -> float16 [S / 8, S / 8]."""
    side = values.shape[0] // CELL
    means: Truth = values.reshape(side, CELL, side, CELL).mean((1, 3)).astype(np.float16)
    return means


def read_mask(path: Path) -> Map:
    """A grey picture as float32 [H, W] in [0, 1].

    Raises:
        DataError: it cannot be read.
    """
    try:
        with Image.open(opened(path)) as image:
            shares: Map = np.asarray(image.convert("L"), dtype=np.float32) / np.float32(255)
            return shares
    except Exception as error:  # Pillow raises about anything on a damaged file
        raise DataError(f"{path}: the mask cannot be read ({error})") from error
