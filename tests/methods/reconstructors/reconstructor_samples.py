"""Small networks of every kind, written to disk as users have them."""

import json
import struct
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from safetensors.torch import save_model
from torch import Tensor, nn

from vestige.methods.gensign.dair import Dair, DairConfig
from vestige.methods.gensign.structure import StructureSpace
from vestige.methods.reconstructors import Reconstructor, ReconstructorOptions, build_reconstructors
from vestige.nn.tiny_autoencoder import TinyAutoencoder

TINY_DAIR = DairConfig(encoder=(4, 4, 4), decoder=(4, 4, 4), groups=2)
OPTIONS: TypeAdapter[Any] = TypeAdapter(ReconstructorOptions)

NEAREST = """7767517
2 2
Input input 0 1 data
Interp enlarge 1 1 data output 0=1 1={scale}.0 2={scale}.0
"""
# Two 3x3 convolutions without padding eat two pixels at each edge.
CONVOLVED = """7767517
4 4
Input input 0 1 picture
Convolution first 1 1 picture a 0=4 1=3 5=1 6=108
Convolution second 1 1 a b 0=3 1=3 5=1 6=108
Interp enlarge 1 1 b made 0=1 1=2.0 2=2.0
"""


def one(folder: Path | None, run: Path | None = None, **options: Any) -> Reconstructor:
    """The only reconstructor of one entry of a recipe."""
    (network,) = build_reconstructors([OPTIONS.validate_python(options)], folder, run)
    return network


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def write_tiny_autoencoder(folder: Path) -> TinyAutoencoder:
    torch.manual_seed(1)
    network = TinyAutoencoder()
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(network.encoder.state_dict(), folder / "taeany_encoder.pth")
    torch.save(network.decoder.state_dict(), folder / "taeany_decoder.pth")
    return network.eval()


def write_nearest(folder: Path, name: str = "nearest", scale: int = 2) -> None:
    """A network that repeats each pixel."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.param").write_text(NEAREST.format(scale=scale))
    (folder / f"{name}.bin").write_bytes(b"")


def write_convolved(folder: Path, name: str = "convolved", seed: int = 3) -> nn.Sequential:
    """Two convolutions with biases, then each pixel twice; returns the same in PyTorch."""
    torch.manual_seed(seed)
    first, second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 3, 3)
    content = b""
    for layer in (first, second):
        weight, bias = (
            tensor.detach().numpy().astype("<f4").tobytes() for tensor in (layer.weight, layer.bias)
        )
        content += struct.pack("<I", 0) + weight + bias  # 0: the weights are float32
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.param").write_text(CONVOLVED)
    (folder / f"{name}.bin").write_bytes(content)
    return nn.Sequential(first, second, nn.UpsamplingNearest2d(scale_factor=2)).requires_grad_(False)


def write_dair(folder: Path, space: StructureSpace | None = None) -> Dair:
    torch.manual_seed(7)
    network = Dair(TINY_DAIR)
    folder.mkdir(parents=True)
    save_model(network, str(folder / "network.safetensors"))
    config = {
        "model": TINY_DAIR.model_dump(mode="json"),
        "space": (space or StructureSpace()).model_dump(mode="json"),
    }
    (folder / "stage.json").write_text(json.dumps({"config": config}))
    return network.eval()


def write_vae(folder: Path, **config: Any) -> Any:
    """A tiny AutoencoderKL, factor 4; `config` is changed in its config.json only."""
    from diffusers import AutoencoderKL

    torch.manual_seed(5)
    vae = AutoencoderKL(
        block_out_channels=(4, 4, 4),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=2,
        norm_num_groups=2,
        layers_per_block=1,
        mid_block_add_attention=False,
        shift_factor=0.25,
        scaling_factor=0.5,
    )
    vae.save_pretrained(folder)
    told = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**told, **config}))
    return vae.eval().requires_grad_(False)
