"""The network: EfficientNet-Lite0 whose last layers learn to say what frozen towers say of the same view."""

from collections.abc import Iterable
from copy import copy
from pathlib import Path

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from vestige.methods.base import FrozenPart, Network, Output
from vestige.methods.frozen_features import ClipFeatures, FeatureOptions, FrozenFeatures, notes_of
from vestige.nn.efficientnet_lite import (
    BLOCKS,
    WEIGHTS_NOTE,
    EfficientNetLite0,
    LiteHead,
    fold_norms,
    imagenet_weights,
)
from vestige.nn.statistics import Standardise, mean_and_deviation
from vestige.nn.weights import load_weights

LAST = len(BLOCKS) - 1


class DistilledConfig(BaseModel):
    """The `model` section of a recipe.

    Attributes:
        teacher: features that the network learns to predict; none: it learns from labels alone, whatever
            `labels` says.
        frozen: the last block that keeps ImageNet's weights; what it gives is computed once and kept.
        taps: tuned blocks whose channel statistics are part of the embedding, beside the mean of the last
            layer.
        weight: of the distillation's loss beside the classification's.
        labels: whether the embedding learns from the labels, too; if not, only the last layer does. A few
            thousand pictures are soon learned by heart, and what is fitted to the embedding is then misled.
        dropout: on the embedding, in training.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    teacher: tuple[FeatureOptions, ...] = (ClipFeatures(),)
    frozen: int = Field(4, ge=0, lt=LAST)
    taps: tuple[int, ...] = (10, 15)
    weight: float = Field(1.0, ge=0)
    labels: bool = False
    dropout: float = Field(0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _tuned(self) -> "DistilledConfig":
        taps = list(self.taps)
        if taps != sorted(set(taps)) or (taps and not self.frozen < taps[0] <= taps[-1] <= LAST):
            raise ValueError(f"taps must ascend from above frozen ({self.frozen}) to {LAST}, got {taps}")
        return self


class Distilled(Network):
    """Blocks after `config.frozen` and the last convolution are trained.

    In training views are mirrored at random, which the teacher is not told: it says much the same of both.
    """

    def __init__(self, config: DistilledConfig, teacher: FrozenFeatures | None, weights: Path | None) -> None:
        super().__init__()
        self.config = config
        self._teacher = [teacher] if teacher is not None else []  # in a list: not a submodule of its own
        self.trunk, self.last = EfficientNetLite0(), LiteHead()
        if weights is not None:
            path = imagenet_weights(weights)
            load_weights(self.trunk, path)
            load_weights(self.last, path)
        # Batches here are small, so the statistics stay ImageNet's, and a third of the time is saved.
        self.trunk.requires_grad_(False)
        for tuned in (*list(self.trunk._blocks)[config.frozen + 1 :], self.last):
            fold_norms(tuned)
            tuned.requires_grad_(True)
        taps = (config.frozen, *config.taps)
        width = LiteHead.channels + 2 * sum(EfficientNetLite0.channels(tap) for tap in taps)
        self.standardise = Standardise(width)
        self.dropout = nn.Dropout(config.dropout)
        self.linear = nn.Linear(width, 1)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        taught = teacher.width if teacher is not None else 0
        self.predict: nn.Linear | None = nn.Linear(width, taught) if taught else None
        self.teaching: Standardise | None = Standardise(taught) if taught else None
        if self.predict is not None:
            nn.init.zeros_(self.predict.weight)
            nn.init.zeros_(self.predict.bias)

    def parts(self) -> tuple[FrozenPart, ...]:
        """Activations after the last frozen block."""
        tap = self.config.frozen
        return (
            FrozenPart(f"activations of EfficientNet-Lite0 after block {tap}", Beginning(self.trunk, tap)),
        )

    def teachers(self) -> tuple[FrozenPart, ...]:
        """The towers that teach."""
        return self._teacher[0].parts() if self._teacher else ()

    def embed(self, *features: Tensor) -> Tensor:
        """Activations -> standardised embedding [B, width]."""
        return self._standardised(self._embedding(features[0]))

    def head(self, *features: Tensor) -> Output:
        """Activations -> logits [B]."""
        return Output(self.linear(self.dropout(self.embed(*features)))[:, 0])

    def learn(self, *features: Tensor) -> tuple[Output, dict[str, Tensor]]:
        """The head's output, and the distillation's mean squared error with its weight, as "distillation"."""
        activations = features[0]
        if self.training and torch.rand(()) < 0.5:
            activations = activations.flip(-1)
        embedding = self.dropout(self._standardised(self._embedding(activations)))
        learned = embedding if self.config.labels or self.predict is None else embedding.detach()
        output = Output(self.linear(learned)[:, 0])
        if self.predict is None or self.teaching is None:
            return output, {}
        with torch.no_grad():
            target = self.teaching(self._teacher[0](*features[1:]).float())
        return output, {
            "distillation": self.config.weight * F.mse_loss(self.predict(embedding).float(), target)
        }

    def prepare(self, batches: Iterable[tuple[Tensor, ...]]) -> None:
        """Fit the standardisations of the embedding, as it is now, and of what the teacher says."""
        own, taught = [], []
        with torch.inference_mode():
            for features in batches:
                own.append(self._embedding(features[0]).float())
                if self._teacher and len(features) > 1:
                    taught.append(self._teacher[0](*features[1:]).float())
        self.standardise.fit(torch.cat(own))
        if self.teaching is not None and taught:
            self.teaching.fit(torch.cat(taught))

    def fresh_parameters(self) -> list[nn.Parameter]:
        """The linear layers."""
        layers = [self.linear] if self.predict is None else [self.linear, self.predict]
        return [parameter for layer in layers for parameter in layer.parameters()]

    def exportable(self) -> "Distilled":
        """Without what only teaching needs."""
        found = copy(self)
        found._modules = {**self._modules, "predict": None, "teaching": None}
        found._teacher = []
        return found

    def train(self, mode: bool = True) -> "Distilled":
        """Training mode, but the frozen part, with its batch normalisation, stays as it is."""
        super().train(mode)
        self.trunk.eval()
        return self

    def _embedding(self, activations: Tensor) -> Tensor:
        config = self.config
        *found, last = self.trunk.resume(
            activations, config.frozen + 1, (*(tap for tap in config.taps if tap != LAST), LAST)
        )
        tapped = [*found, last] if LAST in config.taps else found
        return torch.cat([self.last(last), *map(mean_and_deviation, (activations, *tapped))], 1)

    def _standardised(self, embedding: Tensor) -> Tensor:
        # Without rare extremes: dead channels that wake up in an odd picture must not decide alone.
        standardised: Tensor = self.standardise(embedding).clamp(-6, 6)
        return standardised


class Beginning(nn.Module):
    """The trunk up to a block; shares its layers."""

    def __init__(self, trunk: EfficientNetLite0, tap: int) -> None:
        super().__init__()
        self.start = nn.ModuleList([trunk._conv_stem, trunk._bn0, *list(trunk._blocks)[: tap + 1]])
        self._trunk, self.tap = [trunk], tap

    def forward(self, images: Tensor) -> Tensor:
        """float [B, 3, H, W] in [0, 1], H and W multiples of 32 -> [B, C, H', W']."""
        found: Tensor = self._trunk[0](images, (self.tap,))[0]
        return found


def build(config: DistilledConfig, weights: Path | None) -> Distilled:
    """The network with ImageNet weights, and its teacher, from the folder `weights`.

    Without weights the teacher is there with random ones: only its shape matters to a trained network.
    """
    teacher = FrozenFeatures.build(config.teacher, weights) if config.teacher else None
    return Distilled(config, teacher, weights)


def weights_of(config: DistilledConfig) -> tuple[str, ...]:
    """Notes of the weights that the network starts from, and of those that only teach."""
    return (WEIGHTS_NOTE, *(f"teacher only: {note}" for note in notes_of(config.teacher)))
