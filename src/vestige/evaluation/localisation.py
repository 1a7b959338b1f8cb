"""Where is a picture generated? Maps of native patches and of whole pictures against the picture's mask."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from vestige.data.manifest import Row
from vestige.data.shards import opened
from vestige.errors import DataError, ImageError
from vestige.evaluation.metrics import pixel_average_precision, pixel_f1, pixel_iou, resize_map
from vestige.evaluation.protocols import Condition
from vestige.evaluation.protocols.single import CROP_SIDE, square_512
from vestige.evaluation.protocols.steps import centre_crop
from vestige.images import decode
from vestige.images.limits import PATIENT

LEVEL = 128  # of 255: a pixel counts as generated from half of it on

Mask = npt.NDArray[np.bool_]
Map = npt.NDArray[np.float64]
Corners = Sequence[tuple[int, int]]


class PixelScores(NamedTuple):
    """What a map says of one picture; nan where a figure is not defined.

    Attributes:
        ap: average precision over pixels.
        f1, iou: of the pixels that are called generated. Like `ap` only where a part, and not all, of what
            was looked at is generated.
        flagged: share that is called generated, where all that was looked at is real, or all is generated.
        area: share of what was looked at that is generated, in [0, 1]; the `ap` of a map that says nothing.
    """

    ap: float
    f1: float
    iou: float
    flagged: float
    area: float


def pixel_scores(mask: Mask, map: npt.NDArray[np.floating], called: Mask) -> PixelScores:
    """Measure one map.

    Args:
        mask: [H, W], true where generated, at least one pixel.
        map: [H, W], larger where more likely generated.
        called: [H, W], true where the map calls a pixel generated.

    Raises:
        ValueError: shapes differ, or nan in the map.
    """
    area = float(mask.mean())
    nan = float("nan")
    if area in (0.0, 1.0):
        return PixelScores(nan, nan, nan, float(called.mean()), area)
    decided = called.astype(np.float64)
    return PixelScores(
        pixel_average_precision(mask, map),
        pixel_f1(mask, decided, 0.5),
        pixel_iou(mask, decided, 0.5),
        nan,
        area,
    )


def gain_over_noise(ap: float, area: float) -> float:
    """How far average precision is from that of a map of noise to that of a perfect one.

    Where most of a picture is generated, average precision is high whatever the map says; the gain is not.

    Args:
        ap: average precision over pixels.
        area: share of these pixels that is generated, less than 1; what a map of noise has as its `ap`.

    Returns:
        1: perfect; 0: as good as noise; negative: worse, without a limit where `area` comes near to 1.
    """
    return (ap - area) / (1 - area)


def looked_at(
    mask: Mask, maps: npt.NDArray[np.floating], corners: Corners, size: int
) -> tuple[Mask, npt.NDArray[np.float64]]:
    """Mask and map of the pixels that some patches cover, each pixel once.

    Maps are brought to the size of a patch bilinearly; where patches overlap, their logits are averaged.

    Args:
        mask: [H, W] of the whole picture.
        maps: [n, h, w], logits, one map for each patch.
        corners: n times (x, y) of a patch's top left, in pixels of the picture.
        size: side of the patches in pixels. What lies beyond the picture does not count.

    Returns:
        Mask and logits, both [1, N], patch by patch.

    Raises:
        ValueError: not as many maps as corners.
    """
    height, width = mask.shape
    large = [resize_map(one, (size, size)) for one in maps]
    marked, logits = [], []
    for number, ((x, y), own) in enumerate(zip(corners, large, strict=True)):
        total, count, new = own.copy(), np.ones((size, size)), np.ones((size, size), dtype=np.bool_)
        new[max(0, height - y) :] = new[:, max(0, width - x) :] = False
        for other, ((other_x, other_y), values) in enumerate(zip(corners, large, strict=True)):
            right, down = other_x - x, other_y - y
            if other == number or max(abs(right), abs(down)) >= size:
                continue
            here, there = (_shared(right, down, size), _shared(-right, -down, size))
            total[here] += values[there]
            count[here] += 1
            if other < number:
                new[here] = False
        inside = mask[y : y + size, x : x + size]
        marked.append(inside[new[: inside.shape[0], : inside.shape[1]]])
        logits.append((total / count)[new])
    return np.concatenate(marked)[None], np.concatenate(logits)[None]


def read_mask(path: Path) -> Mask:
    """A mask file as bool [H, W]: generated from grey level 128 on.

    Raises:
        DataError: it cannot be read.
    """
    return _grey(path) >= LEVEL


def has_places(condition: Condition | None) -> bool:
    """Whether it is known where pixels of a picture are after a condition."""
    return condition is None or condition.pipeline is None or _moved_by(condition) is not None


def size_after(row: Row, condition: Condition | None) -> tuple[int, int]:
    """Height and width of a picture in pixels, after a condition that takes it.

    Raises:
        DataError: it cannot be read.
    """
    try:
        content = row.content()
        facts = decode(content if condition is None else condition.apply(content, row.name), PATIENT).facts
    except ImageError as error:
        raise DataError(f"{row.name}: {error.reason}") from error
    return facts.height, facts.width


def mask_of(row: Row, size: tuple[int, int], condition: Condition | None = None) -> Mask:
    """Where a picture is generated: by its mask; one without a mask is wholly of its label.

    Args:
        size: height and width of the picture, after the condition.
        condition: what the picture went through; `has_places` says which ones will do. The mask is moved as
            the pixels were, and brought back to two levels.

    Returns:
        bool [height, width].

    Raises:
        DataError: the mask cannot be read, or is not of the picture's size.
    """
    if row.mask is None:
        return np.full(size, row.label == 1)
    grey = _grey(row.mask)
    if condition is not None and condition.pipeline is not None:
        # In two levels already: resampling must not make other pixels of a soft border count.
        level = np.where(grey >= LEVEL, 255, 0).astype(np.uint8)
        grey = _moved(np.repeat(level[..., None], 3, axis=2), condition)[..., 0]
    if grey.shape != size:
        raise DataError(
            f"{row.mask}: a mask of {grey.shape[1]}x{grey.shape[0]} pixels for {row.name} of "
            f"{size[1]}x{size[0]}; both must be of one size"
        )
    return grey >= LEVEL


def _grey(path: Path) -> npt.NDArray[np.uint8]:
    try:
        with Image.open(opened(path)) as image:
            return np.asarray(image.convert("L"))
    except Exception as error:  # Pillow raises about anything on a damaged file
        raise DataError(f"{path}: the mask cannot be read ({error})") from error


def _moved_by(condition: Condition) -> str | None:
    """Which way the pixels of a picture move; None: not known."""
    if condition.family in ("none", "jpeg", "webp", "blur", "noise", "web", "hard"):
        return "square"
    if condition.family == "crop" and condition.level is None:
        return "middle"
    return "pipeline" if condition.family in ("resize", "crop") else None


def _moved(level: npt.NDArray[np.uint8], condition: Condition) -> npt.NDArray[np.uint8]:
    way = _moved_by(condition)
    if way == "square":
        return square_512(level)
    if way == "middle":
        return centre_crop(level, CROP_SIDE, CROP_SIDE)
    if way is None or condition.pipeline is None:
        raise ValueError(f"it is not known where {condition.title} moves pixels; ask has_places first")
    # Nothing is drawn and nothing is lost in these: they deliver PNG.
    return decode(condition.pipeline(level, 0), PATIENT).pixels


def _shared(right: int, down: int, size: int) -> tuple[slice, slice]:
    """What a patch shares with one that lies so far to the right and down, in its own pixels."""
    return (
        slice(max(0, down), size + min(0, down)),
        slice(max(0, right), size + min(0, right)),
    )
