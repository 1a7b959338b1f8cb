"""Latents of a fixed encoder."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from reconstructor_samples import images, write_tiny_autoencoder, write_vae

from vestige.errors import ConfigError
from vestige.methods.reconstructors.latents import LatentOptions, Latents, build_latents

OPTIONS: TypeAdapter[Any] = TypeAdapter(LatentOptions)
SHAPE = {"channels": 2, "factor": 4}  # of the latents of the tiny AutoencoderKL


def build(weights: Path | None, **options: Any) -> Latents:
    return build_latents(OPTIONS.validate_python(options), weights)


def test_tiny_autoencoder(tmp_path: Path) -> None:
    same = write_tiny_autoencoder(tmp_path)
    latents = build(tmp_path, kind="tiny-autoencoder")
    pictures = images(2, 3, 16, 24)
    with torch.no_grad():
        assert torch.equal(latents(pictures), same.encoder(pictures))
    assert (latents.channels, latents.factor) == (32, 8)
    assert latents(pictures).shape == (2, 32, 2, 3)
    assert latents.weights_note.startswith("TAEANY")


def test_diffusers_autoencoder(tmp_path: Path) -> None:
    same = write_vae(tmp_path)
    latents = build(tmp_path, kind="diffusers-vae", hub=str(tmp_path), **SHAPE)
    pictures = images(2, 3, 16, 24)
    mean, _ = same.quant_conv(same.encoder(2 * pictures - 1)).chunk(2, 1)
    assert torch.allclose(latents(pictures), (mean - 0.25) * 0.5, atol=1e-6)
    assert (latents.channels, latents.factor) == (2, 4)
    assert not any("decoder" in name for name in latents.state_dict())
    # As diffusers' own pipelines scale where mean and deviation of each channel are known.
    same = write_vae(tmp_path, latents_mean=[1.0, 2.0], latents_std=[0.5, 4.0])
    latents = build(tmp_path, kind="diffusers-vae", hub=str(tmp_path), **SHAPE)
    wanted = torch.stack([(mean[:, 0] - 1) * 0.5 / 0.5, (mean[:, 1] - 2) * 0.5 / 4], 1)
    assert torch.allclose(latents(pictures), wanted, atol=1e-6)


@pytest.mark.parametrize("kind", ["tiny-autoencoder", "diffusers-vae"])
def test_nothing_in_them_is_ever_trained(tmp_path: Path, kind: str) -> None:
    write_tiny_autoencoder(tmp_path)
    write_vae(tmp_path)
    options = {"kind": kind, **({"hub": str(tmp_path), **SHAPE} if kind == "diffusers-vae" else {})}
    latents = build(tmp_path, **options)
    pictures = images(1, 3, 16, 16)
    for network in (latents, copy.deepcopy(latents)):
        network.train()
        assert not any(module.training for module in network.modules())
        assert not any(parameter.requires_grad for parameter in network.parameters())
        with torch.autocast("cpu", torch.bfloat16):
            found = network(pictures)
        assert found.dtype == torch.float32
        assert torch.equal(found, latents(pictures))
    with pytest.raises(ValueError, match=r"sides must be multiples of [48], got \(15, 16\)"):
        latents(images(1, 3, 15, 16))


def test_fresh_tensors_take_those_of_a_trained_network(tmp_path: Path) -> None:
    write_tiny_autoencoder(tmp_path)
    latents, fresh = build(tmp_path, kind="tiny-autoencoder"), build(None, kind="tiny-autoencoder")
    assert fresh.description == latents.description
    pictures = images(1, 3, 16, 16)
    assert not torch.equal(fresh(pictures), latents(pictures))
    fresh.load_state_dict(latents.state_dict())
    assert torch.equal(fresh(pictures), latents(pictures))


def test_a_trained_network_is_restored_without_the_hub(tmp_path: Path) -> None:
    latents = build(None, kind="diffusers-vae", hub="nobody/nothing", **SHAPE)
    assert (latents.channels, latents.factor) == (2, 4)
    write_vae(tmp_path)
    with pytest.raises(ConfigError, match=r"latents have 2 channels and one for 4 pixels, .* says 4 and 8"):
        build(tmp_path, kind="diffusers-vae", hub=str(tmp_path))


def test_what_cannot_be_had(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no \*_encoder\.pth"):
        build(tmp_path, kind="tiny-autoencoder")
    with pytest.raises(ConfigError, match=r"no architecture \(config\.json\) of an AutoencoderKL"):
        build(tmp_path, kind="diffusers-vae", hub=str(tmp_path))
    with pytest.raises(ValidationError):
        OPTIONS.validate_python({"kind": "dair"})
