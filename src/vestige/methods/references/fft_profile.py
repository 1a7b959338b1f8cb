"""Radial profile of the power spectrum and logistic regression, after Durall et al. (2020)."""

from pathlib import Path

from vestige.methods.base import Method
from vestige.methods.references.probe import LinearProbe, NoOptions
from vestige.nn.radial_profile import RadialProfile


def build(config: NoOptions, weights: Path | None) -> LinearProbe:
    """The network, untrained; needs no starting weights."""
    return LinearProbe(RadialProfile(), RadialProfile.width)


METHOD = Method(
    name="fft-profile",
    paper="Durall, Keuper and Keuper, Watch your Up-Convolution, CVPR 2020 (azimuthal average)",
    config=NoOptions,
    build=build,
    solver="logistic",
)
