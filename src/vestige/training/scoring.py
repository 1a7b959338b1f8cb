"""Logits of test pictures, as the field kit would give them."""

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Protocol

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
    method, _ = recipe.parts()
    if method.looks_at == "facts":
        buckets = facts_of(list(rows), progress) if condition is None else _facts(rows, condition)
    else:
        size = recipe.data.patch
        cutting = f"{views} native patches of {size}"
        identities = [identity(one) for one in rows]
        if condition is not None:
            cutting += f" after {condition.title}"
            # The name seeds what a condition draws at random.
            identities = [f"{known} {one.name}" for known, one in zip(identities, rows, strict=True)]
        buckets = features_of(
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
    return _means(network.eval(), buckets, len(rows))


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


def _means(network: Network, buckets: list[Bucket], count: int) -> list[float]:
    logits: list[list[float]] = [[] for _ in range(count)]
    with torch.inference_mode():
        for bucket in buckets:
            for first in range(0, len(bucket.views), SCORING_BATCH):
                part = np.arange(first, min(first + SCORING_BATCH, len(bucket.views)))
                found = network.head(*tensors(bucket, part)).logit.tolist()
                for owner, logit in zip(bucket.views[part], found, strict=True):
                    logits[owner].append(logit)
    return [float(np.mean(some)) for some in logits]
