"""What holds for reconstructors of every kind, and how recipes name them."""

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from reconstructor_samples import (
    OPTIONS,
    images,
    one,
    write_convolved,
    write_dair,
    write_nearest,
    write_tiny_autoencoder,
    write_vae,
)
from torch import Tensor, nn

from vestige.errors import ConfigError
from vestige.methods.reconstructors import Reconstructor, build_reconstructors
from vestige.methods.reconstructors.base import reflect

KINDS = ["tiny-autoencoder", "super-resolution", "dair", "diffusers-vae"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    write_tiny_autoencoder(folder / "tiny")
    write_convolved(folder / "sr")
    write_nearest(folder / "sr", "nearest-3", 3)
    write_dair(folder / "dair")
    write_vae(folder / "vae")
    return folder


def options(kind: str, weights: Path) -> dict[str, Any]:
    more: dict[str, dict[str, Any]] = {
        "super-resolution": {"model": "convolved", "scale": 2},
        "dair": {"structures": 1},
        "diffusers-vae": {"hub": str(weights / "vae")},
    }
    return {"kind": kind, **more.get(kind, {})}


@pytest.fixture(scope="module")
def built(weights: Path) -> dict[str, Reconstructor]:
    return {kind: one(weights, **options(kind, weights)) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_contract(built: dict[str, Reconstructor], kind: str) -> None:
    network, pictures = built[kind], images(2, 3, 24, 40)
    made = network(pictures)
    assert made.shape == pictures.shape
    assert made.dtype == torch.float32
    assert made.min() >= 0
    assert made.max() <= 1
    assert torch.equal(network(pictures), made)
    assert torch.allclose(network(pictures[1:]), made[1:], atol=1e-5)
    assert not torch.equal(made, pictures)
    assert network.name
    assert network.weights_note
    # A stage that trains something puts its whole task in training mode.
    around = nn.Sequential(network).train()
    assert not any(module.training for module in network.modules())
    assert not any(parameter.requires_grad for parameter in around.parameters())
    assert not network(pictures.requires_grad_()).requires_grad


@pytest.mark.parametrize("kind", KINDS)
def test_any_size_is_taken_and_reflected_up_to_the_grid(built: dict[str, Reconstructor], kind: str) -> None:
    network = built[kind]
    side = 2 * network.multiple
    pictures = images(1, 3, side + 1, 2 * side - 1)
    rows, columns = -(side + 1) % network.multiple, 1
    padded = nn.functional.pad(pictures, (0, columns, 0, rows), mode="reflect")
    assert padded.shape[-1] % network.multiple == 0
    assert torch.equal(network(pictures), network(padded)[..., : side + 1, : 2 * side - 1])
    smallest = network(images(1, 3, 1, 3))
    assert smallest.shape == (1, 3, 1, 3)
    assert smallest.isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_autocast_does_not_round(built: dict[str, Reconstructor], kind: str) -> None:
    pictures = images(1, 3, 16, 16)
    exact = built[kind](pictures)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(built[kind](pictures), exact)


@pytest.mark.parametrize("kind", KINDS)
def test_copies_and_pickles_do_the_same(built: dict[str, Reconstructor], kind: str) -> None:
    network, pictures = built[kind], images(1, 3, 16, 16)
    exact = network(pictures)
    copied = copy.deepcopy(network)
    assert torch.equal(copied(pictures), exact)
    assert torch.equal(pickle.loads(pickle.dumps(network))(pictures), exact)
    state = network.state_dict()
    assert state
    assert all(torch.equal(tensor, copied.state_dict()[name]) for name, tensor in state.items())
    assert all(isinstance(tensor, Tensor) for tensor in state.values())


def test_descriptions_tell_reconstructors_apart(built: dict[str, Reconstructor]) -> None:
    assert len({network.description for network in built.values()}) == len(KINDS)


def test_several_in_the_recipes_order(weights: Path) -> None:
    listed = [
        {"kind": "super-resolution", "model": "nearest-3", "scale": 3},
        {"kind": "dair", "structures": 2},
        {"kind": "tiny-autoencoder", "name": "taef2"},
        {"kind": "diffusers-vae", "hub": str(weights / "vae")},
    ]
    found = build_reconstructors([OPTIONS.validate_python(entry) for entry in listed], weights)
    assert [network.name for network in found] == ["nearest-3", "dair-0", "dair-1", "taef2", "vae"]
    assert [network.multiple for network in found] == [3, 8, 8, 8, 4]


def test_names_are_unique(weights: Path) -> None:
    twice = [OPTIONS.validate_python({"kind": "tiny-autoencoder"})] * 2
    with pytest.raises(ConfigError, match="several reconstructors are called tiny-autoencoder; name each"):
        build_reconstructors(twice, weights)
    named = OPTIONS.validate_python({"kind": "tiny-autoencoder", "name": "dair-0"})
    with pytest.raises(ConfigError, match="called dair-0"):
        build_reconstructors([named, OPTIONS.validate_python({"kind": "dair"})], weights)


@pytest.mark.parametrize(
    "entry",
    [
        {"kind": "diffusion"},
        {"kind": "tiny-autoencoder", "scale": 2},
        {"kind": "tiny-autoencoder", "name": "../outside"},
        {"kind": "tiny-autoencoder", "name": ""},
        {"kind": "super-resolution", "model": "x"},
        {"kind": "super-resolution", "model": "x", "scale": 5},
        {"kind": "super-resolution", "model": "*", "scale": 2},
        {"kind": "dair", "structures": 0},
        {"kind": "dair", "levels": 4},
        {"kind": "diffusers-vae"},
        {"kind": "diffusers-vae", "hub": ""},
    ],
)
def test_options_that_make_no_sense(entry: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        OPTIONS.validate_python(entry)


@pytest.mark.parametrize("kind", ["tiny-autoencoder", "super-resolution"])
def test_a_folder_of_weights_is_needed(weights: Path, kind: str) -> None:
    with pytest.raises(
        ConfigError, match=f"of kind {kind} needs a folder of starting weights; give it with --weights$"
    ):
        one(None, **options(kind, weights))


@pytest.mark.parametrize("side", [1, 2, 3, 7])
def test_reflection_goes_on_and_on(side: int) -> None:
    line = images(1, 1, 1, side)
    found = reflect(line, 0, 9, 0, 9)[0, 0, 0]
    # Walked step by step, turning round at both ends.
    position, step, walked = 0, 1, []
    for _ in range(side + 9):
        walked.append(float(line[0, 0, 0, position]))
        if not 0 <= position + step < side:
            step = -step
        position = position + step if side > 1 else 0
    assert found[9:].tolist() == walked
    if side > 1:
        assert torch.equal(found[:10].flip(0), found[9:19])
    else:
        assert (found == line[0, 0, 0, 0]).all()
