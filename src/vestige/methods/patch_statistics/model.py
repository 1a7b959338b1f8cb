"""The network: EfficientNet-Lite0, channel statistics at several depths, one linear layer."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from vestige.methods.base import Network, Output
from vestige.nn.efficientnet_lite import BLOCKS, EfficientNetLite0, imagenet_weights
from vestige.nn.statistics import Standardise, mean_and_deviation
from vestige.nn.weights import load_weights

Taps = Annotated[tuple[Annotated[int, Field(ge=-1, le=len(BLOCKS) - 1)], ...], Field(min_length=1)]


class PatchStatisticsConfig(BaseModel):
    """The `model` section of a recipe.

    Attributes:
        frozen_taps: activations of the frozen part that are summed up (-1 = stem); the frozen part ends
            after the last of them.
        tuned_taps: the same for the blocks that are tuned.
        dropout: on the standardised statistics, in training.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    frozen_taps: Taps = (-1, 0, 2, 4)
    tuned_taps: Taps = (7, 10, 14, 15)
    dropout: float = Field(0.3, ge=0, lt=1)

    @model_validator(mode="after")
    def _ordered(self) -> "PatchStatisticsConfig":
        taps = [*self.frozen_taps, *self.tuned_taps]
        if taps != sorted(set(taps)):
            raise ValueError(f"taps must ascend, the frozen ones before the tuned ones; got {taps}")
        return self


class PatchStatistics(Network):
    """Statistics of early, frozen layers see texture and noise; those of later, tuned ones see structure."""

    def __init__(self, config: PatchStatisticsConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = EfficientNetLite0()
        self.cut = max(config.frozen_taps) + 1
        taps = (*config.frozen_taps, *config.tuned_taps)
        width = 2 * sum(EfficientNetLite0.channels(tap) for tap in taps)
        self.standardise = Standardise(width)
        self.dropout = nn.Dropout(config.dropout)
        self.linear = nn.Linear(width, 1)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        self.trunk.requires_grad_(False)
        for block in list(self.trunk._blocks)[self.cut : max(config.tuned_taps) + 1]:
            block.requires_grad_(True)

    def frozen(self, images: Tensor) -> tuple[Tensor, ...]:
        """float [B, 3, H, W] in [0, 1] -> statistics [B, S], activations after the last frozen tap."""
        found = self.trunk(images, self.config.frozen_taps)
        return torch.cat([mean_and_deviation(features) for features in found], 1), found[-1]

    def head(self, *features: Tensor) -> Output:
        """Statistics and activations from `frozen` -> logits [B]."""
        return Output(self.linear(self.dropout(self.embed(*features)))[:, 0])

    def embed(self, *features: Tensor) -> Tensor:
        """Standardised statistics, without their rare extremes: [B, width]."""
        standardised: Tensor = self.standardise(self.statistics(*features)).clamp(-6, 6)
        return standardised

    def statistics(self, early: Tensor, activations: Tensor) -> Tensor:
        """All statistics, not standardised: [B, width]."""
        found = self.trunk.resume(activations, self.cut, self.config.tuned_taps)
        return torch.cat([early, *(mean_and_deviation(features) for features in found)], 1)

    def prepare(self, batches: Iterable[tuple[Tensor, ...]]) -> None:
        """Fit the standardisation to the statistics before any tuning."""
        with torch.inference_mode():
            self.standardise.fit(torch.cat([self.statistics(*features) for features in batches]))

    def fresh_parameters(self) -> list[nn.Parameter]:
        """The linear layer."""
        return list(self.linear.parameters())

    def train(self, mode: bool = True) -> "PatchStatistics":
        """Training mode, but batch normalisation keeps ImageNet's statistics: batches here are small."""
        super().train(mode)
        self.trunk.eval()
        return self


def build(config: PatchStatisticsConfig, weights: Path | None) -> PatchStatistics:
    """The network with ImageNet weights from the folder `weights`, its linear layer at zero."""
    network = PatchStatistics(config)
    if weights is not None:
        load_weights(network.trunk, imagenet_weights(weights))
    return network
