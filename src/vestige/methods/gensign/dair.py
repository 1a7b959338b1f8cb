"""DAIR, the dynamic-architecture image reconstructor (GenSign, section 3.1): stage I.

A reconstruction by a structure that was drawn stands for the picture of one generator: the difference to
the original is its trace.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from vestige.methods.gensign.structure import LEVELS, SUB_BLOCKS, Part, Stage, Structure, SubBlock
from vestige.nn.dynamic_conv import SLOPE, DynamicConv2d, Mix, Router

SCALE = 2**LEVELS  # sides of images must be multiples of it


class DairConfig(BaseModel):
    """Sizes; the defaults are the paper's.

    Attributes:
        encoder: channels of the maps at 1/2, 1/4, 1/8.
        decoder: channels after the stages that lead to 1/4, 1/2 and the picture.
        kernels: base kernels of a dynamic convolution, K.
        groups: of the group normalisation, fewer where there are fewer channels.
        router: "pooled" as in the paper, or "convolutional" as in the authors' code.
        mix: mix kernels, or outputs as the authors' code does; the result is the same.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    encoder: tuple[int, int, int] = (64, 128, 256)
    decoder: tuple[int, int, int] = (128, 64, 32)
    kernels: int = Field(4, ge=1)
    groups: int = Field(32, ge=1)
    router: Router = "pooled"
    mix: Mix = "kernels"

    @model_validator(mode="after")
    def _divisible(self) -> "DairConfig":
        for width in (*self.encoder, *self.decoder):
            if width < 1:
                raise ValueError(f"channels must be positive, got {width}")
        for width in self.decoder:
            if width % min(self.groups, width):
                raise ValueError(f"decoder channels ({width}) must be a multiple of groups ({self.groups})")
        return self


class ResidualBlock(nn.Module):
    """conv-BN-Swish-conv-BN, add, Swish."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1),
            nn.BatchNorm2d(channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, 1, 1),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the same shape."""
        return F.silu(self.layers(x) + x)


class Encoder(nn.Module):
    """Maps at 1/2, 1/4 and 1/8; 3,729,984 parameters at the paper's size."""

    def __init__(self, config: DairConfig) -> None:
        super().__init__()
        first, second, third = config.encoder
        self.stem = nn.Sequential(nn.Conv2d(3, first, 3, 1, 1), nn.SiLU())
        self.levels = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, width, 3, 2, 1), ResidualBlock(width))
            for before, width in ((first, first), (first, second), (second, third))
        )
        self.last = nn.Sequential(nn.Conv2d(third, third, 3, 1, 1), ResidualBlock(third))

    def forward(self, images: Tensor) -> list[Tensor]:
        """[B, 3, H, W] in [-1, 1] -> the maps that a decoder may start from, finest first."""
        x = self.stem(images)
        maps = []
        for level in self.levels:
            x = level(x)
            maps.append(x)
        # Of the two maps at 1/8 the decoder starts from the later one (authors' code).
        maps[-1] = self.last(x)
        return maps


class DynamicSubBlock(nn.Module):
    """A dynamic convolution, an activation and a normalisation, in any order."""

    def __init__(self, channels: int, config: DairConfig) -> None:
        super().__init__()
        self.convolution = DynamicConv2d(channels, config.kernels, config.router, config.mix)
        self.batch = nn.BatchNorm2d(channels)
        self.group = nn.GroupNorm(min(config.groups, channels), channels)

    def forward(self, x: Tensor, drawn: SubBlock) -> Tensor:
        """[B, C, H, W] -> the same shape."""
        for part in drawn.order:
            x = self._pass(part, x, drawn)
        return x

    def _pass(self, part: Part, x: Tensor, drawn: SubBlock) -> Tensor:
        if part == "convolution":
            found: Tensor = self.convolution(x)
        elif part == "activation":
            found = activate(x, drawn.activation)
        elif drawn.normalisation == "instance":
            found = F.instance_norm(x)
        else:
            found = (self.batch if drawn.normalisation == "batch" else self.group)(x)
        return found


def activate(x: Tensor, name: str) -> Tensor:
    """Apply an activation by its name in a structure."""
    if name == "leaky-relu":
        return F.leaky_relu(x, SLOPE)
    return F.gelu(x) if name == "gelu" else F.silu(x)


class DynamicStage(nn.Module):
    """1x1 convolution to the new width, upsampling by 2, sub-blocks with a skip around all of them."""

    def __init__(self, inputs: int, channels: int, config: DairConfig) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(inputs, channels, 1)
        self.shuffle = nn.Sequential(nn.Conv2d(channels, 4 * channels, 3, 1, 1), nn.PixelShuffle(2))
        self.sub_blocks = nn.ModuleList(DynamicSubBlock(channels, config) for _ in range(SUB_BLOCKS))

    def forward(self, x: Tensor, drawn: Stage) -> Tensor:
        """[B, inputs, H, W] -> [B, channels, 2H, 2W]."""
        x = self._upsample(self.narrow(x), drawn.upsampling)
        inner = x
        # One active sub-block is always the first: 54 + 54^2 choices, as the paper counts.
        for sub_block, choice in zip(self.sub_blocks, drawn.sub_blocks, strict=False):
            inner = sub_block(inner, choice)
        return inner + x

    def _upsample(self, x: Tensor, kind: str) -> Tensor:
        if kind == "shuffle":
            found: Tensor = self.shuffle(x)
            return found
        if kind == "nearest":
            return F.interpolate(x, scale_factor=2.0)
        return F.interpolate(x, scale_factor=2.0, mode=kind, align_corners=False)


class Decoder(nn.Module):
    """The last one, two or three of its stages, as the structure says; then a convolution to RGB."""

    def __init__(self, config: DairConfig) -> None:
        super().__init__()
        inputs = (config.encoder[-1], *config.decoder[:-1])
        self.stages = nn.ModuleList(
            DynamicStage(before, width, config) for before, width in zip(inputs, config.decoder, strict=True)
        )
        # Where a stage starts from the encoder, it takes the encoder's width.
        self.entries = nn.ModuleList(
            nn.Identity() if before == width else nn.Conv2d(width, before, 1)
            for before, width in zip(inputs, reversed(config.encoder), strict=True)
        )
        self.last = nn.Conv2d(config.decoder[-1], 3, 3, 1, 1)

    def forward(self, maps: Sequence[Tensor], drawn: Structure) -> Tensor:
        """The encoder's maps, finest first -> [B, 3, H, W], about [-1, 1], not clamped."""
        first = LEVELS - len(drawn.stages)
        x = self.entries[first](maps[len(drawn.stages) - 1])
        for stage, choice in zip(list(self.stages)[first:], drawn.stages, strict=True):
            x = stage(x, choice)
        found: Tensor = self.last(x)
        return found


class Dair(nn.Module):
    """Image and structure -> reconstruction."""

    def __init__(self, config: DairConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)

    def forward(self, images: Tensor, structures: Sequence[Structure]) -> Tensor:
        """Reconstruct each image by its structure. Images of one structure are decoded together.

        Args:
            images: float [B, 3, H, W] in [0, 1], H and W multiples of 8.
            structures: one for each image.

        Returns:
            [B, 3, H, W], about [0, 1], not clamped.
        """
        if len(structures) != len(images):
            raise ValueError(f"{len(images)} images need as many structures, got {len(structures)}")
        if images.shape[-2] % SCALE or images.shape[-1] % SCALE:
            raise ValueError(f"sides must be multiples of {SCALE}, got {tuple(images.shape[-2:])}")
        maps = self.encoder(images * 2 - 1)
        members: dict[Structure, list[int]] = {}
        for index, structure in enumerate(structures):
            members.setdefault(structure, []).append(index)
        if len(members) == 1:
            decoded = self.decoder(maps, structures[0])
        else:
            parts = [self.decoder([m[rows] for m in maps], drawn) for drawn, rows in members.items()]
            order = [index for rows in members.values() for index in rows]
            back = torch.argsort(torch.tensor(order, device=images.device))
            decoded = torch.cat(parts)[back]
        made: Tensor = (decoded + 1) / 2
        return made


PAPER = DairConfig()
SMALL = DairConfig(encoder=(32, 64, 128), decoder=(64, 32, 16))
