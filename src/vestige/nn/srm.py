"""The 30 linear high-pass filters of the spatial rich model (Fridrich and Kodovsky, 2012)."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

_SQUARE_3 = np.array([[-1, 2, -1], [2, -4, 2], [-1, 2, -1]], dtype=np.float64)
_SQUARE_5 = np.array(
    [[-1, 2, -2, 2, -1], [2, -6, 8, -6, 2], [-2, 8, -12, 8, -2], [2, -6, 8, -6, 2], [-1, 2, -2, 2, -1]],
    dtype=np.float64,
)


def filters() -> np.ndarray:
    """The bank, float32 [30, 5, 5]: 8 first, 4 second, 8 third order, 4 edges + 1 square 3x3, 4 + 1 of 5x5.

    Each filter is divided by the absolute value of its central weight, so residuals have one scale.
    """
    bank: list[np.ndarray] = []
    steps = [(0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1)]
    for dy, dx in steps:
        kernel = np.zeros((5, 5))
        kernel[2, 2], kernel[2 + dy, 2 + dx] = -1, 1
        bank.append(kernel)
    for dy, dx in steps[:4]:
        kernel = np.zeros((5, 5))
        kernel[2, 2], kernel[2 + dy, 2 + dx], kernel[2 - dy, 2 - dx] = -2, 1, 1
        bank.append(kernel / 2)
    for dy, dx in steps:
        kernel = np.zeros((5, 5))
        kernel[2, 2], kernel[2 + dy, 2 + dx], kernel[2 - dy, 2 - dx] = 3, -3, -1
        kernel[2 + 2 * dy, 2 + 2 * dx] = 1
        bank.append(kernel / 3)
    for square, weight in ((_SQUARE_3, 4), (_SQUARE_5, 12)):
        margin = (5 - len(square)) // 2
        whole = np.pad(square, margin)
        # An edge filter is the upper half of the square, centre row included, in four directions.
        edge = whole.copy()
        edge[3:] = 0
        bank += [np.rot90(edge, turns) / weight for turns in range(4)]
        bank.append(whole / weight)
    return np.stack(bank).astype(np.float32)


class SrmResiduals(nn.Module):
    """Grey patches -> 30 residuals.

    Args:
        step: compute them at every `step`-th row and column only; for statistics over the whole patch that
            costs precision, not truth.
    """

    kernels: Tensor

    def __init__(self, step: int = 1) -> None:
        super().__init__()
        self.step = step
        self.register_buffer("kernels", torch.from_numpy(filters())[:, None])

    def forward(self, images: Tensor) -> Tensor:
        """Residuals of the luma, in grey levels.

        Args:
            images: float [B, 3, H, W] in [0, 1].

        Returns:
            float [B, 30, h, w], h = ceil((H - 4) / step), w alike.
        """
        luma = images.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
        return F.conv2d((images * luma).sum(1, keepdim=True) * 255, self.kernels, stride=self.step)
