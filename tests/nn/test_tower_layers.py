"""Tokens after CLIP's layers against the hidden states that transformers' own model gives."""

from collections.abc import Callable
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vestige.nn.clip_vision import ClipTower, ClipTowerConfig, TowerEnd, TowerLayers

transformers = pytest.importorskip("transformers")
torch.set_num_threads(1)

CONFIG = ClipTowerConfig(width=32, layers=3, heads=2, feed_forward=64, patch=16, image=64, projection=16)


def tower(activation: str = "quick_gelu") -> ClipTower:
    torch.manual_seed(0)
    built = ClipTower(CONFIG.model_copy(update={"activation": activation})).eval()
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.normal_(0, 0.2)
    return built


def images(count: int = 3, side: int = 64) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def theirs(network: ClipTower, pictures: Tensor) -> list[np.ndarray]:
    """Hidden states of transformers' model without projection, with another kind of attention."""
    config = deepcopy(network.tower.config)
    config._attn_implementation = "eager"
    model = transformers.CLIPVisionModel(config).eval()
    own = {name.removeprefix("vision_model."): tensor for name, tensor in network.tower.state_dict().items()}
    wanted = model.state_dict()
    model.load_state_dict({name: own[name.removeprefix("vision_model.")] for name in wanted})
    mean = np.array([0.48145466, 0.4578275, 0.40821073])[:, None, None]
    deviation = np.array([0.26862954, 0.26130258, 0.27577711])[:, None, None]
    normal = torch.from_numpy((pictures.double().numpy() - mean) / deviation).float()
    with torch.inference_mode():
        output = model(normal, output_hidden_states=True, interpolate_pos_encoding=pictures.shape[-1] != 64)
    return [state.double().numpy() for state in output.hidden_states]


def said(network: nn.Module, pictures: Tensor) -> Tensor:
    with torch.inference_mode():
        found: Tensor = network(pictures)
    return found


def by_numpy(states: list[np.ndarray]) -> np.ndarray:
    """[B, layers, 3, width]."""
    rows = [np.stack([s[:, 0], s[:, 1:].mean(1), s[:, 1:].std(1)], 1) for s in states]
    return np.stack(rows, 1)


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
@pytest.mark.parametrize("side", [64, 96])
def test_all_layers_are_transformers_hidden_states(activation: str, side: int) -> None:
    network, pictures = tower(activation), images(side=side)
    layers = TowerLayers(network)
    assert layers.taps == (0, 1, 2, 3)
    found = said(layers, pictures)
    assert found.shape == (3, 4, 3, 32)
    np.testing.assert_allclose(found, by_numpy(theirs(network, pictures)), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("taps", [(0,), (2,), (0, 2), (1, 3)])
def test_some_layers(taps: tuple[int, ...]) -> None:
    network = tower()
    assert torch.equal(
        said(TowerLayers(network, taps), images()), said(TowerLayers(network), images())[:, taps]
    )


def calls(network: ClipTower, run: Callable[[], object]) -> int:
    """How many layers were computed."""
    seen: list[int] = []
    layers = network.tower.vision_model.encoder.layers
    hooks = [layer.mlp.register_forward_hook(lambda *_: seen.append(1)) for layer in layers]
    run()
    for hook in hooks:
        hook.remove()
    return len(seen)


@pytest.mark.parametrize(("taps", "expected"), [((0,), 0), ((0, 1), 1), ((2,), 2), (None, 3)])
def test_nothing_is_computed_after_the_last_one(taps: tuple[int, ...] | None, expected: int) -> None:
    network = tower()
    layers = TowerLayers(network, taps)
    assert calls(network, lambda: said(layers, images())) == expected


@pytest.mark.parametrize("projected", [False, True])
def test_the_last_class_token_leads_to_the_towers_output(projected: bool) -> None:
    network = tower()
    last = said(TowerLayers(network, (3,)), images())[:, 0, :1]
    found = said(TowerEnd(network, 3, projected), last)
    if projected:
        torch.testing.assert_close(found, said(network, images()), rtol=1e-4, atol=1e-4)
    else:
        normal = (images() - network.mean) / network.deviation
        with torch.inference_mode():
            expected = network.tower.vision_model(pixel_values=normal).pooler_output
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_flat_pictures_have_small_and_finite_deviations() -> None:
    flat = torch.full((1, 3, 64, 64), 0.5)
    network = tower()
    with torch.no_grad():
        network.tower.vision_model.embeddings.position_embedding.weight.zero_()
    found = said(TowerLayers(network, (0,)), flat)
    np.testing.assert_allclose(found[0, 0, 2], 1e-4, rtol=1e-2)


@pytest.mark.parametrize("taps", [(0,), (2,), (1, 3)])
def test_class_tokens_alone_are_the_same(taps: tuple[int, ...]) -> None:
    network = tower()
    found = said(TowerLayers(network, taps, class_only=True), images())
    assert found.shape == (3, len(taps), 1, 32)
    torch.testing.assert_close(found, said(TowerLayers(network, taps), images())[:, :, :1])


def test_modules_are_shared_with_the_tower() -> None:
    network = tower()
    layers = TowerLayers(network, (1,))
    before = said(layers, images())
    with torch.no_grad():
        network.tower.vision_model.encoder.layers[0].mlp.fc1.bias += 1
    assert not torch.equal(said(layers, images()), before)


def test_descriptions_tell_layers_apart() -> None:
    network = tower()
    described = {TowerLayers(network, taps).description for taps in [None, (1,), (1, 2)]}
    described.add(TowerLayers(network, (1, 2), class_only=True).description)
    assert len(described) == 4
