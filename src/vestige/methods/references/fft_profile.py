"""Radial profile of the power spectrum and logistic regression, after Durall et al. (2020)."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from vestige.methods.base import Method
from vestige.methods.references.probe import LinearProbe, NoOptions

BINS = 64


@lru_cache(maxsize=8)
def _fourier(size: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine matrices [size, size] of the DFT: exportable, and cheap at the size of a patch."""
    angle = 2 * np.pi / size * (np.outer(np.arange(size), np.arange(size)) % size)
    return _constant(np.cos(angle)), _constant(np.sin(angle))


@lru_cache(maxsize=8)
def _rings(size: int) -> tuple[Tensor, Tensor]:
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
    return torch.from_numpy(index), _constant(weight)


def _constant(values: npt.NDArray[np.float64]) -> Tensor:
    # Made by NumPy so that the exported graph holds the numbers and not the way to them.
    return torch.from_numpy(values.astype(np.float32))


class RadialProfile(nn.Module):
    """Log of the mean spectral power in 64 rings, of the Hann-windowed luma, relative to its own mean."""

    width = BINS

    def forward(self, images: Tensor) -> Tensor:
        """float [B, 3, S, S] in [0, 1], S at least 64 -> [B, 64]."""
        size = int(images.shape[-1])
        luma = (images * images.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1) * 255
        window = _constant(np.outer(np.hanning(size), np.hanning(size)))
        luma = (luma - luma.mean((1, 2), keepdim=True)) * window
        cosine, sine = _fourier(size)
        rows_cosine, rows_sine = cosine @ luma, sine @ luma
        real = rows_cosine @ cosine - rows_sine @ sine
        imaginary = rows_cosine @ sine + rows_sine @ cosine
        power = ((real**2 + imaginary**2) / size**2).flatten(1)
        index, weight = _rings(size)
        profile = ((power[:, index] * weight).sum(2) + 1e-4).log()
        return profile - profile.mean(1, keepdim=True)


def build(config: NoOptions, weights: Path | None) -> LinearProbe:
    """The network, untrained; needs no starting weights."""
    return LinearProbe(RadialProfile(), BINS)


METHOD = Method(
    name="fft-profile",
    paper="Durall, Keuper and Keuper, Watch your Up-Convolution, CVPR 2020 (azimuthal average)",
    config=NoOptions,
    build=build,
    solver="logistic",
)
