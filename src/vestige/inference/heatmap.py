"""Maps or scores of overlapping patches -> one map over the whole picture."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vestige.inference.card import Calibration
from vestige.inference.session import Scores
from vestige.inference.verdict import calibrate
from vestige.results import HeatMap

# Cells along the longer side at most.
CELLS = 24  # of patch scores: finer than the patches overlap, coarse enough to stay a few kilobytes
MAP_CELLS = 64  # of a model's own maps, which say more

Values = npt.NDArray[np.float64]


def build(
    width: int,
    height: int,
    size: int,
    corners: Sequence[tuple[int, int]],
    scores: Scores,
    calibration: Calibration,
) -> HeatMap:
    """Average the patches' logits in every cell of a grid over the picture.

    Without maps, a cell takes the mean logit of the patches that cover its centre. With maps, it takes the
    mean of all that the patches' maps say of its area, by area; the grid is never finer than these maps.

    A picture too large for its patches to touch has cells that none covers; they take the logit of the
    nearest patch, or the mean of its map.

    Args:
        width, height: the picture in pixels.
        size: side of the patches in pixels.
        corners: (x, y) of the top left of each patch, spread over the whole picture.
        scores: one logit per patch, and maps if the model has them.
        calibration: of the maps if there are any, else of the patches' logits.
    """
    longer = max(width, height)
    most = CELLS if scores.map is None else min(MAP_CELLS, longer * max(scores.map.shape[1:]) // size)
    cell = longer / max(1, min(most, longer))
    columns, rows = max(1, round(width / cell)), max(1, round(height / cell))
    centre_x = (np.arange(columns) + 0.5) * width / columns
    centre_y = (np.arange(rows) + 0.5) * height / rows
    if scores.map is None:
        typical = scores.logit.astype(np.float64)
        total, weight = _of_logits(centre_x, centre_y, size, corners, typical)
    else:
        maps = scores.map.astype(np.float64)
        typical = maps.mean((1, 2))
        edges_x, edges_y = np.arange(columns + 1) * width / columns, np.arange(rows + 1) * height / rows
        total, weight = _of_maps(edges_x, edges_y, size, corners, maps)
    bare = weight == 0
    logits = total / np.where(bare, 1, weight)
    middle = np.array(corners) + size / 2
    for row, column in np.argwhere(bare):
        distance = ((middle - (centre_x[column], centre_y[row])) ** 2).sum(1)
        logits[row, column] = typical[distance.argmin()]
    probabilities = calibrate(logits, calibration)
    return HeatMap(
        probabilities=[[round(float(value), 4) for value in row] for row in probabilities],
        origin="patches" if scores.map is None else "model",
    )


def _of_logits(
    centre_x: Values, centre_y: Values, size: int, corners: Sequence[tuple[int, int]], logits: Values
) -> tuple[Values, Values]:
    """Sum of the logits of the patches over each cell's centre, and how many they are."""
    total = np.zeros((len(centre_y), len(centre_x)))
    weight = np.zeros_like(total)
    for (x, y), logit in zip(corners, logits, strict=True):
        inside_x = np.flatnonzero((centre_x >= x) & (centre_x < x + size))
        inside_y = np.flatnonzero((centre_y >= y) & (centre_y < y + size))
        total[np.ix_(inside_y, inside_x)] += logit
        weight[np.ix_(inside_y, inside_x)] += 1
    return total, weight


def _of_maps(
    edges_x: Values, edges_y: Values, size: int, corners: Sequence[tuple[int, int]], maps: Values
) -> tuple[Values, Values]:
    """Sum of the maps' logits over each cell, each weighed by the area it has there, and the area."""
    total = np.zeros((len(edges_y) - 1, len(edges_x) - 1))
    weight = np.zeros_like(total)
    for (x, y), map in zip(corners, maps, strict=True):
        shared_y = _shared(edges_y, y + np.arange(len(map) + 1) * size / len(map))
        shared_x = _shared(edges_x, x + np.arange(map.shape[1] + 1) * size / map.shape[1])
        total += shared_y @ map @ shared_x.T
        weight += np.outer(shared_y.sum(1), shared_x.sum(1))
    return total, weight


def _shared(ours: Values, theirs: Values) -> Values:
    """Length that each of our intervals shares with each of theirs, [ours, theirs], from their edges."""
    start = np.maximum(ours[:-1, None], theirs[None, :-1])
    end = np.minimum(ours[1:, None], theirs[None, 1:])
    return np.asarray(np.maximum(end - start, 0))
