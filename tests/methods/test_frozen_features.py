"""Which outputs of which frozen towers: order, widths, what is kept on disk, what is exported."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from safetensors.torch import load_model, save_file, save_model
from torch import Tensor, nn

from vestige.errors import ConfigError
from vestige.methods.frozen_features import (
    ALL_NOTES,
    Clip,
    ClipFeatures,
    FeatureOptions,
    FrozenFeatures,
    notes_of,
)
from vestige.nn.clip_vision import ClipTower, ClipTowerConfig, TowerLayers
from vestige.training.features import fingerprint

pytest.importorskip("transformers")
torch.set_num_threads(1)

SHAPE = {
    "width": 32,
    "layers": 3,
    "heads": 2,
    "feed_forward": 64,
    "patch": 16,
    "image": 64,
    "projection": 16,
}
VIT = {
    "model_type": "vit",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 64,
    "patch_size": 16,
}
READER: TypeAdapter[Any] = TypeAdapter(FeatureOptions)


def clip(**options: Any) -> Any:
    return READER.validate_python({"kind": "clip", "tower": SHAPE, **options})


def vit(**options: Any) -> Any:
    return READER.validate_python({"kind": "transformers", "tower": {"config": VIT}, **options})


def build(*options: Any, seed: int = 0) -> FrozenFeatures:
    torch.manual_seed(seed)
    found = FrozenFeatures.build(options, None).eval()
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return found


def images(count: int = 3, side: int = 64) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def said(features: FrozenFeatures, pictures: Tensor) -> Tensor:
    with torch.inference_mode():
        return features(*(part.module(pictures) for part in features.parts()))


def tower_of(features: FrozenFeatures) -> ClipTower:
    (tower,) = features.towers
    assert isinstance(tower, Clip)
    return tower._tower[0]


def pooled_of(tower: ClipTower, pictures: Tensor) -> Tensor:
    normal = (pictures - tower.mean) / tower.deviation
    with torch.inference_mode():
        found: Tensor = tower.tower.vision_model(pixel_values=normal).pooler_output
    return found


@pytest.mark.parametrize("keep", ["chosen", "all"])
@pytest.mark.parametrize("final", [None, "pooled", "projected"])
def test_clips_outputs_come_in_the_order_of_the_options(keep: str, final: str | None) -> None:
    features = build(clip(final=final, layers=[2, 0], tokens=["deviation", "class"], keep=keep))
    tower = tower_of(features)
    with torch.inference_mode():
        all_layers = TowerLayers(tower)(images())
        ends = {"pooled": pooled_of(tower, images()), "projected": tower(images())}
    expected = [] if final is None else [ends[final]]
    expected += [all_layers[:, 2, 2], all_layers[:, 2, 0], all_layers[:, 0, 2], all_layers[:, 0, 0]]
    found = said(features, images())
    assert found.shape == (3, features.width)
    torch.testing.assert_close(found, torch.cat(expected, 1), rtol=1e-4, atol=1e-4)


def test_what_is_kept_of_clip() -> None:
    for options, shape in [
        ({"layers": [1], "final": None}, (3, 1, 3, 32)),
        ({"layers": [1], "final": "pooled"}, (3, 2, 3, 32)),
        ({"layers": [1], "final": None, "keep": "all"}, (3, 4, 3, 32)),
        ({"final": "projected"}, (3, 16)),
        ({"final": "projected", "keep": "all"}, (3, 4, 3, 32)),
    ]:
        (part,) = build(clip(**options)).parts()
        with torch.inference_mode():
            assert part.module(images()).shape == shape


def test_the_projected_output_is_the_clip_probes_part() -> None:
    (part,) = build(clip()).parts()
    tower = ClipTower(ClipTowerConfig.model_validate(SHAPE))
    assert part.description == tower.description
    tower.load_state_dict(part.module.state_dict())
    assert fingerprint(part.module) == fingerprint(tower)


def test_choices_from_all_layers_share_what_is_kept() -> None:
    torch.manual_seed(0)
    tower = ClipTower(ClipTowerConfig.model_validate(SHAPE)).eval()
    parts = [
        FrozenFeatures([Clip(clip(keep="all", **options), tower)]).parts()[0]
        for options in ({"layers": [1]}, {"layers": [2, 3], "final": None}, {"final": "pooled"}, {})
    ]
    assert len({(part.description, fingerprint(part.module)) for part in parts}) == 1


@pytest.mark.parametrize(
    ("options", "computed"),
    [
        ({"keep": "all", "final": None, "layers": [1]}, 1),
        ({"keep": "all", "final": None, "layers": [0], "tokens": ["mean"]}, 0),
        ({"keep": "all", "final": "pooled", "layers": [1]}, 3),
        ({"keep": "all"}, 3),
        ({"final": None, "layers": [2, 1]}, 2),
        ({}, 3),
    ],
)
def test_what_is_exported_says_the_same_from_fewer_layers(options: dict[str, Any], computed: int) -> None:
    features = build(clip(**options))
    small = features.exportable()
    torch.testing.assert_close(said(small, images()), said(features, images()), rtol=1e-5, atol=1e-5)
    seen: list[int] = []
    for layer in tower_of(features).tower.vision_model.encoder.layers:
        layer.mlp.register_forward_hook(lambda *_: seen.append(1))
    said(small, images())
    assert len(seen) == computed
    # What was built first stays what it is.
    assert said(features, images()).shape == (3, features.width)
    assert not any(parameter.requires_grad for parameter in small.parameters())


MIXED = [
    clip(final="pooled", layers=[0, 2], tokens=["mean", "class"]),
    clip(),
    vit(layers=[1], tokens=["class", "mean"]),
    READER.validate_python({"kind": "efficientnet", "taps": [3, 0], "correlations": [1, 0]}),
]


def test_several_towers_stand_side_by_side() -> None:
    features = build(*MIXED)
    widths = [
        32 + 4 * 32,
        16,
        32 + 2 * 32,
        2 * (16 + 40) + 16 * 15 // 2 + 24 * 23 // 2,
    ]
    assert features.width == sum(widths)
    found = said(features, images())
    with torch.inference_mode():
        alone = [tower(tower.part(images())) for tower in features._all()]
    assert [one.shape[1] for one in alone] == widths
    assert torch.equal(found, torch.cat(alone, 1))
    assert not any(parameter.requires_grad for parameter in features.parameters())


def test_a_checkpoint_brings_all_of_them_back(tmp_path: Path) -> None:
    class Holder(nn.Module):
        def __init__(self, features: FrozenFeatures) -> None:
            super().__init__()
            self.features = features

    trained, restored = build(*MIXED, seed=1), build(*MIXED, seed=2)
    path = str(tmp_path / "network.safetensors")
    save_model(Holder(trained), path)
    assert not torch.equal(said(trained, images()), said(restored, images()))
    load_model(Holder(restored), path)
    assert torch.equal(said(trained, images()), said(restored, images()))
    torch.testing.assert_close(
        said(restored.exportable(), images()), said(trained, images()), rtol=1e-5, atol=1e-5
    )


def test_copies_stand_alone() -> None:
    features = build(*MIXED)
    expected = said(features, images())
    other = deepcopy(features)
    with torch.no_grad():
        for parameter in features.parameters():
            parameter.zero_()
    assert torch.equal(said(other, images()), expected)
    torch.testing.assert_close(said(other.exportable(), images()), expected, rtol=1e-5, atol=1e-5)


def test_transformers_outputs_are_kept_as_they_are() -> None:
    features = build(vit(layers=[2, 0], tokens=["class", "mean"]))
    (part,) = features.parts()
    with torch.inference_mode():
        kept = part.module(images())
        state = features.towers[0].part.tower(
            pixel_values=(images() - part.module.mean) / part.module.deviation, output_hidden_states=True
        )
    assert torch.equal(said(features, images()), kept)
    third = [state.hidden_states[2][:, 0], state.hidden_states[2][:, 1:].mean(1)]
    torch.testing.assert_close(
        kept[:, :96], torch.cat([state.pooler_output, *third], 1), rtol=1e-4, atol=1e-5
    )
    assert part.module.description == part.description


def test_weights_of_transformers_come_from_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no mine\*\.safetensors there"):
        FrozenFeatures.build([vit(weights="mine")], tmp_path)
    other = build(vit(), seed=4)
    save_file(other.towers[0].part.tower.state_dict(), tmp_path / "mine-1.safetensors")
    found = FrozenFeatures.build([vit(weights="mine")], tmp_path)
    assert torch.equal(said(found, images()), said(other, images()))


def test_pictures_do_not_meet_and_may_be_small() -> None:
    features = build(*MIXED)
    for side in (64, 96):
        together = said(features, images(3, side))
        alone = torch.cat([said(features, image[None]) for image in images(3, side)])
        np.testing.assert_allclose(together, alone, rtol=1e-3, atol=1e-4)


def test_notes_name_what_is_started_from() -> None:
    lite0 = READER.validate_python({"kind": "efficientnet"})
    assert len(notes_of([clip(), clip(final="pooled")])) == 1
    assert notes_of([clip(), lite0]) == ALL_NOTES[:2]
    assert notes_of([vit(weights="mine", hub="who/what")]) == (
        "vision tower vit through transformers, weights: who/what",
    )
    (from_file,) = notes_of([vit(weights="mine")])
    assert "vit" in from_file
    assert "mine*.safetensors" in from_file


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"kind": "clip", "final": None}, "at least one output"),
        ({"kind": "clip", "tower": SHAPE, "layers": [4]}, r"layers \[4\] must not be more than tower.layers"),
        ({"kind": "clip", "tower": SHAPE, "layers": [-1]}, "greater than or equal to 0"),
        ({"kind": "clip", "tower": SHAPE, "layers": [1, 1]}, "layers lists something twice"),
        ({"kind": "clip", "layers": [1], "tokens": ["mean", "mean"]}, "tokens lists something twice"),
        ({"kind": "clip", "layers": [1], "tokens": []}, "tokens"),
        ({"kind": "efficientnet", "taps": []}, "at least one tap or block of correlations"),
        ({"kind": "efficientnet", "correlations": [2, 2]}, "correlations lists something twice"),
        ({"kind": "efficientnet", "taps": [16]}, "taps"),
        ({"kind": "transformers"}, "tower"),
        ({"kind": "transformers", "tower": {"config": VIT}, "final": None}, "at least one output"),
        (
            {"kind": "transformers", "tower": {"config": VIT}, "layers": [1, 1]},
            "layers lists something twice",
        ),
        ({"kind": "transformers", "tower": {"config": VIT}, "weights": "../mine"}, "weights"),
        ({"kind": "transformers", "tower": {"config": {}}}, "model_type is missing"),
        ({"kind": "magic"}, "magic"),
    ],
)
def test_options_that_make_no_sense_are_refused(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        READER.validate_python(values)


def test_the_default_is_clips_projected_output() -> None:
    options = ClipFeatures()
    assert (options.final, options.layers, options.keep) == ("projected", (), "chosen")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kind": "clip", "tokens": ["mean"]}, "layers is empty"),
        ({"kind": "efficientnet", "taps": [7, 7]}, "taps lists something twice"),
    ],
)
def test_options_without_effect_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        TypeAdapter(FeatureOptions).validate_python(options)
