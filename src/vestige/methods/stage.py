"""The contract of a training stage that comes before a method's detector, such as a reconstructor's.

A stage learns from pictures and a random generator alone, so that one trainer serves all methods.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn


class StageConfig(BaseModel):
    """What every stage's section in a recipe has; stages add their own options.

    Attributes:
        pictures: which pictures of the recipe's split it learns from.
        crop: side of the random crops in pixels; smaller pictures are reflected at the edges.
        batch: crops in a micro-batch on one device.
        accumulate: micro-batches for one step of the optimiser.
        steps: of the optimiser; a checkpoint, a line of metrics and sample pictures every `steps_per_epoch`.
        learning_rate: of Adam.
        decay: the rate falls to zero along half a cosine over the last so many of the steps; 0: constant.
        precision: Lightning's word for it.
        devices: how many processes train on how many devices; each takes batches of its own.
        workers: processes that prepare batches; 0: the training process itself.
        folds: groups are dealt into so many folds; the first, which holds the largest
            group, is held back to measure on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    pictures: Literal["real", "generated", "all"] = "real"
    crop: int = Field(128, ge=32, multiple_of=8)
    batch: int = Field(8, ge=1)
    accumulate: int = Field(1, ge=1)
    steps: int = Field(1000, ge=1)
    steps_per_epoch: int = Field(100, ge=1)
    learning_rate: float = Field(1e-4, gt=0)
    decay: float = Field(0.0, ge=0, le=1)
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    devices: int = Field(1, ge=1)
    workers: int = Field(0, ge=0)
    folds: int = Field(10, ge=2)


class Task(nn.Module):
    """What a stage learns.

    Attributes:
        network: what is trained and kept; everything else is frozen.
    """

    network: nn.Module

    def loss(self, images: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """The loss under "loss", and its parts under names of their own.

        Args:
            images: float32 [B, 3, S, S] in [0, 1].
            generator: on the CPU; all that is random comes from it.
        """
        raise NotImplementedError

    def measure(self, images: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Figures for pictures that were held back, each [B]; called in eval mode without gradients."""
        raise NotImplementedError

    def samples(self, images: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Pictures to look at, [B, 3, S, S] in [0, 1] each, by what they show."""
        raise NotImplementedError

    def train(self, mode: bool = True) -> "Task":
        """Only the network leaves eval mode."""
        super().train(False)
        self.network.train(mode)
        return self


@dataclass(frozen=True)
class Stage:
    """A stage as its method lists it.

    Attributes:
        name: as `vestige train --stage` and the recipe's `stages` section say it.
        config: schema of its section.
        build: (config, run folder with the stages before it, folder with starting weights or None) -> task.
    """

    name: str
    config: type[StageConfig]
    build: Callable[[Any, Path, Path | None], Task]
