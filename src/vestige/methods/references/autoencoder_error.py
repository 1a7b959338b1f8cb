"""Reconstruction error of a latent-diffusion autoencoder, after AEROBLADE (Ricker et al., CVPR 2024).

Training-free. What differs: one tiny autoencoder instead of the smallest error over those of several
generators; the perceptual distance is taken in an early layer of an ImageNet EfficientNet-Lite0 instead of
LPIPS's second VGG layer.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from vestige.methods.base import Method, Network, Output
from vestige.nn.efficientnet_lite import WEIGHTS_NOTE, EfficientNetLite0, imagenet_weights
from vestige.nn.tiny_autoencoder import TinyAutoencoder, find_autoencoder
from vestige.nn.weights import load_weights


class AutoencoderErrorConfig(BaseModel):
    """The `model` section of a recipe.

    Attributes:
        tap: block of the EfficientNet after which pictures are compared.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tap: int = Field(2, ge=0, le=15)


class AutoencoderError(Network):
    """Logit = -log distance(picture, its reconstruction): what the decoder can make is likelier generated."""

    def __init__(self, config: AutoencoderErrorConfig) -> None:
        super().__init__()
        self.tap = config.tap
        self.autoencoder = TinyAutoencoder().requires_grad_(False)
        self.trunk = EfficientNetLite0().requires_grad_(False)
        self.linear = nn.Linear(1, 1).requires_grad_(False)
        nn.init.ones_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def frozen(self, images: Tensor) -> tuple[Tensor, ...]:
        """float32 [B, 3, H, W] in [0, 1], H and W multiples of 32 -> [B, 1]: -log of the distance."""
        # Together: the exporter folds batch normalisation only into convolutions that are used once.
        (both,) = self.trunk(torch.cat([images, self.autoencoder(images)]), (self.tap,))
        ours, theirs = both.unflatten(0, (2, -1)).unbind(0)
        # As in LPIPS: the channels of a position have unit length before they are compared.
        squares = (F.normalize(ours, dim=1, eps=1e-6) - F.normalize(theirs, dim=1, eps=1e-6)) ** 2
        return (-(squares.sum(1).mean((1, 2)).clamp(min=1e-6)).log()[:, None],)

    def embed(self, *features: Tensor) -> Tensor:
        """[B, 1] as it is."""
        return features[0]

    def head(self, *features: Tensor) -> Output:
        """[B, 1] -> logits [B]."""
        return Output(self.linear(self.embed(*features))[:, 0])


def build(config: AutoencoderErrorConfig, weights: Path | None) -> AutoencoderError:
    """The network with the autoencoder's and ImageNet's weights from the folder `weights`."""
    network = AutoencoderError(config)
    if weights is not None:
        load_weights(network.trunk, imagenet_weights(weights))
        encoder, decoder = find_autoencoder(weights)
        load_weights(network.autoencoder.encoder, encoder)
        load_weights(network.autoencoder.decoder, decoder)
    return network


METHOD = Method(
    name="autoencoder-error",
    paper="Ricker, Lukovnikov and Fischer, AEROBLADE: Training-Free Detection of Latent Diffusion Images "
    "Using Autoencoder Reconstruction Error, CVPR 2024",
    config=AutoencoderErrorConfig,
    build=build,
    solver="none",
    starting_weights=(
        WEIGHTS_NOTE,
        "TAEF2, the tiny autoencoder of FLUX.2's latent space (Boer Bohan), MIT",
    ),
)
