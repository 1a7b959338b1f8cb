"""Metrics of maps that say where a picture is generated, against a mask, one picture at a time.

The map is taken as it is: never the maximum over a map and its inverse, and never the best threshold of each
picture. Both use the mask to choose, and a map of noise gains from them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from vestige.evaluation.metrics.inputs import has_probabilities, has_threshold
from vestige.evaluation.metrics.ranking import average_precision

Mask = npt.NDArray[Any]
Map = npt.NDArray[np.floating[Any]]


def pixel_average_precision(mask: Mask, map: Map) -> float:
    """Average precision over the pixels of one picture, generated as the positive class.

    nan if the mask is empty, and if it is full: every map would then get 1.

    Args:
        mask: bool or 0/1 [H, W], true where generated.
        map: float [H, W], larger where more likely generated.

    Raises:
        ValueError: shapes differ (see `resize_map`), a mask of other values, or nan in the map.
    """
    marked = _checked(mask, map)
    return average_precision(marked.ravel().astype(np.int64), np.asarray(map, dtype=np.float64).ravel())


def pixel_f1(mask: Mask, map: Map, threshold: float) -> float:
    """Harmonic mean of precision and recall over the pixels of one picture.

    Of an empty mask: 1 if no pixel of the map reaches the threshold, else 0. A full mask is no special case.

    Args:
        mask: bool or 0/1 [H, W], true where generated.
        map: float [H, W] in [0, 1]; a pixel is called generated if it is at or above the threshold.
        threshold: in [0, 1], fixed for all pictures; nan gives nan.

    Raises:
        ValueError: shapes differ (see `resize_map`), a mask of other values, nan in the map, or a map or
            threshold outside [0, 1].
    """
    both, marked, called = _counts(mask, map, threshold, "pixel_f1")
    return _ratio(2 * both, marked + called)


def pixel_iou(mask: Mask, map: Map, threshold: float) -> float:
    """Intersection over union of mask and called pixels; arguments and empty masks as in `pixel_f1`."""
    both, marked, called = _counts(mask, map, threshold, "pixel_iou")
    return _ratio(both, marked + called - both)


@dataclass(frozen=True)
class PictureMean:
    """Mean over pictures, each counting the same whatever its size.

    Attributes:
        value: mean over the pictures with a figure; nan if there is none.
        pictures: how many have a figure.
        undefined: how many have none (nan) and are left out.
    """

    value: float
    pictures: int
    undefined: int


def mean_over_pictures(values: Sequence[float]) -> PictureMean:
    """Mean of one figure per picture; pictures where it is not defined are counted, not hidden."""
    found = np.asarray(values, dtype=np.float64)
    defined = found[~np.isnan(found)]
    value = float(defined.mean()) if len(defined) else float("nan")
    return PictureMean(value, len(defined), len(found) - len(defined))


def resize_map(
    map: Map, shape: tuple[int, int], rule: Literal["nearest", "bilinear"] = "bilinear"
) -> npt.NDArray[np.float64]:
    """A map at the size of a mask, so that the mask, which is the truth, is never resampled.

    Pixels are areas: target pixel i has its centre at (i + 0.5) * h / H - 0.5 of the source, and beyond the
    outermost centres the edge goes on (in PyTorch: `align_corners=False`, nearest: "nearest-exact"). Made for
    enlarging; a smaller size takes samples and does not average.

    Args:
        map: float [h, w].
        shape: (H, W) of the mask.
        rule: "nearest" copies the pixel under the centre, "bilinear" mixes the four around it.

    Returns:
        float64 [H, W], within the range of the map.

    Raises:
        ValueError: no map of two dimensions, a side without pixels, or another rule.
    """
    if rule not in ("nearest", "bilinear"):
        raise ValueError(f"a map is resized by the rule nearest or bilinear, got {rule!r}")
    source = np.asarray(map, dtype=np.float64)
    if source.ndim != 2 or len(shape) != 2 or min(*source.shape, *shape) < 1:
        raise ValueError(f"a map {source.shape} cannot be resized to {shape}; both must be (height, width)")
    low, high = source.min(), source.max()
    for axis in (0, 1):
        size, target = source.shape[axis], shape[axis]
        if rule == "nearest":
            # In whole numbers: no rounding decides which pixel is copied.
            source = source.take((2 * np.arange(target) + 1) * size // (2 * target), axis=axis)
        else:
            centre = np.clip((np.arange(target) + 0.5) * size / target - 0.5, 0, size - 1)
            before = np.floor(centre).astype(np.int64)
            weight = np.expand_dims(centre - before, 1 - axis)
            first, second = (source.take(at, axis=axis) for at in (before, np.minimum(before + 1, size - 1)))
            # Rounding must not lift a probability above 1.
            source = np.clip(first + weight * (second - first), low, high)
    return source


def _checked(mask: Mask, map: Map) -> npt.NDArray[np.bool_]:
    """The mask as bool, of the map's shape."""
    mask = np.asarray(mask)
    if mask.ndim != 2 or mask.shape != np.shape(map):
        raise ValueError(
            f"mask {mask.shape} and map {np.shape(map)} must both be (height, width) of the same size; "
            "resize_map brings a map to the size of a mask"
        )
    if mask.size == 0 or np.isnan(map).any():
        raise ValueError("the map has nan or no pixels; every pixel needs a value")
    marked = mask == 1
    if not (marked | (mask == 0)).all():
        raise ValueError("a mask is bool or holds 0 and 1 only; compare a grey one with a level first")
    return np.asarray(marked, dtype=np.bool_)


def _counts(mask: Mask, map: Map, threshold: float, name: str) -> tuple[float, float, float]:
    """Pixels that are marked and called, marked, called; all nan without a threshold."""
    marked, values = _checked(mask, map), np.asarray(map, dtype=np.float64)
    has_probabilities(marked.ravel().astype(np.int64), values.ravel(), name)
    if not has_threshold(threshold, name):
        return float("nan"), float("nan"), float("nan")
    called = values >= threshold
    return float((marked & called).sum()), float(marked.sum()), float(called.sum())


def _ratio(part: float, whole: float) -> float:
    # Nothing marked and nothing called: the map is right.
    return 1.0 if whole == 0 else part / whole
