"""Maps against masks: each covered pixel counts once, and masks move as their pictures do."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import zoom

from vestige.data.manifest import Row
from vestige.errors import DataError
from vestige.evaluation.localisation import (
    gain_over_noise,
    has_places,
    looked_at,
    mask_of,
    pixel_scores,
    read_mask,
    size_after,
)
from vestige.evaluation.protocols import conditions
from vestige.images.views import patch_grid


def write(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path)
    return path


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(5, 40),
    height=st.integers(5, 40),
    size=st.sampled_from([8, 16]),
    count=st.integers(1, 5),
    seed=st.integers(0, 99),
)
def test_overlaps_are_averaged_and_counted_once(
    width: int, height: int, size: int, count: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    corners = patch_grid(width, height, size, count)
    # Of the patch's own size, so that nothing is resized.
    maps = rng.normal(size=(len(corners), size, size))
    mask = rng.random((height, width)) < 0.4
    total, covers = np.zeros((height + size, width + size)), np.zeros((height + size, width + size))
    for (x, y), values in zip(corners, maps, strict=True):
        total[y : y + size, x : x + size] += values
        covers[y : y + size, x : x + size] += 1
    inside = covers[:height, :width] > 0
    expected = (total[:height, :width] / np.maximum(covers[:height, :width], 1))[inside]
    marked, logits = looked_at(mask, maps, corners, size)
    assert marked.shape == logits.shape == (1, inside.sum())
    pairs = sorted(zip(logits[0].round(9), marked[0], strict=True))
    assert pairs == sorted(zip(expected.round(9), mask[inside], strict=True))


def test_maps_are_brought_to_the_size_of_a_patch() -> None:
    small = np.array([[[0.0, 4.0], [8.0, 12.0]]])
    _, logits = looked_at(np.zeros((8, 8), bool), small, [(0, 0)], 8)
    expected = zoom(small[0], 4, order=1, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(logits.reshape(8, 8), expected, atol=1e-12)


def test_as_many_maps_as_patches() -> None:
    with pytest.raises(ValueError, match="zip"):
        looked_at(np.zeros((8, 8), bool), np.zeros((2, 4, 4)), [(0, 0)], 8)


def test_figures_by_hand() -> None:
    mask = np.array([[True, True, False, False]])
    map = np.array([[0.9, 0.2, 0.6, 0.1]])
    found = pixel_scores(mask, map, map >= 0.5)
    assert found.ap == pytest.approx((1 + 2 / 3) / 2)
    assert found.f1 == pytest.approx(0.5)
    assert found.iou == pytest.approx(1 / 3)
    assert found.area == 0.5
    assert np.isnan(found.flagged)


def test_gain_does_not_favour_what_is_mostly_generated() -> None:
    def measured(order: list[int], falling: float = 1) -> tuple[float, float]:
        """AP and gain of pixels in the order in which a map ranks them, 1 generated."""
        mask = np.array([order], bool)
        scores = pixel_scores(mask, -falling * np.arange(len(order))[None], mask)
        return scores.ap, gain_over_noise(scores.ap, scores.area)

    mostly, little = measured([1, 1, 0, 1, 1]), measured([1, 0, 1, 0, 0])
    assert mostly == pytest.approx(((1 + 1 + 3 / 4 + 4 / 5) / 4, (0.8875 - 0.8) / 0.2))
    assert little == pytest.approx(((1 + 2 / 3) / 2, (5 / 6 - 0.4) / 0.6))
    assert mostly[0] > little[0]
    assert mostly[1] < little[1]
    assert measured([1, 1, 0])[1] == 1
    assert measured([0, 1, 1])[1] == pytest.approx(((1 / 2 + 2 / 3) / 2 - 2 / 3) / (1 / 3))
    assert measured([0, 1, 1, 1], falling=0)[1] == 0, "all alike: the map says nothing"


@pytest.mark.parametrize("whole", [False, True])
def test_without_a_border_there_is_nothing_to_find(whole: bool) -> None:
    map = np.array([[0.9, 0.2, 0.6, 0.1]])
    found = pixel_scores(np.full((1, 4), whole), map, map >= 0.5)
    assert np.isnan([found.ap, found.f1, found.iou]).all()
    assert (found.flagged, found.area) == (0.5, float(whole))


def test_half_of_a_pixel_makes_it_generated(tmp_path: Path) -> None:
    path = write(tmp_path / "mask.png", np.array([[0, 127, 128, 255]], np.uint8))
    assert read_mask(path).tolist() == [[False, False, True, True]]


def test_a_picture_without_a_mask_is_of_its_label(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", np.zeros((6, 9, 3), np.uint8))
    for label in (0, 1):
        row = Row(path, "a.png", label, "g")
        assert size_after(row, None) == (6, 9)
        assert (mask_of(row, (6, 9)) == bool(label)).all()


def test_masks_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    mask = write(tmp_path / "mask.png", np.zeros((5, 5), np.uint8))
    with pytest.raises(DataError, match=r"mask\.png: a mask of 5x5 pixels for a\.png of 9x6"):
        mask_of(Row(tmp_path / "a.png", "a.png", 1, "g", mask=mask), (6, 9))
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"broken\.png: the mask cannot be read"):
        read_mask(tmp_path / "broken.png")


@pytest.mark.parametrize(
    "name", ["none", "jpeg-30", "blur-3", "web", "hard", "crop", "crop-0.5", "resize-0.5"]
)
def test_masks_move_as_their_pictures(tmp_path: Path, name: str) -> None:
    # A white disc: what is white in the picture that a condition delivers lies under the moved mask.
    y, x = np.indices((620, 700))
    disc = (x - 400) ** 2 + (y - 250) ** 2 < 150**2
    pixels = np.repeat(np.where(disc, 255, 0).astype(np.uint8)[..., None], 3, axis=2)
    row = Row(write(tmp_path / "a.png", pixels), "a.png", 1, "g", mask=tmp_path / "a.png")
    (condition,) = conditions([name])
    assert has_places(condition)
    size = size_after(row, condition)
    delivered = tmp_path / "delivered"
    delivered.write_bytes(condition.apply(row.content(), row.name))
    with Image.open(delivered) as image:
        white = np.asarray(image.convert("L")) > 127
    moved = mask_of(row, size, condition)
    assert 0.02 < moved.mean() < 0.9
    assert (moved != white).mean() < 0.002


def test_where_nothing_is_known_of_places() -> None:
    (screen,) = conditions(["screenshot-1"])
    assert not has_places(screen)
    (found,) = conditions(["as-found"])
    assert has_places(found)
    assert has_places(None)
