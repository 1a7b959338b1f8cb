"""Learned networks that fill a part of a picture: reconstructors, and inpainting pipelines of diffusers.

Each is an `Inpaint` of `vestige.data.manipulations`: picture uint8 [H, W, 3] and mask bool [H, W] in, a whole
picture out, of which only the mask's pixels are the network's.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from vestige.data.manipulations.base import Inpaint
from vestige.errors import ConfigError
from vestige.methods.inpainters.diffusers_pipeline import DiffusersInpaintingOptions
from vestige.methods.inpainters.reconstructed import Reconstructed
from vestige.methods.reconstructors.dair import DairOptions
from vestige.methods.reconstructors.diffusers_vae import DiffusersVaeOptions
from vestige.methods.reconstructors.super_resolution import SuperResolutionOptions
from vestige.methods.reconstructors.tiny_autoencoder import TinyAutoencoderOptions

__all__ = ["InpainterOptions", "build_inpainters"]

InpainterOptions = Annotated[
    TinyAutoencoderOptions
    | SuperResolutionOptions
    | DairOptions
    | DiffusersVaeOptions
    | DiffusersInpaintingOptions,
    Field(discriminator="kind"),
]


def build_inpainters(
    options: Sequence[InpainterOptions], weights: Path | None, run: Path | None = None
) -> dict[str, Inpaint]:
    """The inpainters that a recipe lists, by name, in its order; one entry may give several.

    All are deterministic, and compute on the processor in float32.

    Args:
        options: as the recipe has them.
        weights: the folder of starting weights; a pipeline of diffusers needs none.
        run: folder of a run whose trained stages come before those in the folder of weights.

    Raises:
        ConfigError: one cannot be had, or two have the same name.
    """
    built: list[tuple[str, Inpaint]] = []
    for option in options:
        if isinstance(option, DiffusersInpaintingOptions):
            built.append((option.called, option.build()))
        else:
            built.extend((network.name, Reconstructed(network)) for network in option.build(weights, run))
    twice = [name for name, count in Counter(name for name, _ in built).items() if count > 1]
    if twice:
        raise ConfigError(f"several inpainters are called {', '.join(twice)}; name each differently")
    return dict(built)
