"""Imprints on pictures: samples from the fused distribution of several generators (Fig. 3 b).

The paper says that distributions are fused and sampled, not how. Here every picture draws weights of the
generators, so that each gets the imprint of another "future" generator between the known ones.
"""

import hashlib
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from vestige.methods.nirnet.bands import Floats, from_bands, from_colours
from vestige.methods.nirnet.fits import Family, Fit, Parameters
from vestige.methods.nirnet.simulator import Simulator

VERSION = 1  # of how imprints are drawn; part of an imprinter's key
STRIP = 1 << 21  # pixels that are drawn at once: a whole photograph would take gigabytes


class ImprintOptions(BaseModel):
    """What a recipe says of imprints.

    Attributes:
        generators: of the simulator; None: all.
        fusion: weights of the generators for a picture: "dirichlet" draws them, "single" draws one generator
            (several generators, but no fusion), "equal" is the same for all.
        concentration: of the Dirichlet distribution: 1 draws all weights alike, less prefers few generators,
            more prefers equal weights.
        mixing: "mixture" draws the generator of every coefficient by the weights: a sample of the mixture
            distribution. "parameters" averages locations and logarithms of scales (and shapes) by the
            weights: one distribution of the family again.
        family: which fits are sampled; the paper's is Laplace.
        strength: a factor of the whole imprint is drawn uniformly between these two for each picture.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    generators: tuple[str, ...] | None = Field(None, min_length=1)
    fusion: Literal["dirichlet", "single", "equal"] = "dirichlet"
    concentration: float = Field(1.0, ge=1e-3, le=1e3)
    mixing: Literal["parameters", "mixture"] = "mixture"
    family: Family = "laplace"
    strength: tuple[float, float] = (1.0, 1.0)

    @model_validator(mode="after")
    def _sensible_strength(self) -> "ImprintOptions":
        low, high = self.strength
        if not 0 <= low <= high < float("inf") or high == 0:
            raise ValueError("strength must be two factors of at least 0, the smaller first, not both 0")
        return self


class Imprinter:
    """Puts imprints on pictures. It keeps no state between pictures, so threads may share it.

    Attributes:
        generators: names of those used; weights are in this order.
        notes: where the weights of the simulator's networks come from, with licence if known.
        key: SHA-256 of all that decides the imprints besides the random generator: options and parameters.

    Raises:
        ConfigError: the simulator does not know a generator that the options name.
    """

    def __init__(self, simulator: Simulator, options: ImprintOptions) -> None:
        used = simulator if options.generators is None else simulator.subset(options.generators)
        self.generators = used.generators
        self.notes = used.notes
        self.options = options
        self.settings = used.settings
        self._fit = used.fits[options.family]
        self.key = self._key()

    def weights(self, rng: np.random.Generator) -> npt.NDArray[np.float64]:
        """Weights of the generators for one picture: [G], sum 1."""
        count = len(self.generators)
        if self.options.fusion == "single":
            weights: npt.NDArray[np.float64] = np.eye(count)[rng.integers(count)]
            return weights
        if self.options.fusion == "equal":
            return np.full(count, 1 / count)
        return rng.dirichlet(np.full(count, self.options.concentration))

    def sample(
        self, weights: npt.NDArray[np.float64], height: int, width: int, rng: np.random.Generator
    ) -> Parameters:
        """An imprint of strength 1 with given weights of the generators.

        Args:
            weights: [G], sum 1.

        Returns:
            float32 [height, width, 3] in grey levels; blocks are cut at the right and lower edges.
        """
        block = self.settings.block
        rows, columns = -(-height // block), -(-width // block)
        at_once = max(1, STRIP // (columns * block**2))
        strips = [
            self._strip(weights, (min(at_once, rows - start), columns, block, block, 3), rng)
            for start in range(0, rows, at_once)
        ]
        return np.concatenate(strips)[:height, :width]

    def _strip(
        self, weights: npt.NDArray[np.float64], shape: tuple[int, ...], rng: np.random.Generator
    ) -> Parameters:
        """Some rows of blocks, drawn as coefficients of `shape`: float32 [height, width, 3]."""
        used = np.flatnonzero(weights)
        if len(used) == 1:
            fused = self._fit.map(lambda values: values[used[0]])
        elif self.options.mixing == "parameters":
            fused = self._fit.blend(weights)
        else:
            fused = _mixture(self._fit, weights, shape, rng)
        bands: Floats = fused.sample(rng, shape)
        return from_colours(from_bands(bands), self.settings.colours).astype(np.float32)

    def noise(self, height: int, width: int, rng: np.random.Generator) -> Parameters:
        """The imprint of one picture: weights, strength and coefficients are drawn in this order.

        Returns:
            float32 [height, width, 3] in grey levels.
        """
        weights = self.weights(rng)
        strength = np.float32(rng.uniform(*self.options.strength))
        noise: Parameters = strength * self.sample(weights, height, width, rng)
        return noise

    def __call__(self, pixels: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        """A picture with an imprint, rounded to grey levels: uint8 [H, W, 3] -> the same shape.

        Raises:
            ValueError: pixels of another type or shape.
        """
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[-1] != 3:
            raise ValueError(f"pixels must be uint8 [H, W, 3], got {pixels.dtype} {pixels.shape}")
        height, width = pixels.shape[:2]
        found: Floats = np.rint(pixels + self.noise(height, width, rng)).clip(0, 255)
        return found.astype(np.uint8)

    def _key(self) -> str:
        known = self.options.model_dump_json(include=set(ImprintOptions.model_fields) - {"generators"})
        digest = hashlib.sha256(f"{VERSION} {known} {self.settings.model_dump_json()}".encode())
        for name, values in sorted(self._fit.parameters().items()):
            digest.update(f" {name} {values.shape} ".encode())
            digest.update(np.ascontiguousarray(values, dtype="<f4").tobytes())
        return digest.hexdigest()


def _mixture(
    fit: Fit, weights: npt.NDArray[np.float64], shape: tuple[int, ...], rng: np.random.Generator
) -> Fit:
    """Each coefficient's distribution, of a generator drawn by the weights; parameters of `shape`."""
    bounds = np.cumsum(weights / weights.sum())[:-1].astype(np.float32)
    drawn = np.searchsorted(bounds, rng.random(shape, dtype=np.float32), side="right")
    bands = shape[-3:]
    place = drawn * int(np.prod(bands)) + np.arange(int(np.prod(bands))).reshape(bands)
    return fit.map(lambda values: np.take(values, place))
