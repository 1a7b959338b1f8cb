"""Reconstruction by GenSign's DAIR: each structure that is drawn stands for a generator of its own."""

from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from vestige.errors import ConfigError
from vestige.methods.gensign.dair import SCALE, Dair
from vestige.methods.gensign.files import load_dair
from vestige.methods.gensign.structure import Structure, StructureSpace
from vestige.methods.reconstructors.base import NAME, Options, Reconstructor
from vestige.methods.stage import find_stage

WEIGHTS_NOTE = "DAIR, GenSign's image reconstructor, trained by this project's recipe"
# DAIR is a stage of another method: the recipe at hand cannot train it.
ADVICE = (
    "train it first with a GenSign recipe (vestige train RECIPE --stage dair) and put its folder among the "
    "starting weights"
)


class DairOptions(Options):
    """A trained DAIR, of the run or in the folder of starting weights (dair/).

    Attributes:
        structures: how many are drawn, all different; each is a reconstructor.
        seed: of the draws; more structures begin with the same ones.
        levels: only structures with at most so many stages; None: as DAIR was trained.
        name: reconstructors are called name-0, name-1, ...
    """

    kind: Literal["dair"] = "dair"
    structures: int = Field(4, ge=1)
    seed: int = 0
    levels: int | None = Field(None, ge=1, le=3)
    name: str = Field("dair", pattern=NAME)

    def build(self, weights: Path | None, run: Path | None) -> tuple[Reconstructor, ...]:
        """As many reconstructors as structures; they share one network.

        Raises:
            ConfigError: no trained DAIR there, or one of fewer levels or structures than asked for.
        """
        folder = find_stage("dair", run, weights, advice=ADVICE)
        network, space = load_dair(folder)
        if self.levels is not None:
            if self.levels > space.levels:
                raise ConfigError(
                    f"{folder}: this reconstructor was trained with levels {space.levels}, {self.name} asks "
                    f"for {self.levels}"
                )
            space = space.model_copy(update={"levels": self.levels})
        if self.structures > space.count():
            raise ConfigError(
                f"{folder}: this reconstructor has {space.count()} structures, {self.name} asks for "
                f"{self.structures}"
            )
        drawn = draw_different(space, self.structures, self.seed)
        return tuple(
            DairReconstructor(f"{self.name}-{number}", network, structure)
            for number, structure in enumerate(drawn)
        )


class DairReconstructor(Reconstructor):
    """DAIR with one structure."""

    def __init__(self, name: str, network: Dair, structure: Structure) -> None:
        description = f"DAIR {network.config.model_dump_json()}, structure {structure.model_dump_json()}"
        super().__init__(name, description, SCALE, WEIGHTS_NOTE)
        self.structure = structure
        self.network = network
        self.freeze()

    def reconstruct(self, images: Tensor) -> Tensor:
        """As `Reconstructor.reconstruct` says."""
        made: Tensor = self.network(images, [self.structure] * len(images))
        return made


def draw_different(space: StructureSpace, count: int, seed: int) -> list[Structure]:
    """Draw structures, leaving out those that were drawn before."""
    generator = torch.Generator().manual_seed(seed)
    drawn: dict[Structure, None] = {}
    while len(drawn) < count:
        drawn.setdefault(space.draw(generator))
    return list(drawn)
