"""Frozen ImageNet EfficientNet-Lite0 channel statistics and logistic regression."""

from pathlib import Path

import torch
from torch import Tensor, nn

from vestige.methods.base import Method
from vestige.methods.references.probe import LinearProbe, NoOptions
from vestige.nn.efficientnet_lite import WEIGHTS_NOTE, EfficientNetLite0, imagenet_weights
from vestige.nn.statistics import mean_and_deviation
from vestige.nn.weights import load_weights

TAPS = (-1, 0, 2, 4, 7, 10, 14, 15)


class ChannelStatistics(nn.Module):
    """Mean and standard deviation of the channels after the stem and blocks 0, 2, 4, 7, 10, 14, 15."""

    width = 2 * sum(EfficientNetLite0.channels(tap) for tap in TAPS)

    def __init__(self) -> None:
        super().__init__()
        self.trunk = EfficientNetLite0()

    def forward(self, images: Tensor) -> Tensor:
        """float [B, 3, H, W] in [0, 1], H and W multiples of 32 -> [B, 1632]."""
        return torch.cat([mean_and_deviation(features) for features in self.trunk(images, TAPS)], 1)


def build(config: NoOptions, weights: Path | None) -> LinearProbe:
    """The network with ImageNet weights from the folder `weights`, its linear layer untrained."""
    features = ChannelStatistics()
    if weights is not None:
        load_weights(features.trunk, imagenet_weights(weights))
    return LinearProbe(features, ChannelStatistics.width)


METHOD = Method(
    name="efficientnet-statistics",
    paper="none; a linear probe on frozen features, in the spirit of Ojha et al., CVPR 2023",
    config=NoOptions,
    build=build,
    solver="logistic",
    starting_weights=(WEIGHTS_NOTE,),
)
