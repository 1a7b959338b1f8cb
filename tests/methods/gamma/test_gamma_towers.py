"""GAMMA's towers: which layers, what is kept, standardisation, low-rank updates, options."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gamma_samples import SHAPE, clip, images, lite, tower
from pydantic import TypeAdapter, ValidationError
from safetensors.torch import save_file
from torch import Tensor, nn

from vestige.errors import ConfigError
from vestige.methods.gamma.towers import Clip, EfficientNet, Tower, TowerOptions, build_tower
from vestige.nn.clip_vision import ClipTower, ClipTowerConfig, load_tower
from vestige.nn.efficientnet_lite import EfficientNetLite0
from vestige.nn.moments import Moments
from vestige.nn.statistics import Standardise

pytest.importorskip("transformers")
torch.set_num_threads(1)

LORAS = [None, {"layers": 1}, {"layers": 2}, {}]
READER: TypeAdapter[Any] = TypeAdapter(TowerOptions)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    whole = ClipTower(ClipTowerConfig.model_validate(SHAPE))
    for parameter in whole.tower.parameters():
        nn.init.normal_(parameter, std=0.2)
    save_file(whole.tower.state_dict(), folder / "clip-random.safetensors")
    return folder


def kept(tower: Tower, pictures: Tensor) -> Tensor:
    with torch.inference_mode():
        found: Tensor = tower.part().module(pictures)
    return found


@pytest.mark.parametrize("side", [32, 64, 96])
@pytest.mark.parametrize("layers", [(3,), (1, 2), (0, 2, 3)])
@pytest.mark.parametrize("lora", LORAS, ids=str)
def test_maps_are_the_towers_hidden_states(
    weights: Path, side: int, layers: tuple[int, ...], lora: Any
) -> None:
    """At first low-rank updates are zero: wherever the tower is cut, transformers says the same of it."""
    found = build_tower(clip(layers=layers, lora=lora), weights).eval()
    whole = ClipTower(ClipTowerConfig.model_validate(SHAPE))
    load_tower(whole, weights)
    pictures = images(side=side)
    with torch.inference_mode():
        normal = (pictures - whole.mean) / whole.deviation
        hidden = whole.tower.vision_model(
            normal, interpolate_pos_encoding=side != 64, output_hidden_states=True
        ).hidden_states
        seen = found.look(found.part().module(pictures))  # type: ignore[operator]
    grid = side // 16
    assert len(seen.maps) == len(layers)
    for map, layer in zip(seen.maps, layers, strict=True):
        assert map.shape == (3, 32, grid, grid)
        for row, column in ((0, 0), (grid - 1, 0), (0, grid - 1)):
            expected = hidden[layer][:, 1 + row * grid + column]
            torch.testing.assert_close(map[:, :, row, column], expected, atol=1e-5, rtol=1e-5)
    summary = torch.cat([hidden[layer][:, 0] for layer in layers], 1)
    torch.testing.assert_close(seen.summary, summary, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        (clip(), (2 * 17, 32)),
        (clip(lora={"layers": 1}), (17, 32)),
        (clip(layers=[0, 3], lora={"layers": 2}), (2 * 17, 32)),
        (clip(lora={}), (3, 64, 64)),
        (lite(), (40, 8, 8)),
        (lite(frozen_blocks=4, fine=3), (40, 8, 8)),
        (lite(frozen_blocks=0), (3, 64, 64)),
    ],
)
def test_what_is_computed_once(options: Any, shape: tuple[int, ...]) -> None:
    found = tower(options)
    assert kept(found, images(2)).shape == (2, *shape)
    part = found.part().module
    assert not any("lora_" in name for name in part.state_dict())
    assert not any(parameter.requires_grad for parameter in part.parameters())


def test_nothing_is_computed_after_the_last_layer() -> None:
    found = tower(clip(layers=[1]))
    assert isinstance(found, Clip)
    assert {name.split(".")[3] for name in found.state_dict() if ".layers." in name} == {"0"}


def test_descriptions_tell_parts_apart() -> None:
    options = [
        clip(),
        clip(layers=[1, 3]),
        clip(lora={"layers": 1}),
        clip(lora={}),
        lite(),
        lite(frozen_blocks=4),
    ]
    assert len({build_tower(one, None).part().description for one in options}) == len(options)
    # What is tuned later on changes nothing of what comes before.
    other = build_tower(clip(lora={"layers": 1, "rank": 2}), None)
    assert other.part().description == build_tower(clip(lora={"layers": 1}), None).part().description


@pytest.mark.parametrize("side", [64, 96])
@pytest.mark.parametrize(
    ("options", "taps"),
    [
        (lite(), (4, 5)),
        (lite(block=11, fine=6, frozen_blocks=2), (6, 11)),
        (lite(block=4), (4,)),
        (lite(frozen_blocks=0), (4, 5)),
        (lite(frozen_blocks=0, start="random"), (4, 5)),
    ],
)
def test_efficientnets_maps_are_its_activations(options: Any, taps: tuple[int, ...], side: int) -> None:
    found = tower(options)
    assert isinstance(found, EfficientNet)
    whole = EfficientNetLite0().eval()
    start = found.frozen if found.stem is None else found.stem
    state = {name.removeprefix("trunk."): tensor for name, tensor in start.state_dict().items()}
    for name, tensor in found.blocks.state_dict().items():
        index, rest = name.split(".", 1)
        state[f"_blocks.{int(index) + options.frozen_blocks}.{rest}"] = tensor
    assert not whole.load_state_dict(state, strict=False).unexpected_keys
    with torch.inference_mode():
        seen = found.look(kept(found, images(side=side)))
        expected = whole(images(side=side), taps)
    assert len(seen.maps) == len(taps)
    for map, activations in zip(seen.maps, expected, strict=True):
        torch.testing.assert_close(map, activations, atol=1e-5, rtol=1e-5)
    last = expected[-1].flatten(2)
    by_hand = torch.cat([last.mean(2), last.std(2, correction=0)], 1)
    torch.testing.assert_close(seen.summary, by_hand, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("options", [clip(), clip(lora={"layers": 1}), lite()], ids=["clip", "lora", "lite"])
def test_standardised_over_views_of_several_sizes(options: Any) -> None:
    found = tower(options)
    features = [kept(found, images(6, side, seed=side)) for side in (64, 96, 64)]
    found.prepare(iter(features))
    with torch.inference_mode():
        seen = [found(some) for some in features]
        plain = [found.look(some) for some in features]
    for index, channels in enumerate(found.channels):
        raw = torch.cat([one.maps[index].flatten(2).transpose(1, 2).reshape(-1, channels) for one in plain])
        expected = ((raw - raw.mean(0)) / raw.std(0).clamp(min=1e-4)).clamp(-6, 6)
        flat = torch.cat([one.maps[index].flatten(2).transpose(1, 2).reshape(-1, channels) for one in seen])
        torch.testing.assert_close(flat, expected, atol=1e-3, rtol=1e-3)
    summaries = torch.cat([one.summary for one in seen])
    assert summaries.mean(0).abs().max() < 0.2
    assert summaries.abs().max() <= 6


def test_massive_channels_and_tokens_do_not_drown_the_rest() -> None:
    found = tower(clip())
    generator = torch.Generator().manual_seed(3)
    tokens = torch.randn(16, 2 * 17, 32, generator=generator)
    massive = tokens.clone()
    massive[..., 5] = massive[..., 5] * 40 + 300
    found.prepare([tokens])
    with torch.inference_mode():
        plain = found(tokens).maps[1]
    found.prepare([massive])
    with torch.inference_mode():
        torch.testing.assert_close(found(massive).maps[1], plain, atol=1e-4, rtol=1e-4)
        massive[:, 20, 7] = 1e4
        assert found(massive).maps[1].abs().max() <= 6


def test_nothing_to_prepare_with_changes_nothing() -> None:
    found = tower(lite())
    before = copy.deepcopy(found.state_dict())
    found.prepare([])
    assert all(torch.equal(tensor, before[name]) for name, tensor in found.state_dict().items())


def test_random_efficientnet_gets_statistics_of_pictures() -> None:
    found = build_tower(lite(frozen_blocks=0, start="random"), None).eval()
    batches = [kept(found, images(4, 64, seed)) for seed in (1, 2)]
    found.prepare(batches)
    with torch.inference_mode():
        summary = torch.cat([found(some).summary for some in batches])
        maps = torch.cat([found(some).maps[1] for some in batches])
    assert not any(module.training for module in found.modules())
    assert 0.8 < maps.std() < 1.2
    assert summary.abs().median() < 2


def test_batch_normalisation_in_training() -> None:
    pretrained, random = (tower(lite(frozen_blocks=0, start=start)) for start in ("imagenet", "random"))
    for found in (pretrained, random):
        found.train()
        assert found.training
        norms = [module for module in found.modules() if isinstance(module, nn.BatchNorm2d)]
        assert {norm.training for norm in norms} == {found is random}
    features = kept(pretrained, images())
    before = pretrained(features).summary
    assert torch.equal(pretrained(features).summary, before)


def test_what_learns() -> None:
    def trained(found: Tower) -> set[str]:
        return {name for name, parameter in found.named_parameters() if parameter.requires_grad}

    assert trained(tower(clip())) == set()
    updates = trained(tower(clip(lora={"layers": 1})))
    assert len(updates) == 4 * 2
    assert all("lora_" in name for name in updates)
    for options in (lite(), lite(frozen_blocks=0), lite(frozen_blocks=0, start="random")):
        found = tower(options)
        names = trained(found)
        assert names
        assert not any(name.startswith("frozen.") for name in names)
        fresh = {id(parameter) for parameter in found.fresh_parameters()}
        assert len(fresh) == (len(names) if options.start == "random" else 0)


@pytest.mark.parametrize("lora", LORAS[1:], ids=str)
def test_merged_updates_say_the_same(lora: Any) -> None:
    found = tower(clip(layers=[1, 2], lora=lora))
    untuned = copy.deepcopy(found)
    with torch.no_grad():
        for name, parameter in untuned.named_parameters():
            if "lora_B" in name:
                parameter.zero_()
    features = kept(found, images())
    before = copy.deepcopy(found.state_dict())
    merged = found.exportable()
    with torch.inference_mode():
        expected, said = found(features), merged(kept(merged, images()))
        plain = untuned(features)
    for one, other in zip((*expected.maps, expected.summary), (*said.maps, said.summary), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
    assert not any("lora_" in name for name in merged.state_dict())
    assert all(torch.equal(tensor, before[name]) for name, tensor in found.state_dict().items())
    assert (plain.summary - expected.summary).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"kind": "clip", "layers": [2, 1]}, "must ascend"),
        ({"kind": "clip", "layers": [1, 1]}, "must ascend"),
        ({"kind": "clip", "layers": []}, "layers"),
        ({"kind": "clip", "layers": [13]}, r"must not be more than tower\.layers \(12\)"),
        ({"kind": "clip", "layers": [0], "lora": {}}, r"lora\.layers \(all\) must be layers up to"),
        ({"kind": "clip", "layers": [2], "lora": {"layers": 3}}, r"lora\.layers \(3\) must be layers up to"),
        ({"kind": "efficientnet", "fine": 11}, r"fine \(11\) must lie between"),
        ({"kind": "efficientnet", "fine": 3}, r"the last frozen block \(4\)"),
        ({"kind": "efficientnet", "fine": 2, "frozen_blocks": 0}, "greater than or equal to 3"),
        ({"kind": "efficientnet", "start": "random"}, "needs frozen_blocks 0"),
        ({"kind": "magic"}, "magic"),
        ({"kind": "clip", "colour": "blue"}, "colour"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        READER.validate_python(options)


@pytest.mark.parametrize(
    ("options", "file"), [(clip(), "clip*.safetensors"), (lite(), "efficientnet-lite0*.pth")]
)
def test_missing_weights_are_named(options: Any, file: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        build_tower(options, tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}: no {file} there")
    build_tower(lite(frozen_blocks=0, start="random"), tmp_path)


def test_moments_against_numpy() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal([0, 1000, 5], [1, 0.5, 0], (60, 3)).astype(np.float32)
    moments, standardise = Moments(3), Standardise(3)
    for part in np.split(values.reshape(30, 2, 3), [4, 17]):
        moments.add(torch.from_numpy(part))
    moments.fit(standardise)
    wide = values.astype(np.float64)
    np.testing.assert_allclose(standardise.mean, wide.mean(0), rtol=1e-6)
    np.testing.assert_allclose(standardise.deviation, [*wide.std(0, ddof=1)[:2], 1e-4], rtol=1e-4)
    with pytest.raises(ValueError, match="two rows"):
        Moments(3).fit(standardise)
