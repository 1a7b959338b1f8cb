import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestige.images.views import dense_grid
from vestige.inference.card import Calibration
from vestige.inference.heatmap import CELLS, build
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
