"""Random regions: their size, their shape, and that they follow from the generator."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import skimage.data
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.ndimage import distance_transform_edt

from vestige.data import mask_shapes
from vestige.data.masks import MaskKind, MaskOptions, draw_mask, draw_region
from vestige.errors import DataError

KINDS: tuple[MaskKind, ...] = ("blob", "superpixels", "polygon", "ellipse", "stroke")
PHOTO = skimage.data.astronaut()


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(32, 120), st.integers(32, 120), st.floats(0.01, 0.85))
@example(593, 47, 39, 0.5)  # two pieces meet just where the area is reached
@example(1, 32, 32, 0.015625)  # paths of a few pixels, whose ring has twice as many
def test_a_mask_has_about_the_area_drawn(
    kind: MaskKind, seed: int, height: int, width: int, area: float
) -> None:
    pixels = PHOTO[100 : 100 + height, 150 : 150 + width]
    region = draw_region(pixels, MaskOptions(kinds=(kind,), area=(area, area)), np.random.default_rng(seed))
    assert region.kind == kind
    assert region.area == pytest.approx(area)
    assert region.mask.shape == (height, width)
    assert region.mask.any()
    assert not region.mask.all()
    # At 32x32 a share of 0.01 is ten pixels: one row of a brush or one cell more is a lot there.
    assert region.mask.sum() <= 1.5 * area * height * width + 16
    assert region.mask.sum() >= area * height * width / 1.5 - 16


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(32, 1500), (2000, 33), (900, 1100)])
def test_masks_of_long_and_of_large_pictures(kind: MaskKind, size: tuple[int, int]) -> None:
    pixels = np.tile(PHOTO, (4, 3, 1))[: size[0], : size[1]]
    for seed in range(3):
        region = draw_region(pixels, MaskOptions(kinds=(kind,)), np.random.default_rng(seed))
        assert region.mask.shape == size
        assert region.area / 1.5 < region.mask.mean() < region.area * 1.5


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("noise", [0, 1])
def test_superpixels_of_flat_pictures_and_of_noise(level: int, noise: int) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    pixels = grey if noise else np.full_like(grey, level)
    for seed in range(10):
        region = draw_region(pixels, MaskOptions(kinds=("superpixels",)), np.random.default_rng(seed))
        assert region.area / 1.5 < region.mask.mean() < region.area * 1.5


def test_superpixels_are_a_connected_union_of_cells() -> None:
    pixels = np.ascontiguousarray(PHOTO[:128, 150:278])
    for seed in range(8):
        mask = mask_shapes.superpixels(pixels, 0.2, np.random.default_rng(seed))
        rng = np.random.default_rng(seed)
        cells = mask_shapes.slic_cells(pixels, 0.2, rng.uniform(6, 16))
        assert len(np.unique(cells)) > 8
        for cell in np.unique(cells):
            assert len(set(mask[cells == cell])) == 1, "a cell is inside or outside as a whole"
        assert np.array_equal(mask_shapes.largest_piece(mask), mask)


def test_superpixels_follow_the_contours_of_the_picture() -> None:
    pixels = np.full((96, 96, 3), 40, dtype=np.uint8)
    disc = np.hypot(*np.indices((96, 96)) - 47.5) < 25
    pixels[disc] = (220, 60, 60)
    cells = mask_shapes.slic_cells(pixels, 0.2, 12)
    for cell in np.unique(cells):
        share = disc[cells == cell].mean()
        assert share < 0.1 or share > 0.9


def test_blobs_come_in_one_piece_and_in_several() -> None:
    single = []
    for seed in range(30):
        mask = mask_shapes.blob((96, 96), 0.2, np.random.default_rng(seed))
        single.append(np.array_equal(mask_shapes.largest_piece(mask), mask))
    assert 8 < sum(single) < 29


def test_angular_polygons_have_straight_edges() -> None:
    # Convex hulls of both kinds of polygon differ from the mask, so look for corners: on a large grid an edge
    # of an angular polygon is a run of outline pixels on one line, which no smooth curve has.
    from skimage.measure import approximate_polygon, find_contours

    corners = []
    for seed in range(20):
        mask = mask_shapes.polygon((300, 300), 0.1, np.random.default_rng(seed))
        outline = max(find_contours(np.pad(mask, 1).astype(float), 0.5), key=len)
        corners.append(len(approximate_polygon(outline, 1.0)) - 1)
    assert sum(count <= 14 for count in corners) >= 5
    assert sum(count > 14 for count in corners) >= 5


def test_the_generator_decides() -> None:
    masks = [draw_mask(PHOTO, MaskOptions(), np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert np.array_equal(masks[0], masks[1])
    assert not np.array_equal(masks[0], masks[2])


def test_areas_are_drawn_log_uniformly_and_all_kinds_are_drawn() -> None:
    pixels = PHOTO[:64, :64]
    regions = [draw_region(pixels, MaskOptions(), np.random.default_rng(seed)) for seed in range(200)]
    middle = np.sqrt(0.03 * 0.4)
    assert 70 < sum(region.area < middle for region in regions) < 130
    assert min(region.area for region in regions) >= 0.03
    assert max(region.area for region in regions) <= 0.4
    assert {region.kind for region in regions} == set(KINDS)


def test_smooth_noise_is_smooth_and_centred() -> None:
    fields = [mask_shapes.smooth_noise((80, 50), 12.0, np.random.default_rng(seed)) for seed in range(100)]
    assert all(field.shape == (80, 50) for field in fields)
    assert abs(np.mean(fields)) < 0.1
    assert 0.5 < np.std(fields) < 1.2
    steps = np.abs(np.diff(np.stack(fields), axis=2))
    assert steps.max() < 0.8


def test_squared_distances_are_exact() -> None:
    inside = np.random.default_rng(0).random((32, 400)) < 0.995
    assert np.array_equal(mask_shapes.squared_distance(inside), np.rint(distance_transform_edt(inside) ** 2))
    far = np.ones((3, 700), dtype=bool)
    far[0, 0] = False
    y, x = np.indices(far.shape)
    assert np.array_equal(mask_shapes.squared_distance(far), y**2 + x**2)


@pytest.mark.parametrize("size", [(32, 400), (400, 32)])
def test_strokes_do_not_depend_on_the_alignment_of_memory(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = range(40)
    before = [mask_shapes.stroke(size, 0.1, np.random.default_rng(seed)) for seed in seeds]
    exact = cv2.distanceTransform
    offset = 0

    def moved(canvas: npt.NDArray[np.uint8], *arguments: Any) -> Any:
        """The same from an array that lies elsewhere, with the errors of a square root in the last digits."""
        nonlocal offset
        offset = offset % 31 + 1
        memory = np.full(canvas.size + 64, 77, dtype=np.uint8)[offset : offset + canvas.size]
        elsewhere = memory.reshape(canvas.shape)
        elsewhere[:] = canvas
        found = exact(elsewhere, *arguments)
        towards = np.where(np.arange(found.size).reshape(found.shape) % 8 < offset % 8, 0, np.inf)
        return np.nextafter(found, towards.astype(np.float32))

    monkeypatch.setattr(cv2, "distanceTransform", moved)
    for seed, mask in zip(seeds, before, strict=True):
        assert np.array_equal(mask_shapes.stroke(size, 0.1, np.random.default_rng(seed)), mask)


@pytest.mark.parametrize("size", [(32, 400), (400, 32)])
def test_strokes_are_the_same_whatever_is_in_memory(size: tuple[int, int]) -> None:
    garbage = []
    for seed in range(100):
        first = mask_shapes.stroke(size, 0.1, np.random.default_rng(seed))
        for step in range(3):
            garbage.append(np.full(1 + 4099 * seed % 9973 + 8 * step, 77, dtype=np.uint8))
            again = mask_shapes.stroke(size, 0.1, np.random.default_rng(seed))
            assert np.array_equal(again, first)


def test_highest_takes_the_share_asked_for() -> None:
    field = np.array([[3.0, 1.0, 2.0], [6.0, 5.0, 4.0]], dtype=np.float32)
    assert mask_shapes.highest(field, 0.5).tolist() == [[False, False, False], [True, True, True]]
    assert mask_shapes.highest(field, 0.01).sum() == 1
    assert mask_shapes.highest(field, 0.99).sum() == 5


def test_a_picture_that_is_too_small_is_refused() -> None:
    with pytest.raises(DataError, match="40x31 pixels is too small"):
        draw_mask(PHOTO[:31, :40], MaskOptions(), np.random.default_rng(0))


@pytest.mark.parametrize("area", [(0.0, 0.3), (0.4, 0.3), (0.1, 1.0)])
def test_impossible_areas_are_refused(area: tuple[float, float]) -> None:
    with pytest.raises(ValidationError, match="must be a range within"):
        MaskOptions(area=area)


def test_no_kinds_are_refused() -> None:
    with pytest.raises(ValidationError):
        MaskOptions(kinds=())
