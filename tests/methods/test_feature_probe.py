"""The linear probe on frozen towers, and both methods on them as a run keeps, restores and exports them."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_model, save_model
from torch import Tensor

from vestige.methods import registry
from vestige.methods.base import Network
from vestige.methods.references.feature_probe import FeatureProbe
from vestige.training.export import write_graph

pytest.importorskip("transformers")
torch.set_num_threads(1)

SHAPE = {
    "width": 32,
    "layers": 2,
    "heads": 2,
    "feed_forward": 64,
    "patch": 16,
    "image": 64,
    "projection": 16,
}
DINO = {
    "model_type": "dinov2",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "mlp_ratio": 2,
    "image_size": 64,
    "patch_size": 16,
}
CLIP = {"kind": "clip", "tower": SHAPE, "final": "pooled", "layers": [0, 1], "tokens": ["mean", "class"]}
FEATURES = [
    CLIP | {"keep": "all"},
    {"kind": "transformers", "tower": {"config": DINO}, "layers": [1], "tokens": ["deviation"]},
]
METHODS = ["attribution", "feature-probe"]


def build(method: str, seed: int = 0, features: Any = FEATURES) -> Network:
    torch.manual_seed(seed)
    found = registry.get(method)
    return found.build(found.config.model_validate({"features": features}), None).eval()


def images(count: int = 4) -> Tensor:
    return torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def logits(network: Network, pictures: Tensor) -> Tensor:
    with torch.inference_mode():
        return network(pictures).logit


def test_the_probe_is_a_linear_layer_on_standardised_features() -> None:
    network = build("feature-probe")
    assert isinstance(network, FeatureProbe)
    with torch.inference_mode():
        kept = network.frozen(images(9))
        network.prepare([tuple(part[:5] for part in kept), tuple(part[5:] for part in kept)])
        features = network.features(*kept).double().numpy()
        found = network.head(*kept).logit.numpy()
    assert features.shape == (9, 32 + 4 * 32 + 32 + 32)
    deviation = np.maximum(features.std(0, ddof=1), 1e-4)
    standardised = (features - features.mean(0)) / deviation
    weight = network.linear.weight.detach().double().numpy()[0]
    expected = standardised @ weight + network.linear.bias.item()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_only_the_head_learns(method: str) -> None:
    network = build(method)
    trained = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert trained
    assert not any(name.startswith("features.") for name in trained)


@pytest.mark.parametrize("method", METHODS)
def test_a_run_is_restored_without_starting_weights(method: str, tmp_path: Path) -> None:
    trained, restored = build(method, 1), build(method, 2)
    with torch.inference_mode():
        trained.prepare([trained.frozen(images())])
    path = str(tmp_path / "network.safetensors")
    save_model(trained, path)
    load_model(restored, path)
    assert torch.equal(logits(restored, images()), logits(trained, images()))
    torch.testing.assert_close(
        logits(restored.exportable(), images()), logits(trained, images()), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("method", METHODS)
def test_what_is_exported_leaves_the_network_as_it_was(method: str, tmp_path: Path) -> None:
    network = build(method, features=[CLIP | {"keep": "all", "final": None}])
    before, names = logits(network, images()), list(network.state_dict())
    small = network.exportable()
    assert len(small.state_dict()) < len(names)  # one of two layers is left out
    torch.testing.assert_close(logits(small, images()), before, rtol=1e-4, atol=1e-4)
    assert list(network.state_dict()) == names
    assert torch.equal(logits(network, images()), before)
    save_model(network, str(tmp_path / "network.safetensors"))


@pytest.mark.parametrize("method", METHODS)
def test_copies_stand_alone(method: str) -> None:
    network = build(method)
    expected = logits(network, images())
    other = deepcopy(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert torch.equal(logits(other, images()), expected)
    torch.testing.assert_close(logits(other.exportable(), images()), expected, rtol=1e-4, atol=1e-4)


def test_the_graph_takes_any_number_of_views(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    network = build("feature-probe")
    with torch.inference_mode():
        network.prepare([network.frozen(images(9))])
    write_graph(network.exportable(), images(2), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    for count in (1, 3):
        (found,) = session.run(["logit"], {"images": images(count).numpy()})
        np.testing.assert_allclose(found, logits(network, images(count)), rtol=1e-4, atol=1e-4)
