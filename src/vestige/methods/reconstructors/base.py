"""The contract of a reconstructor: a frozen network that brings a picture back with a generator's traces.

The difference, reconstruction minus picture, is what the generator's last layers leave behind.
"""

from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from vestige.errors import ConfigError

NAME = r"^[A-Za-z0-9][A-Za-z0-9._+-]*$"  # of reconstructors: they name rows of tables, and files


class Options(BaseModel):
    """Base of the options of all kinds; each kind adds its `kind` and how it is built."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def build(self, weights: Path | None, run: Path | None) -> tuple["Reconstructor", ...]:
        """The reconstructors that these options speak of, as `build_reconstructors` says."""
        raise NotImplementedError


class Frozen(nn.Module):
    """A module that never leaves eval mode. Subclasses call `freeze` when all their modules are there."""

    def freeze(self) -> None:
        """Eval mode, and no parameter asks for gradients."""
        self.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> "Frozen":
        """Stays in eval mode, whatever the module around it does."""
        super().train(False)
        return self


class Reconstructor(Frozen):
    """Picture -> reconstruction, deterministic and without gradients.

    Attributes:
        name: short; unique among those that are built together; for tables and files.
        description: all that decides a reconstruction besides the tensors of the state_dict.
        multiple: the decoder's grid in pixels, anchored at the upper left. Pictures of any size are taken:
            for the network they are reflected at the lower and right edges up to multiples of it.
        weights_note: where the weights come from, with licence, as a card says it.
    """

    def __init__(self, name: str, description: str, multiple: int, weights_note: str) -> None:
        super().__init__()
        self.name = name
        self.description = description
        self.multiple = multiple
        self.weights_note = weights_note

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """float32 [B, 3, H, W] in [0, 1] -> the same shape, clamped to [0, 1].

        Computed in float32 also under autocast: the differences that matter are fractions of a grey level.
        """
        height, width = images.shape[-2:]
        with torch.autocast(images.device.type, enabled=False):
            padded = reflect(images.float(), 0, 0, -height % self.multiple, -width % self.multiple)
            made = self.reconstruct(padded)
        return made[..., :height, :width].clamp(0, 1)

    def reconstruct(self, images: Tensor) -> Tensor:
        """float32 [B, 3, H, W] in [0, 1], sides multiples of `multiple` -> the same shape, about [0, 1]."""
        raise NotImplementedError


def reflect(images: Tensor, top: int, left: int, bottom: int, right: int) -> Tensor:
    """Continue images [..., H, W] by reflection without repeating the edge, again and again if need be."""
    rows = _reflected(images.shape[-2], top, bottom).to(images.device)
    columns = _reflected(images.shape[-1], left, right).to(images.device)
    return images.index_select(-2, rows).index_select(-1, columns)


def _reflected(side: int, before: int, after: int) -> Tensor:
    period = max(2 * side - 2, 1)
    positions = torch.arange(-before, side + after) % period
    return torch.minimum(positions, period - positions) if side > 1 else positions


def starting_weights(weights: Path | None, kind: str) -> Path:
    """The folder of starting weights.

    Raises:
        ConfigError: there is none.
    """
    if weights is None:
        raise ConfigError(
            f"a reconstructor of kind {kind} needs a folder of starting weights; give it with --weights"
        )
    return weights
