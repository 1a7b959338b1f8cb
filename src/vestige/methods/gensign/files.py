"""Trained stages on disk: reconstructor, extractor and denoiser, of a run or in a folder of weights."""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors.torch import load_model

from vestige.errors import ConfigError
from vestige.methods.gensign.dair import Dair, DairConfig
from vestige.methods.gensign.extractor import Extractor, ExtractorConfig
from vestige.methods.gensign.signature import load_extractor_weights
from vestige.methods.gensign.structure import StructureSpace
from vestige.methods.stage import NETWORK, RECORD, find_stage

__all__ = [
    "NETWORK",
    "find_dair",
    "find_denoiser",
    "find_extractor",
    "load_dair",
    "load_extractor",
    "require_extractor",
]


def find_dair(run: Path | None, weights: Path | None) -> Path:
    """Folder of a trained reconstructor: RUN/dair, or dair/ in the folder of weights.

    Raises:
        ConfigError: neither is there, or the run's was begun and not finished.
    """
    return find_stage("dair", run, weights)


def find_extractor(run: Path | None, weights: Path | None) -> Path:
    """Folder of a trained extractor: RUN/extractor, or extractor/ in the folder of weights.

    Raises:
        ConfigError: neither is there, or the run's was begun and not finished.
    """
    return find_stage("extractor", run, weights)


def find_denoiser(run: Path | None, weights: Path | None) -> Path:
    """Folder of an extractor that was trained on added noise: RUN/denoiser, or denoiser/ among the weights.

    Raises:
        ConfigError: neither is there, or the run's was begun and not finished.
    """
    advice = (
        "train one with vestige train RECIPE --stage extractor and target: noise, and put the folder it ends "
        "in among the starting weights, as denoiser"
    )
    return find_stage("denoiser", run, weights, "extractor", advice)


def load_dair(folder: Path) -> tuple[Dair, StructureSpace]:
    """The reconstructor in eval mode, frozen, and the structures that it was trained with.

    Raises:
        ConfigError: a file is missing or holds something else.
    """
    config = _config(folder)
    try:
        network = Dair(DairConfig.model_validate(config["model"]))
        space = StructureSpace.model_validate(config["space"])
    except (KeyError, TypeError, ValidationError) as error:
        raise ConfigError(f"{folder / RECORD}: not the record of a reconstructor ({error})") from error
    _load(network, folder)
    return network.eval().requires_grad_(False), space


def load_extractor(folder: Path) -> Extractor:
    """The extractor in eval mode, frozen.

    Raises:
        ConfigError: a file is missing or holds something else.
    """
    config = _config(folder)
    try:
        network = Extractor(ExtractorConfig.model_validate(config["model"]))
    except (KeyError, TypeError, ValidationError) as error:
        raise ConfigError(f"{folder / RECORD}: not the record of an extractor ({error})") from error
    load_extractor_weights(network, folder / NETWORK)
    return network.eval().requires_grad_(False)


def require_extractor(folder: Path, config: ExtractorConfig, target: str) -> None:
    """Make sure that a trained extractor is the one that a recipe speaks of.

    Args:
        config: as the recipe's `model` section has it.
        target: what it must have been trained on, "residual" or "noise".

    Raises:
        ConfigError: its record cannot be read, or tells of something else.
    """
    record, found = folder / RECORD, _config(folder)
    try:
        trained, learned = ExtractorConfig.model_validate(found["model"]), found["target"]
    except (KeyError, ValidationError) as error:
        raise ConfigError(f"{record}: not the record of an extractor ({error})") from error
    if learned != target:
        raise ConfigError(f"{record}: trained on the target {learned!r}, this signature needs {target!r}")
    ours, theirs = config.model_dump(), trained.model_dump()
    differing = [
        f"{name} {theirs[name]!r} instead of {ours[name]!r}" for name in ours if ours[name] != theirs[name]
    ]
    if differing:
        raise ConfigError(
            f"{record}: trained with {', '.join(differing)}; say so in the recipe (model.signature.extractor)"
        )


def _config(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))["config"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{folder / RECORD}: cannot be read as the record of a stage ({error})") from error
    return found


def _load(network: Dair, folder: Path) -> None:
    path = folder / NETWORK
    try:
        load_model(network, str(path))
    except Exception as error:  # safetensors and PyTorch raise about anything on foreign bytes
        raise ConfigError(f"{path}: not the weights that {folder / RECORD} speaks of ({error})") from error
