"""The radial profile of the power spectrum (azimuthal average, Durall et al., 2020)."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

BINS = 64


# Kept as arrays: tensors made while a network is exported belong to the exporter, and must not be kept.
@lru_cache(maxsize=8)
def _fourier(size: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Cosine and sine matrices [size, size] of the DFT: exportable, and cheap at the size of a patch."""
    angle = 2 * np.pi / size * (np.outer(np.arange(size), np.arange(size)) % size)
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)


@lru_cache(maxsize=8)
def _rings(size: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """For each ring, which of the size * size frequencies lie in it, and their weights in its mean.

    Ring r of 64 holds radii from r / 128 to (r + 1) / 128 cycles per pixel; corners beyond 0.5 are left out.

    Returns:
        int64 and float32 [64, n], n the size of the largest ring; the others are filled up with weight 0.
    """
    frequency = np.fft.fftfreq(size)
    radius = np.hypot(frequency[:, None], frequency[None]).ravel()
    members = [np.flatnonzero(np.floor(radius * 2 * BINS) == ring) for ring in range(BINS)]
    index = np.zeros((BINS, max(map(len, members))), dtype=np.int64)
    weight = np.zeros(index.shape)
    for ring, inside in enumerate(members):
        index[ring, : len(inside)] = inside
        weight[ring, : len(inside)] = 1 / max(1, len(inside))
    return index, weight.astype(np.float32)


def _window(size: int) -> npt.NDArray[np.float32]:
    return np.outer(np.hanning(size), np.hanning(size)).astype(np.float32)


class RadialProfile(nn.Module):
    """Log of the mean spectral power in 64 rings, of the Hann-windowed luma, relative to its own mean."""

    width = BINS

    def forward(self, images: Tensor) -> Tensor:
        """float [B, 3, S, S] in [0, 1], S at least 64 -> [B, 64]."""
        size = int(images.shape[-1])
        luma = (images * images.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1) * 255
        # From NumPy, so that the exported graph holds the numbers and not the way to them.
        window, cosine, sine, index, weight = (
            torch.from_numpy(table).to(images.device)
            for table in (_window(size), *_fourier(size), *_rings(size))
        )
        luma = (luma - luma.mean((1, 2), keepdim=True)) * window
        rows_cosine, rows_sine = cosine @ luma, sine @ luma
        real = rows_cosine @ cosine - rows_sine @ sine
        imaginary = rows_cosine @ sine + rows_sine @ cosine
        power = ((real**2 + imaginary**2) / size**2).flatten(1)
        profile = ((power[:, index] * weight).sum(2) + 1e-4).log()
        return profile - profile.mean(1, keepdim=True)
