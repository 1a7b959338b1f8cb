"""NIRNet: imprints of simulated generators, an extractor of noise, three kinds of evidence."""

from vestige.methods.base import Method
from vestige.methods.frozen_features import ALL_NOTES, notes_of
from vestige.methods.frozen_features import from_hub as towers_from_hub
from vestige.methods.nirnet.model import NirNetConfig, build
from vestige.methods.nirnet.stage import STAGES

TEACHER_NOTE = "a fixed VAE encoder, for the difference-aware loss in training alone"


def weights_of(config: NirNetConfig) -> tuple[str, ...]:
    """Notes of the weights that a configuration starts from, and of the encoder that only teaches."""
    towers = () if config.semantic is None else notes_of(config.semantic.features)
    taught = config.noise is not None and config.noise.difference is not None
    return (*towers, *((TEACHER_NOTE,) if taught else ()))


def from_hub(config: NirNetConfig) -> bool:
    """Whether the towers and the encoder that teaches can be had from the Hugging Face hub."""
    taught = None if config.noise is None else config.noise.difference
    towers = config.semantic is None or towers_from_hub(config.semantic.features)
    return towers and (taught is None or taught.latents.kind == "diffusers-vae")


METHOD = Method(
    name="nirnet",
    paper="Li, Yu, Song, Shan and Chen, Revealing the Implicit Noise-based Imprint of Generative Models, "
    "arXiv 2503.09314",
    config=NirNetConfig,
    build=build,
    solver="gradient",
    starting_weights=(*ALL_NOTES, TEACHER_NOTE),
    stages=STAGES,
    weights_of=weights_of,
    from_hub=from_hub,
)
