"""Shapes of random regions.

Most are where a field over the picture is highest: taking as many pixels as the area asks for gives a shape
its size, also where the picture cuts it off.
"""

import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Shape = tuple[int, int]
Coordinates = npt.NDArray[np.float64]


def highest(field: Field, area: float) -> Mask:
    """The share `area` of the locations, at least one, where a field [H, W] is highest; more where equal."""
    count = min(max(round(area * field.size), 1), field.size - 1)
    threshold = np.partition(field, field.size - count, axis=None)[field.size - count]
    return np.asarray(field >= threshold)


def smooth_noise(shape: Shape, scale: float, rng: np.random.Generator) -> Field:
    """Random field that changes over about `scale` pixels, float32 [H, W], mean near 0, deviation near 1."""
    import cv2

    # A margin of two cells keeps the borders, where cubic interpolation repeats values, out of the picture.
    cells = [int(np.ceil(side / scale)) + 4 for side in shape]
    coarse = rng.standard_normal(cells).astype(np.float32)
    size = (max(shape[1], round(cells[1] * scale)), max(shape[0], round(cells[0] * scale)))
    fine = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    top, left = (fine.shape[0] - shape[0]) // 2, (fine.shape[1] - shape[1]) // 2
    return np.asarray(fine[top : top + shape[0], left : left + shape[1]], dtype=np.float32)


def blob(shape: Shape, area: float, rng: np.random.Generator) -> Mask:
    """Smoothed noise in two octaves, either free (several pieces) or around one centre (one piece)."""
    scale = max(3.0, rng.uniform(0.15, 0.35) * float(np.sqrt(shape[0] * shape[1])))
    noise = smooth_noise(shape, scale, rng) + 0.35 * smooth_noise(shape, max(2.0, scale / 3), rng)
    if rng.random() < 0.5:
        return highest(noise, area)
    y, x = _centred(shape, rng)
    reach = np.sqrt(area * shape[0] * shape[1])
    return _one_piece(noise - 2 * np.hypot(y, x).astype(np.float32) / np.float32(reach), area)


def ellipse(shape: Shape, area: float, rng: np.random.Generator) -> Mask:
    """A rotated ellipse, or a box with rounded corners: |x|^p + |y|^p with p = 2, or from 4 to 8."""
    y, x = _centred(shape, rng)
    angle, stretch = rng.uniform(0, np.pi), float(np.exp(rng.uniform(0, np.log(3))))
    along = np.abs(np.cos(angle) * x + np.sin(angle) * y)
    across = np.abs(np.cos(angle) * y - np.sin(angle) * x) * stretch
    power = 2.0 if rng.random() < 0.5 else rng.uniform(4, 8)
    largest = np.maximum(np.maximum(along, across), 1e-6)
    # Divided by the larger one first, so that high powers of large distances stay finite.
    norm = largest * ((along / largest) ** power + (across / largest) ** power) ** (1 / power)
    return highest(-norm.astype(np.float32), area)


def polygon(shape: Shape, area: float, rng: np.random.Generator) -> Mask:
    """Star-shaped around a centre: 5 to 12 corners, joined by straight lines or by a smooth curve."""
    from scipy.interpolate import CubicSpline

    y, x = _centred(shape, rng)
    angle, stretch = rng.uniform(0, np.pi), float(np.exp(rng.uniform(0, np.log(2))))
    x, y = np.cos(angle) * x + np.sin(angle) * y, (np.cos(angle) * y - np.sin(angle) * x) * stretch
    count = int(rng.integers(5, 13))
    corners = (np.arange(count) + rng.uniform(-0.35, 0.35, count)) * 2 * np.pi / count
    radii = rng.uniform(0.45, 1, count)
    corners, radii = np.append(corners, corners[0] + 2 * np.pi), np.append(radii, radii[0])
    turn = (np.arctan2(y, x) - corners[0]) % (2 * np.pi) + corners[0]
    if rng.random() < 0.5:
        outline = np.maximum(CubicSpline(corners, radii, bc_type="periodic")(turn), 0.2)
        times = np.hypot(x, y) / outline
    else:
        side = np.clip(np.searchsorted(corners, turn, side="right") - 1, 0, count - 1)
        xs, ys = radii * np.cos(corners), radii * np.sin(corners)
        ax, ay, bx, by = xs[side], ys[side], xs[side + 1], ys[side + 1]
        # How often the triangle of centre, a and b must be enlarged until its outer edge reaches the point.
        times = np.abs(x * (by - ay) - y * (bx - ax)) / np.abs(ax * by - ay * bx)
    return highest(-times.astype(np.float32), area)


def stroke(shape: Shape, area: float, rng: np.random.Generator) -> Mask:
    """One to three paths that wander, and what is near them."""
    import cv2

    canvas = np.ones(shape, dtype=np.uint8)
    count = int(rng.integers(1, 4))
    length = rng.uniform(1.2, 2.5) * float(np.sqrt(area * shape[0] * shape[1] / count))
    for _ in range(count):
        point = rng.uniform((0, 0), (shape[1], shape[0]))
        angle = rng.uniform(0, 2 * np.pi)
        path = [point]
        for _ in range(6):
            angle += rng.uniform(-0.9, 0.9)
            point = point + length / 6 * np.array([np.cos(angle), np.sin(angle)])
            path.append(point)
        inside = np.clip(np.rint(path), 0, (shape[1] - 1, shape[0] - 1)).astype(np.int32)
        cv2.polylines(canvas, [inside], False, (0,), 1)
    near = -squared_distance(canvas > 0).astype(np.float32)
    found = highest(near, area)
    # Of few pixels a whole ring around the paths lies equally far; without it the area may be closer.
    fewer, wanted = near > near[found].min(), area * near.size
    closer = fewer.any() and abs(fewer.sum() - wanted) < abs(found.sum() - wanted)
    return np.asarray(fewer if closer else found)


def superpixels(pixels: Pixels, area: float, rng: np.random.Generator) -> Mask:
    """Neighbouring cells of SLIC, grown from a random one until the area is reached.

    Cells of like colour that share a long border with what is there already are taken more often.
    """
    cells = slic_cells(pixels, area, rng.uniform(6, 16))
    count = int(cells.max()) + 1
    sizes = np.bincount(cells.ravel(), minlength=count)
    colours = np.stack(
        [np.bincount(cells.ravel(), pixels[..., c].ravel(), count) / sizes for c in range(3)], axis=1
    )
    borders = _shared_borders(cells, count)
    first = int(rng.integers(count))
    chosen, wanted, grown = np.zeros(count, dtype=bool), area * cells.size, int(sizes[first])
    chosen[first] = True
    likeness = np.exp(-np.linalg.norm(colours - colours[first], axis=1) / 40) + 1e-3
    while True:
        weights = np.where(chosen, 0, borders[chosen].sum(axis=0) * likeness)
        if weights.sum() == 0:
            break
        cell = int(rng.choice(count, p=weights / weights.sum()))
        # Stop where the area comes closest, and before the last cell: a mask is never full.
        if grown + sizes[cell] / 2 > wanted or chosen.sum() == count - 1:
            break
        chosen[cell] = True
        grown += int(sizes[cell])
    return np.asarray(chosen[cells])


def slic_cells(pixels: Pixels, area: float, per_region: float) -> npt.NDArray[np.int64]:
    """Cells of SLIC, int64 [H, W] from 0 without gaps: about `per_region` of them make up `area`."""
    from skimage.segmentation import slic

    most = max(4, pixels.shape[0] * pixels.shape[1] // 16)
    wanted = int(np.clip(per_region / area, 24, min(600, most)))
    # Where colours are noise, SLIC joins what falls apart until few cells are left; a higher compactness, in
    # the end a grid, prevents that.
    for compactness in (10.0, 100.0, 10000.0):
        labels = slic(pixels, n_segments=wanted, compactness=compactness, start_label=0, max_num_iter=5)
        cells = np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.int64)
        if cells.max() >= wanted // 3:
            return np.asarray(cells)
    rows, columns = (np.arange(side) * 6 // side for side in pixels.shape[:2])
    return np.asarray(rows[:, None] * 6 + columns[None], dtype=np.int64)


def largest_piece(mask: Mask) -> Mask:
    """The largest connected piece of a mask that is not empty."""
    import cv2

    _, pieces, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    return np.asarray(pieces == 1 + int(np.argmax(statistics[1:, cv2.CC_STAT_AREA])))


def squared_distance(mask: Mask) -> npt.NDArray[np.float64]:
    """Square of the distance in pixels to the nearest location outside a mask that is not full, [H, W].

    Whole numbers, exact up to distances of 700; OpenCV's own differ in the last digits with the alignment of
    memory.
    """
    import cv2

    distance = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(np.rint(np.asarray(distance, dtype=np.float64) ** 2))


def _one_piece(field: Field, area: float) -> Mask:
    """The largest piece of where a field is highest, as large as the area asks for."""
    low, high = area, min(1.0, 2 * area)
    for _ in range(6):
        middle = (low + high) / 2
        if largest_piece(highest(field, middle)).mean() < area:
            low = middle
        else:
            high = middle
    small, large = largest_piece(highest(field, low)), largest_piece(highest(field, high))
    # Where two pieces meet, the largest one jumps from far too small to too large.
    if small.mean() * large.mean() < area**2 and small.mean() < 0.7 * area:
        return large
    return small


def _centred(shape: Shape, rng: np.random.Generator) -> tuple[Coordinates, Coordinates]:
    """Coordinates (y [H, 1], x [1, W]) in pixels from a random centre, which keeps off the edges."""
    centre = [rng.uniform(0.15, 0.85) * side for side in shape]
    y, x = (np.arange(side, dtype=np.float64) + 0.5 for side in shape)
    return y[:, None] - centre[0], x[None] - centre[1]


def _shared_borders(cells: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.float64]:
    """How many pixels of border two cells share, [cells, cells]."""
    shared = np.zeros((count, count))
    for one, other in ((cells[1:], cells[:-1]), (cells[:, 1:], cells[:, :-1])):
        apart = one != other
        np.add.at(shared, (one[apart], other[apart]), 1)
    return np.asarray(shared + shared.T)
