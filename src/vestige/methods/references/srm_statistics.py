"""SRM residual statistics and logistic regression, after Fridrich and Kodovsky (2012).

Not the full rich model: first-order histograms of the 30 linear residuals, at every second row and column,
instead of co-occurrences.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from vestige.methods.base import Method
from vestige.methods.references.probe import LinearProbe, NoOptions
from vestige.nn.srm import SrmResiduals

TRUNCATION = 3  # residuals are rounded and clipped to -3..3, as in the rich model


class SrmStatistics(nn.Module):
    """Histogram of the rounded, truncated residual and its log energy, for each of the 30 filters."""

    width = 30 * (2 * TRUNCATION + 1) + 30

    def __init__(self) -> None:
        super().__init__()
        self.residuals = SrmResiduals(step=2)

    def forward(self, images: Tensor) -> Tensor:
        """float [B, 3, H, W] in [0, 1] -> [B, 240]."""
        residuals = self.residuals(images)
        rounded = residuals.clamp(-TRUNCATION, TRUNCATION).round()
        bins = [(rounded == level).float().mean((2, 3)) for level in range(-TRUNCATION, TRUNCATION + 1)]
        energy = ((residuals**2).mean((2, 3)) + 1e-3).log()
        return torch.cat([*bins, energy], 1)


def build(config: NoOptions, weights: Path | None) -> LinearProbe:
    """The network, untrained; needs no starting weights."""
    return LinearProbe(SrmStatistics(), SrmStatistics.width)


METHOD = Method(
    name="srm-statistics",
    paper="Fridrich and Kodovsky, Rich Models for Steganalysis of Digital Images, 2012 (linear residuals)",
    config=NoOptions,
    build=build,
    solver="logistic",
)
