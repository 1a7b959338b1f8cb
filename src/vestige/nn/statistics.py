"""What a frozen network or filter bank says of a patch, summed up over all its positions."""

import torch
from torch import Tensor, nn


def mean_and_deviation(features: Tensor) -> Tensor:
    """Mean and standard deviation of each channel over the patch: [B, C, H, W] -> [B, 2C]."""
    mean = features.mean((2, 3), keepdim=True)
    variance = ((features - mean) ** 2).mean((2, 3))
    # The floor keeps the gradient of the root finite on flat patches. It is no summand, because the ONNX
    # exporter drops an addition of a number this small, and dead channels would then come out as 0.
    return torch.cat([mean.flatten(1), variance.clamp(min=1e-8).sqrt()], 1)


def channel_correlations(features: Tensor) -> Tensor:
    """Correlation of each pair of channels over the patch: [B, C, H, W] -> [B, C (C - 1) / 2], in [-1, 1].

    Pairs (i, j), i < j, in rows of the upper triangle. Which features occur together tells textures apart
    (Gram matrices: Gatys et al., 2015); as correlations they leave contrast out. A channel whose deviation is
    far below 1e-3 counts as uncorrelated with all others.
    """
    channels = features.shape[1]
    flat = features.flatten(2)
    apart = flat - flat.mean(2, keepdim=True)
    apart = apart / ((apart**2).mean(2, keepdim=True).clamp(min=1e-12).sqrt() + 1e-3)
    products = apart @ apart.transpose(1, 2) / flat.shape[2]
    rows, columns = torch.triu_indices(channels, channels, 1).unbind()
    return products.flatten(1).index_select(1, (rows * channels + columns).to(products.device))


class Standardise(nn.Module):
    """(x - mean) / deviation with constants fitted once; part of the exported graph."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))

    def fit(self, features: Tensor) -> None:
        """Take mean and deviation from features [N, width], N >= 2."""
        self.mean.copy_(features.mean(0))
        # A feature that hardly varied must not blow up rounding errors when it is divided by its deviation.
        self.deviation.copy_(features.std(0).clamp(min=1e-4))

    def forward(self, features: Tensor) -> Tensor:
        """[B, width] -> the same shape."""
        return (features - self.mean) / self.deviation
