"""Perceptual distances between pictures: LPIPS (Zhang et al., 2018) and its shift-tolerant kind, ST-LPIPS.

LPIPS, version 0.1: the activations of a frozen network at five layers are brought to unit length along
the channels, subtracted, squared, weighted by learned weights of the channels, averaged over the plane
and summed over the layers. ST-LPIPS (Ghildyal and Liu, ECCV 2022) does the same on networks that blur
where they subsample, so that a shift by a pixel changes little. `perceptual_weights` reads the published
weights of both.
"""

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from vestige.errors import ConfigError
from vestige.nn.perceptual_trunks import CHANNELS, alexnet, vgg16

PerceptualKind = Literal["lpips-vgg", "lpips-alex", "stlpips-vgg", "stlpips-alex"]

# Both publications shift and scale [-1, 1]; on [0, 1] that is ImageNet's mean and deviation.
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
# Keeps places without any activation from dividing by zero; the publications' value.
EPSILON = 1e-10


class PerceptualDistance(nn.Module):
    """A frozen perceptual distance, as loss or as metric.

    Weights are random until loaded. Its parameters need no gradient; beside a trained network it is
    better kept out of that network's submodules, or every checkpoint carries them.

    Args:
        kind: which network, and whether it blurs.

    Attributes:
        kind: as given.
        features: the trunk, layers numbered as in the published weights.
        taps: indices of the five layers that are compared.
        weights: one [C] for each of them.

    Raises:
        ConfigError: there is no such kind.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, kind: PerceptualKind) -> None:
        super().__init__()
        if kind not in get_args(PerceptualKind):
            raise ConfigError(
                f"no perceptual distance {kind!r}; there are {', '.join(get_args(PerceptualKind))}"
            )
        self.kind = kind
        family, name = kind.split("-")
        blurred = family == "stlpips"
        self.features, self.taps = vgg16(blurred) if name == "vgg" else alexnet(blurred)
        self.weights = nn.ParameterList(torch.full((count,), 1 / count) for count in CHANNELS[name])
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION).view(3, 1, 1), persistent=False)
        # In this layout a CPU takes the maxima of bfloat16 ten times faster.
        convert_conv2d_weight_memory_format(self.features, torch.channels_last)
        self.requires_grad_(False)
        self.eval()

    def activations(self, images: Tensor) -> list[Tensor]:
        """Activations at the tapped layers, after their ReLU.

        Args:
            images: float [B, 3, H, W] in [0, 1], at least 64 x 64.

        Returns:
            Five tensors [B, C_t, H_t, W_t].
        """
        x = ((images - self.mean) / self.deviation).contiguous(memory_format=torch.channels_last)
        found = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self.taps:
                found.append(x)
        return found

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Distance of each picture in `a` to its partner in `b`.

        Args:
            a: float [B, 3, H, W] in [0, 1], at least 64 x 64.
            b: likewise. Where one of the two needs no gradient, no graph is kept for it.

        Returns:
            float32 [B], 0 = alike, not negative.

        Raises:
            ValueError: the shapes differ.
        """
        if a.shape != b.shape:
            raise ValueError(
                f"pictures of one shape are compared, not {tuple(a.shape)} with {tuple(b.shape)}"
            )
        if torch.is_grad_enabled() and a.requires_grad != b.requires_grad:
            moving, fixed = (a, b) if a.requires_grad else (b, a)
            with torch.no_grad():
                references = self.activations(fixed)
            pairs = list(zip(self.activations(moving), references, strict=True))
        else:
            pairs = [(both[: len(a)], both[len(a) :]) for both in self.activations(torch.cat([a, b]))]
        with torch.autocast(a.device.type, enabled=False):
            shares = [layer_distance(x, y, w) for (x, y), w in zip(pairs, self.weights, strict=True)]
        return torch.stack(shares).sum(0)


def layer_distance(x: Tensor, y: Tensor, weights: Tensor) -> Tensor:
    """One layer's share (Zhang et al., eq. 1): weighted squared differences of unit vectors, averaged.

    Args:
        x: activations [B, C, H, W]; taken to float32, as squares in bfloat16 have too few digits.
        y: likewise.
        weights: [C], not negative.

    Returns:
        float32 [B].
    """
    squares = (_unit(x.float()) - _unit(y.float())).square()
    total: Tensor = torch.einsum("bchw,c->b", squares, weights.float())
    return total / (x.shape[2] * x.shape[3])


def _unit(x: Tensor) -> Tensor:
    # Unlike the root of a sum of squares, this norm has a gradient, 0, where all channels are 0.
    length: Tensor = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return x / (length + EPSILON)
