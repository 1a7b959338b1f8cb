"""Latents of a fixed encoder: what NIRNet's difference-aware loss compares pictures by."""

from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from vestige.errors import ConfigError
from vestige.methods.reconstructors.base import Frozen
from vestige.methods.reconstructors.diffusers_vae import (
    VaeSource,
    describe,
    factor,
    load_vae,
    posterior_mode,
)
from vestige.methods.reconstructors.tiny_autoencoder import FACTOR, weights_note
from vestige.nn.tiny_autoencoder import LATENT, build_encoder, find_autoencoder
from vestige.nn.weights import load_weights


class TinyAutoencoderLatents(BaseModel):
    """The encoder *_encoder.pth in the folder of starting weights (TAESD family)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["tiny-autoencoder"] = "tiny-autoencoder"


class DiffusersVaeLatents(VaeSource):
    """The encoder of an `AutoencoderKL` from the Hugging Face hub or a folder.

    Attributes:
        channels, factor: of its latents. They are told and not asked for, so that a trained network can be
            restored without the hub; with the weights they are checked.
    """

    kind: Literal["diffusers-vae"] = "diffusers-vae"
    channels: int = Field(4, ge=1)
    factor: int = Field(8, ge=1)


LatentOptions = Annotated[TinyAutoencoderLatents | DiffusersVaeLatents, Field(discriminator="kind")]


class Latents(Frozen):
    """Pictures -> latents, deterministic and without gradients.

    Attributes:
        description: all that decides the latents besides the tensors of the state_dict.
        channels: of the latents.
        factor: pixels of a picture for one of its latents.
        weights_note: where the weights come from, with licence, as a card says it.
    """

    def __init__(self, description: str, channels: int, factor: int, weights_note: str) -> None:
        super().__init__()
        self.description = description
        self.channels = channels
        self.factor = factor
        self.weights_note = weights_note

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """float32 [B, 3, H, W] in [0, 1], sides multiples of `factor` -> float32 [B, channels, H/f, W/f].

        Computed in float32 also under autocast.
        """
        if images.shape[-2] % self.factor or images.shape[-1] % self.factor:
            raise ValueError(f"sides must be multiples of {self.factor}, got {tuple(images.shape[-2:])}")
        with torch.autocast(images.device.type, enabled=False):
            return self.encode(images.float())

    def encode(self, images: Tensor) -> Tensor:
        """As `forward` says."""
        raise NotImplementedError


class TinyEncoder(Latents):
    """What the tiny autoencoder's encoder says, before the decoder's soft clamp."""

    def __init__(self, encoder: nn.Module, note: str) -> None:
        super().__init__("latents of a tiny autoencoder of the TAESD family", LATENT, FACTOR, note)
        self.encoder = encoder
        self.freeze()

    def encode(self, images: Tensor) -> Tensor:
        """As `Latents.forward` says."""
        found: Tensor = self.encoder(images)
        return found


class VaeEncoder(Latents):
    """Mode of the posterior, shifted and scaled as its configuration says, to about unit variance."""

    shift: Tensor
    scale: Tensor

    def __init__(self, vae: Any, note: str) -> None:
        channels = int(vae.config.latent_channels)
        super().__init__(f"scaled latents of an {describe(vae)}", channels, factor(vae), note)
        scale = torch.full((channels,), float(vae.config.scaling_factor))
        shift = torch.full((channels,), float(vae.config.get("shift_factor") or 0))
        if vae.config.get("latents_mean") is not None and vae.config.get("latents_std") is not None:
            shift = torch.tensor(vae.config.latents_mean, dtype=torch.float32)
            scale = scale / torch.tensor(vae.config.latents_std, dtype=torch.float32)
        self.register_buffer("shift", shift.view(1, -1, 1, 1))
        self.register_buffer("scale", scale.view(1, -1, 1, 1))
        vae.decoder = vae.post_quant_conv = None  # half of the memory, and not used
        self.vae = vae
        self.freeze()

    def encode(self, images: Tensor) -> Tensor:
        """As `Latents.forward` says."""
        return (posterior_mode(self.vae, images) - self.shift) * self.scale


def build_latents(options: TinyAutoencoderLatents | DiffusersVaeLatents, weights: Path | None) -> Latents:
    """The encoder that options speak of.

    Args:
        options: one of `LatentOptions`.
        weights: the folder of starting weights. None is for restoring a trained network, which needs no more
            than the shape of latents: fresh tensors, or for a diffusers-vae nothing that could encode.

    Raises:
        ConfigError: weights or configuration cannot be had, or are something else.
    """
    if isinstance(options, DiffusersVaeLatents):
        if weights is None:
            return Latents("latents that nobody asks for", options.channels, options.factor, options.note)
        found = VaeEncoder(load_vae(options), options.note)
        if (found.channels, found.factor) != (options.channels, options.factor):
            raise ConfigError(
                f"{options.hub}: its latents have {found.channels} channels and one for {found.factor} "
                f"pixels, the recipe says {options.channels} and {options.factor} (channels, factor)"
            )
        return found
    encoder = build_encoder()
    if weights is None:
        return TinyEncoder(encoder, "fresh tensors")
    path, _ = find_autoencoder(weights)
    load_weights(encoder, path)
    return TinyEncoder(encoder, weights_note(path))
