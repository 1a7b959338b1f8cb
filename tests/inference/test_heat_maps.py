import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestige.images.views import dense_grid
from vestige.inference.card import Calibration
from vestige.inference.heatmap import CELLS, MAP_CELLS, build
from vestige.inference.session import Scores

IDENTITY = Calibration(slope=1.0, intercept=0.0, data="none", real=1, generated=1)


def sigmoid(value: float) -> float:
    return float(1 / (1 + np.exp(-value)))


def test_cells_average_the_patches_over_them() -> None:
    # Two patches of 64 px side by side, overlapping by 32 px: left, both, right.
    scores = Scores(np.array([2.0, -1.0], np.float32), None)
    found = build(96, 64, 64, [(0, 0), (32, 0)], scores, IDENTITY)
    row = np.array(found.probabilities)[0]
    assert found.origin == "patches"
    assert row[0] == pytest.approx(sigmoid(2), abs=1e-4)
    assert row[len(row) // 2] == pytest.approx(sigmoid(0.5), abs=1e-4)
    assert row[-1] == pytest.approx(sigmoid(-1), abs=1e-4)


def test_a_models_own_map_is_placed_where_it_belongs() -> None:
    patch = np.zeros((1, 4, 4), np.float32)
    patch[0, 0, 3] = 5  # top right quarter of a quarter
    found = build(64, 64, 64, [(0, 0)], Scores(np.zeros(1, np.float32), patch), IDENTITY)
    values = np.array(found.probabilities)
    assert found.origin == "model"
    assert values[0, -1] == pytest.approx(sigmoid(5), abs=1e-4)
    assert values[-1, 0] == pytest.approx(0.5)


@given(st.integers(1, 700), st.integers(1, 700))
def test_every_cell_of_every_picture_has_a_probability(width: int, height: int) -> None:
    corners = dense_grid(width, height, 64, 32, 64)
    scores = Scores(np.full(len(corners), 3, np.float32), None)
    values = np.array(build(width, height, 64, corners, scores, IDENTITY).probabilities)
    assert max(values.shape) <= CELLS
    np.testing.assert_allclose(values, sigmoid(3), atol=1e-4)


def test_a_grid_is_never_finer_than_the_models_map_nor_than_its_limit() -> None:
    small = Scores(np.zeros(1, np.float32), np.zeros((1, 4, 4), np.float32))
    assert np.shape(build(64, 64, 64, [(0, 0)], small, IDENTITY).probabilities) == (4, 4)
    assert np.shape(build(60, 30, 64, [(0, 0)], small, IDENTITY).probabilities) == (2, 3)
    fine = Scores(np.zeros(1, np.float32), np.zeros((1, 128, 128), np.float32))
    assert np.shape(build(128, 64, 128, [(0, 0)], fine, IDENTITY).probabilities) == (
        MAP_CELLS // 2,
        MAP_CELLS,
    )


def test_a_cell_is_the_mean_of_what_the_maps_say_of_its_area() -> None:
    """Counted pixel by pixel: the sum of all that the maps say of a cell's area by the number of sayings."""
    rng = np.random.default_rng(3)
    corners, size = [(0, 0), (40, 0), (11, 36), (40, 36)], 60
    maps = rng.normal(size=(4, 5, 5)).astype(np.float32)
    found = np.array(
        build(100, 96, size, corners, Scores(np.zeros(4, np.float32), maps), IDENTITY).probabilities
    )
    total, count = np.zeros((96, 100)), np.zeros((96, 100))
    for (x, y), cells in zip(corners, maps, strict=True):
        total[y : y + size, x : x + size] += np.kron(cells, np.ones((12, 12)))
        count[y : y + size, x : x + size] += 1
    assert found.shape == (8, 8)
    # Columns of 12.5 px: on a raster of half pixels the borders fall on its lines.
    total, count = (np.kron(values, np.ones((1, 2))) for values in (total, count))
    for row in range(8):
        for column in range(8):
            area = np.s_[12 * row : 12 * row + 12, 25 * column : 25 * column + 25]
            assert found[row, column] == pytest.approx(
                sigmoid(total[area].sum() / count[area].sum()), abs=1e-4
            )


def test_a_small_spot_between_the_centres_of_coarse_cells_is_seen() -> None:
    maps = np.zeros((1, 256, 256), np.float32)
    maps[0, 0, 0] = 160  # one of the 16 map cells in the first cell
    found = build(256, 256, 256, [(0, 0)], Scores(np.zeros(1, np.float32), maps), IDENTITY).probabilities
    assert found[0][0] == pytest.approx(sigmoid(10), abs=1e-4)
    assert found[0][1] == found[1][0] == 0.5


def test_places_that_no_patch_covers_take_the_nearest_patch() -> None:
    logits = np.array([2.0, -2.0], np.float32)
    maps = np.stack([np.full((4, 4), 3), np.full((4, 4), -3)]).astype(np.float32)
    maps[0, 0, 0] = 11  # mean 3.5
    corners = [(0, 0), (256, 0)]
    plain = np.array(build(320, 64, 64, corners, Scores(logits), IDENTITY).probabilities)
    own = np.array(build(320, 64, 64, corners, Scores(logits, maps), IDENTITY).probabilities)
    row = plain[len(plain) // 2]
    assert row[len(row) // 2 - 2] == pytest.approx(sigmoid(2), abs=1e-4)
    assert row[len(row) // 2 + 2] == pytest.approx(sigmoid(-2), abs=1e-4)
    assert own.shape == (4, 20)
    assert own[2, 8] == pytest.approx(sigmoid(3.5), abs=1e-4)
    assert own[2, 12] == pytest.approx(sigmoid(-3), abs=1e-4)
    assert own[2, 2] == pytest.approx(sigmoid(3), abs=1e-4)


@given(st.integers(1, 700), st.integers(1, 700), st.integers(1, 40), st.integers(1, 40))
def test_every_cell_of_every_mapped_picture_has_a_probability(
    width: int, height: int, rows: int, columns: int
) -> None:
    corners = dense_grid(width, height, 64, 32, 64)
    scores = Scores(np.zeros(len(corners), np.float32), np.full((len(corners), rows, columns), 3, np.float32))
    values = np.array(build(width, height, 64, corners, scores, IDENTITY).probabilities)
    assert max(values.shape) <= MAP_CELLS
    np.testing.assert_allclose(values, sigmoid(3), atol=1e-4)
