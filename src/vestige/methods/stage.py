"""The contract of a training stage that comes before a method's detector, such as a reconstructor's.

A stage learns from pictures and a random generator alone, so that one trainer serves all methods: a `Task` is
trained by gradients, a `Measurement` is fitted to what frozen parts say of the pictures.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from vestige.errors import ConfigError
from vestige.methods.parts import Features, FrozenPart

RECORD = "stage.json"  # of a stage's folder: what it was trained on and with
NETWORK = "network.safetensors"  # of a stage's folder: what was trained; there once it is finished

Indices = npt.NDArray[np.int64]


class StageOptions(BaseModel):
    """What every stage's section in a recipe has.

    Attributes:
        pictures: which pictures of the recipe's split it learns from.
        crop: side of the crops in pixels; smaller pictures are reflected at the edges.
        folds: groups are dealt into so many folds; the first, which holds the largest
            group, is held back to measure on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    pictures: Literal["real", "generated", "all"] = "real"
    crop: int = Field(128, ge=32, multiple_of=8)
    folds: int = Field(10, ge=2)


class StageConfig(StageOptions):
    """What the section of every stage that is trained by gradients has; stages add their own options.

    Its crops are drawn at random.

    Attributes:
        batch: crops in a micro-batch on one device.
        accumulate: micro-batches for one step of the optimiser.
        steps: of the optimiser; a checkpoint, a line of metrics and sample pictures every `steps_per_epoch`.
        learning_rate: of Adam.
        decay: the rate falls to zero along half a cosine over the last so many of the steps; 0: constant.
        precision: Lightning's word for it.
        devices: how many processes train on how many devices; each takes batches of its own.
        workers: processes that prepare batches; 0: the training process itself.
        stream: read the pictures in an order that shards and slow disks like, and mix so many of them at a
            time in each process that prepares batches (`vestige.training.streaming`). None: every batch is
            drawn from all pictures.
    """

    batch: int = Field(8, ge=1)
    accumulate: int = Field(1, ge=1)
    steps: int = Field(1000, ge=1)
    steps_per_epoch: int = Field(100, ge=1)
    learning_rate: float = Field(1e-4, gt=0)
    decay: float = Field(0.0, ge=0, le=1)
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    devices: int = Field(1, ge=1)
    workers: int = Field(0, ge=0)
    stream: int | None = Field(None, ge=1)


class FittedConfig(StageOptions):
    """What the section of every stage that is fitted without gradients has; stages add their own options.

    Its crops are the middles of the pictures.

    Attributes:
        per_group: at most so many pictures of each group, drawn by the recipe's seed; None: all.
    """

    per_group: int | None = Field(None, ge=1)


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


class Measurement(nn.Module):
    """What a stage fits without gradients, to features of frozen parts computed once for each picture."""

    def parts(self) -> tuple[FrozenPart, ...]:
        """What is computed of every picture, float32 [B, 3, S, S] in [0, 1] -> a tensor with B rows each."""
        raise NotImplementedError

    def fit(self, features: Sequence[Features], rows: Indices, held_back: Indices) -> None:
        """Fit, in place.

        Args:
            features: what each part says of all pictures; whatever is not needed at once is better not read
                at once.
            rows: of the features that are fitted to.
            held_back: rows of pictures of other groups, to measure on.

        Raises:
            ConfigError, DataError: the pictures do not allow it.
        """
        raise NotImplementedError

    def figures(self) -> list[dict[str, Any]]:
        """How well it was fitted: lines of a table, all with the same columns; also after `load`."""
        raise NotImplementedError

    def measure(self, features: Sequence[Features]) -> list[dict[str, Any]]:
        """How well other pictures are described by what was fitted: lines of a table, with the same columns.

        Args:
            features: what each part says of these pictures.
        """
        raise NotImplementedError

    def save(self, path: Path) -> None:
        """Write what was fitted as one file that needs no other."""
        raise NotImplementedError

    def load(self, path: Path) -> None:
        """Take what `save` wrote.

        Raises:
            ConfigError: the file holds something else.
        """
        raise NotImplementedError


def _always(config: Any) -> bool:
    return True


@dataclass(frozen=True)
class Stage:
    """A stage as its method lists it.

    Attributes:
        name: as `vestige train --stage` and the recipe's `stages` section say it.
        config: schema of its section, a `StageConfig` for a task and a `FittedConfig` for a measurement.
        build: (config, run folder with the stages before it, folder with starting weights or None) -> what is
            trained or fitted.
        wanted: whether a configuration asks for the stage to be trained; if not, an ablation leaves what it
            finds among the starting weights as it is.
    """

    name: str
    config: type[StageOptions]
    build: Callable[[Any, Path, Path | None], Task | Measurement]
    wanted: Callable[[Any], bool] = _always


def find_stage(
    name: str, run: Path | None, weights: Path | None, stage: str | None = None, advice: str | None = None
) -> Path:
    """Folder of a trained stage: RUN/NAME, or NAME/ in the folder of weights.

    Args:
        name: of the folder.
        stage: which stage trains it; None: the one of this name.
        advice: what to do if it is nowhere, for the message.

    Raises:
        ConfigError: neither is there, or the first one there was begun and not finished.
    """
    stage = stage or name
    places = [place / name for place in (run, weights) if place is not None]
    for place in places:
        if (place / NETWORK).exists():
            return place
        if (place / RECORD).exists():
            # Another one in its place would be used unnoticed.
            raise ConfigError(
                f"{place}: was begun and not finished; continue it with vestige train RECIPE --stage {stage}"
            )
    where = " or ".join(map(str, places)) or "any folder"
    advice = advice or (
        f"train it first with vestige train RECIPE --stage {stage}, or put its folder among the starting "
        "weights"
    )
    raise ConfigError(f"no trained {name} in {where}: {advice}")
