"""What all linear references share: fixed features, standardised, one linear layer on top."""

from collections.abc import Callable, Iterable

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from vestige.methods.base import FrozenPart, Network, Output
from vestige.nn.statistics import Standardise


class NoOptions(BaseModel):
    """The `model` section of a recipe for a reference without options: empty."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LinearProbe(Network):
    """Standardised features and a linear layer.

    Args:
        features: images float [B, 3, H, W] in [0, 1] -> [B, width]; frozen. A module with a `description`
            shares what it computes with other methods.
        width: number of features.
    """

    def __init__(self, features: nn.Module | Callable[[Tensor], Tensor], width: int) -> None:
        super().__init__()
        self.features = features
        self.standardise = Standardise(width)
        self.linear = nn.Linear(width, 1)

    def parts(self) -> tuple[FrozenPart, ...]:
        """The features, if they are a module that says what it computes."""
        description = getattr(self.features, "description", None)
        if isinstance(self.features, nn.Module) and isinstance(description, str):
            return (FrozenPart(description, self.features),)
        return ()

    def frozen(self, images: Tensor) -> tuple[Tensor, ...]:
        """float [B, 3, H, W] in [0, 1] -> one tensor [B, width]."""
        return (self.features(images),)

    def prepare(self, batches: Iterable[tuple[Tensor, ...]]) -> None:
        """Fit the standardisation to the features."""
        self.standardise.fit(torch.cat([features[0] for features in batches]))

    def head(self, *features: Tensor) -> Output:
        """[B, width] -> logits [B]."""
        return Output(self.linear(self.embed(*features))[:, 0])

    def embed(self, *features: Tensor) -> Tensor:
        """Standardised features: [B, width]."""
        standardised: Tensor = self.standardise(features[0])
        return standardised
