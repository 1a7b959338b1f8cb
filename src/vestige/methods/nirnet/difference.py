"""The Difference-Aware Loss: differences of imprints must tell differences of latents (NIRNet, Fig. 5)."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vestige.errors import ConfigError


class DifferenceLoss(nn.Module):
    """An MLP maps n(x1) - n(x2) to z(x1) - z(x2), z a fixed VAE encoder; mean squared error (paper, Fig. 5).

    What we can read of the paper leaves open what the MLP runs over. The spatial reading is ours: the same
    MLP at each place of the latent grid, on the imprint's pixels in that cell, so that its size does not
    depend on the picture's, and imprints must agree with latents place by place. Latents are divided by their
    channel's standard deviation; of a difference that is all that standardising leaves. Predicting 0 thus
    costs about 2.

    Args:
        latent_channels: C of the latents.
        factor: pixels along the side of one cell of the latent grid.
        hidden: width of the MLP's hidden layer.
    """

    deviation: Tensor

    def __init__(self, latent_channels: int, factor: int = 8, hidden: int = 128) -> None:
        super().__init__()
        self.factor = factor
        self.mlp = nn.Sequential(
            nn.Conv2d(3 * factor**2, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, latent_channels, 1)
        )
        self.register_buffer("deviation", torch.ones(latent_channels))

    @torch.no_grad()
    def fit(self, latents: Iterable[Tensor]) -> None:
        """Take the standard deviation of each channel from latents.

        Args:
            latents: [N, C, h, w] each, any N, h and w, any float type; at least one.

        Raises:
            ValueError: there are none.
        """
        total = torch.zeros_like(self.deviation, dtype=torch.float64)
        squares, count = torch.zeros_like(total), 0
        for some in latents:
            values = some.to(total)
            total += values.sum((0, 2, 3))
            squares += values.square().sum((0, 2, 3))
            count += values[:, 0].numel()
        if not count:
            raise ValueError("no latents to take a deviation from")
        variance = squares / count - (total / count).square()
        # A channel that hardly varied must not blow up rounding errors when it is divided by its deviation.
        self.deviation.copy_(variance.clamp(min=1e-8).sqrt())

    def forward(self, imprints: Tensor, latents: Tensor) -> Tensor:
        """Compare each picture with the next of the batch, the last one with the first.

        Args:
            imprints: [B, 3, S, S], B >= 2.
            latents: [B, C, S / factor, S / factor]; never gets a gradient.

        Returns:
            float32 scalar, the mean over pairs, channels and places.

        Raises:
            ConfigError: a batch of one, or the latents' grid does not lie on the imprints.
        """
        predicted, wanted = self._differences(imprints, latents)
        return F.mse_loss(predicted, wanted)

    def _differences(self, imprints: Tensor, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Predicted and true differences of standardised latents, float32 [B, C, h, w] both."""
        if len(imprints) < 2:
            raise ConfigError(
                "the difference-aware loss compares pictures of a batch with each other; "
                "a batch must have at least 2"
            )
        height, width = latents.shape[-2:]
        if tuple(imprints.shape[-2:]) != (height * self.factor, width * self.factor):
            raise ConfigError(
                f"latents of {height} x {width} places of {self.factor} pixels do not cover imprints of "
                f"{imprints.shape[-2]} x {imprints.shape[-1]}; sides must be multiples of {self.factor}"
            )
        cells = F.pixel_unshuffle(imprints - imprints.roll(-1, 0), self.factor)
        scaled = latents.detach().float() / self.deviation.view(1, -1, 1, 1)
        return self.mlp(cells).float(), scaled - scaled.roll(-1, 0)
