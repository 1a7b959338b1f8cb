"""The networks under the perceptual distances: the convolutions of AlexNet and VGG16, as they are or blurred.

Plain ones are those of torchvision (Krizhevsky, 2014; Simonyan and Zisserman, 2015). Blurred ones subsample
by blurring (Zhang, "Making Convolutional Networks Shift-Invariant Again", 2019) in the variant of ST-LPIPS.
Layers are numbered as in the published weights.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Channels at the five tapped layers.
CHANNELS = {"alex": (64, 192, 384, 256, 256), "vgg": (64, 128, 256, 512, 512)}

_BLUR = (0.25, 0.5, 0.25)
_MEAN = (0.5, 0.5)


class BlurPool(nn.Module):
    """Blur by [1, 2, 1] / 4 down and across and subsample by 2, after reflecting two pixels at each side."""

    kernel: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        line = torch.tensor(_BLUR)
        kernel = torch.outer(line, line).expand(channels, 1, 3, 3).contiguous()
        self.register_buffer("kernel", kernel, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> float32 [B, C, (H + 3) // 2, (W + 3) // 2]."""
        # On a CPU the gradient of such a convolution takes twenty times longer in bfloat16.
        with torch.autocast(x.device.type, enabled=False):
            padded = F.pad(x.to(self.kernel.dtype), (2, 2, 2, 2), mode="reflect")
            return F.conv2d(padded, self.kernel, stride=2, groups=len(self.kernel))


class BlurredConv(nn.Conv2d):
    """A convolution with padding 2, then `BlurPool`, in one: a convolution with a wider kernel and stride 2.

    The two commute but for the reflection at the sides. Across the first side the blur sees mirrored what
    it sees one step further in, so the first output repeats the second. Across the last side the same
    holds if the unblurred map has an odd side; if it is even, the output is the mean of its last two pixels.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__(inputs, outputs, kernel, padding=2)

    def forward(self, input: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C', (H + 8 - kernel) // 2, (W + 8 - kernel) // 2]."""
        x = F.pad(input, (2, 2, 2, 2))
        size = self.kernel_size[0]
        odd_height, odd_width = ((side - size + 1) % 2 for side in x.shape[2:])
        rows = [self._rows(x, _BLUR, odd_width)]
        if not odd_height:
            rows.append(self._rows(x[:, :, -size - 1 :], _MEAN, odd_width))
        return F.pad(torch.cat(rows, 2), (1, odd_width, 1, odd_height), mode="replicate")

    def _rows(self, x: Tensor, down: tuple[float, ...], odd_width: int) -> Tensor:
        parts = [strided_conv(x, self._kernel(down, _BLUR), self.bias, 2)]
        if not odd_width:
            last = x[:, :, :, -self.kernel_size[1] - 1 :]
            parts.append(strided_conv(last, self._kernel(down, _MEAN), self.bias, 2))
        return torch.cat(parts, 3)

    def _kernel(self, down: tuple[float, ...], across: tuple[float, ...]) -> Tensor:
        tall = [F.pad(self.weight, (0, 0, i, len(down) - 1 - i)) * factor for i, factor in enumerate(down)]
        kernel = torch.stack(tall).sum(0)
        wide = [F.pad(kernel, (i, len(across) - 1 - i)) * factor for i, factor in enumerate(across)]
        return torch.stack(wide).sum(0)


def strided_conv(x: Tensor, kernel: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    """A convolution without padding, as one with stride 1 on blocks of pixels laid out as channels.

    With few input channels that is several times faster on a CPU, the gradient above all.

    Args:
        x: [B, C, H, W].
        kernel: [C', C, h, w].
        bias: [C'] or None.
        stride: of both axes.

    Returns:
        [B, C', (H - h) // stride + 1, (W - w) // stride + 1].
    """
    grow = [-side % stride for side in kernel.shape[2:]]
    blocks = F.pixel_unshuffle(F.pad(kernel, (0, grow[1], 0, grow[0])), stride)
    # The last step of the kernel, grown to whole blocks, must end where the picture does.
    over = [
        extra - (side - size) % stride
        for extra, side, size in zip(grow, x.shape[2:], kernel.shape[2:], strict=True)
    ]
    return F.conv2d(F.pixel_unshuffle(F.pad(x, (0, over[1], 0, over[0])), stride), blocks, bias)


def _relu() -> nn.ReLU:
    return nn.ReLU(inplace=True)


def alexnet(blurred: bool) -> tuple[nn.Sequential, tuple[int, ...]]:
    """AlexNet's convolutions with random weights, and the indices of the tapped layers."""

    def pool(channels: int) -> list[nn.Module]:
        return [nn.MaxPool2d(3, 1), BlurPool(channels)] if blurred else [nn.MaxPool2d(3, 2)]

    # The blur after the first convolution is part of it; the identity keeps its number free.
    first: list[nn.Module] = (
        [BlurredConv(3, 64, 11), nn.Identity()] if blurred else [nn.Conv2d(3, 64, 11, 4, 2)]
    )
    layers = [
        *(*first, _relu()),
        *(*pool(64), nn.Conv2d(64, 192, 5, padding=2), _relu()),
        *(*pool(192), nn.Conv2d(192, 384, 3, padding=1), _relu()),
        *(nn.Conv2d(384, 256, 3, padding=1), _relu()),
        *(nn.Conv2d(256, 256, 3, padding=1), _relu()),
    ]
    taps = tuple(index for index, layer in enumerate(layers) if isinstance(layer, nn.ReLU))
    return nn.Sequential(*layers), taps


def vgg16(blurred: bool) -> tuple[nn.Sequential, tuple[int, ...]]:
    """VGG16's convolutions with random weights, and the indices of the tapped layers, one per resolution."""
    layers: list[nn.Module] = []
    taps: list[int] = []
    inputs = 3
    for outputs, convolutions in zip(CHANNELS["vgg"], (2, 2, 3, 3, 3), strict=True):
        if taps:
            layers += [nn.MaxPool2d(2, 1), BlurPool(inputs)] if blurred else [nn.MaxPool2d(2, 2)]
        for _ in range(convolutions):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), _relu()]
            inputs = outputs
        taps.append(len(layers) - 1)
    return nn.Sequential(*layers), tuple(taps)
