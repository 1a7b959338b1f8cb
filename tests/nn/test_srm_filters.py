"""The SRM filter bank against kernels as the paper prints them."""

import numpy as np
import pytest
import torch

from vestige.nn.srm import SrmResiduals, filters

# Fridrich and Kodovsky (2012), fig. 2 and section II: each with its quantisation divisor.
KNOWN = {
    "first order": ([[0, 0, 0], [0, -1, 1], [0, 0, 0]], 1),
    "second order": ([[0, 0, 0], [1, -2, 1], [0, 0, 0]], 2),
    "second order, diagonal": ([[1, 0, 0], [0, -2, 0], [0, 0, 1]], 2),
    "third order": ([[0] * 5, [0] * 5, [0, -1, 3, -3, 1], [0] * 5, [0] * 5], 3),
    "edge 3x3": ([[-1, 2, -1], [2, -4, 2], [0, 0, 0]], 4),
    "square 3x3": ([[-1, 2, -1], [2, -4, 2], [-1, 2, -1]], 4),
    "edge 5x5": (
        [[-1, 2, -2, 2, -1], [2, -6, 8, -6, 2], [-2, 8, -12, 8, -2], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]],
        12,
    ),
    "square 5x5": (
        [[-1, 2, -2, 2, -1], [2, -6, 8, -6, 2], [-2, 8, -12, 8, -2], [2, -6, 8, -6, 2], [-1, 2, -2, 2, -1]],
        12,
    ),
}


def test_thirty_different_high_pass_filters() -> None:
    bank = filters()
    assert bank.shape == (30, 5, 5)
    assert bank.dtype == np.float32
    np.testing.assert_allclose(bank.sum((1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(np.abs(bank[:, 2, 2]), 1)
    assert len({kernel.round(5).tobytes() for kernel in bank}) == 30


@pytest.mark.parametrize("name", KNOWN)
def test_known_filters_are_in_the_bank(name: str) -> None:
    kernel, divisor = KNOWN[name]
    expected = np.array(kernel, dtype=np.float64) / divisor
    expected = np.pad(expected, (5 - len(expected)) // 2)
    assert any(np.allclose(expected, one) for one in filters())


def test_bank_is_closed_under_quarter_turns() -> None:
    def key(kernel: np.ndarray) -> bytes:
        return (kernel.round(5) + 0.0).tobytes()  # + 0.0: no negative zeros

    bank = filters()
    assert {key(np.rot90(kernel)) for kernel in bank} == {key(kernel) for kernel in bank}


@pytest.mark.parametrize("step", [1, 2])
def test_residuals_by_loops(step: int) -> None:
    rng = np.random.default_rng(0)
    image = rng.random((3, 11, 12))
    luma = 255 * (0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2])
    bank = filters().astype(np.float64)
    rows, columns = range(0, 7, step), range(0, 8, step)
    expected = np.array(
        [[[(luma[i : i + 5, j : j + 5] * k).sum() for j in columns] for i in rows] for k in bank]
    )
    found = SrmResiduals(step)(torch.from_numpy(image)[None].float())[0]
    np.testing.assert_allclose(found, expected, atol=2e-3)
