"""The Noise-based Imprint Extractor n(x), and what reads its imprint (NIRNet, Fig. 3 c).

How it is built is not in what we can read of the paper. Ours: a constrained high-pass (Bayar and Stamm),
which takes away most of what a picture shows, and a small residual network at half the resolution.
"""

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import Tensor, nn

from vestige.nn.statistics import mean_and_deviation

COLOURS = 3
FOLD = 2  # everything learned runs at 1/FOLD of the resolution, pixels folded into channels


class ExtractorOptions(BaseModel):
    """Sizes of the extractor.

    Attributes:
        filters: of the constrained high-pass, the same number for each of the three colours.
        kernel: side of its filters, odd.
        width: channels of the residual network.
        blocks: its residual blocks.
        scale: factor on the high-pass; 16 brings what is left of a photograph to about unit size.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    filters: int = Field(12, ge=COLOURS, multiple_of=COLOURS)
    kernel: int = Field(5, ge=3)
    width: int = Field(32, ge=1)
    blocks: int = Field(2, ge=1)
    scale: float = Field(16, gt=0)

    @field_validator("kernel")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError(f"kernel ({value}) must be odd, so that it has a centre")
        return value


class ConstrainedConv(nn.Module):
    """Prediction errors: filters with weight -1 at the centre and others that sum to 1 (Bayar and Stamm).

    Bayar and Stamm (2016 and 2018) have one channel. Here each filter reads one colour, the first third red,
    then green, then blue. A filter over all colours at once would have the same -1 in each and could only
    give errors of their sum; what colours have in common is left to the layers behind.

    The authors divide the weights by their sum after each step of the optimiser. Here `weight` is free and
    `kernels` gives the nearest filters that obey: what lacks is spread evenly, so nothing is divided by a sum
    near 0, and no optimiser can leave the constraint. The centre of `weight` has no effect.

    Args:
        filters: a multiple of 3.
        kernel: side of the filters, odd.
    """

    surround: Tensor

    def __init__(self, filters: int, kernel: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(filters, 1, kernel, kernel))
        nn.init.normal_(self.weight, std=0.1)
        surround = torch.ones(kernel, kernel)
        surround[kernel // 2, kernel // 2] = 0
        self.register_buffer("surround", surround, persistent=False)
        self.others = kernel**2 - 1

    def kernels(self) -> Tensor:
        """The filters as they are applied, [filters, 1, k, k]; each sums to 0."""
        weight = self.weight * self.surround
        lacking = (1 - weight.sum((2, 3), keepdim=True)) / self.others
        return (weight + lacking) * self.surround - (1 - self.surround)

    def forward(self, images: Tensor) -> Tensor:
        """float [B, 3, H, W] -> [B, filters, H - k + 1, W - k + 1]."""
        return F.conv2d(images, self.kernels(), groups=COLOURS)


class Block(nn.Module):
    """x + conv(ReLU(conv(x))), at first x itself.

    Without normalisation: statistics over a patch would make a place depend on all of the patch.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        _zero(self.second)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the same shape."""
        found: Tensor = x + self.second(F.relu(self.first(x)))
        return found


class ImprintExtractor(nn.Module):
    """Picture -> imprint n(x) of the same size; untrained, the mean prediction error of each colour.

    A place of a patch gives what the same place of the whole picture gives, if the patch begins at an even
    row and column and has at least `reach` pixels on each side of the place.
    """

    def __init__(self, options: ExtractorOptions) -> None:
        super().__init__()
        self.options = options
        each = options.filters // COLOURS
        self.high_pass = ConstrainedConv(options.filters, options.kernel)
        self.stem = nn.Conv2d(options.filters * FOLD**2, options.width, 3, padding=1)
        self.blocks = nn.Sequential(*(Block(options.width) for _ in range(options.blocks)))
        self.last = nn.Conv2d(options.width, COLOURS * FOLD**2, 3, padding=1)
        _zero(self.last)
        self.skip = nn.Conv2d(options.filters, COLOURS, 1)
        _zero(self.skip)
        with torch.no_grad():
            for colour in range(COLOURS):
                self.skip.weight[colour, colour * each : (colour + 1) * each] = 1 / each

    def forward(self, images: Tensor) -> Tensor:
        """Extract the imprint.

        Args:
            images: float32 [B, 3, H, W] in [0, 1], any H and W.

        Returns:
            [B, 3, H, W], about unit size, not clamped.
        """
        height, width = images.shape[-2:]
        residual = self.residual(images)
        hidden = self.blocks(self.stem(F.pixel_unshuffle(residual, FOLD)))
        imprint: Tensor = self.skip(residual) + F.pixel_shuffle(self.last(hidden), FOLD)
        return imprint[..., :height, :width]

    def residual(self, images: Tensor) -> Tensor:
        """The constrained high-pass times `scale`, the picture's border repeated outwards.

        Args:
            images: float32 [B, 3, H, W] in [0, 1].

        Returns:
            float32 [B, filters, h, w], h and w being H and W rounded up to even numbers.
        """
        height, width = images.shape[-2:]
        margin = self.options.kernel // 2
        # A picture in bfloat16 has lost its last bits, and with them the traces that are looked for.
        with torch.autocast(images.device.type, enabled=False):
            sides = (margin, margin + width % FOLD, margin, margin + height % FOLD)
            padded = F.pad(images.float() * self.options.scale, sides, mode="replicate")
            found: Tensor = self.high_pass(padded)
        return found


class NoiseEncoder(nn.Module):
    """Imprint -> mean and standard deviation, over the places, of what four convolutions find in it.

    Args:
        width: channels of the last one.

    Attributes:
        width: of what `forward` gives, twice that.
    """

    def __init__(self, width: int = 96) -> None:
        super().__init__()
        self.width = 2 * width
        quarter, half = max(1, width // 4), max(1, width // 2)
        self.layers = nn.Sequential(
            *_normalised(COLOURS, quarter, 5, 2),
            *_normalised(quarter, half, 3, 2),
            *_normalised(half, width, 3, 2),
            *_normalised(width, width, 3, 1),
        )

    def forward(self, imprint: Tensor) -> Tensor:
        """[B, 3, S, S] -> float32 [B, 2 * width]."""
        # Variances need more digits than bfloat16 has.
        return mean_and_deviation(self.layers(imprint).float())


def reach(options: ExtractorOptions) -> int:
    """How many pixels away, along rows or columns, something may be that acts on the imprint at a place."""
    convolutions = 2 * options.blocks + 2
    return FOLD * convolutions + (FOLD - 1) + options.kernel // 2


def _normalised(given: int, made: int, kernel: int, stride: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(given, made, kernel, stride, kernel // 2, bias=False)
    return convolution, nn.BatchNorm2d(made), nn.ReLU()


def _zero(convolution: nn.Conv2d) -> None:
    nn.init.zeros_(convolution.weight)
    assert convolution.bias is not None
    nn.init.zeros_(convolution.bias)
