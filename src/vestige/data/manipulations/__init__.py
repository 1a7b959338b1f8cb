"""Manipulations of pictures by known rules, so that it is known of every pixel what was done (GAMMA)."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from vestige.data.manipulations.base import Inpaint, Manipulated, Manipulation, Mask, Pixels, Source
from vestige.data.manipulations.copy_move import CopyMove
from vestige.data.manipulations.inpainting import ClassicalInpainting, LearnedInpainting, PatchInpainting
from vestige.data.manipulations.mixing import Mixing
from vestige.data.manipulations.perturbation import Perturbation
from vestige.data.manipulations.splicing import Splicing

__all__ = [
    "ClassicalInpainting",
    "CopyMove",
    "Inpaint",
    "LearnedInpainting",
    "Manipulated",
    "Manipulation",
    "ManipulationOptions",
    "ManipulationSet",
    "Mask",
    "Mixing",
    "PatchInpainting",
    "Perturbation",
    "Pixels",
    "Source",
    "Splicing",
]

ManipulationOptions = Annotated[
    ClassicalInpainting | PatchInpainting | LearnedInpainting | CopyMove | Splicing | Mixing | Perturbation,
    Field(discriminator="kind"),
]


class ManipulationSet(BaseModel):
    """Which manipulations, and of how many pictures.

    Attributes:
        per_group: pictures of each group of each class that every kind manipulates.
        kinds: the manipulations, at least one, each kind at most once.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    per_group: int = Field(8, ge=1)
    kinds: tuple[ManipulationOptions, ...] = Field(min_length=1)

    @field_validator("kinds")
    @classmethod
    def _once(cls, value: tuple[ManipulationOptions, ...]) -> tuple[ManipulationOptions, ...]:
        kinds = [options.kind for options in value]
        twice = sorted({kind for kind in kinds if kinds.count(kind) > 1})
        if twice:
            raise ValueError(f"each kind may be there once, more than once: {', '.join(twice)}")
        return value
