"""What the references with a trained convolutional network share: a fixed residual, a small ResNet on it."""

from abc import abstractmethod

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from vestige.methods.base import Network, Output
from vestige.nn.resnet import ResNet


class CnnConfig(BaseModel):
    """The `model` section of a recipe.

    Attributes:
        widths, blocks: of the stages of the ResNet.
        crop: in training, a random crop of so many pixels of each view, mirrored half of the time.
        dropout: before the last layer, in training.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    widths: tuple[int, ...] = Field((32, 64, 128), min_length=1)
    blocks: tuple[int, ...] = Field((2, 2, 2), min_length=1)
    crop: int = Field(128, ge=32)
    dropout: float = Field(0.2, ge=0, lt=1)

    @model_validator(mode="after")
    def _stages(self) -> "CnnConfig":
        if len(self.widths) != len(self.blocks):
            raise ValueError(f"widths {self.widths} and blocks {self.blocks} must be of the same length")
        return self


class ResidualCnn(Network):
    """A residual of the picture, computed by a fixed rule, and a ResNet that learns to read it.

    Args:
        stem: size of the ResNet's first convolution.
    """

    def __init__(self, config: CnnConfig, stem: int = 3) -> None:
        super().__init__()
        self.crop = config.crop
        self.trunk = ResNet(config.widths, config.blocks, stem)
        self.dropout = nn.Dropout(config.dropout)
        self.linear = nn.Linear(self.trunk.width, 1)

    @abstractmethod
    def residual(self, images: Tensor) -> Tensor:
        """What the ResNet sees, of deviation near 1, from images float32 [B, 3, H, W] in [0, 255]."""

    def frozen(self, images: Tensor) -> tuple[Tensor, ...]:
        """Grey levels 0-255: whole numbers, which the cache's float16 holds exactly."""
        return ((images * 255).round(),)

    def embed(self, *features: Tensor) -> Tensor:
        """Grey levels [B, 3, H, W] -> [B, width]."""
        found: Tensor = self.trunk(self.residual(features[0].float()))
        return found

    def head(self, *features: Tensor) -> Output:
        """Grey levels [B, 3, H, W] -> logits [B]."""
        images = self._random_crop(features[0]) if self.training else features[0]
        return Output(self.linear(self.dropout(self.embed(images)))[:, 0])

    def _random_crop(self, images: Tensor) -> Tensor:
        # The solver seeds PyTorch's generator by the step, so a continued run crops the same.
        height, width = images.shape[-2:]
        side = min(self.crop, height, width)
        top, left = (int(torch.randint(room - side + 1, ())) for room in (height, width))
        images = images[..., top : top + side, left : left + side]
        return images.flip(-1) if torch.rand(()) < 0.5 else images
