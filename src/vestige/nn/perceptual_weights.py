"""Published weights of the perceptual distances, from a folder of starting weights."""

import re
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from vestige.errors import ConfigError
from vestige.nn.perceptual import PerceptualDistance, PerceptualKind


class WeightFile(NamedTuple):
    """A file that a kind needs.

    Attributes:
        pattern: its name, for a glob.
        holds: what its part of the state dict begins with.
        source: where it comes from.
    """

    pattern: str
    holds: tuple[str, ...]
    source: str


_TRUNKS = "https://download.pytorch.org/models/"
_LINEAR = "pip download --no-deps lpips, unpacked (weights/v0.1)"
_SHIFT_TOLERANT = "pip download --no-deps stlpips-pytorch, unpacked"

# The best kind first.
FILES: dict[PerceptualKind, tuple[WeightFile, ...]] = {
    "lpips-vgg": (
        WeightFile("vgg16-*.pth", ("features",), _TRUNKS + "vgg16-397923af.pth"),
        WeightFile("vgg.pth", ("weights",), _LINEAR),
    ),
    "lpips-alex": (
        WeightFile("alexnet-owt-*.pth", ("features",), _TRUNKS + "alexnet-owt-7be5be79.pth"),
        WeightFile("alex.pth", ("weights",), _LINEAR),
    ),
    "stlpips-vgg": (WeightFile("vgg_shift_tolerant.pth", ("features", "weights"), _SHIFT_TOLERANT),),
    "stlpips-alex": (WeightFile("alex_shift_tolerant.pth", ("features", "weights"), _SHIFT_TOLERANT),),
}

_LPIPS_NOTE = (
    "LPIPS 0.1 ({0}): linear layers of the PyPI package lpips, BSD-2-Clause; trunk: torchvision's {0}, "
    "ImageNet (the weights' licence is not stated; the code's is BSD-3-Clause)"
)
_SHIFT_TOLERANT_NOTE = (
    "ST-LPIPS ({0}), weights of the PyPI package stlpips-pytorch 0.0.2, BSD-2-Clause "
    "(some of that package's code, not used here, is CC BY-NC-SA 4.0)"
)

# One line on origin and licence for the card of a model that a kind helped to train.
WEIGHTS_NOTES: dict[PerceptualKind, str] = {
    "lpips-vgg": _LPIPS_NOTE.format("VGG16"),
    "lpips-alex": _LPIPS_NOTE.format("AlexNet"),
    "stlpips-vgg": _SHIFT_TOLERANT_NOTE.format("VGG16"),
    "stlpips-alex": _SHIFT_TOLERANT_NOTE.format("AlexNet"),
}


def perceptual_distance(kind: PerceptualKind, folder: Path) -> PerceptualDistance:
    """A perceptual distance with its published weights.

    Args:
        kind: which one.
        folder: a folder of starting weights; folders in it are searched too.

    Raises:
        ConfigError: no such kind; a file is not there, and where it comes from; it holds something else.
    """
    distance = PerceptualDistance(kind)
    own: dict[str, Tensor] = distance.state_dict()
    state: dict[str, Tensor] = {}
    for file in FILES[kind]:
        path = _find(folder, file)
        if path is None:
            raise ConfigError(f"{folder}: no {file.pattern} there, for {kind}; it comes from {file.source}")
        read = _read(path)
        for name in (name for name in own if name.startswith(file.holds)):
            if name not in read or read[name].shape != own[name].shape:
                shape = tuple(own[name].shape)
                raise ConfigError(f"{path}: not the weights wanted for {kind}, {name} {shape} is missing")
            state[name] = read[name]
    distance.load_state_dict(state)
    return distance


def available_kind(folder: Path) -> PerceptualKind:
    """The best kind whose files are in a folder of starting weights: LPIPS before ST-LPIPS, then VGG first.

    Raises:
        ConfigError: there is none; the message lists what would do.
    """
    for kind, files in FILES.items():
        if all(_find(folder, file) for file in files):
            return kind
    wanted = "; ".join(
        f"{kind}: " + " and ".join(f"{file.pattern} ({file.source})" for file in files)
        for kind, files in FILES.items()
    )
    raise ConfigError(f"{folder}: no weights of a perceptual distance there; one of these would do: {wanted}")


def _find(folder: Path, file: WeightFile) -> Path | None:
    # The lpips package also has the faulty version 0.0, under the same file names.
    found = sorted(path for path in folder.glob(f"**/{file.pattern}") if path.parent.name != "v0.0")
    return found[0] if found else None


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors in a file, under our names. No code in the file is run."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # on foreign bytes PyTorch raises about anything
        raise ConfigError(f"{path}: cannot be read as weights ({error or type(error).__name__})") from error
    found = {}
    for name, tensor in state.items() if isinstance(state, dict) else ():
        if isinstance(tensor, Tensor):
            if linear := re.fullmatch(r"lin(\d)\.model\.1\.weight", str(name)):
                found[f"weights.{linear[1]}"] = tensor.flatten()
            else:
                found[re.sub(r"^net\.slice\d\.", "features.", str(name))] = tensor
    return found
