"""Blocks of small networks that say something of every place of a grid."""

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of each place, with no regard to the other places."""

    def forward(self, input: Tensor) -> Tensor:
        """[B, C, h, w] -> the same shape."""
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class SeparableBlock(nn.Module):
    """Residual block: 3x3 depthwise convolution, normalisation, two 1x1 convolutions around a GELU.

    Args:
        width: channels in and out.
        expansion: the inner convolutions are so many times as wide.
    """

    def __init__(self, width: int, expansion: int = 2) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, groups=width),
            ChannelNorm(width),
            nn.Conv2d(width, expansion * width, 1),
            nn.GELU(),
            nn.Conv2d(expansion * width, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, h, w] -> the same shape."""
        return x + cast(Tensor, self.body(x))


class Neck(nn.Module):
    """Maps of several depths, each through a 1x1 convolution, summed up on the finest grid and normalised.

    Args:
        channels: of each map.
        width: of the sum.
    """

    def __init__(self, channels: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.projections = nn.ModuleList(nn.Conv2d(some, width, 1) for some in channels)
        self.norm = ChannelNorm(width)

    def forward(self, *maps: Tensor) -> Tensor:
        """Maps [B, channels, h_i, w_i], the first the finest -> [B, width, h_0, w_0]."""
        size = maps[0].shape[-2:]
        found = []
        for project, seen in zip(self.projections, maps, strict=True):
            projected: Tensor = project(seen)
            if projected.shape[-2:] != size:
                projected = F.interpolate(projected, size=size, mode="bilinear", align_corners=False)
            found.append(projected)
        normalised: Tensor = self.norm(sum(found[1:], found[0]))
        return normalised
