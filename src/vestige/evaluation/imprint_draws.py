"""Imprints drawn from a simulator, one for each picture, whatever the other pictures are."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vestige.methods.nirnet.bands import Colours, Floats, each_band
from vestige.methods.nirnet.fits import Laplace, Moments, moments
from vestige.methods.nirnet.imprints import Imprinter, ImprintOptions
from vestige.methods.nirnet.simulator import Simulator, SimulatorSettings

Seeds = Sequence[Sequence[int]]  # of each picture


def drawn(imprinter: Imprinter, side: int, seeds: Seeds) -> npt.NDArray[np.float32]:
    """An imprint for each picture.

    Args:
        seeds: one for each picture.

    Returns:
        float32 [N, side, side, 3] in grey levels, not rounded.
    """
    return np.stack([imprinter.noise(side, side, np.random.default_rng([*seed])) for seed in seeds])


def of_one(simulator: Simulator, name: str) -> Imprinter:
    """Draws imprints of one generator by default options.

    Raises:
        ConfigError: the simulator does not know it.
    """
    return Imprinter(simulator, ImprintOptions(generators=(name,)))


def of_all_but(simulator: Simulator, name: str) -> Imprinter | None:
    """Draws imprints of the fused distribution of all other generators; None if there is no second one."""
    others = tuple(other for other in simulator.generators if other != name)
    return Imprinter(simulator, ImprintOptions(generators=others)) if len(others) > 1 else None


def white(name: str, differences: Floats, colours: Colours) -> Imprinter:
    """Draws imprints from a Laplace distribution per pixel and channel: what a fit without bands is.

    Args:
        differences: that it is fitted to, float [N, H, W, 3] in grey levels.
    """
    found = np.array([moments(values) for _, values in each_band(differences, 1, colours)])  # [3, 4]
    parameters: list[Any] = [column.reshape(1, 1, 1, 3) for column in found.T]
    simulator = Simulator(
        generators=(name,),
        settings=SimulatorSettings(block=1, colours=colours),
        fits={"laplace": Laplace.of(Moments(*parameters))},
        pictures=(len(differences),),
        coefficients=(differences[..., 0].size,),
        goodness=(),
    )
    return Imprinter(simulator, ImprintOptions())
