"""GAMMA from a recipe with manipulations to a verdict on a part: train, hold out, export, scan."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from tiny_workshop import picture, recipe_values, write_clip, write_set, write_weights

from vestige.data.manifest import read_manifest
from vestige.detector import Detector
from vestige.errors import ConfigError
from vestige.inference.package import load_package
from vestige.progress import Progress
from vestige.training import gradient, localisation, manipulated
from vestige.training.export import export
from vestige.training.held_out_maps import MAPS, read_maps
from vestige.training.recipe import read_recipe
from vestige.training.run import make_examples, new_network, train, used_rows

CHAIN = {"resize": 0.5, "resize_factor": [0.7, 1.0], "blur": 0, "noise": 0, "jpeg": 0, "webp": 0}
KINDS = [
    {"kind": "copy-move"},
    {"kind": "splicing", "blendings": ["paste"]},
    {"kind": "mixing", "networks": ["tiny"]},
]
MANIPULATION = {
    "share": 0.5,
    "per_group": 1,
    "kinds": KINDS,
    "inpainters": [{"kind": "tiny-autoencoder", "name": "tiny"}],
}


def write_recipe(path: Path, kinds: list[dict[str, object]]) -> Path:
    data = {"patch": 64, "views": 2, "chain": CHAIN, "manipulation": MANIPULATION | {"kinds": kinds}}
    values = recipe_values("gamma", data=data)
    values["package"]["part"] = {"fpr": 0.2, "whole_called_part": 0.5}
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("gamma")
    write_set(folder / "set", groups=2, each=3)
    write_clip(write_weights(folder / "weights"))
    recipe = write_recipe(folder / "recipe.yaml", KINDS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gradient, "PREPARING_BATCHES", 2)
        patch.setattr(localisation, "MINIMUM", 4)
        train(recipe, folder / "set" / "manifest.csv", folder / "weights", folder / "run")
        export(folder / "run", folder / "set" / "manifest.csv", folder / "package")
        yield folder


def test_a_fold_is_held_out_with_all_that_shows_its_pixels(shop: Path) -> None:
    recipe = read_recipe(shop / "recipe.yaml")
    rows = used_rows(recipe, shop / "set" / "manifest.csv")
    network = new_network(recipe, shop / "weights")
    examples = make_examples(recipe, rows, shop / "weights", network, shop / "run", Progress())
    manipulated_views = int(examples.touched.sum())
    assert manipulated_views == 3 * 4 * 2, "kinds, groups, passages"
    for held_out in ("camera-0", "generator-1"):
        kept = np.array([row.group != held_out for row in rows])
        for view in np.flatnonzero(examples.of_rows(kept)):
            assert rows[examples.rows[view]].group != held_out
            donor = examples.donors[view]
            assert donor < 0 or rows[donor].group != held_out
    assert (examples.donors >= 0).sum() == 4 * 2, "only splices have one"
    assert all(feature.shape[1:] == (2, 8, 8) for feature in (examples.buckets[-1].features[-1],))


def test_maps_are_held_out_beside_logits(shop: Path) -> None:
    maps = read_maps([shop / "run" / f"fold-{fold}" / MAPS for fold in range(2)])
    assert maps is not None
    untouched = ~maps.touched
    assert untouched.sum() == 12 * 2, "all pictures, each in two passages"
    assert sorted(set(maps.pictures[untouched].tolist())) == list(range(12))
    assert maps.touched.any()
    each = np.split(maps.generated, np.cumsum(maps.cells)[:-1])
    for view in np.flatnonzero(untouched):
        assert set(each[view].tolist()) == {float(maps.labels[view])}


def test_the_card_says_what_was_done(shop: Path) -> None:
    card = load_package(shop / "package").card
    assert card.outputs.map == "map"
    assert (
        "also manipulated in part (copy-move, splicing, mixing), by networks called tiny"
        in card.training.data
    )
    found = card.localisation
    if found is not None:  # so few steps may well leave a map that knows nothing
        assert found.calibration.real + found.calibration.generated > 0
        assert "manipulated views" in found.calibration.data


def test_a_scan_shows_the_models_own_map(shop: Path) -> None:
    package = load_package(shop / "package")
    detector = Detector(package)
    pixels = picture(0, np.random.default_rng(5), side=128)
    report = detector.scan(pixels, heat_map=True)
    assert report.evidence is not None
    assert report.evidence.heat_map is not None
    assert report.evidence.heat_map.origin == "model"
    # A map of 4 x 4 cells on each patch of 64 pixels: 8 x 8 on the picture.
    shape = np.shape(report.evidence.heat_map.probabilities)
    assert shape == (8, 8)


def test_manipulated_pictures_are_made_once(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = read_recipe(write_recipe(shop / "fewer.yaml", KINDS[:1]))
    rows = read_manifest(shop / "set" / "manifest.csv", "train")
    folder = shop / "run" / "manipulations"
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*/*/*")}
    assert before
    monkeypatch.setattr(manipulated, "build_inpainters", lambda *_: pytest.fail("no network is needed"))
    found = manipulated.manipulate(recipe, rows, shop / "weights", folder, Progress())
    assert len(found) == 4
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*/*/*")} == before


def test_another_manipulation_is_another_run(shop: Path) -> None:
    recipe = write_recipe(shop / "other.yaml", KINDS[:2])
    with pytest.raises(ConfigError, match="begun with another recipe"):
        train(recipe, shop / "set" / "manifest.csv", shop / "weights", shop / "run")


def test_other_weights_of_an_inpainter_are_another_run(shop: Path, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    shutil.copytree(shop / "weights", weights)
    state = torch.load(weights / "random_decoder.pth", weights_only=True)
    torch.save({name: tensor * 1.01 for name, tensor in state.items()}, weights / "random_decoder.pth")
    with pytest.raises(ConfigError, match="begun with other networks that inpaint"):
        train(shop / "recipe.yaml", shop / "set" / "manifest.csv", weights, shop / "run")


def test_fewer_rows_have_a_folder_of_their_own(shop: Path, tmp_path: Path) -> None:
    """Donors are drawn from all rows; rows of an ablation may see different pictures."""
    recipe = read_recipe(write_recipe(shop / "splices.yaml", KINDS[:2]))
    rows = read_manifest(shop / "set" / "manifest.csv", "train")
    for some in (rows, rows[1:], rows):
        found = manipulated.manipulate(recipe, some, None, tmp_path, Progress())
        assert [one.kind for one in found] == ["copy-move"] * 4 + ["splicing"] * 4


def test_networks_are_asked_for(shop: Path, tmp_path: Path) -> None:
    values = yaml.safe_load((shop / "recipe.yaml").read_text())
    values["data"]["manipulation"]["inpainters"] = []
    (tmp_path / "none.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(
        ConfigError, match=r"^data\.manipulation: mixing needs learned networks, and none is given"
    ):
        train(tmp_path / "none.yaml", shop / "set" / "manifest.csv", shop / "weights", tmp_path / "run")
