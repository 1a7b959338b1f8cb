"""Pretrained weights from files of others."""

from pathlib import Path

import torch
from torch import Tensor, nn

from vestige.errors import ConfigError


def load_weights(network: nn.Module, path: str | Path) -> None:
    """Load a `.pth` state dict; tensors that the network lacks are left out. No code in the file is run.

    Raises:
        ConfigError: unreadable, a tensor is missing or has another shape.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # on foreign bytes PyTorch raises about anything
        raise ConfigError(f"{path}: cannot be read as weights ({error or type(error).__name__})") from error
    own: dict[str, Tensor] = network.state_dict()
    for name, tensor in own.items():
        found = state.get(name) if isinstance(state, dict) else None
        if not isinstance(found, Tensor) or found.shape != tensor.shape:
            raise ConfigError(f"{path}: not the weights wanted, {name} {tuple(tensor.shape)} is missing")
    network.load_state_dict({name: state[name] for name in own})
