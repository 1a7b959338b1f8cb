"""What only training needs of a view: kept beside the parts, learned from, and of no say afterwards."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_workshop import MODELS, recipe_values, write_clip, write_recipe, write_set, write_weights

from vestige.errors import ConfigError
from vestige.progress import Progress
from vestige.training import gradient
from vestige.training.recipe import parse_recipe
from vestige.training.run import make_examples, new_network, train, used_rows
from vestige.training.scoring import score_pictures

AS_FOUND = {"resize": 0, "blur": 0, "noise": 0, "jpeg": 0, "webp": 0}
DATA = {"patch": 64, "views": 1, "chain": AS_FOUND}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    write_set(folder / "set", groups=2, each=2)
    write_clip(write_weights(folder / "weights"))
    return folder


def model(weight: float | None) -> dict[str, Any]:
    """NIRNet with the difference-aware loss of this weight; None: without."""
    found = copy.deepcopy(MODELS["nirnet"])
    found["noise"]["difference"] = None if weight is None else {"hidden": 8, "weight": weight}
    return found


def trained(shop: Path, folder: Path, weight: float | None) -> dict[str, torch.Tensor]:
    recipe = write_recipe(folder / "recipe.yaml", "nirnet", data=DATA, model=model(weight))
    train(recipe, shop / "set" / "manifest.csv", shop / "weights", folder / "run", cache=shop / "cache")
    return load_file(folder / "run" / "network.safetensors")


def test_training_views_have_them_and_test_pictures_do_not(shop: Path, tmp_path: Path) -> None:
    recipe = parse_recipe(recipe_values("nirnet", data=DATA, model=model(0.1)), "test")
    rows = used_rows(recipe, shop / "set" / "manifest.csv")
    network = new_network(recipe, shop / "weights")
    cache = tmp_path / "cache"
    examples = make_examples(recipe, rows, shop / "weights", network, tmp_path, Progress(), cache)
    (bucket,) = examples.buckets
    assert len(bucket.features) == len(network.parts()) + 1
    latents = np.asarray(bucket.features[-1][:])
    assert latents.shape == (len(rows), 32, 8, 8)
    stores = set(cache.iterdir())
    scores = score_pictures(network, recipe, rows, 1, cache, Progress())
    assert len(scores) == len(rows)
    # A store of test patches for each part, none for the teacher.
    assert len(set(cache.iterdir()) - stores) == len(network.parts())


def test_their_loss_reaches_the_weights(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradient, "PREPARING_BATCHES", 2)
    found = {}
    for weight in (None, 0.1, 10.0):
        folder = tmp_path / str(weight)
        folder.mkdir()
        found[weight] = trained(shop, folder, weight)
    name = "noise.extractor.high_pass.weight"
    assert not torch.equal(found[None][name], found[0.1][name])
    assert not torch.equal(found[0.1][name], found[10.0][name])
    assert not any("encoder.0" in key and "noise" not in key for key in found[0.1]), (
        "no VAE in a trained network"
    )


def test_a_run_goes_on_with_the_same_teacher_only(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gradient, "PREPARING_BATCHES", 2)
    trained(shop, tmp_path, 0.1)
    other = write_clip(write_weights(tmp_path / "weights"))
    state = torch.load(other / "random_encoder.pth", weights_only=True)
    torch.save({key: value + 0.01 for key, value in state.items()}, other / "random_encoder.pth")
    with pytest.raises(ConfigError, match="other weights of a teacher"):
        train(tmp_path / "recipe.yaml", shop / "set" / "manifest.csv", other, tmp_path / "run")
