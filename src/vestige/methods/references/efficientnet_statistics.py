"""Frozen ImageNet EfficientNet-Lite0 channel statistics and logistic regression."""

from pathlib import Path

from vestige.methods.base import Method
from vestige.methods.frozen_features import ChannelStatistics
from vestige.methods.references.probe import LinearProbe, NoOptions
from vestige.nn.efficientnet_lite import WEIGHTS_NOTE, imagenet_weights
from vestige.nn.weights import load_weights

TAPS = (-1, 0, 2, 4, 7, 10, 14, 15)


def build(config: NoOptions, weights: Path | None) -> LinearProbe:
    """The network with ImageNet weights from the folder `weights`, its linear layer untrained."""
    features = ChannelStatistics(TAPS)
    if weights is not None:
        load_weights(features.trunk, imagenet_weights(weights))
    return LinearProbe(features, features.width)


METHOD = Method(
    name="efficientnet-statistics",
    paper="none; a linear probe on frozen features, in the spirit of Ojha et al., CVPR 2023",
    config=NoOptions,
    build=build,
    solver="logistic",
    starting_weights=(WEIGHTS_NOTE,),
)
