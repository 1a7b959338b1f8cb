"""Towers that several methods have: features are kept once; weights may come from the hub alone."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_workshop import TOWER, write_recipe, write_set
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from vestige.errors import ConfigError
from vestige.methods import registry
from vestige.training.features import sources_of
from vestige.training.run import train

CLIP = {"kind": "clip", "tower": TOWER}
DATA = {"patch": 64, "views": 1}


def stores(method: str, model: dict[str, Any], folder: Path) -> list[Path]:
    """Where a method keeps what its towers say; their weights are the same whatever the method."""
    known = registry.get(method)
    network = known.build(known.config.model_validate(model), None)
    with torch.no_grad():
        for part in network.parts():
            for tensor in part.module.state_dict().values():
                tensor.fill_(0.5)
    return [source.store.folder for source in sources_of(network, method, {}, folder, "float32")]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("clip-probe", TOWER), ("attribution", {"features": [CLIP]})),
        (("clip-probe", TOWER), ("feature-probe", {"features": [CLIP]})),
        (
            ("clip-probe", TOWER),
            (
                "gensign",
                {
                    "rgb": {"tower": TOWER, "output": "projected", "view": "whole", "lora": None},
                    "signature": None,
                },
            ),
        ),
        (
            ("attribution", {"features": [CLIP | {"keep": "all", "layers": [1]}]}),
            ("feature-probe", {"features": [CLIP | {"keep": "all", "final": None, "layers": [0, 2]}]}),
        ),
        (
            ("efficientnet-statistics", {}),
            ("attribution", {"features": [{"kind": "efficientnet", "taps": [-1, 0, 2, 4, 7, 10, 14, 15]}]}),
        ),
    ],
)
def test_methods_share_what_a_tower_says(first: Any, second: Any, tmp_path: Path) -> None:
    assert stores(*first, tmp_path) == stores(*second, tmp_path)


def test_other_outputs_lie_elsewhere(tmp_path: Path) -> None:
    def chosen(layer: int) -> list[Path]:
        return stores("attribution", {"features": [CLIP | {"layers": [layer]}]}, tmp_path)

    assert chosen(0) != chosen(1)
    assert stores("clip-probe", TOWER, tmp_path) != chosen(1)


def at_the_hub(folder: Path) -> str:
    """A folder with a tower stands for its name at the hub."""
    torch.manual_seed(0)
    config = CLIPVisionConfig(
        hidden_size=TOWER["width"],
        num_hidden_layers=TOWER["layers"],
        num_attention_heads=TOWER["heads"],
        intermediate_size=TOWER["feed_forward"],
        patch_size=TOWER["patch"],
        image_size=TOWER["image"],
        projection_dim=TOWER["projection"],
    )
    CLIPVisionModelWithProjection(config).save_pretrained(folder)
    return str(folder)


def test_towers_of_the_hub_need_no_folder_of_weights(tmp_path: Path) -> None:
    features = [CLIP | {"hub": at_the_hub(tmp_path / "hub")}]
    recipe = write_recipe(
        tmp_path / "recipe.yaml", "attribution", model={"features": features, "widths": [4]}, data=DATA
    )
    manifest = write_set(tmp_path / "set")
    train(recipe, manifest, None, tmp_path / "run")
    train(recipe, manifest, None, tmp_path / "run")  # and again, from what is there
    assert (tmp_path / "run" / "network.safetensors").exists()


def test_other_towers_do(tmp_path: Path) -> None:
    features = [CLIP | {"hub": at_the_hub(tmp_path / "hub")}, {"kind": "efficientnet"}]
    recipe = write_recipe(tmp_path / "recipe.yaml", "attribution", model={"features": features}, data=DATA)
    with pytest.raises(ConfigError, match="give their folder with --weights"):
        train(recipe, write_set(tmp_path / "set"), None, tmp_path / "run")
