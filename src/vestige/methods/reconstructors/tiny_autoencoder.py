"""Reconstruction by the tiny autoencoder of a latent-diffusion model."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from torch import Tensor

from vestige.methods.reconstructors.base import NAME, Options, Reconstructor, starting_weights
from vestige.nn.tiny_autoencoder import TinyAutoencoder, find_autoencoder

KIND = "tiny-autoencoder"
FACTOR = 8  # pixels of a picture for one of its latents


class TinyAutoencoderOptions(Options):
    """The autoencoder *_encoder.pth and *_decoder.pth in the folder of starting weights.

    Attributes:
        name: of the reconstructor.
    """

    kind: Literal["tiny-autoencoder"] = "tiny-autoencoder"
    name: str = Field(KIND, pattern=NAME)

    def build(self, weights: Path | None, run: Path | None) -> tuple[Reconstructor, ...]:
        """One reconstructor.

        Raises:
            ConfigError: there is no folder, or no such files in it, or they hold something else.
        """
        encoder, decoder = find_autoencoder(starting_weights(weights, KIND))
        network = TinyAutoencoder.load(encoder, decoder)
        return (TinyAutoencoderReconstructor(self.name, network, weights_note(encoder)),)


class TinyAutoencoderReconstructor(Reconstructor):
    """Encoded and decoded again."""

    def __init__(self, name: str, network: TinyAutoencoder, note: str) -> None:
        super().__init__(name, "tiny autoencoder of the TAESD family", FACTOR, note)
        self.network = network
        self.freeze()

    def reconstruct(self, images: Tensor) -> Tensor:
        """As `Reconstructor.reconstruct` says."""
        made: Tensor = self.network(images)
        return made


def weights_note(encoder: Path) -> str:
    """What a card says of the weights, by the name of the encoder's file."""
    return f"{encoder.stem.removesuffix('_encoder').upper()}, of the TAESD family (Boer Bohan), MIT"
