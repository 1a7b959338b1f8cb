"""Filling a region with patches of the same picture (after Criminisi, Perez and Toyama, 2004).

Patch by patch from the edge inwards, first where most around is known (their confidence term); the term that
continues edges is left out.
"""

import numpy as np
import numpy.typing as npt

from vestige.data.manipulations.base import Mask, Pixels

Values = npt.NDArray[np.float32]

# The region is filled in about this many steps at most: the patches of a large region are larger.
STEPS = 300
# Matches are looked for on a grid of about this side, whose locations are cells of pixels in larger pictures.
GRID_SIDE = 320


def fill(host: Pixels, hole: Mask, patch: int, reach: float) -> tuple[Pixels, int]:
    """Fill a hole with the best matching patches from around it.

    Args:
        host: uint8 [H, W, 3].
        hole: bool [H, W], neither empty nor full.
        patch: side of a patch in locations of the grid, odd.
        reach: how far a match is looked for, in sides of a patch; the whole picture where none is that near.

    Returns:
        The picture, uint8 [H, W, 3], untouched outside the hole, and in the hole made of pixels from outside
        it; and the side in pixels of the patches that were taken.
    """
    cell = max(1, round(float(np.sqrt(hole.size)) / GRID_SIDE))
    while True:
        values, missing = _grid(host, hole, cell)
        if cell == 1 or not missing.all():
            break
        cell -= 1
    half = _half_side(missing, patch)
    origin = np.repeat(np.repeat(_origins(values, missing, half, reach), cell, axis=0), cell, axis=1)
    y, x = np.nonzero(hole)
    filled = host.copy()
    filled[hole] = host[origin[y, x, 0] * cell + y % cell, origin[y, x, 1] * cell + x % cell]
    return filled, (2 * half + 1) * cell


def _grid(host: Pixels, hole: Mask, cell: int) -> tuple[Values, Mask]:
    """Means over cells of pixels, [h, w, 3], and which cells a hole or the border cuts, [h, w]."""
    beyond = [(0, -side % cell) for side in hole.shape]
    missing = np.pad(hole, beyond, constant_values=True)
    padded = np.pad(host, [*beyond, (0, 0)], mode="edge")
    shape = (missing.shape[0] // cell, cell, missing.shape[1] // cell, cell)
    # Sums of squares stay exact enough in float32 when the values are small.
    values = np.asarray(padded.reshape(*shape, 3).mean(axis=(1, 3)) - 128, dtype=np.float32)
    return values, np.asarray(missing.reshape(shape).any(axis=(1, 3)))


def _origins(values: Values, hole: Mask, half: int, reach: float) -> npt.NDArray[np.int64]:
    """Where the content of each location comes from, [H, W, 2] as (y, x): itself outside the hole.

    Args:
        values: float32 [H, W, 3].
        hole: bool [H, W].
        half: half the side of a patch, rounded down.
        reach: in sides of a patch.
    """
    import cv2

    side = 2 * half + 1
    picture = np.pad(values, ((half, half), (half, half), (0, 0)))
    missing = np.pad(hole, half)
    inside = np.pad(np.ones_like(hole), half)
    sources = _sources(hole, half)
    confidence = (inside & ~missing).astype(np.float32)
    origin = np.moveaxis(np.indices(missing.shape), 0, -1).copy()
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    reach_there = round(reach * side)
    while missing.any():
        front = missing & (cv2.dilate((inside & ~missing).astype(np.uint8), cross) > 0)
        trust = cv2.boxFilter(confidence, -1, (side, side), normalize=False, borderType=cv2.BORDER_CONSTANT)
        y, x = map(int, np.unravel_index(int(np.argmax(np.where(front, trust, -1))), front.shape))
        window = (slice(y - half, y + half + 1), slice(x - half, x + half + 1))
        absent = missing[window].copy()
        weight = (inside[window] & ~absent).astype(np.float32)
        top, left = _best(picture, sources, picture[window], weight, (y - half, x - half), reach_there)
        found = (slice(top, top + side), slice(left, left + side))
        picture[window][absent] = picture[found][absent]
        origin[window][absent] = origin[found][absent]
        confidence[window][absent] = trust[y, x] / side**2
        missing[window] = False
    return np.asarray(origin[half : half + hole.shape[0], half : half + hole.shape[1]] - half)


def _half_side(hole: Mask, patch: int) -> int:
    """Half the side of a patch: large enough to bound the work, small enough to fit outside the hole."""
    # A patch at the front fills about half of itself.
    half = max(patch // 2, round((float(np.sqrt(2 * hole.sum() / STEPS)) - 1) / 2))
    while half > 0 and not _sources(hole, half).any():
        half -= 1
    return half


def _sources(hole: Mask, half: int) -> Mask:
    """Which centres, bool [H, W], have a patch that lies in the picture and outside the hole."""
    import cv2

    side = 2 * half + 1
    outside = np.pad((~hole).astype(np.uint8), half)
    whole = cv2.erode(
        outside, np.ones((side, side), dtype=np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0
    )
    return np.asarray(whole[half : half + hole.shape[0], half : half + hole.shape[1]] > 0)


def _best(
    picture: Values, sources: Mask, patch: Values, weight: Values, centre: tuple[int, int], reach: int
) -> tuple[int, int]:
    """Top left corner, in the padded picture, of the source patch that differs least where the weight is 1.

    Args:
        picture: padded by half a patch, [H + 2 half, W + 2 half, 3].
        sources: [H, W], centres that are allowed; a centre has the same place in `picture` as the corner of
            its patch.
        patch: [side, side, 3].
        weight: [side, side], 1 where the patch is known.
        centre: of the patch, in `sources`.
        reach: in pixels.
    """
    import cv2

    side = len(patch)
    rows, columns = (
        slice(max(0, middle - reach), min(length, middle + reach + 1))
        for middle, length in zip(centre, sources.shape, strict=True)
    )
    if not sources[rows, columns].any():
        rows, columns = slice(0, sources.shape[0]), slice(0, sources.shape[1])
    area = picture[rows.start : rows.stop + side - 1, columns.start : columns.stop + side - 1]
    weights = np.repeat(weight[..., None], 3, axis=2)
    # Sum of w (a - p)^2 without the part that is the same everywhere.
    squares = np.asarray(cv2.matchTemplate(np.square(area), weights, cv2.TM_CCORR), dtype=np.float32)
    products = np.asarray(cv2.matchTemplate(area, patch * weights, cv2.TM_CCORR), dtype=np.float32)
    difference = squares - 2 * products
    difference[~sources[rows, columns]] = np.inf
    row, column = np.unravel_index(int(np.argmin(difference)), difference.shape)
    return rows.start + int(row), columns.start + int(column)
