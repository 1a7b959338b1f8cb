"""All methods, one line each: name -> module that holds its `METHOD`."""

from importlib import import_module

from vestige.errors import ConfigError
from vestige.methods.base import Method

METHODS = {
    "source-statistics": "vestige.methods.source_statistics",
    "patch-statistics": "vestige.methods.patch_statistics",
    "gensign": "vestige.methods.gensign",
    "attribution": "vestige.methods.attribution",
    "nirnet": "vestige.methods.nirnet",
    "gamma": "vestige.methods.gamma",
    "discriminant": "vestige.methods.discriminant",
    "distilled": "vestige.methods.distilled",
    "srm-statistics": "vestige.methods.references.srm_statistics",
    "fft-profile": "vestige.methods.references.fft_profile",
    "efficientnet-statistics": "vestige.methods.references.efficientnet_statistics",
    "feature-probe": "vestige.methods.references.feature_probe",
    "clip-probe": "vestige.methods.references.clip_probe",
    "npr": "vestige.methods.references.npr",
    "denoiser-residual": "vestige.methods.references.denoiser_residual",
    "cnndet": "vestige.methods.references.cnndet",
    "metadata-only": "vestige.methods.references.metadata_only",
    "autoencoder-error": "vestige.methods.references.autoencoder_error",
}


def get(name: str) -> Method:
    """Look a method up.

    Raises:
        ConfigError: no such method; the message lists the known ones.
    """
    if name not in METHODS:
        raise ConfigError(f"no method {name!r}; known are {', '.join(sorted(METHODS))}")
    method: Method = import_module(METHODS[name]).METHOD
    return method
