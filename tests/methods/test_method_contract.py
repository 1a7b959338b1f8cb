"""What every listed method promises; a new method is tested the day it is listed."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from vestige.errors import ConfigError
from vestige.images.file_facts import NAMES
from vestige.methods import registry
from vestige.methods.base import Method, Network
from vestige.methods.references.probe import LinearProbe

# PyTorch's threads spin while they wait for each other: on a busy machine that costs minutes.
torch.set_num_threads(1)

SIZES = (64, 96)
NARROW = {"widths": (8, 16), "blocks": (1, 1)}
TOWER = {
    "width": 32,
    "layers": 2,
    "heads": 2,
    "feed_forward": 64,
    "patch": 16,
    "image": 64,
    "projection": 16,
}
# Options that make large methods small.
TINY: dict[str, dict[str, Any]] = {
    "clip-probe": TOWER,
    "gensign": {
        "rgb": {
            "tower": TOWER,
            "lora": {"layers": 1},
        },
        "signature": {"extractor": {"width": 8, "blocks": 1, "groups": 4}, "form": "plain", "block": 3},
        "width": 16,
    },
    "attribution": {
        "features": [{"kind": "clip", "tower": TOWER, "final": "projected", "layers": [0, 1]}],
        "widths": (8, 4),
    },
    "feature-probe": {
        "features": [{"kind": "clip", "tower": TOWER, "final": None, "layers": [1], "tokens": ["mean"]}]
    },
    "discriminant": {"features": [{"kind": "clip", "tower": TOWER, "layers": [1]}]},
    "distilled": {"teacher": [{"kind": "clip", "tower": TOWER, "layers": [1]}], "taps": (10,)},
    "nirnet": {
        "noise": {
            "extractor": {"filters": 3, "width": 8, "blocks": 1},
            "side": 64,
            "width": 8,
            "difference": {"hidden": 8},
        },
        "semantic": {"features": [{"kind": "clip", "tower": TOWER}]},
        "branch_width": 8,
        "width": 8,
    },
    "gamma": {"tower": {"kind": "clip", "tower": TOWER, "layers": (1, 2)}, "width": 16},
    "npr": NARROW,
    "denoiser-residual": NARROW,
    "cnndet": NARROW,
}
# The file that a method asks for first where its starting weights are missing.
WANTED = {
    "attribution": "clip*.safetensors",
    "feature-probe": "clip*.safetensors",
    "discriminant": "clip*.safetensors",
    "distilled": "clip*.safetensors",
    "clip-probe": "clip*.safetensors",
    "gensign": "clip*.safetensors",
    "nirnet": "clip*.safetensors",
    "gamma": "clip*.safetensors",
    "autoencoder-error": "efficientnet-lite0*.pth",
    "efficientnet-statistics": "efficientnet-lite0*.pth",
    "patch-statistics": "efficientnet-lite0*.pth",
    "source-statistics": "efficientnet-lite0*.pth",
}


@pytest.fixture(params=sorted(registry.METHODS))
def method(request: pytest.FixtureRequest) -> Method:
    return registry.get(request.param)


@pytest.fixture
def network(method: Method) -> Network:
    torch.manual_seed(0)
    return method.build(options(method), None).eval()


def options(method: Method) -> Any:
    return method.config.model_validate(TINY.get(method.name, {}))


def some_input(method: Method, count: int, size: int = 64) -> Tensor:
    """Noise: images, or vectors as long as those of file facts."""
    if method.looks_at == "facts":
        return torch.rand(count, len(NAMES))
    return torch.rand(count, 3, size, size)


def test_is_listed_under_its_name(method: Method) -> None:
    assert registry.METHODS[method.name]
    assert method.solver in {
        "logistic",
        "discriminant",
        "distilled",
        "sources",
        "gradient",
        "alternating",
        "none",
    }
    assert method.looks_at in {"pixels", "facts"}
    assert method.paper


def test_output(method: Method, network: Network) -> None:
    for size in SIZES:
        with torch.inference_mode():
            output = network(some_input(method, 3, size))
        assert output.logit.shape == (3,)
        assert output.logit.dtype == torch.float32
        assert torch.isfinite(output.logit).all()
        assert (output.map is not None) == method.map_output


def test_flat_pictures_are_no_problem(method: Method, network: Network) -> None:
    one = some_input(method, 1)[0]
    flat = torch.stack([torch.full_like(one, value) for value in (0.0, 0.5, 1.0)])
    with torch.inference_mode():
        assert torch.isfinite(network(flat).logit).all()


def test_pictures_of_a_batch_do_not_meet(method: Method, network: Network) -> None:
    images = some_input(method, 3)
    with torch.inference_mode():
        together = network(images).logit
        alone = torch.cat([network(image[None]).logit for image in images])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


def test_frozen_part_has_a_row_for_each_picture(method: Method, network: Network) -> None:
    with torch.inference_mode():
        features = network.frozen(some_input(method, 3))
        assert all(len(tensor) == 3 for tensor in features)
        assert all(torch.isfinite(tensor.half()).all() for tensor in features), "the cache holds float16"
        network.prepare([features, features])
        assert network.head(*features).logit.shape == (3,)


def test_teachers_have_no_say_in_what_is_told(method: Method, network: Network) -> None:
    images = some_input(method, 3)
    with torch.inference_mode():
        features = network.frozen(images)
        taught = tuple(part.module(images) for part in network.teachers())
        assert all(len(tensor) == 3 for tensor in taught)
        assert torch.equal(network.head(*features, *taught).logit, network.head(*features).logit)
        assert torch.equal(network.learn(*features, *taught)[0].logit, network.head(*features).logit)


def test_trained_part_fits_its_solver(method: Method, network: Network) -> None:
    if method.solver in {"logistic", "discriminant"}:
        assert isinstance(network, LinearProbe)
        return
    if method.solver == "none":
        assert not any(parameter.requires_grad for parameter in network.parameters())
        return
    with torch.inference_mode():
        images = some_input(method, 2)
        taught = tuple(part.module(images) for part in network.teachers())
        features = (*network.frozen(images), *taught)
    output, extra = network.train().learn(*(tensor.clone() for tensor in features))
    (output.logit.sum() + sum(extra.values())).backward()
    trained = [parameter for parameter in network.parameters() if parameter.grad is not None]
    assert trained
    assert all(parameter.requires_grad for parameter in trained)
    fresh = {id(parameter) for parameter in network.fresh_parameters()}
    assert fresh <= {id(parameter) for parameter in trained}


def test_unknown_options_are_refused(method: Method) -> None:
    with pytest.raises(ValidationError, match="colour"):
        method.config.model_validate({"colour": "blue"})


def test_missing_starting_weights_are_named(method: Method, tmp_path: Path) -> None:
    if not method.starting_weights:
        method.build(options(method), tmp_path)
        return
    with pytest.raises(ConfigError) as caught:
        method.build(options(method), tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}: no {WANTED[method.name]} there")


def test_unknown_method() -> None:
    with pytest.raises(ConfigError, match=r"no method 'magic'; known are attribution, autoencoder-error, "):
        registry.get("magic")
