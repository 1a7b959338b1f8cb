"""Residual networks of basic blocks (He et al., 2016), of any width and depth, with random weights."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """conv 3x3, BN, ReLU, conv 3x3, BN, add, ReLU; a 1x1 convolution on the way past where shapes change."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.past: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.past = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, outputs, H / stride, W / stride]."""
        inner = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(inner + self.past(x))


class ResNet(nn.Module):
    """Stem, stages of basic blocks, global mean.

    Args:
        widths: channels of each stage; each but the first halves the resolution.
        blocks: basic blocks in each stage.
        stem: size of the first convolution, which has stride 2 and is followed by a 3x3 maximum, stride 2.
    """

    def __init__(self, widths: Sequence[int], blocks: Sequence[int], stem: int = 7) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, widths[0], stem, 2, stem // 2, bias=False)
        self.norm = nn.BatchNorm2d(widths[0])
        layers: list[nn.Module] = []
        before = widths[0]
        for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            for number in range(count):
                layers.append(BasicBlock(before, width, 2 if stage and not number else 1))
                before = width
        self.stages = nn.Sequential(*layers)
        self.width = before
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, H, W], H and W at least 32 -> [B, width]."""
        x = F.max_pool2d(F.relu(self.norm(self.stem(x))), 3, 2, 1)
        found: Tensor = self.stages(x).mean((2, 3))
        return found
