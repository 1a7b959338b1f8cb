"""Random crops of training pictures: batch number -> images, the same each time."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from vestige.data.augment import random_patch
from vestige.data.manifest import Row
from vestige.progress import Progress
from vestige.training.views import read_pixels

KEPT_BYTES = 2 * 2**30  # decoded pictures up to this size stay in memory

Pixels = npt.NDArray[np.uint8]


class Pictures:
    """Decoded pictures of some rows, kept in memory as long as they fit."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows
        self._kept: dict[int, Pixels] = {}
        self._room = KEPT_BYTES

    def __len__(self) -> int:
        return len(self.rows)

    def __getstate__(self) -> dict[str, Any]:
        # Another process reads what it needs; gigabytes of pixels do not travel.
        return {"rows": self.rows, "_kept": {}, "_room": KEPT_BYTES}

    def __getitem__(self, index: int) -> Pixels:
        """uint8 [H, W, 3].

        Raises:
            DataError: it cannot be read.
        """
        if index in self._kept:
            return self._kept[index]
        row = self.rows[index]
        pixels = read_pixels(row.content(), row.name)
        if pixels.nbytes <= self._room:
            self._room -= pixels.nbytes
            self._kept[index] = pixels
        return pixels

    def fill(self, progress: Progress) -> None:
        """Decode as many as fit now: what cannot be read is named before hours of training."""
        for index in progress.track(range(len(self.rows)), "reading pictures"):
            if self._room <= 0:
                break
            self[index]


class CropBatches(Dataset[tuple[int, Tensor]]):
    """Batches of random crops; (seed, number of the batch) decides all of one.

    Args:
        groups: of each picture; groups are drawn by the root of their size, as everywhere in training.
        first, count: numbers of the batches that this dataset holds.
    """

    def __init__(
        self, pictures: Pictures, size: int, crop: int, seed: int, first: int = 0, count: int = 1
    ) -> None:
        self.pictures, self.size, self.crop, self.seed = pictures, size, crop, seed
        self.first, self.count = first, count
        groups = [(row.label, row.group) for row in pictures.rows]
        sizes = Counter(groups)
        weights = np.array([sizes[group] ** -0.5 for group in groups])
        self.weights = weights / weights.sum()

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[int, Tensor]:
        """Number of the batch, and uint8 [size, 3, crop, crop]."""
        number = self.first + index
        rng = np.random.default_rng([self.seed, number])
        drawn = rng.choice(len(self.pictures), self.size, p=self.weights)
        # The whole crop as the multiple: a smaller picture is reflected at its edges.
        patches = [random_patch(self.pictures[one], self.crop, rng, multiple=self.crop) for one in drawn]
        return number, torch.from_numpy(np.stack(patches)).permute(0, 3, 1, 2)


def middle_crops(pictures: Pictures, crop: int, count: int) -> Tensor:
    """The middles of `count` pictures that lie evenly in the list: uint8 [count, 3, crop, crop]."""
    chosen = np.linspace(0, len(pictures) - 1, min(count, len(pictures))).round().astype(int)
    crops = []
    for index in chosen:
        pixels = pictures[int(index)]
        pad = [(0, max(0, crop - side)) for side in pixels.shape[:2]]
        pixels = np.pad(pixels, [*pad, (0, 0)], mode="symmetric")
        top, left = ((side - crop) // 2 for side in pixels.shape[:2])
        crops.append(pixels[top : top + crop, left : left + crop])
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)
