"""The simulator of imprints: distributions of several generators' differences, fitted and kept (Fig. 3 a)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from safetensors import safe_open
from safetensors.numpy import save_file

from vestige.errors import ConfigError, DataError
from vestige.methods.nirnet.bands import Colours, Floats
from vestige.methods.nirnet.fits import FAMILIES, Family, Fit, Parameters
from vestige.methods.nirnet.goodness import Goodness, fit_scopes, goodness

# One key: the library writes several in no fixed order, and the same simulator should be the same file.
METADATA = "vestige"


class SimulatorSettings(BaseModel):
    """What differences are taken apart into before they are fitted.

    Attributes:
        block: side of the blocks whose DCT bands are fitted one by one; 1 fits pixels: a white imprint.
        colours: "rgb" fits the channels as they are, "opponent" grey and two opponent axes, which keeps most
            of the correlation between channels.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    block: int = Field(8, ge=1, le=64)
    colours: Colours = "opponent"


class _Header(BaseModel):
    """What a file says beside the parameters."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["imprint simulator"] = "imprint simulator"
    version: Literal[1] = 1
    generators: tuple[str, ...] = Field(min_length=1)
    settings: SimulatorSettings
    pictures: tuple[int, ...]
    coefficients: tuple[int, ...]
    goodness: tuple[Goodness, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Simulator:
    """Distributions of the differences that generators leave, in grey levels.

    Attributes:
        generators: their names; rows of all parameters.
        settings: bands and colours.
        fits: one for each family, with parameters float32 [G, block, block, 3].
        pictures: how many each generator was fitted to.
        coefficients: how many of a band and channel those gave, which decides how exact the parameters are.
        goodness: rows for each generator, scope and family, measured on other pictures.
        notes: where the weights of the networks come from, with licence if known, as cards say it.
    """

    generators: tuple[str, ...]
    settings: SimulatorSettings
    fits: Mapping[Family, Fit]
    pictures: tuple[int, ...]
    coefficients: tuple[int, ...]
    goodness: tuple[Goodness, ...]
    notes: tuple[str, ...] = ()

    def subset(self, names: Sequence[str]) -> "Simulator":
        """Only these generators, in this order.

        Raises:
            ConfigError: no names, a name twice, or one that the simulator does not know.
        """
        for name in names:
            if name not in self.generators:
                raise ConfigError(
                    f"{name!r} is no generator of this simulator; choose among {', '.join(self.generators)}"
                )
        if not names or len(set(names)) < len(names):
            raise ConfigError("generators of a simulator must be named, and each of them once")
        picked = [self.generators.index(name) for name in names]
        return replace(
            self,
            generators=tuple(names),
            fits={family: fit.map(lambda values: values[picked]) for family, fit in self.fits.items()},
            pictures=tuple(self.pictures[index] for index in picked),
            coefficients=tuple(self.coefficients[index] for index in picked),
            goodness=tuple(row for name in names for row in self.goodness if row.generator == name),
        )

    def save(self, path: Path) -> None:
        """Write one self-contained safetensors file: parameters, and all else in its header's metadata."""
        header = _Header(
            generators=self.generators,
            settings=self.settings,
            pictures=self.pictures,
            coefficients=self.coefficients,
            goodness=self.goodness,
            notes=self.notes,
        )
        tensors = {
            f"{family}.{name}": np.ascontiguousarray(values)
            for family, fit in self.fits.items()
            for name, values in fit.parameters().items()
        }
        save_file(tensors, path, metadata={METADATA: header.model_dump_json()})

    @classmethod
    def load(cls, path: Path) -> "Simulator":
        """Read what `save` wrote.

        Raises:
            ConfigError: there is no such file, or it is something else.
        """
        if not path.is_file():
            raise ConfigError(f"{path}: no such file; a simulator of imprints is needed there")
        try:
            with safe_open(path, framework="numpy") as file:
                header = _Header.model_validate_json((file.metadata() or {})[METADATA])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            fits = _fits(tensors, header)
        except Exception as error:  # safetensors raises about anything on foreign bytes
            reason = str(error).strip().split("\n")[0]
            raise ConfigError(
                f"{path}: not a simulator of imprints that this version reads ({reason}); fit one again"
            ) from error
        return cls(
            header.generators,
            header.settings,
            fits,
            header.pictures,
            header.coefficients,
            header.goodness,
            header.notes,
        )


def fit(
    differences: Mapping[str, Floats], held_back: Mapping[str, Floats], settings: SimulatorSettings
) -> Simulator:
    """Fit all families to the differences of each generator, and measure how well they describe others.

    Both mappings are asked for each generator once, one after the other: they may read from disk.

    Args:
        differences: of each generator by its name, reconstruction - picture in grey levels: float
            [N, H, W, 3], sides multiples of the block.
        held_back: the same generators' differences of other pictures.

    Raises:
        ConfigError: blocks do not fill the pictures.
        DataError: no generators, not the same ones twice, no pictures, or numbers that are not finite.
    """
    # Of names alone: a comparison of keys() would read every array.
    if not differences or set(differences) != set(held_back):
        raise DataError(
            f"differences of {', '.join(differences) or 'no generator'} are to be fitted and those of "
            f"{', '.join(held_back) or 'no generator'} held back; both need the same generators"
        )
    block, colours = settings.block, settings.colours
    fits: list[dict[Family, Fit]] = []
    rows: list[Goodness] = []
    pictures, coefficients = [], []
    for name in differences:
        values, others = differences[name], held_back[name]
        for some in (values, others):
            _check(name, some, block)
        scopes = fit_scopes(values, block, colours)
        fits.append(scopes["pooled"])
        pictures.append(len(values))
        coefficients.append(values[..., 0].size // block**2)
        rows += goodness(name, scopes, others, block, colours)
    return Simulator(
        generators=tuple(differences),
        settings=settings,
        fits={family: _stack([found[family] for found in fits]) for family in FAMILIES},
        pictures=tuple(pictures),
        coefficients=tuple(coefficients),
        goodness=tuple(rows),
    )


def _check(name: str, values: Floats, block: int) -> None:
    if values.ndim != 4 or values.shape[-1] != 3 or not np.issubdtype(values.dtype, np.floating):
        raise ValueError(f"differences must be float [N, H, W, 3], got {values.dtype} {values.shape}")
    height, width = values.shape[1:3]
    if values.size == 0:
        raise DataError(f"{name}: no differences; more pictures are needed, both to fit and to hold back")
    if height % block or width % block:
        raise ConfigError(
            f"blocks of {block} pixels do not fill pictures of {height} x {width}; choose a block that "
            "divides both sides"
        )
    if not all(np.isfinite(picture).all() for picture in values):
        raise DataError(f"{name}: differences that are not finite; its reconstructions cannot be used")


def _stack(fits: Sequence[Fit]) -> Fit:
    """Fits of one family along a new first axis."""
    names = fits[0].parameters()
    return type(fits[0])(**{name: np.stack([fit.parameters()[name] for fit in fits]) for name in names})


def _fits(tensors: Mapping[str, Any], header: _Header) -> dict[Family, Fit]:
    """Fits from a file's tensors; ValueError if they are not what the header says."""
    block, count = header.settings.block, len(header.generators)
    if not count == len(set(header.generators)) == len(header.pictures) == len(header.coefficients):
        raise ValueError("its lists of generators do not agree")
    shape = (count, block, block, 3)
    found: dict[Family, Fit] = {}
    for family, kind in FAMILIES.items():
        parameters: dict[str, Parameters] = {}
        for name in kind.__dataclass_fields__:
            values = tensors.get(f"{family}.{name}")
            if values is None or values.dtype != np.float32 or values.shape != shape:
                raise ValueError(f"{family}.{name}, float32 {shape}, is missing")
            if not np.isfinite(values).all() or (name != "location" and values.min() <= 0):
                raise ValueError(f"{family}.{name} has impossible values")
            parameters[name] = values
        found[family] = kind(**parameters)
    return found
