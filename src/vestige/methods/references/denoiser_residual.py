"""Noise residual and a small ResNet, after LNP (Liu et al., ECCV 2022) and the camera-noise literature.

What differs: the denoiser is the local Wiener filter of Mihcak et al. (1999) in pixels, which needs no
weights, instead of a learned one; the residual goes to the ResNet as it is, without a detour through its
spectrum.
"""

from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

from vestige.methods.base import Method
from vestige.methods.references.cnn import CnnConfig, ResidualCnn

NOISE = 9.0  # variance of the noise that the filter takes away, in grey levels squared
WINDOW = 5


class DenoiserResidual(ResidualCnn):
    """The picture minus its local Wiener estimate."""

    def residual(self, images: Tensor) -> Tensor:
        """[B, 3, H, W] in [0, 255] -> what the filter takes away, / 2."""
        # About the middle grey, squares are small enough for float32, and those of whole numbers exact.
        centred = images - 128
        mean = _local_mean(centred)
        variance = _local_mean(centred**2) - mean**2
        # Variance is the signal's and the noise's together: noise / (max(variance - noise, 0) + noise).
        share = NOISE / variance.clamp(min=NOISE)
        return share * (centred - mean) / 2


def _local_mean(x: Tensor) -> Tensor:
    padded = F.pad(x, (WINDOW // 2,) * 4, mode="reflect")
    return F.avg_pool2d(padded, WINDOW, stride=1)


def build(config: CnnConfig, weights: Path | None) -> DenoiserResidual:
    """The network, untrained; needs no starting weights."""
    return DenoiserResidual(config)


METHOD = Method(
    name="denoiser-residual",
    paper="Liu et al., Detecting Generated Images by Real Images, ECCV 2022 (learned noise patterns)",
    config=CnnConfig,
    build=build,
    solver="gradient",
)
