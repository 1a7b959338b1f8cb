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
