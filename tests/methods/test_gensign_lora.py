"""GenSign's RGB stream: where the tower is cut, low-rank updates, merging, saving."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_model, save_file, save_model
from torch import Tensor, nn

from vestige.errors import ConfigError
from vestige.methods.gensign.model import GenSign, GenSignConfig, build
from vestige.methods.gensign.rgb import LoraOptions, RgbOptions, RgbStream, rgb_stream
from vestige.nn.clip_vision import ClipTower, ClipTowerConfig, load_tower

# PyTorch's threads spin while they wait for each other: on a busy machine that costs minutes.
torch.set_num_threads(1)

LAYERS, WIDTH = 3, 32
TOWER = ClipTowerConfig(
    width=WIDTH, layers=LAYERS, heads=2, feed_forward=48, patch=16, image=64, projection=16
)
CUTS = [None, LoraOptions(), LoraOptions(layers=1), LoraOptions(layers=2), LoraOptions(layers=3)]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random tower, with weights large enough for every layer to matter."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    tower = ClipTower(TOWER)
    for parameter in tower.tower.parameters():
        nn.init.normal_(parameter, std=0.2)
    save_file(tower.tower.state_dict(), folder / "clip-random.safetensors")
    return folder


def stream_of(weights: Path | None, lora: LoraOptions | None, **options: Any) -> RgbStream:
    torch.manual_seed(1)
    return rgb_stream(RgbOptions(tower=TOWER, lora=lora, **options), weights).eval()


def updated(network: GenSign | RgbStream) -> list[nn.Parameter]:
    """Give the low-rank updates some value; they start at zero."""
    found = [parameter for name, parameter in network.named_parameters() if "lora_" in name]
    generator = torch.Generator().manual_seed(2)
    for parameter in found:
        with torch.no_grad():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return found


def detector(lora: LoraOptions | None = LoraOptions(layers=2)) -> GenSign:
    torch.manual_seed(3)
    config = GenSignConfig(rgb=RgbOptions(tower=TOWER, lora=lora), signature=None, width=8)
    return build(config, None).eval()


def images(count: int = 3, side: int = 64) -> Tensor:
    levels = torch.randint(0, 256, (count, 3, side, side), generator=torch.Generator().manual_seed(side))
    return levels.float() / 255


@pytest.mark.parametrize("lora", CUTS, ids=lambda lora: str(lora and lora.layers))
@pytest.mark.parametrize(
    ("output", "view", "side"),
    [
        ("pooled", "middle", 64),
        ("projected", "middle", 96),
        ("pooled", "whole", 96),
        ("pooled", "middle", 32),
    ],
)
def test_cut_tower_is_the_tower(
    weights: Path, lora: LoraOptions | None, output: str, view: str, side: int
) -> None:
    stream = stream_of(weights, lora, output=output, view=view)
    whole = ClipTower(TOWER)
    load_tower(whole, weights)
    seen = images(side=side)
    shown = seen[..., 16:-16, 16:-16] if (view, side) == ("middle", 96) else seen
    normal = (shown - whole.mean) / whole.deviation
    with torch.inference_mode():
        said = whole.tower.vision_model(normal, interpolate_pos_encoding=side != 64).pooler_output
        if output == "projected":
            said = whole.tower.visual_projection(said)
            torch.testing.assert_close(said, whole(shown), atol=1e-5, rtol=1e-5)
        found = stream(stream.frozen(seen))
    assert found.shape == (3, stream.width)
    torch.testing.assert_close(found, said, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("lora", "shape"),
    [(None, (WIDTH,)), (LoraOptions(layers=2), (17, WIDTH)), (LoraOptions(), (3, 64, 64))],
    ids=["output", "hidden states", "grey levels"],
)
def test_what_is_computed_once(lora: LoraOptions | None, shape: tuple[int, ...]) -> None:
    stream = stream_of(None, lora)
    with torch.inference_mode():
        found = stream.frozen(images(2, 96))
    assert found.shape == (2, *shape)
    assert not any("lora_" in name for name in stream.part().module.state_dict())


def test_cached_pictures_are_exact() -> None:
    stream = stream_of(None, LoraOptions())
    every = torch.arange(256).repeat(48).reshape(1, 3, 64, 64)
    with torch.inference_mode():
        cached = stream.frozen(every / 255).half()
    assert torch.equal(cached.long(), every)


def test_descriptions_tell_parts_apart() -> None:
    lora = LoraOptions(layers=1)
    four_heads = RgbOptions(tower=TOWER.model_copy(update={"heads": 4}), lora=lora)
    described = [
        stream_of(None, lora).part().description,
        stream_of(None, LoraOptions(layers=2)).part().description,
        stream_of(None, LoraOptions()).part().description,
        stream_of(None, lora, view="whole").part().description,
        stream_of(None, None).part().description,
        stream_of(None, None, output="projected").part().description,
        rgb_stream(four_heads, None).part().description,
    ]
    assert len(set(described)) == len(described)
    # What is tuned later on changes nothing of what comes before.
    assert stream_of(None, LoraOptions(layers=1, rank=2)).part().description == described[0]


def test_starts_as_the_untuned_tower(weights: Path) -> None:
    plain, tuned = stream_of(weights, None), stream_of(weights, LoraOptions(layers=2))
    with torch.inference_mode():
        expected = plain(plain.frozen(images()))
        torch.testing.assert_close(tuned(tuned.frozen(images())), expected, atol=1e-5, rtol=1e-5)
        updated(tuned)
        assert (tuned(tuned.frozen(images())) - expected).abs().max() > 0.01


@pytest.mark.parametrize(
    ("lora", "projections"),
    [
        (LoraOptions(), 4 * LAYERS),
        (LoraOptions(layers=1), 4),
        (LoraOptions(layers=2, rank=3, targets=("q_proj", "v_proj")), 4),
    ],
)
def test_number_of_trained_parameters(lora: LoraOptions, projections: int) -> None:
    trained = [parameter for parameter in stream_of(None, lora).parameters() if parameter.requires_grad]
    assert sum(parameter.numel() for parameter in trained) == projections * lora.rank * (WIDTH + WIDTH)


def test_only_the_updates_and_the_head_learn() -> None:
    network = detector().train()
    updated(network)
    with torch.inference_mode():
        features = network.frozen(images())
    network.head(*(feature.clone() for feature in features)).logit.sum().backward()
    learning = {name for name, parameter in network.named_parameters() if parameter.grad is not None}
    assert {name for name in learning if "lora_" not in name} == {
        "fuse.weight",
        "fuse.bias",
        "linear.weight",
        "linear.bias",
    }
    assert len(learning) == 4 + 2 * 4 * 2
    assert learning == {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    fresh = {id(parameter) for parameter in network.fresh_parameters()}
    assert fresh == {id(p) for p in network.parameters() if p.requires_grad}


def test_merged_weights_by_hand() -> None:
    network = detector(LoraOptions(layers=2, rank=3, alpha=6))
    updated(network)
    merged = network.exportable()
    factors = dict(network.named_parameters())
    for name, weight in merged.named_parameters():
        if "_proj.weight" not in name or ".tuned." not in name:
            continue
        stem = name.removesuffix(".weight")
        up, down = (factors[f"{stem}.lora_{side}.default.weight"] for side in "BA")
        expected = factors[f"{stem}.base_layer.weight"] + 6 / 3 * up @ down
        torch.testing.assert_close(weight, expected)
    assert not any("lora" in name for name in merged.state_dict())


@pytest.mark.parametrize("training", [False, True])
def test_merging_says_the_same_and_leaves_the_network_alone(training: bool) -> None:
    network = detector()
    updated(network)
    before = copy.deepcopy(network.state_dict())
    with torch.inference_mode():
        expected = network(images()).logit
    network.train(training)
    once, twice = network.exportable(), network.exportable()
    again = once.exportable()
    assert network.training == training
    with torch.inference_mode():
        for other in (once, twice, again):
            torch.testing.assert_close(other.eval()(images()).logit, expected, atol=1e-6, rtol=1e-5)
        assert torch.equal(network.eval()(images()).logit, expected)
    after = network.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


@pytest.mark.parametrize("lora", CUTS, ids=lambda lora: str(lora and lora.layers))
def test_reloaded_networks_say_the_same(lora: LoraOptions | None, tmp_path: Path) -> None:
    network = detector(lora)
    updated(network)
    with torch.inference_mode():
        expected = network(images()).logit
    save_model(network, str(tmp_path / "before.safetensors"))
    network.exportable()
    save_model(network, str(tmp_path / "after.safetensors"))
    for name in ("before", "after"):
        torch.manual_seed(99)
        reloaded = build(network.config, None)
        load_model(reloaded, str(tmp_path / f"{name}.safetensors"))
        with torch.inference_mode():
            assert torch.equal(reloaded.eval()(images()).logit, expected)
            merged = reloaded.exportable()(images()).logit
            torch.testing.assert_close(merged, expected, atol=1e-6, rtol=1e-5)


def test_dropout_is_for_training_only() -> None:
    network = detector(LoraOptions(layers=1, dropout=0.5))
    updated(network)
    with torch.no_grad():
        features = network.frozen(images())
        calm = [network.head(*features).logit for _ in range(2)]
        network.train()
        wild = [network.head(*features).logit for _ in range(2)]
    assert torch.equal(*calm)
    assert not torch.equal(*wild)


def test_impossible_options_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"lora\.layers \(4\) must not be more than"):
        RgbOptions(tower=TOWER, lora=LoraOptions(layers=4))
    with pytest.raises(ValidationError, match="targets"):
        LoraOptions(targets=())
    with pytest.raises(ValidationError, match="k_proj"):
        LoraOptions(targets=("fc1",))  # type: ignore[arg-type]


def test_missing_tower_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no clip\*\.safetensors there; put"):
        stream_of(tmp_path, None)


class Hub:
    """Stands for the Hugging Face hub."""

    def __init__(self, tower: ClipTower, missing: tuple[str, ...] = ()) -> None:
        self.tower, self.missing, self.asked = tower.tower, set(missing), []

    def __call__(self, name: str, **options: Any) -> tuple[nn.Module, dict[str, Any]]:
        self.asked.append(name)
        assert options == {"output_loading_info": True}
        return self.tower, {"missing_keys": self.missing}


def answer(monkeypatch: pytest.MonkeyPatch, hub: Any) -> None:
    from transformers import CLIPVisionModelWithProjection

    monkeypatch.setattr(CLIPVisionModelWithProjection, "from_pretrained", hub)


def test_hub_is_asked_where_the_folder_has_no_tower(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = ClipTower(TOWER)
    load_tower(there, weights)
    hub = Hub(there)
    answer(monkeypatch, hub)
    expected, found = stream_of(weights, None, hub="some/tower"), stream_of(tmp_path, None, hub="some/tower")
    assert hub.asked == ["some/tower"], "once, for the folder without"
    with torch.inference_mode():
        assert torch.equal(found.frozen(images()), expected.frozen(images()))
    stream_of(None, None, hub="some/tower")
    assert len(hub.asked) == 1, "restoring a trained network needs no starting weights"


@pytest.mark.parametrize("error", [OSError("no way out\nof here"), ValueError()])
def test_hub_out_of_reach(error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    answer(monkeypatch, fail)
    reason = "no way out" if str(error) else "ValueError"
    with pytest.raises(ConfigError) as caught:
        stream_of(tmp_path, None, hub="some/tower")
    assert f"and some/tower cannot be had from the Hugging Face hub ({reason}); put" in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "missing", "complaint"),
    [
        ({}, ("visual_projection.weight",), "not the weights of an image tower, visual_projection.weight is"),
        ({"heads": 4}, (), "its num_attention_heads is 4, the recipe's tower has 2"),
        ({"activation": "gelu"}, (), "its hidden_act is gelu, the recipe's tower has quick_gelu"),
        ({"layers": 2}, (), r"not the weights of this image tower, vision_model\.encoder\.layers\.2"),
    ],
)
def test_other_towers_of_the_hub_are_refused(
    changed: dict[str, Any],
    missing: tuple[str, ...],
    complaint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer(monkeypatch, Hub(ClipTower(TOWER.model_copy(update=changed)), missing))
    with pytest.raises(ConfigError, match=f"some/tower: {complaint}"):
        stream_of(tmp_path, None, hub="some/tower")
