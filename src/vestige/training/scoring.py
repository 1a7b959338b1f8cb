"""Logits and maps of test pictures, as the field kit would give them."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch

from vestige.data.manifest import Row
from vestige.errors import DataError, ImageError
from vestige.images import decode
from vestige.images.file_facts import vector
from vestige.images.limits import PATIENT
from vestige.images.views import extract, patch_grid
from vestige.methods.base import Network
from vestige.progress import Progress
from vestige.training.cache import facts_of
from vestige.training.examples import SCORING_BATCH, tensors
from vestige.training.features import WORKERS, Bucket, Precision, features_of
from vestige.training.recipe import Recipe
from vestige.training.views import read_pixels


class Condition(Protocol):
    """What happens to a picture before it is judged; a condition of the benchmark's protocols is one.

    Attributes:
        title: the same only where the same picture of the same name gives the same pixels.
    """

    @property
    def title(self) -> str:
        """As above."""

    def apply(self, content: Path | bytes, key: str) -> Path | bytes:
        """What is judged instead of `content`, the picture that the manifest calls `key`."""


class PictureMaps(NamedTuple):
    """What a network says of the native patches of one picture.

    Attributes:
        picture: index into the rows.
        logit: mean over the patches.
        maps: float32 [n, h, w], a logit per location for each patch, in the order of `native_patches`; None
            if the network has no map.
    """

    picture: int
    logit: float
    maps: npt.NDArray[np.float32] | None


def score_pictures(
    network: Network,
    recipe: Recipe,
    rows: Sequence[Row],
    views: int,
    cache: Path,
    progress: Progress,
    condition: Condition | None = None,
    precision: Precision = "float32",
) -> list[float]:
    """Logit of each picture as `vestige scan` would give it, up to the rounding of cached features.

    Args:
        views: patches of a picture at most.
        cache: folder of frozen features.
        condition: what every picture goes through first; it must take them all.
        precision: of the frozen features, whatever the recipe trains with; exported networks compute in
            float32.

    Raises:
        DataError: a picture cannot be read.
    """
    buckets = _buckets(network, recipe, rows, views, cache, progress, condition, precision)
    found = {one.picture: one.logit for one in _scored(network.eval(), buckets, with_maps=False)}
    return [found[number] for number in range(len(rows))]


def score_maps(
    network: Network,
    recipe: Recipe,
    rows: Sequence[Row],
    views: int,
    cache: Path,
    progress: Progress,
    condition: Condition | None = None,
    precision: Precision = "float32",
) -> Iterator[PictureMaps]:
    """What `score_pictures` says, and the maps of the patches that it says it of, from one pass of the head.

    Args, Raises: as `score_pictures`.

    Returns:
        One of each picture, as they come, not in the order of the rows: maps may be large.
    """
    buckets = _buckets(network, recipe, rows, views, cache, progress, condition, precision)
    return _scored(network.eval(), buckets, with_maps=True)


def _buckets(
    network: Network,
    recipe: Recipe,
    rows: Sequence[Row],
    views: int,
    cache: Path,
    progress: Progress,
    condition: Condition | None,
    precision: Precision,
) -> list[Bucket]:
    """Frozen features of the native patches of all pictures; `Bucket.views` are indices into the rows."""
    method, _ = recipe.parts()
    if method.looks_at == "facts":
        return facts_of(list(rows), progress) if condition is None else _facts(rows, condition)
    size = recipe.data.patch
    cutting = f"{views} native patches of {size}"
    identities = [identity(one) for one in rows]
    if condition is not None:
        cutting += f" after {condition.title}"
        # The name seeds what a condition draws at random.
        identities = [f"{known} {one.name}" for known, one in zip(identities, rows, strict=True)]
    return features_of(
        network,
        f"{recipe.method} {json.dumps(recipe.model, sort_keys=True)}",
        rows,
        identities,
        lambda one: native_patches(_pixels(one, condition), size, views),
        cutting,
        cache,
        progress,
        precision,
    )


def native_patches(pixels: npt.NDArray[np.uint8], size: int, count: int) -> npt.NDArray[np.uint8]:
    """The patches that the field kit looks at: uint8 [H, W, 3] -> [n, size, size, 3], 1 <= n <= count."""
    height, width = pixels.shape[:2]
    return np.stack([extract(pixels, x, y, size) for x, y in patch_grid(width, height, size, count)])


def identity(row: Row) -> str:
    """Hash of a picture's bytes: the manifest's, or computed.

    Raises:
        DataError: the picture cannot be read.
    """
    if row.sha256:
        return row.sha256.lower()
    content = row.content()
    try:
        whole = content if isinstance(content, bytes) else content.read_bytes()
    except OSError as error:
        raise DataError(f"{content!s}: cannot be read ({error.strerror})") from error
    return hashlib.sha256(whole).hexdigest()


def _delivered(row: Row, condition: Condition) -> Path | bytes:
    try:
        return condition.apply(row.content(), row.name)
    except ImageError as error:
        raise DataError(f"{row.name}: {error.reason}") from error


def _pixels(row: Row, condition: Condition | None) -> npt.NDArray[np.uint8]:
    content = row.content() if condition is None else _delivered(row, condition)
    return read_pixels(content, row.name)


def _facts(rows: Sequence[Row], condition: Condition) -> list[Bucket]:
    """What is known of the files that a condition delivers, one view per row."""
    with ThreadPoolExecutor(WORKERS) as pool:
        found = list(pool.map(partial(_facts_of_one, condition), rows))
    return [Bucket(np.arange(len(rows)), [np.stack(found).astype(np.float16)])]


def _facts_of_one(condition: Condition, row: Row) -> npt.NDArray[np.float32]:
    try:
        return vector(decode(_delivered(row, condition), PATIENT).facts)
    except ImageError as error:
        raise DataError(f"{row.name}: {error.reason}") from error


def _scored(network: Network, buckets: list[Bucket], with_maps: bool) -> Iterator[PictureMaps]:
    for bucket in buckets:
        # A picture's views are neighbours in one bucket.
        for picture, views in groupby(_views(network, bucket, with_maps), key=itemgetter(0)):
            _, logits, maps = zip(*views, strict=True)
            whole = None if maps[0] is None else np.stack(maps)
            yield PictureMaps(picture, float(np.mean(logits)), whole)


def _views(
    network: Network, bucket: Bucket, with_maps: bool
) -> Iterator[tuple[int, float, npt.NDArray[np.float32] | None]]:
    """Picture, logit and map of each view of a bucket."""
    for first in range(0, len(bucket.views), SCORING_BATCH):
        part = np.arange(first, min(first + SCORING_BATCH, len(bucket.views)))
        # Not around the yield: whoever takes the views would be in this mode, too.
        with torch.inference_mode():
            found = network.head(*tensors(bucket, part))
        maps = found.map if with_maps else None
        several = [None] * len(part) if maps is None else [*maps[:, 0].float().cpu().numpy()]
        yield from zip(bucket.views[part].tolist(), found.logit.tolist(), several, strict=True)
