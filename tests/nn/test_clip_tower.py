"""CLIP's image tower against transformers' own model, and its files of weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import Tensor

from vestige.errors import ConfigError
from vestige.nn.clip_vision import ClipTower, ClipTowerConfig, load_tower

pytest.importorskip("transformers")
torch.set_num_threads(1)

CONFIG = ClipTowerConfig(width=32, layers=2, heads=2, feed_forward=64, patch=16, image=64, projection=16)


def tower(seed: int = 0, config: ClipTowerConfig = CONFIG) -> ClipTower:
    torch.manual_seed(seed)
    built = ClipTower(config).eval()
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.normal_(0, 0.2)  # transformers starts with biases at 0, which would hide their mistakes
    return built


def embedding(network: ClipTower, images: Tensor) -> Tensor:
    with torch.inference_mode():
        return network(images)


def by_hand(network: ClipTower, images: Tensor, positions: Tensor) -> Tensor:
    """The vision transformer of Radford et al. (2021), written out, on normalised pictures."""
    state = network.tower.state_dict()

    def linear(x: Tensor, name: str) -> Tensor:
        return x @ state[f"{name}.weight"].T + state.get(f"{name}.bias", torch.zeros(()))

    def norm(x: Tensor, name: str) -> Tensor:
        mean, variance = x.mean(-1, keepdim=True), x.var(-1, unbiased=False, keepdim=True)
        return (x - mean) / (variance + 1e-5).sqrt() * state[f"{name}.weight"] + state[f"{name}.bias"]

    patches = images.unfold(2, 16, 16).unfold(3, 16, 16).permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)
    x = patches @ state["vision_model.embeddings.patch_embedding.weight"].flatten(1).T
    first = state["vision_model.embeddings.class_embedding"].expand(len(x), 1, -1)
    x = torch.cat([first, x], 1) + positions
    x = norm(x, "vision_model.pre_layrnorm")
    for number in range(CONFIG.layers):
        layer = f"vision_model.encoder.layers.{number}"
        h = norm(x, f"{layer}.layer_norm1")
        query, key, value = (
            linear(h, f"{layer}.self_attn.{part}_proj").unflatten(-1, (CONFIG.heads, -1)).transpose(1, 2)
            for part in "qkv"
        )
        attention = (query @ key.transpose(2, 3) / (CONFIG.width // CONFIG.heads) ** 0.5).softmax(-1)
        x = x + linear((attention @ value).transpose(1, 2).flatten(2), f"{layer}.self_attn.out_proj")
        h = linear(norm(x, f"{layer}.layer_norm2"), f"{layer}.mlp.fc1")
        x = x + linear(h * torch.sigmoid(1.702 * h), f"{layer}.mlp.fc2")
    return linear(norm(x[:, 0], "vision_model.post_layernorm"), "visual_projection")


def normalised(images: Tensor) -> Tensor:
    """As CLIP's published preprocessing does it, in NumPy."""
    mean = np.array([0.48145466, 0.4578275, 0.40821073])
    deviation = np.array([0.26862954, 0.26130258, 0.27577711])
    values = (images.permute(0, 2, 3, 1).double().numpy() - mean) / deviation
    return torch.from_numpy(values).permute(0, 3, 1, 2).float()


def test_is_transformers_model_on_normalised_pictures() -> None:
    network, images = tower(), torch.rand(3, 3, 64, 64)
    with torch.inference_mode():
        expected = network.tower(pixel_values=normalised(images)).image_embeds
    found = embedding(network, images)
    assert found.shape == (3, 16)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_is_the_published_architecture() -> None:
    network, images = tower(), torch.rand(2, 3, 64, 64)
    positions = network.tower.state_dict()["vision_model.embeddings.position_embedding.weight"]
    expected = by_hand(network, normalised(images), positions)
    torch.testing.assert_close(embedding(network, images), expected, atol=1e-3, rtol=1e-3)


def test_default_is_vit_b_16() -> None:
    with torch.device("meta"):
        network = ClipTower(ClipTowerConfig())
    # 86,192,640 in the published image tower of ViT-B/16 with its projection.
    width, layers, projection = 768, 12, 512
    layer = 4 * (width**2 + width) + 2 * 4 * width**2 + 5 * width + 2 * 2 * width
    embeddings = 3 * 16**2 * width + width + (14**2 + 1) * width
    expected = embeddings + layers * layer + 2 * 2 * width + width * projection
    assert sum(p.numel() for p in network.parameters()) == expected == 86_192_640


@pytest.mark.parametrize("side", [32, 96, 128])
def test_other_sizes_have_interpolated_positions(side: int) -> None:
    network, images = tower(), torch.rand(2, 3, side, side)
    found = embedding(network, images)
    assert found.shape == (2, 16)
    assert torch.isfinite(found).all()
    with torch.inference_mode():
        expected = network.tower(pixel_values=normalised(images), interpolate_pos_encoding=True).image_embeds
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_interpolation_leaves_the_class_tokens_position_alone() -> None:
    # Where all patches have the same position, interpolation gives that one again.
    network, images = tower(), torch.rand(2, 3, 96, 96)
    with torch.no_grad():
        positions = network.tower.vision_model.embeddings.position_embedding.weight
        positions[1:] = positions[1]
    first, patch = positions.detach()[:2]
    expected = by_hand(network, normalised(images), torch.stack([first, *[patch] * 36]))
    torch.testing.assert_close(embedding(network, images), expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("kind", [torch.float32, torch.float16])
def test_weights_are_loaded_in_either_precision(tmp_path: Path, kind: torch.dtype) -> None:
    source = tower(1)
    state = {name: tensor.to(kind) for name, tensor in source.tower.state_dict().items()}
    extra = {"vision_model.embeddings.position_ids": torch.arange(17)[None], "logit_scale": torch.zeros(1)}
    (tmp_path / "deeper").mkdir()
    save_file(state | extra, tmp_path / "deeper" / "clip-tiny.safetensors")
    network = tower(2)
    load_tower(network, tmp_path)
    for name, tensor in network.tower.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, state[name].float())


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no clip\*\.safetensors there; put the image tower's model"):
        load_tower(tower(), tmp_path)


@pytest.mark.parametrize("content", [b"", b"no weights at all", b"\xff" * 64])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "clip.safetensors").write_bytes(content)
    with pytest.raises(ConfigError, match=r"clip\.safetensors: cannot be read as weights"):
        load_tower(tower(), tmp_path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"width": 64}, r"class_embedding \(32,\) is missing"),
        ({"layers": 1}, r"layers\.1\..* is missing"),
        ({"image": 96}, r"position_embedding\.weight \(17, 32\) is missing"),
        ({"projection": 8}, r"visual_projection\.weight \(16, 32\) is missing"),
    ],
)
def test_other_networks_are_refused(tmp_path: Path, change: dict[str, int], sentence: str) -> None:
    other = tower(1, CONFIG.model_copy(update=change))
    save_file(other.tower.state_dict(), tmp_path / "clip.safetensors")
    network = tower()
    before = {name: tensor.clone() for name, tensor in network.tower.state_dict().items()}
    with pytest.raises(
        ConfigError, match=rf"clip\.safetensors: not the weights of this image tower, .*{sentence}"
    ):
        load_tower(network, tmp_path)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.tower.state_dict().items())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"heads": 5}, r"width \(32\) must be a multiple of heads \(5\)"),
        ({"activation": "magic"}, "activation"),
    ],
)
def test_impossible_towers_are_refused(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        ClipTowerConfig.model_validate(CONFIG.model_dump() | change)
