"""Tiny autoencoder, DAIR and diffusers' autoencoder: what is computed, and what is refused."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from reconstructor_samples import (
    OPTIONS,
    images,
    one,
    write_dair,
    write_tiny_autoencoder,
    write_vae,
)
from safetensors.torch import load_file, save_file

from vestige.errors import ConfigError
from vestige.methods.gensign.structure import Structure, StructureSpace
from vestige.methods.reconstructors import build_reconstructors
from vestige.methods.reconstructors.dair import DairReconstructor


def test_tiny_autoencoder(tmp_path: Path) -> None:
    same = write_tiny_autoencoder(tmp_path)
    network = one(tmp_path, kind="tiny-autoencoder")
    pictures = images(2, 3, 16, 24)
    with torch.no_grad():
        assert torch.equal(network(pictures), same(pictures))
    assert network.weights_note.startswith("TAEANY")
    (tmp_path / "taeany_decoder.pth").unlink()
    with pytest.raises(ConfigError, match=r"no \*_encoder\.pth and \*_decoder\.pth"):
        one(tmp_path, kind="tiny-autoencoder")


def dairs(folder: Path, run: Path | None = None, **options: Any) -> list[DairReconstructor]:
    entry = OPTIONS.validate_python({"kind": "dair", **options})
    found = build_reconstructors([entry], folder, run)
    return [network for network in found if isinstance(network, DairReconstructor)]


def test_each_structure_is_a_reconstructor(tmp_path: Path) -> None:
    same = write_dair(tmp_path / "dair")
    found = dairs(tmp_path, structures=3, seed=4)
    assert [network.name for network in found] == ["dair-0", "dair-1", "dair-2"]
    assert len({network.description for network in found}) == 3
    assert len({id(network.network) for network in found}) == 1
    pictures = images(2, 3, 16, 24)
    for network in found:
        structure = Structure.model_validate_json(network.description.partition("structure ")[2])
        with torch.no_grad():
            wanted = same(pictures, [structure] * 2).clamp(0, 1)
        assert torch.equal(network(pictures), wanted)
    again = dairs(tmp_path, structures=5, seed=4)
    assert [network.description for network in again][:3] == [network.description for network in found]
    other = dairs(tmp_path, structures=3, seed=5)
    assert other[0].description != found[0].description


def test_dair_of_the_run_comes_first(tmp_path: Path) -> None:
    write_dair(tmp_path / "weights" / "dair", StructureSpace(levels=1))
    write_dair(tmp_path / "run" / "dair", StructureSpace(levels=3))
    with pytest.raises(ConfigError, match=r"trained with levels 1, dair asks for 2"):
        dairs(tmp_path / "weights", levels=2)
    found = dairs(tmp_path / "weights", tmp_path / "run", levels=2, structures=20)
    assert {len(network.structure.stages) for network in found} == {1, 2}
    with pytest.raises(ConfigError, match=r"no trained dair in .*nowhere.dair: .* with a GenSign recipe"):
        dairs(tmp_path / "nowhere")


def test_structures_are_all_different(tmp_path: Path) -> None:
    space = StructureSpace(
        levels=1, upsamplings=("nearest",), activations=("gelu",), normalisations=("batch",)
    )
    write_dair(tmp_path / "dair", space)
    # One upsampling; one sub-block of 6 orders, or two of 6^2.
    assert space.count() == 42
    found = dairs(tmp_path, structures=42)
    assert len({network.description for network in found}) == 42
    with pytest.raises(ConfigError, match="has 42 structures, dair asks for 43"):
        dairs(tmp_path, structures=43)


def test_diffusers_autoencoder(tmp_path: Path) -> None:
    same = write_vae(tmp_path / "pipeline" / "vae")
    entry = {"kind": "diffusers-vae", "hub": str(tmp_path / "pipeline"), "subfolder": "vae"}
    network = one(None, **entry)
    pictures = images(2, 3, 16, 24)
    # The mode of a Gaussian is its mean: the first half of what the encoder says.
    mean, _ = same.quant_conv(same.encoder(2 * pictures - 1)).chunk(2, 1)
    wanted = ((same.decoder(same.post_quant_conv(mean)) + 1) / 2).clamp(0, 1)
    assert torch.allclose(network(pictures), wanted, atol=1e-6)
    assert network.name == "pipeline"
    assert network.multiple == 4
    assert "'latent_channels': 2" in network.description
    assert str(tmp_path) not in network.description + network.weights_note
    assert one(None, **entry, name="kl", source="Ours, MIT").weights_note == "Ours, MIT"


def test_the_description_does_not_tell_where_it_came_from(tmp_path: Path) -> None:
    write_vae(tmp_path / "one")
    write_vae(tmp_path / "other", _diffusers_version="0.0.1")
    first, second = (one(None, kind="diffusers-vae", hub=str(tmp_path / name)) for name in ("one", "other"))
    assert first.description == second.description


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"_class_name": "AutoencoderTiny"}, "of the class AutoencoderTiny, wanted AutoencoderKL"),
        ({"in_channels": 1}, r"\[1, 3\] channels, wanted three each"),
        ({"latent_channels": 3}, r"no weights \(safetensors\) of an AutoencoderKL can be had"),
    ],
)
def test_configurations_that_do_not_fit(tmp_path: Path, config: dict[str, Any], sentence: str) -> None:
    write_vae(tmp_path / "vae", **config)
    with pytest.raises(ConfigError, match=sentence):
        one(None, kind="diffusers-vae", hub=str(tmp_path / "vae"))


def test_weights_that_are_not_complete(tmp_path: Path) -> None:
    write_vae(tmp_path)
    path = tmp_path / "diffusion_pytorch_model.safetensors"
    state = load_file(path)
    save_file({**state, "strange": torch.zeros(1)}, path)
    with pytest.raises(ConfigError, match="not the weights of its AutoencoderKL, unexpected keys: strange"):
        one(None, kind="diffusers-vae", hub=str(tmp_path))
    del state["encoder.conv_in.weight"]
    save_file(state, path)
    with pytest.raises(ConfigError, match=r"missing keys: encoder\.conv_in\.weight"):
        one(None, kind="diffusers-vae", hub=str(tmp_path))
    path.unlink()
    torch.save({"pickled": torch.zeros(1)}, path.with_suffix(".bin"))
    with pytest.raises(ConfigError, match=r"no weights \(safetensors\) of an AutoencoderKL"):
        one(None, kind="diffusers-vae", hub=str(tmp_path))


def test_the_hub_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    from diffusers import AutoencoderKL

    def refuse(*_: Any, **where: Any) -> None:
        assert where["pretrained_model_name_or_path"] == "someone/some-vae"
        assert where["revision"] == "v2"
        raise OSError("We couldn't connect\nand more lines")

    monkeypatch.setattr(AutoencoderKL, "load_config", refuse)
    with pytest.raises(ConfigError) as caught:
        one(None, kind="diffusers-vae", hub="someone/some-vae", subfolder="vae", revision="v2")
    assert str(caught.value).startswith("someone/some-vae (subfolder vae): no architecture (config.json) of")
    assert "(We couldn't connect); name another" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_config_that_is_no_json(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ConfigError, match=r"no architecture \(config\.json\) of an AutoencoderKL can be had"):
        one(None, kind="diffusers-vae", hub=str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps([1]))
    with pytest.raises(ConfigError, match=r"its config\.json is not a configuration"):
        one(None, kind="diffusers-vae", hub=str(tmp_path))


def test_the_package_diffusers_is_optional(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    sentence = r"diffusers-vae needs the package diffusers.*pip install 'vestige\[reconstructors\]'"
    with pytest.raises(ConfigError, match=sentence):
        one(None, kind="diffusers-vae", hub=str(tmp_path))
