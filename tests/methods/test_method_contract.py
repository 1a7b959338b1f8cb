"""What every listed method promises; a new method is tested the day it is listed."""

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from vestige.errors import ConfigError
from vestige.methods import registry
from vestige.methods.base import Method, Network
from vestige.methods.references.probe import LinearProbe

SIZES = (64, 96)


@pytest.fixture(params=sorted(registry.METHODS))
def method(request: pytest.FixtureRequest) -> Method:
    return registry.get(request.param)


@pytest.fixture
def network(method: Method) -> Network:
    torch.manual_seed(0)
    return method.build(method.config(), None).eval()


def test_is_listed_under_its_name(method: Method) -> None:
    assert registry.METHODS[method.name]
    assert method.solver in {"logistic", "sources", "gradient"}
    assert method.paper


def test_output(method: Method, network: Network) -> None:
    for size in SIZES:
        with torch.inference_mode():
            output = network(torch.rand(3, 3, size, size))
        assert output.logit.shape == (3,)
        assert output.logit.dtype == torch.float32
        assert torch.isfinite(output.logit).all()
        assert (output.map is not None) == method.map_output


def test_flat_pictures_are_no_problem(network: Network) -> None:
    flat = torch.stack([torch.full((3, 64, 64), value) for value in (0.0, 0.5, 1.0)])
    with torch.inference_mode():
        assert torch.isfinite(network(flat).logit).all()


def test_pictures_of_a_batch_do_not_meet(network: Network) -> None:
    images = torch.rand(3, 3, 64, 64)
    with torch.inference_mode():
        together = network(images).logit
        alone = torch.cat([network(image[None]).logit for image in images])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


def test_frozen_part_has_a_row_for_each_picture(network: Network) -> None:
    with torch.inference_mode():
        features = network.frozen(torch.rand(3, 3, 64, 64))
        assert all(len(tensor) == 3 for tensor in features)
        network.prepare([features, features])
        assert network.head(*features).logit.shape == (3,)


def test_trained_part_fits_its_solver(method: Method, network: Network) -> None:
    if method.solver == "logistic":
        assert isinstance(network, LinearProbe)
        return
    with torch.inference_mode():
        features = network.frozen(torch.rand(2, 3, 64, 64))
    network.train().head(*(tensor.clone() for tensor in features)).logit.sum().backward()
    trained = [parameter for parameter in network.parameters() if parameter.grad is not None]
    assert all(parameter.requires_grad for parameter in trained)
    fresh = {id(parameter) for parameter in network.fresh_parameters()}
    assert fresh <= {id(parameter) for parameter in trained}


def test_unknown_options_are_refused(method: Method) -> None:
    with pytest.raises(ValidationError, match="colour"):
        method.config.model_validate({"colour": "blue"})


def test_missing_starting_weights_are_named(method: Method, tmp_path: Path) -> None:
    if not method.starting_weights:
        method.build(method.config(), tmp_path)
        return
    with pytest.raises(ConfigError, match="efficientnet-lite0"):
        method.build(method.config(), tmp_path)


def test_unknown_method() -> None:
    with pytest.raises(ConfigError, match=r"no method 'magic'; known are efficientnet-statistics, "):
        registry.get("magic")
