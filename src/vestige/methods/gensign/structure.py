"""The structure of one simulated generator: a value that is drawn, kept, and replayed.

GenSign, section 3.1: the start scale, and in each stage the upsampling, one or two sub-blocks, and in each
of these the activation, the normalisation and the order of its three parts.
"""

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator

Upsampling = Literal["bilinear", "nearest", "bicubic", "shuffle"]
Activation = Literal["leaky-relu", "gelu", "silu"]
Normalisation = Literal["batch", "instance", "group"]
Part = Literal["convolution", "activation", "normalisation"]
Order = tuple[Part, Part, Part]

UPSAMPLINGS: tuple[Upsampling, ...] = ("bilinear", "nearest", "bicubic", "shuffle")
ACTIVATIONS: tuple[Activation, ...] = ("leaky-relu", "gelu", "silu")
NORMALISATIONS: tuple[Normalisation, ...] = ("batch", "instance", "group")
ORDERS: tuple[Order, ...] = (
    ("convolution", "activation", "normalisation"),
    ("convolution", "normalisation", "activation"),
    ("activation", "convolution", "normalisation"),
    ("activation", "normalisation", "convolution"),
    ("normalisation", "convolution", "activation"),
    ("normalisation", "activation", "convolution"),
)
LEVELS = 3
SUB_BLOCKS = 2


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SubBlock(_Value):
    """Which activation and normalisation follow or precede the dynamic convolution, and in what order."""

    activation: Activation
    normalisation: Normalisation
    order: Order

    @model_validator(mode="after")
    def _all_parts(self) -> "SubBlock":
        if self.order not in ORDERS:
            raise ValueError(f"order must hold each of the three parts once, got {self.order}")
        return self


class Stage(_Value):
    """One doubling of the resolution."""

    upsampling: Upsampling
    sub_blocks: tuple[SubBlock, ...] = Field(min_length=1, max_length=SUB_BLOCKS)


class Structure(_Value):
    """What the decoder does in one passage; hashable, and JSON both ways (`model_dump_json`).

    Attributes:
        stages: the last ones of the decoder; as many as doublings lead from the start scale to the picture.
            One: from the encoder's map at 1/2, three: from 1/8.
    """

    stages: tuple[Stage, ...] = Field(min_length=1, max_length=LEVELS)


class StructureSpace(_Value):
    """Which structures may be drawn; the default is all of the paper's.

    Attributes:
        levels: start scales 1/2, ..., 1/2^levels.
    """

    levels: int = Field(LEVELS, ge=1, le=LEVELS)
    upsamplings: tuple[Upsampling, ...] = Field(UPSAMPLINGS, min_length=1)
    activations: tuple[Activation, ...] = Field(ACTIVATIONS, min_length=1)
    normalisations: tuple[Normalisation, ...] = Field(NORMALISATIONS, min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> "StructureSpace":
        for name in ("upsamplings", "activations", "normalisations"):
            choices = getattr(self, name)
            if len(set(choices)) < len(choices):
                raise ValueError(f"{name} names a choice twice: {', '.join(choices)}")
        return self

    def count(self) -> int:
        """Number of structures: 1,676,817,818,280 of the paper's choices."""
        sub_block = len(self.activations) * len(self.normalisations) * len(ORDERS)
        stage = len(self.upsamplings) * sum(sub_block**active for active in range(1, SUB_BLOCKS + 1))
        return sum(stage**stages for stages in range(1, self.levels + 1))

    def draw(self, generator: torch.Generator) -> Structure:
        """Draw a structure: first the start scale, then each choice, uniformly."""

        def one_of(count: int) -> int:
            return int(torch.randint(count, (), generator=generator))

        def sub_block() -> SubBlock:
            return SubBlock(
                activation=self.activations[one_of(len(self.activations))],
                normalisation=self.normalisations[one_of(len(self.normalisations))],
                order=ORDERS[one_of(len(ORDERS))],
            )

        def stage() -> Stage:
            return Stage(
                upsampling=self.upsamplings[one_of(len(self.upsamplings))],
                sub_blocks=tuple(sub_block() for _ in range(1 + one_of(SUB_BLOCKS))),
            )

        return Structure(stages=tuple(stage() for _ in range(1 + one_of(self.levels))))

    def draw_for(self, images: int, structures: int, generator: torch.Generator) -> list[Structure]:
        """Structures for a batch: `structures` are drawn and dealt in turn.

        Args:
            images: size of the batch.
            structures: 1 is one draw for the batch, `images` or more one for each image.
        """
        drawn = [self.draw(generator) for _ in range(min(images, structures))]
        return [drawn[index % len(drawn)] for index in range(images)]
