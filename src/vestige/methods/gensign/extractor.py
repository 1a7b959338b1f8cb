"""The GenSign extractor: a picture -> its predicted reconstruction residual (GenSign, stage II)."""

from typing import Literal

import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn


class ExtractorConfig(BaseModel):
    """Sizes; the defaults are the paper's.

    Attributes:
        width: channels between the first and the last convolution, a multiple of `groups`.
        blocks: residual blocks.
        groups: of the group normalisation.
        input: what stage II shows the network while the target is I - R(I): the reconstruction R(I) as in
            the paper, or the original I as in the authors' code. For training only; the network is the same.
        stem_stride: 2 is a cheap variant, about a quarter of the work: all but the first convolution run at
            half the resolution and the last one is brought back to the full one by PixelShuffle.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    width: int = Field(64, ge=1)
    blocks: int = Field(8, ge=1)
    groups: int = Field(16, ge=1)
    input: Literal["reconstructed", "original"] = "reconstructed"
    stem_stride: Literal[1, 2] = 1

    @model_validator(mode="after")
    def _divisible(self) -> "ExtractorConfig":
        if self.width % self.groups:
            raise ValueError(f"width ({self.width}) must be a multiple of groups ({self.groups})")
        return self


class RowMajorGroupNorm(nn.GroupNorm):
    """Group normalisation with channels first in memory.

    Where channels come last, PyTorch's loses digits on CPUs, on flat pictures most.
    """

    def forward(self, input: Tensor) -> Tensor:
        """[B, C, H, W] -> the same shape."""
        return super().forward(input.contiguous())


class ResidualBlock(nn.Module):
    """conv-GN-GELU-conv-GN, add, GELU."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1),
            RowMajorGroupNorm(groups, channels),
            nn.GELU(),
            nn.Conv2d(channels, channels, 3, 1, 1),
            RowMajorGroupNorm(groups, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the same shape."""
        return F.gelu(self.layers(x) + x)


class Extractor(nn.Module):
    """A fully convolutional network without a long skip; 596,547 parameters at the paper's size.

    Group normalisation takes its statistics over the whole picture: the residual at a place depends on all
    of the patch, not only on the receptive field, so a patch cut from a picture gives other values than the
    same place of the whole picture.
    """

    def __init__(self, config: ExtractorConfig) -> None:
        super().__init__()
        self.config = config
        stride = config.stem_stride
        self.stem = nn.Sequential(
            nn.Conv2d(3, config.width, 3, stride, 1),
            RowMajorGroupNorm(config.groups, config.width),
            nn.GELU(),
        )
        self.blocks = nn.Sequential(
            *(ResidualBlock(config.width, config.groups) for _ in range(config.blocks))
        )
        self.last = nn.Conv2d(config.width, 3 * stride**2, 3, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Predict I - R(I).

        Args:
            images: float [B, 3, H, W] in [0, 1], any H and W.

        Returns:
            [B, 3, H, W] in units of pictures in [-1, 1], that is twice those of `images`; not clamped.
        """
        x = self.blocks(self.stem(images * 2 - 1))
        residual: Tensor = self.last(x)
        if self.config.stem_stride == 1:
            return residual
        # The stem rounds odd sides up.
        return F.pixel_shuffle(residual, 2)[..., : images.shape[-2], : images.shape[-1]]


def receptive_field(config: ExtractorConfig) -> int:
    """Side of the square of pixels that one value of the residual sees through the convolutions alone."""
    after_stem = 2 * config.blocks + 1  # convolutions of 3 x 3
    return 3 + 2 * config.stem_stride * after_stem


PAPER = ExtractorConfig()
SMALL = ExtractorConfig(width=32, blocks=4, groups=8)
