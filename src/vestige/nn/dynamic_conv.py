"""Context-conditioned dynamic convolution (GenSign, section 3.1): kernels mixed anew for every input."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Router = Literal["pooled", "convolutional"]
Mix = Literal["kernels", "outputs"]

SLOPE = 0.2  # of the routers' LeakyReLU


class PooledRouter(nn.Module):
    """The paper's g(h): global average pooling and an MLP."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(channels, channels), nn.LeakyReLU(SLOPE), nn.Linear(channels, outputs)
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, outputs]."""
        found: Tensor = self.layers(x.mean((2, 3)))
        return found


class ConvolutionalRouter(nn.Module):
    """The router of the authors' code: two strided convolutions, global mean, an MLP."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 2, 1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(channels, channels, 3, 2, 1),
            nn.LeakyReLU(SLOPE),
        )
        self.mixer = PooledRouter(channels, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, outputs]."""
        found: Tensor = self.mixer(self.layers(x))
        return found


class DynamicConv2d(nn.Module):
    """K base kernels, mixed filter by filter with weights that a router reads off the input.

    The kernel of filter c is sum_i A[i, c] W_i[c]; the weights A are not normalised and mix the biases too.
    As a convolution is linear in its kernel, mixing the K outputs gives the same and costs K times as much.

    Args:
        channels: of input and output.
        kernels: K, the number of base kernels.
        router: "pooled" (paper) or "convolutional" (authors' code).
        mix: "kernels", or "outputs" as the authors do.
    """

    def __init__(
        self, channels: int, kernels: int = 4, router: Router = "pooled", mix: Mix = "kernels", size: int = 3
    ) -> None:
        super().__init__()
        self.channels, self.kernels, self.size, self.mix = channels, kernels, size, mix
        self.weight = nn.Parameter(torch.empty(kernels, channels, channels, size, size))
        self.bias = nn.Parameter(torch.empty(kernels, channels))
        for weight, bias in zip(self.weight, self.bias, strict=True):
            fresh = nn.Conv2d(channels, channels, size)
            weight.data.copy_(fresh.weight.data)
            bias.data.copy_(fresh.bias.data)  # type: ignore[union-attr]
        kind = PooledRouter if router == "pooled" else ConvolutionalRouter
        self.router = kind(channels, kernels * channels)
        # A sum of K independent kernels, each times 1 / sqrt(K), has the variance of one.
        mixer = self.router if isinstance(self.router, PooledRouter) else self.router.mixer
        last = mixer.layers[-1]
        assert isinstance(last, nn.Linear)
        nn.init.constant_(last.bias, kernels**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the same shape."""
        weights = self.router(x).unflatten(1, (self.kernels, self.channels))  # [B, K, C]
        return self._mix_kernels(x, weights) if self.mix == "kernels" else self._mix_outputs(x, weights)

    def _mix_kernels(self, x: Tensor, weights: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        kernel = torch.einsum("bkc,kcdij->bcdij", weights, self.weight.to(weights.dtype))
        bias = torch.einsum("bkc,kc->bc", weights, self.bias.to(weights.dtype))
        # Each picture is a group of its own in one convolution.
        found = F.conv2d(
            x.reshape(1, batch * channels, height, width),
            kernel.flatten(0, 1),
            bias.flatten(),
            padding=self.size // 2,
            groups=batch,
        )
        return found.view(batch, channels, height, width)

    def _mix_outputs(self, x: Tensor, weights: Tensor) -> Tensor:
        found = F.conv2d(x, self.weight.flatten(0, 1), self.bias.flatten(), padding=self.size // 2)
        outputs = found.reshape(len(x), self.kernels, self.channels, *x.shape[2:])
        return (outputs * weights[..., None, None]).sum(1)
