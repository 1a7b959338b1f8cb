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

NETWORK = "network.safetensors"
STAGE = "stage.json"


def find_dair(run: Path | None, weights: Path | None) -> Path:
    """Folder of a trained reconstructor: RUN/dair, or dair/ in the folder of weights.

    Raises:
        ConfigError: neither is there, or the run's was begun and not finished.
    """
    return _find("dair", run, weights)


def find_extractor(run: Path | None, weights: Path | None) -> Path:
    """Folder of a trained extractor: RUN/extractor, or extractor/ in the folder of weights.

    Raises:
        ConfigError: neither is there, or the run's was begun and not finished.
    """
    return _find("extractor", run, weights)


def find_denoiser(run: Path | None, weights: Path | None) -> Path:
    """Folder of an extractor that was trained on added noise: RUN/denoiser, or denoiser/ among the weights.

    Raises:
        ConfigError: neither is there, or the run's was begun and not finished.
    """
    return _find("denoiser", run, weights)


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
        raise ConfigError(f"{folder / STAGE}: not the record of a reconstructor ({error})") from error
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
        raise ConfigError(f"{folder / STAGE}: not the record of an extractor ({error})") from error
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
    record, found = folder / STAGE, _config(folder)
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


def _find(name: str, run: Path | None, weights: Path | None) -> Path:
    places = [place / name for place in (run, weights) if place is not None]
    for place in places:
        if (place / NETWORK).exists():
            return place
        if (place / STAGE).exists():
            # Another one in its place would be used unnoticed.
            stage = "extractor" if name == "denoiser" else name
            raise ConfigError(
                f"{place}: was begun and not finished; continue it with vestige train RECIPE --stage {stage}"
            )
    where = " or ".join(map(str, places)) or "any folder"
    if name == "denoiser":
        raise ConfigError(
            f"no trained denoiser in {where}: train one with vestige train RECIPE --stage extractor and "
            "target: noise, and put the folder it ends in among the starting weights, as denoiser"
        )
    raise ConfigError(
        f"no trained {name} in {where}: train it first with vestige train RECIPE --stage {name}, or put its "
        "folder among the starting weights"
    )


def _config(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / STAGE).read_text(encoding="utf-8"))["config"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{folder / STAGE}: cannot be read as the record of a stage ({error})") from error
    return found


def _load(network: Dair, folder: Path) -> None:
    path = folder / NETWORK
    try:
        load_model(network, str(path))
    except Exception as error:  # safetensors and PyTorch raise about anything on foreign bytes
        raise ConfigError(f"{path}: not the weights that {folder / STAGE} speaks of ({error})") from error
