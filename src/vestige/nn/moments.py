"""Mean and deviation of features that come batch by batch: all at once they need not fit into memory."""

import torch
from torch import Tensor

from vestige.nn.statistics import Standardise


class Moments:
    """Running sums of columns, in float64.

    Args:
        width: number of columns.
    """

    def __init__(self, width: int) -> None:
        self.count = 0
        self.total = torch.zeros(width, dtype=torch.float64)
        self.squares = torch.zeros(width, dtype=torch.float64)

    def add(self, values: Tensor) -> None:
        """Take in values [..., width] of any float type."""
        rows = values.detach().to("cpu", torch.float64).flatten(0, -2)
        self.count += len(rows)
        self.total += rows.sum(0)
        self.squares += rows.square().sum(0)

    def fit(self, standardise: Standardise) -> None:
        """Give a standardisation of this width what `Standardise.fit` would take from all values together.

        Raises:
            ValueError: there were fewer than two rows.
        """
        if self.count < 2:
            raise ValueError(f"two rows are needed for a deviation, got {self.count}")
        mean = self.total / self.count
        variance = (self.squares - self.count * mean.square()) / (self.count - 1)
        standardise.mean.copy_(mean)
        standardise.deviation.copy_(variance.clamp(min=0).sqrt().clamp(min=1e-4))
