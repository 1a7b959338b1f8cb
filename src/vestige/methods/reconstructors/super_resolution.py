"""Reconstruction by a super-resolution network: the picture is scaled down and brought back."""

import hashlib
import math
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from vestige.errors import ConfigError
from vestige.methods.reconstructors.base import NAME, Options, Reconstructor, reflect, starting_weights
from vestige.methods.reconstructors.ncnn_network import KIND, NcnnNetwork

PROBE = (32, 40)  # sides of the picture that tells how much a network enlarges and what border it eats


class SuperResolutionOptions(Options):
    """A network in ncnn's format, such as those of Real-ESRGAN and waifu2x.

    Attributes:
        model: its files are model.param and model.bin, anywhere in the folder of starting weights.
        scale: by how much it enlarges.
        name: of the reconstructor; None: as the model.
        source: where the weights come from, with licence, for the card.
    """

    kind: Literal["super-resolution"] = "super-resolution"
    model: str = Field(pattern=NAME)
    scale: Literal[2, 3, 4]
    name: str | None = Field(None, pattern=NAME)
    source: str | None = None

    def build(self, weights: Path | None, run: Path | None) -> tuple[Reconstructor, ...]:
        """One reconstructor.

        Raises:
            ConfigError: the package ncnn is missing; there is no such model in the folder, or several; its
                files hold something else, or it enlarges by something else.
        """
        network = NcnnNetwork(*find_model(starting_weights(weights, KIND), self.model))
        note = self.source or f"{self.model}, super-resolution network in ncnn's format"
        return (SuperResolutionReconstructor(self.name or self.model, network, self.scale, note),)


def find_model(folder: Path, model: str) -> tuple[Path, Path]:
    """The files with a model's layers and weights, anywhere in the folder.

    Raises:
        ConfigError: they are not there, or there several times.
    """
    found = sorted(folder.glob(f"**/{model}.param"))
    if not found:
        raise ConfigError(f"{folder}: no {model}.param there, of a super-resolution network in ncnn's format")
    if len(found) > 1:
        raise ConfigError(
            f"{folder}: {model}.param is there {len(found)} times ({found[0]}, {found[1]}); leave one there"
        )
    return found[0], found[0].with_name(f"{model}.bin")


class SuperResolutionReconstructor(Reconstructor):
    """Reduced by antialiased bicubic interpolation, then enlarged by the network.

    The network is no part of the state_dict; the buffer `sha256` (uint8 [2, 32], of the layers' and of the
    weights' file) stands for it there, so that fingerprints of the state follow the files.
    """

    sha256: Tensor

    def __init__(self, name: str, network: NcnnNetwork, scale: int, note: str) -> None:
        description = f"super-resolution by {scale} in ncnn's format after antialiased bicubic reduction"
        super().__init__(name, description, scale, note)
        self.scale = scale
        self.network = network
        self.margin = _margin(network, scale)
        digests = [hashlib.sha256(path.read_bytes()).digest() for path in (network.param, network.binary)]
        self.register_buffer("sha256", torch.tensor([list(digest) for digest in digests], dtype=torch.uint8))
        self.freeze()

    def reconstruct(self, images: Tensor) -> Tensor:
        """As `Reconstructor.reconstruct` says."""
        height, width = images.shape[-2:]
        size = (height // self.scale, width // self.scale)
        small = F.interpolate(images, size=size, mode="bicubic", align_corners=False, antialias=True)
        # What the network eats at the edges is put there before.
        border = math.ceil(self.margin / self.scale)
        surplus = border * self.scale - self.margin
        padded = reflect(small.clamp(0, 1), border, border, border, border)
        made = torch.stack([self.network(image) for image in padded])
        made = made[..., surplus : made.shape[-2] - surplus, surplus : made.shape[-1] - surplus]
        if made.shape != images.shape:
            raise ConfigError(
                f"{self.network.param}: makes {tuple(made.shape[-3:])} of a picture that should come back as "
                f"{tuple(images.shape[-3:])}"
            )
        return made.to(images.device)


def _margin(network: NcnnNetwork, scale: int) -> int:
    """How many pixels of the enlarged picture a network leaves out at each edge; 0: none.

    Raises:
        ConfigError: it does not enlarge pictures by `scale`.
    """
    shape = network(torch.zeros(3, *PROBE)).shape
    if len(shape) == 3 and shape[0] == 3:
        missing = {scale * side - found for side, found in zip(PROBE, shape[1:], strict=True)}
        margin, odd = divmod(missing.pop(), 2)
        if not missing and not odd and margin >= 0:
            return margin
    raise ConfigError(
        f"{network.param}: does not enlarge pictures by {scale}, it makes {tuple(shape)} of {(3, *PROBE)}"
    )
