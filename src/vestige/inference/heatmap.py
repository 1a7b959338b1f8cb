"""Scores of overlapping patches -> one map over the whole picture."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vestige.inference.card import Calibration
from vestige.inference.session import Scores
from vestige.inference.verdict import calibrate
from vestige.results import HeatMap

CELLS = 24  # along the longer side: finer than the patches overlap, coarse enough to stay a few kilobytes


def build(
    width: int,
    height: int,
    size: int,
    corners: Sequence[tuple[int, int]],
    scores: Scores,
    calibration: Calibration,
) -> HeatMap:
    """Average, in every cell of a grid, the logits of all patches that cover its centre.

    A picture too large for its patches to touch has cells that none covers; they take the nearest patch.

    Args:
        width, height: the picture in pixels.
        size: side of the patches in pixels.
        corners: (x, y) of the top left of each patch, spread over the whole picture.
        scores: one logit per patch, and maps if the model has them.
    """
    cell = max(width, height) / min(CELLS, max(width, height))
    columns, rows = max(1, round(width / cell)), max(1, round(height / cell))
    centre_x = (np.arange(columns) + 0.5) * width / columns
    centre_y = (np.arange(rows) + 0.5) * height / rows
    total = np.zeros((rows, columns))
    weight = np.zeros((rows, columns))
    for index, (x, y) in enumerate(corners):
        inside_x = np.flatnonzero((centre_x >= x) & (centre_x < x + size))
        inside_y = np.flatnonzero((centre_y >= y) & (centre_y < y + size))
        if scores.map is None:
            values: npt.NDArray[np.float64] | np.float32 = scores.logit[index]
        else:
            patch = scores.map[index]
            at_y = ((centre_y[inside_y] - y) * patch.shape[0] / size).astype(int)
            at_x = ((centre_x[inside_x] - x) * patch.shape[1] / size).astype(int)
            values = patch[np.ix_(at_y, at_x)].astype(np.float64)
        total[np.ix_(inside_y, inside_x)] += values
        weight[np.ix_(inside_y, inside_x)] += 1
    logits = total / np.maximum(weight, 1)
    middle = np.array(corners) + size / 2
    for row, column in np.argwhere(weight == 0):
        distance = ((middle - (centre_x[column], centre_y[row])) ** 2).sum(1)
        logits[row, column] = scores.logit[distance.argmin()]
    probabilities = calibrate(logits, calibration)
    return HeatMap(
        probabilities=[[round(float(value), 4) for value in row] for row in probabilities],
        origin="patches" if scores.map is None else "model",
    )
