"""Picture -> views: where to look, at native resolution and never resampled.

Positions are (x, y) of the top left corner of a square of `size` pixels. Where the picture is smaller than
the square on an axis, the position is 0 and `extract` fills up by reflection.
"""

import math

import numpy as np
import numpy.typing as npt


def patch_grid(width: int, height: int, size: int, count: int) -> list[tuple[int, int]]:
    """A few positions spread as far as they go: 1 is the centre, 4 the corners, 5 the corners and the centre.

    Rows follow the shape of the picture. Neighbours are at least a quarter of `size` apart in x or y, so a
    small picture gives fewer views than asked for, at least one, and never the same view twice.

    Args:
        width, height: of the picture, in pixels.
        size: side of a view, in pixels.
        count: most views.

    Returns:
        1 to `count` different positions, row by row.

    Raises:
        ValueError: if an argument is less than 1.
    """
    _require(width=width, height=height, size=size, count=count)
    free_x, free_y = max(width - size, 0), max(height - size, 0)
    gap = max(size // 4, 1)
    most_columns, most_rows = max(free_x // gap, 1), max(free_y // gap, 1)
    rows = round(math.sqrt(count * (free_y + gap) / (free_x + gap)))
    rows = min(max(rows, math.ceil(count / most_columns), 1), most_rows, count)
    if count == 5 and min(most_rows, most_columns) >= 3 and max(free_x, free_y) <= 2 * min(free_x, free_y):
        rows = 3  # 2 + 1 + 2: the centre and four points around it
    positions = []
    ys = _spaced(free_y, rows)
    for row, columns in enumerate(_row_lengths(count, rows)):
        columns = min(columns, most_columns)
        positions += [(x, ys[row]) for x in _spaced(free_x, columns)]
    return positions


def dense_grid(width: int, height: int, size: int, stride: int, max_cells: int) -> list[tuple[int, int]]:
    """Positions at equal steps over the whole picture, the first at its left top and the last at its edges.

    The step is `stride` or less, so that the last view ends exactly at the right and bottom edge. If that
    gives more than `max_cells` views, the stride grows until it does not. With fewer than four cells an axis
    may have to make do with one view in its middle.

    Args:
        width, height: of the picture, in pixels.
        size: side of a view, in pixels.
        stride: largest step between neighbours, in pixels.
        max_cells: most views.

    Returns:
        1 to `max_cells` different positions, row by row; every row has the same columns.

    Raises:
        ValueError: if an argument is less than 1.
    """
    _require(width=width, height=height, size=size, stride=stride, max_cells=max_cells)
    free_x, free_y = max(width - size, 0), max(height - size, 0)
    low, high = stride, max(stride, free_x, free_y, 1)
    while low < high:  # the smallest stride that fits
        middle = (low + high) // 2
        if _steps(free_x, middle) * _steps(free_y, middle) <= max_cells:
            high = middle
        else:
            low = middle + 1
    columns, rows = _steps(free_x, low), _steps(free_y, low)
    if columns * rows > max_cells:
        columns, rows = (columns, 1) if free_x >= free_y else (1, rows)
    if columns * rows > max_cells:
        columns = rows = 1
    xs, ys = _spaced(free_x, columns), _spaced(free_y, rows)
    return [(x, y) for y in ys for x in xs]


def extract(pixels: npt.NDArray[np.uint8], x: int, y: int, size: int) -> npt.NDArray[np.uint8]:
    """One view.

    Args:
        pixels: uint8 [H, W, 3].
        x, y: top left corner of the view.
        size: side of the view.

    Returns:
        uint8 [size, size, 3], contiguous, a copy. What lies outside the picture is its mirror image, without
        repeating the edge, as often as needed; a side of one pixel is repeated.
    """
    height, width = pixels.shape[:2]
    view: npt.NDArray[np.uint8]
    if 0 <= x <= width - size and 0 <= y <= height - size:
        view = pixels[y : y + size, x : x + size].copy()
        return view
    # One axis after the other: a third of the time of one index over both, and the same pixels.
    view = pixels.take(_mirrored(x, size, width), axis=1).take(_mirrored(y, size, height), axis=0)
    return view


def _require(**arguments: int) -> None:
    for name, value in arguments.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


def _row_lengths(count: int, rows: int) -> list[int]:
    """How many views each row gets: as equal as possible, the longer rows outside, symmetrical."""
    short, longer = divmod(count, rows)
    lengths = [short] * rows
    pairs, single = divmod(longer, 2)
    for row in range(pairs):
        lengths[row] += 1
        lengths[-1 - row] += 1
    if single:
        lengths[rows // 2] += 1
    return lengths


def _steps(free: int, stride: int) -> int:
    return 1 + -(-free // stride)


def _spaced(free: int, count: int) -> list[int]:
    if count == 1:
        return [free // 2]
    return [index * free // (count - 1) for index in range(count)]


def _mirrored(start: int, size: int, length: int) -> npt.NDArray[np.intp]:
    """Indices start .. start + size folded back into 0 .. length - 1."""
    if length == 1:
        return np.zeros(size, np.intp)
    period = 2 * (length - 1)
    index: npt.NDArray[np.intp] = np.arange(start, start + size) % period
    return np.minimum(index, period - index)
