"""The frequency branch's statistics: energies of block-DCT bands and the radial profile (NIRNet, Fig. 3 c).

What its frequency features are is not in what we can read of the paper. Ours are fixed; the network learns
from them.
"""

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from vestige.methods.nirnet.bands import dct_matrix
from vestige.nn.radial_profile import RadialProfile
from vestige.nn.statistics import mean_and_deviation

# Squared grey levels. Less than what rounding to whole levels puts into a coefficient (1/12), so that this is
# seen; enough to keep exact zeros from deciding a mean.
FLOOR = 0.01
YCBCR = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))  # JPEG's


class FrequencyOptions(BaseModel):
    """What is computed.

    Attributes:
        block: side of the DCT's blocks; 8 is JPEG's.
        radial: also the radial profile of the luma's power spectrum.
        chroma: also the energies of Cb and Cr.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    block: int = Field(8, ge=2, le=32)
    radial: bool = True
    chroma: bool = True


class FrequencyStatistics(nn.Module):
    """Log energies of the bands of a block DCT, summed up over the blocks, and the radial profile.

    What comes out, in this order: for each band the mean over blocks of the luma's log(coefficient^2 + 0.01),
    then for each its standard deviation; the means for Cb, those for Cr; the radial profile. Bands go row by
    row, vertical frequency 0 first. Coefficients are those of the orthonormal DCT-II, in grey levels. The
    picture's own mean is taken off first, so that brightness and tint, which are no traces, do not show.
    Blocks begin in the upper left corner, like a JPEG's; incomplete ones are left out.

    Attributes:
        width: of what `forward` gives.
        description: what is computed, for the store of frozen features.
    """

    kernels: Tensor
    colours: Tensor

    def __init__(self, options: FrequencyOptions) -> None:
        super().__init__()
        self.options = options
        bands = options.block**2
        self.radial = RadialProfile() if options.radial else None
        self.width = bands * (4 if options.chroma else 2) + (RadialProfile.width if options.radial else 0)
        self.description = (
            f"log energies of DCT bands, block {options.block}, luma"
            f"{', Cb, Cr' if options.chroma else ''}{'; radial profile' if options.radial else ''}"
        )
        self.register_buffer("kernels", _kernels(options.block), persistent=False)
        rows = YCBCR if options.chroma else YCBCR[:1]
        self.register_buffer("colours", torch.tensor(rows)[..., None, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Compute the statistics, in float32 whatever is around.

        Args:
            images: float32 [B, 3, S, S] in [0, 1], S a multiple of 32, with the radial profile from 64.

        Returns:
            float32 [B, width], values within +-20.
        """
        # bfloat16 holds grey levels to half a level only: weak bands would be nothing but rounding.
        with torch.autocast(images.device.type, enabled=False):
            images = images.float()
            energies = self.energies(images)
            found = [mean_and_deviation(energies[:, 0])]
            if self.options.chroma:
                found.append(energies[:, 1:].mean((3, 4)).flatten(1))
            if self.radial is not None:
                found.append(self.radial(images))
            return torch.cat(found, 1)

    def energies(self, images: Tensor) -> Tensor:
        """log(coefficient^2 + 0.01) of each block.

        Args:
            images: float32 [B, 3, H, W] in [0, 1].

        Returns:
            [B, P, block^2, H // block, W // block], P planes: luma, then Cb and Cr if chosen.
        """
        planes = F.conv2d(images * 255, self.colours)
        planes = planes - planes.mean((2, 3), keepdim=True)
        blocks = F.conv2d(planes.flatten(0, 1)[:, None], self.kernels, stride=self.options.block)
        return (blocks.reshape(-1, len(self.colours), *blocks.shape[1:]).square() + FLOOR).log()


def _kernels(size: int) -> Tensor:
    """Basis of the orthonormal two-dimensional DCT-II, float32 [size^2, 1, size, size]."""
    basis = dct_matrix(size)
    pairs = np.einsum("ux,vy->uvxy", basis, basis).reshape(-1, 1, size, size)
    return torch.from_numpy(pairs.astype(np.float32))
