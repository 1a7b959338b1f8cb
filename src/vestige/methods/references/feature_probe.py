"""Linear probe on the features of one or several frozen towers, such as intermediate layers of CLIP.

What a method that learns on top of the same features has to beat.
"""

from collections.abc import Iterable
from copy import copy
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from vestige.methods.base import FrozenPart, Method
from vestige.methods.frozen_features import (
    ALL_NOTES,
    ClipFeatures,
    FeatureOptions,
    FrozenFeatures,
    from_hub,
    notes_of,
)
from vestige.methods.references.probe import LinearProbe


class FeatureProbeConfig(BaseModel):
    """The `model` section of a recipe.

    Attributes:
        features: of which towers; several are put one after the other.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    features: tuple[FeatureOptions, ...] = Field((ClipFeatures(),), min_length=1)


class FeatureProbe(LinearProbe):
    """Standardised features and a linear layer."""

    features: FrozenFeatures

    def __init__(self, features: FrozenFeatures) -> None:
        super().__init__(features, features.width)

    def parts(self) -> tuple[FrozenPart, ...]:
        """One for each tower."""
        return self.features.parts()

    def frozen(self, images: Tensor) -> tuple[Tensor, ...]:
        """float [B, 3, H, W] in [0, 1] -> what each tower says."""
        return tuple(part.module(images) for part in self.parts())

    def prepare(self, batches: Iterable[tuple[Tensor, ...]]) -> None:
        """Fit the standardisation to the features."""
        self.standardise.fit(torch.cat([self.features(*kept) for kept in batches]))

    def embed(self, *features: Tensor) -> Tensor:
        """What the towers say -> standardised features [B, width]."""
        standardised: Tensor = self.standardise(self.features(*features))
        return standardised

    def exportable(self) -> "FeatureProbe":
        """Without the layers of towers that nothing reads."""
        found = copy(self)
        found._modules = {**self._modules, "features": self.features.exportable()}
        return found


def build(config: FeatureProbeConfig, weights: Path | None) -> FeatureProbe:
    """The network with the towers' weights from the folder `weights`, its linear layer untrained."""
    return FeatureProbe(FrozenFeatures.build(config.features, weights))


METHOD = Method(
    name="feature-probe",
    paper="Ojha, Li and Lee, Towards Universal Fake Image Detectors that Generalize Across Generative "
    "Models, CVPR 2023 (linear probe)",
    config=FeatureProbeConfig,
    build=build,
    solver="logistic",
    starting_weights=ALL_NOTES,
    weights_of=lambda config: notes_of(config.features),
    from_hub=lambda config: from_hub(config.features),
)
