"""Vision towers through transformers: against transformers' own outputs, their files, their export."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_model, save_file, save_model
from torch import Tensor, nn

from vestige.errors import ConfigError
from vestige.nn.transformers_vision import TransformersTower, TransformersTowerConfig, load_transformers_tower

transformers = pytest.importorskip("transformers")
torch.set_num_threads(1)

VIT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 64,
    "patch_size": 16,
}
DINO = {key: value for key, value in VIT.items() if key != "intermediate_size"} | {"mlp_ratio": 2}
CONFIGS: dict[str, dict[str, Any]] = {
    "vit": VIT,
    "dinov2": DINO,
    "dinov2_with_registers": DINO | {"num_register_tokens": 4},
    "siglip_vision_model": VIT,
    "clip_vision_model": VIT,
    "beit": VIT,
    "deit": VIT,
    "swin": {
        "image_size": 64,
        "patch_size": 4,
        "embed_dim": 8,
        "depths": [1, 1],
        "num_heads": [2, 2],
        "window_size": 4,
    },
    "convnext": {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "image_size": 64},
    "resnet": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"},
}
# Tokens that are not of patches: the class token, DeiT's distillation token, registers.
LEADING = {"vit": 1, "dinov2": 1, "dinov2_with_registers": 5, "clip_vision_model": 1, "beit": 1, "deit": 2}
TEXT = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "vocab_size": 64,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
}


def config_of(kind: str, **changes: Any) -> TransformersTowerConfig:
    return TransformersTowerConfig(config={"model_type": kind, **CONFIGS[kind], **changes})


def tower(
    kind: str,
    pooled: bool = False,
    layers: tuple[int, ...] = (0, 1, 2),
    tokens: tuple[str, ...] = ("mean", "deviation"),
    seed: int = 0,
    **changes: Any,
) -> TransformersTower:
    torch.manual_seed(seed)
    return shaken(TransformersTower(config_of(kind, **changes), pooled, layers, tokens).eval())


def shaken(network: Any) -> Any:
    """With weights that hide no mistake: transformers starts with biases at 0 and scales at 1."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.add_(0.1 * torch.randn_like(parameter) if parameter.ndim else 0)
            if name.endswith("position_embeddings"):
                parameter.normal_()
    return network


def images(count: int = 3, side: int = 64) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(5))


def normalised(pictures: Tensor) -> Tensor:
    """As torchvision's documentation has it for ImageNet."""
    values = pictures.permute(0, 2, 3, 1).double().numpy()
    values = (values - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    return torch.from_numpy(values).permute(0, 3, 1, 2).float()


def theirs(network: TransformersTower, pictures: Tensor, **more: Any) -> Any:
    with torch.inference_mode():
        return network.tower(pixel_values=normalised(pictures), output_hidden_states=True, **more)


def said(network: nn.Module, pictures: Tensor) -> Tensor:
    with torch.inference_mode():
        found: Tensor = network(pictures)
    return found


def expected_of(kind: str, output: Any, layers: tuple[int, ...]) -> np.ndarray:
    """Mean and deviation over patches, by NumPy."""
    parts = []
    for layer in layers:
        state = output.hidden_states[layer].double().numpy()
        if state.ndim == 4:
            state = state.reshape(*state.shape[:2], -1).swapaxes(1, 2)
        patches = state[:, LEADING.get(kind, 0) :]
        parts += [patches.mean(1), patches.std(1)]
    return np.concatenate(parts, 1)


@pytest.mark.parametrize("kind", sorted(CONFIGS))
def test_is_what_transformers_says(kind: str) -> None:
    network = tower(kind)
    found = said(network, images())
    expected = expected_of(kind, theirs(network, images()), (0, 1, 2))
    assert found.shape == (3, network.width)
    # A deviation of 0 comes out as 1e-4.
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1.1e-4)


@pytest.mark.parametrize("kind", sorted(LEADING))
def test_class_tokens(kind: str) -> None:
    network = tower(kind, tokens=("deviation", "class"), layers=(2, 0))
    found = said(network, images()).unflatten(1, (2, 2, -1))
    output = theirs(network, images())
    for position, layer in enumerate((2, 0)):
        torch.testing.assert_close(found[:, position, 1], output.hidden_states[layer][:, 0])


@pytest.mark.parametrize("kind", sorted(CONFIGS))
def test_pooled_output(kind: str) -> None:
    network = tower(kind, pooled=True, layers=())
    expected = theirs(network, images()).pooler_output.flatten(1)
    assert network.width == expected.shape[1]
    torch.testing.assert_close(said(network, images()), expected, rtol=1e-4, atol=1e-4)


def test_pooled_output_comes_first() -> None:
    both, pooled = tower("dinov2", pooled=True), tower("dinov2", pooled=True, layers=())
    assert torch.equal(said(both, images())[:, :32], said(pooled, images()))


@pytest.mark.parametrize("kind", ["vit", "dinov2", "siglip_vision_model"])
def test_positions_of_other_sizes_are_interpolated_by_the_model(kind: str) -> None:
    network = tower(kind)
    more = {} if kind == "dinov2" else {"interpolate_pos_encoding": True}
    expected = expected_of(kind, theirs(network, images(2, 96), **more), (0, 1, 2))
    np.testing.assert_allclose(said(network, images(2, 96)), expected, rtol=1e-3, atol=1e-4)


def test_sizes_that_a_model_does_not_take_are_refused() -> None:
    network = tower("vit")
    network._interpolates = False
    with pytest.raises(ConfigError, match=r"tower vit takes images of 64 pixels a side and not of 96"):
        said(network, images(2, 96))


def test_the_normalisation_is_an_option() -> None:
    config = TransformersTowerConfig(
        config=config_of("vit").config, mean=(0.5, 0.25, 0.125), deviation=(0.5, 0.25, 2)
    )
    network = TransformersTower(config, False, (0,), ("mean",)).eval()
    mean, deviation = torch.tensor([0.5, 0.25, 0.125]), torch.tensor([0.5, 0.25, 2])
    normal = (images() - mean[:, None, None]) / deviation[:, None, None]
    with torch.inference_mode():
        state = network.tower(pixel_values=normal, output_hidden_states=True).hidden_states[0]
    torch.testing.assert_close(said(network, images()), state[:, 1:].mean(1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"model_type": "nothing"}, "knows no model_type 'nothing'"),
        ({"model_type": "vit", "hiden_size": 3}, "vit has no option hiden_size"),
        ({"model_type": "vit", "hidden_size": "big"}, "no vit can be made of it .*hidden_size"),
        ({"model_type": "vit", "auto_map": {"AutoModel": "x--y.Z"}}, "vit has no option auto_map"),
        ({"model_type": "bert"}, "bert is no vision model"),
        ({"model_type": "clip"}, "clip is no vision model"),
        ({"model_type": "vit", **VIT, "patch_size": 128}, "cannot judge an image of 64 pixels"),
        ({"model_type": "vit_mae", **VIT, "mask_ratio": 0.75}, "not clear which of it are patches"),
    ],
)
def test_impossible_configurations_are_refused(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        TransformersTower(TransformersTowerConfig(config=values), False, (0,), ("mean",))


def test_a_configuration_needs_a_model_type() -> None:
    with pytest.raises(ValidationError, match="model_type is missing"):
        TransformersTowerConfig(config={"hidden_size": 32})


def test_a_side_that_contradicts_the_configuration_is_refused() -> None:
    config = config_of("vit").model_copy(update={"image": 96})
    with pytest.raises(ConfigError, match=r"tower\.image is 96, but image_size is 64"):
        TransformersTower(config, False, (0,), ("mean",))


def test_outputs_that_a_tower_lacks_are_refused() -> None:
    with pytest.raises(ConfigError, match="has 3 hidden states, counted from 0"):
        tower("vit", layers=(3,))
    with pytest.raises(ConfigError, match="siglip_vision_model has no class token; take class out"):
        tower("siglip_vision_model", tokens=("class",))
    with pytest.raises(ConfigError, match="convnext has no class token"):
        tower("convnext", tokens=("mean", "class"))
    with pytest.raises(ConfigError, match="siglip_vision_model has no pooled output; choose layers"):
        tower("siglip_vision_model", pooled=True, vision_use_head=False)


def full_model(kind: str) -> Any:
    """What a hub usually has: the tower with a text tower beside it, or with a classifier on top."""
    torch.manual_seed(9)
    values = CONFIGS[kind]
    if kind == "siglip_vision_model":
        config = transformers.SiglipConfig(text_config=TEXT, vision_config=values)
        return shaken(transformers.SiglipModel(config))
    if kind == "clip_vision_model":
        return shaken(transformers.CLIPModel(transformers.CLIPConfig(text_config=TEXT, vision_config=values)))
    made = transformers.AutoConfig.for_model(kind, **values)
    return shaken(transformers.AutoModelForImageClassification.from_config(made))


def inside(full: Any, kind: str) -> Any:
    names = {"siglip_vision_model": "vision_model", "clip_vision_model": "vision_model"}
    return getattr(full, names.get(kind, kind)).eval()


@pytest.mark.parametrize("kind", ["vit", "dinov2", "siglip_vision_model", "clip_vision_model", "convnext"])
@pytest.mark.parametrize("kept_in", [torch.float32, torch.float16])
def test_weights_of_larger_models(tmp_path: Path, kind: str, kept_in: torch.dtype) -> None:
    full = full_model(kind)
    state = {name: tensor.to(kept_in).contiguous() for name, tensor in full.state_dict().items()}
    (tmp_path / "deeper").mkdir()
    save_file(state, tmp_path / "deeper" / f"{kind}-tiny.safetensors")
    network = tower(kind, seed=1)
    load_transformers_tower(network, tmp_path)
    source = inside(full.to(kept_in).float(), kind).state_dict()
    for name, tensor in network.tower.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, source[name]), name


def test_names_of_earlier_versions_are_known(tmp_path: Path) -> None:
    full = full_model("vit")
    full.save_pretrained(tmp_path)  # under the names that the hub has
    (tmp_path / "model.safetensors").rename(tmp_path / "vit.safetensors")
    network = tower("vit", seed=1)
    load_transformers_tower(network, tmp_path)
    with torch.inference_mode():
        output = full.vit.eval()(pixel_values=normalised(images()), output_hidden_states=True)
    expected = expected_of("vit", output, (0, 1, 2))
    np.testing.assert_allclose(said(network, images()), expected, rtol=1e-3, atol=1e-4)


def test_fewer_layers_than_the_weights_have(tmp_path: Path) -> None:
    full = full_model("dinov2")
    save_file(full.state_dict(), tmp_path / "dinov2.safetensors")
    network = tower("dinov2", layers=(1,), num_hidden_layers=1)
    load_transformers_tower(network, tmp_path)
    whole = tower("dinov2", layers=(1,))
    load_transformers_tower(whole, tmp_path)
    assert torch.equal(said(network, images()), said(whole, images()))


@pytest.mark.parametrize(
    ("kind", "changes", "sentence"),
    [
        ("vit", {"intermediate_size": 48}, r"layers\.0\.\S+ \(48, 32\) is missing"),
        ("vit", {"num_hidden_layers": 3}, r"layers\.2\.\S+ \(32, 32\) is missing"),
        ("dinov2", {"hidden_size": 16}, r"embeddings\.cls_token \(1, 1, 16\) is missing"),
    ],
)
def test_other_weights_are_refused(tmp_path: Path, kind: str, changes: dict[str, int], sentence: str) -> None:
    save_file(full_model(kind).state_dict(), tmp_path / f"{kind}.safetensors")
    network = tower(kind, layers=(0,), **changes)
    before = deepcopy(network.tower.state_dict())
    with pytest.raises(
        ConfigError, match=rf"{kind}\.safetensors: not the weights of this vision .*{sentence}"
    ):
        load_transformers_tower(network, tmp_path)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.tower.state_dict().items())


def test_a_pooling_layer_is_asked_for_only_where_it_is_used(tmp_path: Path) -> None:
    save_file(full_model("vit").state_dict(), tmp_path / "vit.safetensors")  # a classifier has none
    load_transformers_tower(tower("vit"), tmp_path)
    with pytest.raises(ConfigError, match=r"pooler\.dense\.\w+ \(32.* is missing"):
        load_transformers_tower(tower("vit", pooled=True), tmp_path)


def test_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no vit\*\.safetensors there; put the model's model\.safetensors"):
        load_transformers_tower(tower("vit"), tmp_path)
    with pytest.raises(ConfigError, match=r"no mine\*\.safetensors there"):
        load_transformers_tower(tower("vit"), tmp_path, "mine")
    for name in ("vit-a", "vit-b"):
        (tmp_path / f"{name}.safetensors").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"several files vit\*\.safetensors there \(vit-a\.\w+, vit-b"):
        load_transformers_tower(tower("vit"), tmp_path)
    with pytest.raises(ConfigError, match=r"vit-a\.safetensors: cannot be read as weights"):
        load_transformers_tower(tower("vit"), tmp_path, "vit-a")


@pytest.mark.parametrize("kind", ["vit", "siglip_vision_model"])
def test_the_hub_is_asked_where_there_is_no_file(tmp_path: Path, kind: str) -> None:
    hub, folder = tmp_path / "hub", tmp_path / "weights"  # a folder serves as the name of a model, too
    folder.mkdir()
    full = full_model(kind)
    full.save_pretrained(hub)
    network = tower(kind, seed=1)
    load_transformers_tower(network, folder, hub=str(hub))
    source = inside(full, kind).state_dict()
    assert all(torch.equal(tensor, source[name]) for name, tensor in network.tower.state_dict().items())


def test_other_models_of_the_hub_are_refused(tmp_path: Path) -> None:
    hub, folder = tmp_path / "hub", tmp_path / "weights"
    folder.mkdir()
    full_model("vit").save_pretrained(hub)
    with pytest.raises(ConfigError, match="its num_attention_heads is 2, the recipe's tower has 4"):
        load_transformers_tower(tower("vit", num_attention_heads=4), folder, hub=str(hub))
    with pytest.raises(ConfigError, match=r"no vit\*\.safetensors there, and .*nowhere cannot be had"):
        load_transformers_tower(tower("vit"), folder, hub=str(tmp_path / "nowhere"))


def test_a_checkpoint_brings_the_weights(tmp_path: Path) -> None:
    trained, restored = tower("resnet", seed=1), tower("resnet", seed=2)
    trained.tower.embedder.embedder.normalization.running_mean.fill_(0.3)
    save_model(trained, str(tmp_path / "network.safetensors"))
    load_model(restored, str(tmp_path / "network.safetensors"))
    assert torch.equal(said(trained, images()), said(restored, images()))
    assert torch.equal(said(deepcopy(restored), images()), said(trained, images()))


def test_descriptions_tell_features_apart() -> None:
    described = [
        tower("vit").description,
        tower("vit", layers=(0, 1)).description,
        tower("vit", tokens=("mean",)).description,
        tower("vit", pooled=True).description,
        tower("vit", num_attention_heads=4).description,
        tower("deit").description,
    ]
    assert len(set(described)) == len(described)
    turned = TransformersTowerConfig(config=dict(reversed(config_of("vit").config.items())))
    assert TransformersTower(turned, False, (0, 1, 2), ("mean", "deviation")).description == described[0]


def test_export_with_a_free_batch(tmp_path: Path) -> None:
    # Of maps; tokens are exported in the tests of the feature probe.
    onnxruntime = pytest.importorskip("onnxruntime")
    from vestige.training.packaging import write_onnx

    network, path = tower("convnext", pooled=True), tmp_path / "tower.onnx"
    batch = torch.export.Dim("batch", min=1, max=4096)
    write_onnx(network, images(2), path, "images", ["features"], {0: batch})
    session = onnxruntime.InferenceSession(str(path))
    for count in (1, 3):
        (found,) = session.run(None, {"images": images(count).numpy()})
        np.testing.assert_allclose(found, said(network, images(count)), rtol=1e-4, atol=1e-4)
