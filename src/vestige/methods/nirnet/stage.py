"""The stage simulator: what generators' networks leave on real pictures, and distributions fitted to it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from vestige.errors import ConfigError
from vestige.methods.nirnet.goodness import goodness
from vestige.methods.nirnet.simulator import Simulator, SimulatorSettings, fit
from vestige.methods.parts import Features, FrozenPart
from vestige.methods.reconstructors import Reconstructor, ReconstructorOptions, build_reconstructors
from vestige.methods.stage import NETWORK, RECORD, FittedConfig, Indices, Measurement, Stage, find_stage

NAME = "simulator"
SHARED = "simulator.safetensors"  # of a folder of starting weights: a simulator by itself

Half = npt.NDArray[np.float16]


class SimulatorStage(FittedConfig, SimulatorSettings):
    """The simulation stage (Fig. 3 a of the paper); blocks and colours as in `SimulatorSettings`.

    Attributes:
        reconstructors: the networks whose differences are fitted, a generator each; none: the simulator is
            not fitted but found among the starting weights.
        crop: side of the middle crops in pixels, a multiple of the block, too.
    """

    reconstructors: tuple[ReconstructorOptions, ...] = ()
    crop: int = Field(192, ge=32, multiple_of=8)

    @model_validator(mode="after")
    def _whole_blocks(self) -> "SimulatorStage":
        if self.crop % self.block:
            raise ValueError(f"crop ({self.crop}) must be a multiple of block ({self.block})")
        return self

    @property
    def settings(self) -> SimulatorSettings:
        """What the simulator is told."""
        return SimulatorSettings(block=self.block, colours=self.colours)


class Difference(nn.Module):
    """What a reconstructor adds to a picture."""

    def __init__(self, reconstructor: Reconstructor) -> None:
        super().__init__()
        self.reconstructor = reconstructor

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, 3, H, W] in [0, 1] -> reconstruction - picture, float32 in grey levels."""
        # In bfloat16 a difference would be lost in the rounding of what is subtracted.
        with torch.autocast(images.device.type, enabled=False):
            made: Tensor = self.reconstructor(images)
            return (made - images) * 255


class SimulatorMeasurement(Measurement):
    """Fits a simulator to the differences of several reconstructors.

    Attributes:
        simulator: None before it is fitted or loaded.
    """

    def __init__(self, settings: SimulatorSettings, reconstructors: Sequence[Reconstructor]) -> None:
        super().__init__()
        self.settings = settings
        self.names = tuple(reconstructor.name for reconstructor in reconstructors)
        self.notes = tuple(dict.fromkeys(reconstructor.weights_note for reconstructor in reconstructors))
        self.descriptions = tuple(reconstructor.description for reconstructor in reconstructors)
        self.differences = nn.ModuleList(Difference(reconstructor) for reconstructor in reconstructors)
        self.simulator: Simulator | None = None

    def parts(self) -> tuple[FrozenPart, ...]:
        """The difference of each reconstructor, in grey levels."""
        return tuple(
            FrozenPart(f"difference in grey levels: {description}", module)
            for description, module in zip(self.descriptions, self.differences, strict=True)
        )

    def fit(self, features: Sequence[Features], rows: Indices, held_back: Indices) -> None:
        """Fit all generators; one generator's differences are in memory at a time.

        Raises:
            DataError: there are no pictures on one of the two sides.
        """
        by_name = dict(zip(self.names, features, strict=True))
        found = fit(_Differences(by_name, rows), _Differences(by_name, held_back), self.settings)
        self.simulator = replace(found, notes=self.notes)

    def figures(self) -> list[dict[str, Any]]:
        """Goodness of fit on the pictures held back, by generator, scope and family."""
        return [row.model_dump() for row in self._fitted().goodness]

    def measure(self, features: Sequence[Features]) -> list[dict[str, Any]]:
        """Goodness of fit on other pictures; pooled only, fits within pictures are not kept."""
        simulator, settings = self._fitted(), self.settings
        by_name = dict(zip(self.names, features, strict=True))
        differences = _Differences(by_name, np.arange(len(features[0])))
        lines = []
        for name in simulator.generators:
            alone = simulator.subset([name]).fits
            fits = {family: one.map(lambda values: values[0]) for family, one in alone.items()}
            rows = goodness(name, {"pooled": fits}, differences[name], settings.block, settings.colours)
            lines += [row.model_dump() for row in rows]
        return lines

    def save(self, path: Path) -> None:
        """Write the simulator's file."""
        self._fitted().save(path)

    def load(self, path: Path) -> None:
        """Take a simulator from its file.

        Raises:
            ConfigError: the file holds something else.
        """
        self.simulator = Simulator.load(path)

    def _fitted(self) -> Simulator:
        if self.simulator is None:
            raise ValueError("the simulator is neither fitted nor loaded yet")
        return self.simulator


class _Differences(Mapping[str, Half]):
    """Differences of some pictures by reconstructor, [N, S, S, 3]; read from disk each time."""

    def __init__(self, features: Mapping[str, Features], rows: Indices) -> None:
        self._features, self._rows = features, rows

    def __getitem__(self, name: str) -> Half:
        found: Half = self._features[name][self._rows].transpose(0, 2, 3, 1)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._features)

    def __len__(self) -> int:
        return len(self._features)


def build_simulator(config: SimulatorStage, run: Path, weights: Path | None) -> SimulatorMeasurement:
    """The stage with its reconstructors, from the folder of weights, of the run or from the hub.

    Raises:
        ConfigError: there are none, weights are missing, or two have the same name.
    """
    if not config.reconstructors:
        raise ConfigError(
            "the stage simulator needs networks that reconstruct pictures: list them in the recipe "
            "(stages.simulator.reconstructors)"
        )
    return SimulatorMeasurement(config.settings, build_reconstructors(config.reconstructors, weights, run))


def find_simulator(run: Path | None, weights: Path | None) -> Path:
    """File of a fitted simulator: of RUN/simulator, or in the folder of weights, of simulator/ or by itself.

    Raises:
        ConfigError: none of them is there, or the first one there was begun and not finished.
    """
    places = [place / NAME / file for place in (run, weights) if place for file in (NETWORK, RECORD)]
    if weights is not None and (weights / SHARED).exists() and not any(place.exists() for place in places):
        return weights / SHARED
    advice = (
        f"fit it first with vestige train RECIPE --stage {NAME}, or put its folder, or its file as {SHARED}, "
        "among the starting weights"
    )
    return find_stage(NAME, run, weights, advice=advice) / NETWORK


STAGES = (Stage(NAME, SimulatorStage, build_simulator, wanted=lambda config: bool(config.reconstructors)),)
