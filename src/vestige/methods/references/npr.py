"""Neighbouring pixel relations and a small ResNet, after NPR (Tan et al., CVPR 2024).

What differs: basic blocks instead of the first two stages of a ResNet-50, global mean over native patches,
no ImageNet weights to start from; trained on views that were resized and recompressed.
"""

from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

from vestige.methods.base import Method
from vestige.methods.references.cnn import CnnConfig, ResidualCnn


class Npr(ResidualCnn):
    """The picture minus its own nearest-neighbour reduction and enlargement by two (paper, section 3.3)."""

    def residual(self, images: Tensor) -> Tensor:
        """[B, 3, H, W] in [0, 255] -> differences to the upper left pixel of each 2x2 cell, / 8."""
        images = images[..., : images.shape[-2] // 2 * 2, : images.shape[-1] // 2 * 2]
        corner = images[..., ::2, ::2]
        return (images - F.interpolate(corner, scale_factor=2.0, mode="nearest")) / 8


def build(config: CnnConfig, weights: Path | None) -> Npr:
    """The network, untrained; needs no starting weights."""
    return Npr(config)


METHOD = Method(
    name="npr",
    paper="Tan et al., Rethinking the Up-Sampling Operations in CNN-based Generative Network for "
    "Generalizable Deepfake Detection, CVPR 2024",
    config=CnnConfig,
    build=build,
    solver="gradient",
)
