"""Tiny autoencoder of a latent-diffusion model (the TAESD family, Boer Bohan, MIT): encode, decode.

The published files are plain state dicts of an `nn.Sequential`; the architecture is read off here.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from vestige.errors import ConfigError
from vestige.nn.weights import load_weights

WIDTH = 64
LATENT = 32


class ResidualBlock(nn.Module):
    """conv-ReLU-conv-ReLU-conv plus the input, then ReLU; `pooled` adds a normalised branch first."""

    def __init__(self, pooled: bool = False) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
        )
        self.pool: nn.Sequential | None = None
        if pooled:
            self.pool = nn.Sequential(
                nn.Conv2d(WIDTH, 4 * WIDTH, 1, bias=False),
                nn.GroupNorm(4, 4 * WIDTH),
                nn.ReLU(),
                nn.Conv2d(4 * WIDTH, WIDTH, 1, bias=False),
            )

    def forward(self, x: Tensor) -> Tensor:
        """[B, 64, H, W] -> the same shape."""
        if self.pool is not None:
            x = x + self.pool(x)
        return torch.relu(self.conv(x) + x)


class Clamp(nn.Module):
    """Soft clamp of latents to (-3, 3)."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return 3 * torch.tanh(x / 3)


def _down() -> nn.Conv2d:
    return nn.Conv2d(WIDTH, WIDTH, 3, stride=2, padding=1, bias=False)


def _up() -> tuple[nn.Upsample, nn.Conv2d]:
    return nn.Upsample(scale_factor=2), nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False)


def build_encoder() -> nn.Sequential:
    """Images [B, 3, H, W] in [0, 1] -> latents [B, 32, H / 8, W / 8]."""
    layers: list[nn.Module] = [nn.Conv2d(3, WIDTH, 3, padding=1), ResidualBlock()]
    for pooled in (False, False, True):
        layers += [_down(), *(ResidualBlock(pooled) for _ in range(3))]
    return nn.Sequential(*layers, nn.Conv2d(WIDTH, LATENT, 3, padding=1))


def build_decoder() -> nn.Sequential:
    """Latents [B, 32, h, w] -> images [B, 3, 8h, 8w], about [0, 1]."""
    layers: list[nn.Module] = [Clamp(), nn.Conv2d(LATENT, WIDTH, 3, padding=1), nn.ReLU()]
    for pooled in (True, False, False):
        layers += [*(ResidualBlock(pooled) for _ in range(3)), *_up()]
    return nn.Sequential(*layers, ResidualBlock(), nn.Conv2d(WIDTH, 3, 3, padding=1))


class TinyAutoencoder(nn.Module):
    """Image -> reconstruction that carries the decoder's traces."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = build_encoder()
        self.decoder = build_decoder()

    def forward(self, images: Tensor) -> Tensor:
        """float [B, 3, H, W] in [0, 1], H and W multiples of 8 -> the same shape, clamped to [0, 1]."""
        reconstruction: Tensor = self.decoder(self.encoder(images)).clamp(0, 1)
        return reconstruction

    @classmethod
    def load(cls, encoder: str | Path, decoder: str | Path) -> "TinyAutoencoder":
        """Load the two published state dicts; the result is in eval mode and frozen.

        Raises:
            ConfigError: a file cannot be read or holds something else.
        """
        network = cls()
        load_weights(network.encoder, encoder)
        load_weights(network.decoder, decoder)
        return network.eval().requires_grad_(False)


def find_autoencoder(folder: Path) -> tuple[Path, Path]:
    """The files with the encoder's and the decoder's weights in a folder of starting weights.

    Raises:
        ConfigError: one of them is not there.
    """
    encoder, decoder = (sorted(folder.glob(f"**/*_{part}.pth")) for part in ("encoder", "decoder"))
    if not encoder or not decoder:
        raise ConfigError(
            f"{folder}: no *_encoder.pth and *_decoder.pth of a tiny autoencoder (TAESD family) there"
        )
    return encoder[0], decoder[0]
