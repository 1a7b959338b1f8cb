"""Networks that reconstruct pictures, one module for each kind.

A further kind is a module with its `Options` and its `Reconstructor`, and a name in `ReconstructorOptions`.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from vestige.errors import ConfigError
from vestige.methods.reconstructors.base import Reconstructor
from vestige.methods.reconstructors.dair import DairOptions
from vestige.methods.reconstructors.diffusers_vae import DiffusersVaeOptions
from vestige.methods.reconstructors.super_resolution import SuperResolutionOptions
from vestige.methods.reconstructors.tiny_autoencoder import TinyAutoencoderOptions

__all__ = ["Reconstructor", "ReconstructorOptions", "build_reconstructors"]

ReconstructorOptions = Annotated[
    TinyAutoencoderOptions | SuperResolutionOptions | DairOptions | DiffusersVaeOptions,
    Field(discriminator="kind"),
]


def build_reconstructors(
    options: Sequence[ReconstructorOptions], weights: Path | None, run: Path | None = None
) -> tuple[Reconstructor, ...]:
    """The reconstructors that a recipe lists, in its order; one entry may give several.

    Args:
        options: as the recipe has them.
        weights: the folder of starting weights.
        run: folder of a run whose trained stages come before those in the folder of weights.

    Raises:
        ConfigError: one cannot be had, or two have the same name.
    """
    built = tuple(network for option in options for network in option.build(weights, run))
    twice = [name for name, count in Counter(network.name for network in built).items() if count > 1]
    if twice:
        raise ConfigError(f"several reconstructors are called {', '.join(twice)}; name each differently")
    return built
