"""Seamless cloning: new content that keeps its gradients and takes its colours from the edge (Poisson).

With the same gradients inside, the solution is the new content plus a membrane: a function without curvature
(Laplace's equation) that equals, at the edge, what the picture is more than the new content (Perez, Gangnet
and Blake, 2003, eq. 7). OpenCV's `seamlessClone` solves for the whole box around the mask instead, and also
changes pixels outside the mask: cut out along the mask, its result has a seam.
"""

import numpy as np
import numpy.typing as npt

from vestige.data.manipulations.base import Mask, Pixels

Values = npt.NDArray[np.float32]

# Up to so many unknowns are solved for exactly; more start from the solution on a grid half as fine.
EXACT = 2000
SWEEPS = 40


def seamless(host: Pixels, new: Pixels, mask: Mask) -> Pixels:
    """New content in a mask, its colours continued from the edge.

    Args:
        host: uint8 [H, W, 3].
        new: uint8 [H, W, 3], the new content at least in the mask and one pixel around it.
        mask: bool [H, W], neither empty nor full.

    Returns:
        uint8 [H, W, 3]; the host outside the mask.
    """
    import cv2

    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    edge = (cv2.dilate(mask.astype(np.uint8), cross) > 0) & ~mask
    more = np.where(edge[..., None], host.astype(np.float32) - new, 0).astype(np.float32)
    result = host.copy()
    result[mask] = np.clip(np.rint(new[mask] + membrane(more, edge, mask)[mask]), 0, 255).astype(np.uint8)
    return np.asarray(result)


def membrane(values: Values, edge: Mask, hole: Mask) -> Values:
    """Laplace's equation in a hole, given the values at its edge.

    Args:
        values: float32 [H, W, C], looked at on the edge.
        edge: bool [H, W], the pixels next to the hole, without the hole. Where the hole meets the border of
            the picture, nothing is given: the solution goes on level there.
        hole: bool [H, W].

    Returns:
        float32 [H, W, C]: the values at the edge, the solution in the hole, anything elsewhere.
    """
    if hole.sum() <= EXACT:
        return _solved(values, edge, hole)
    coarse_edge = _cells(edge[..., None].astype(np.float32))
    sums = _cells(np.where(edge[..., None], values, np.float32(0)))
    coarse_values = sums / np.maximum(coarse_edge, np.float32(0.1))
    given = np.asarray(coarse_edge[..., 0] > 0)
    inner = (_cells(hole[..., None].astype(np.float32))[..., 0] > 0) & ~given
    coarse = membrane(coarse_values, given, inner)
    start = coarse.repeat(2, axis=0).repeat(2, axis=1)[: hole.shape[0], : hole.shape[1]]
    field = np.where(edge[..., None], values, start)
    for _ in range(SWEEPS):
        padded = np.pad(field, ((1, 1), (1, 1), (0, 0)), mode="edge")
        mean = (padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]) / 4
        field = np.where(hole[..., None], mean, field)
    return np.asarray(field, dtype=np.float32)


def _cells(values: Values) -> Values:
    """Means over cells of 2x2 pixels, [H, W, C] -> [H / 2, W / 2, C] rounded up; zeros beyond the border."""
    height, width, channels = values.shape
    padded = np.pad(values, ((0, height % 2), (0, width % 2), (0, 0)))
    cells = padded.reshape((height + 1) // 2, 2, (width + 1) // 2, 2, channels)
    return np.asarray(cells.mean(axis=(1, 3)), dtype=np.float32)


def _solved(values: Values, edge: Mask, hole: Mask) -> Values:
    """As `membrane`, exactly, by a sparse linear system with one unknown per pixel of the hole."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.linalg import spsolve

    count = int(hole.sum())
    if count == 0:
        return values
    number = np.full(hole.shape, -1)
    number[hole] = np.arange(count)
    right = np.zeros((count, values.shape[2]))
    degree = np.zeros(count)
    rows, columns = list[npt.NDArray[np.int64]](), list[npt.NDArray[np.int64]]()
    y, x = np.nonzero(hole)
    for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        ny, nx = y + dy, x + dx
        there = np.flatnonzero((ny >= 0) & (ny < hole.shape[0]) & (nx >= 0) & (nx < hole.shape[1]))
        degree[there] += 1
        other = number[ny[there], nx[there]]
        given = there[other < 0]
        right[given] += values[ny[given], nx[given]]
        rows.append(there[other >= 0])
        columns.append(other[other >= 0])
    i, j = np.concatenate([*rows, np.arange(count)]), np.concatenate([*columns, np.arange(count)])
    entries = np.concatenate([np.full(len(i) - count, -1.0), degree])
    solution = spsolve(coo_matrix((entries, (i, j)), shape=(count, count)).tocsc(), right)
    result = values.copy()
    result[hole] = solution.reshape(count, -1)
    return np.asarray(result)
