"""The network: frozen EfficientNet-Lite0, channel statistics at several depths, a score for every source."""

from pathlib import Path
from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from vestige.errors import ConfigError
from vestige.methods.base import Network, Output
from vestige.nn.efficientnet_lite import BLOCKS, EfficientNetLite0, imagenet_weights
from vestige.nn.statistics import Standardise, mean_and_deviation
from vestige.nn.weights import load_weights

ABSENT = -1e4  # takes a source out of a log-sum-exp and survives every float format


class SourceStatisticsConfig(BaseModel):
    """The `model` section of a recipe.

    Attributes:
        taps: blocks whose activations are summed up, -1 for the stem.
        capacity: most sources that the last layer can tell apart; rows that are not needed stay unused.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    taps: tuple[Annotated[int, Field(ge=-1, le=len(BLOCKS) - 1)], ...] = Field((7, 10, 14, 15), min_length=1)
    capacity: int = Field(128, ge=2)


class SourceStatistics(Network):
    """Tells generators and sources of real pictures apart; the logit compares one side with the other.

    A picture may be generated in many ways that have little in common. One direction per source leaves them
    apart, where a single direction for "generated" would have to be a compromise.
    """

    real: Tensor
    generated: Tensor

    def __init__(self, config: SourceStatisticsConfig) -> None:
        super().__init__()
        self.taps = tuple(sorted(set(config.taps)))
        self.capacity = config.capacity
        self.trunk = EfficientNetLite0().requires_grad_(False)
        width = 2 * sum(EfficientNetLite0.channels(tap) for tap in self.taps)
        self.standardise = Standardise(width)
        self.linear = nn.Linear(width, config.capacity)
        # 0 for the rows that belong to the side, ABSENT for all others.
        self.register_buffer("real", torch.full((config.capacity,), ABSENT))
        self.register_buffer("generated", torch.full((config.capacity,), ABSENT))

    def frozen(self, images: Tensor) -> tuple[Tensor, ...]:
        """float [B, 3, H, W] in [0, 1] -> statistics [B, width]."""
        return (torch.cat([mean_and_deviation(found) for found in self.trunk(images, self.taps)], 1),)

    def embed(self, *features: Tensor) -> Tensor:
        """Standardised statistics, without their rare extremes: [B, width]."""
        standardised: Tensor = self.standardise(features[0]).clamp(-6, 6)
        return standardised

    def head(self, *features: Tensor) -> Output:
        """Statistics -> log of the odds that one of the generators made the picture, [B]."""
        scores = self.linear(self.embed(*features))
        return Output(torch.logsumexp(scores + self.generated, 1) - torch.logsumexp(scores + self.real, 1))

    def assign(self, generated: list[bool]) -> None:
        """Say which sources the first rows of the last layer stand for.

        Args:
            generated: for each source in turn, whether it is a generator.

        Raises:
            ConfigError: more sources than the last layer has rows.
        """
        if len(generated) > self.capacity:
            raise ConfigError(
                f"{len(generated)} sources are more than the recipe's model.capacity of {self.capacity}"
            )
        for side, wanted in ((self.real, False), (self.generated, True)):
            side.fill_(ABSENT)
            side[[row for row, label in enumerate(generated) if label == wanted]] = 0


def build(config: SourceStatisticsConfig, weights: Path | None) -> SourceStatistics:
    """The network with ImageNet weights from the folder `weights`, its last layer untrained."""
    network = SourceStatistics(config)
    if weights is not None:
        load_weights(network.trunk, imagenet_weights(weights))
    return network
