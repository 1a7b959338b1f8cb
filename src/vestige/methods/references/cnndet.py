"""A ResNet on the picture itself with blur and JPEG augmentation, after CNNDet (Wang et al., CVPR 2020).

What differs: a ResNet-18 of half the width and from random weights instead of a ResNet-50 from ImageNet's;
random 128 px crops; several native patches of a picture instead of one. Blur and JPEG, each with probability
one half as in the paper, are in the recipe.
"""

from pathlib import Path

from pydantic import Field
from torch import Tensor

from vestige.methods.base import Method
from vestige.methods.references.cnn import CnnConfig, ResidualCnn


class CnnDetConfig(CnnConfig):
    """The `model` section of a recipe: a ResNet-18 of half the width."""

    widths: tuple[int, ...] = Field((32, 64, 128, 256), min_length=1)
    blocks: tuple[int, ...] = Field((2, 2, 2, 2), min_length=1)


class CnnDet(ResidualCnn):
    """No residual: the picture."""

    def residual(self, images: Tensor) -> Tensor:
        """[B, 3, H, W] in [0, 255] -> about [-2, 2]."""
        return (images - 127.5) / 64


def build(config: CnnDetConfig, weights: Path | None) -> CnnDet:
    """The network, untrained; needs no starting weights."""
    return CnnDet(config, stem=7)


METHOD = Method(
    name="cnndet",
    paper="Wang et al., CNN-Generated Images Are Surprisingly Easy to Spot... for Now, CVPR 2020",
    config=CnnDetConfig,
    build=build,
    solver="gradient",
)
