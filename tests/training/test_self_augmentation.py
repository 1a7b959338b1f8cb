"""Self-augmentation: which pictures pass DAIR, by which structure, and what they then count as."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from safetensors.torch import save_model
from tiny_workshop import recipe_values, write_set

from vestige.data.manifest import Row, read_manifest
from vestige.errors import ConfigError, DataError
from vestige.methods.gensign.dair import Dair, DairConfig
from vestige.methods.gensign.structure import Structure, StructureSpace
from vestige.methods.gensign.training import DairStage
from vestige.progress import Progress
from vestige.training import reconstruct
from vestige.training.examples import label_views
from vestige.training.recipe import Recipe
from vestige.training.views import plan

TINY = DairConfig(encoder=(4, 8, 8), decoder=(8, 4, 4), groups=4)


def recipe(**section: Any) -> Recipe:
    return Recipe.model_validate(
        recipe_values("patch-statistics", data={"patch": 64, "views": 2, "self_augmentation": section})
    )


def write_dair(folder: Path, levels: int = 3) -> Dair:
    torch.manual_seed(0)
    network = Dair(TINY)
    (folder / "dair").mkdir(parents=True)
    save_model(network, str(folder / "dair" / "network.safetensors"))
    config = DairStage(model=TINY, space=StructureSpace(levels=levels), perceptual=None).model_dump(
        mode="json"
    )
    (folder / "dair" / "stage.json").write_text(json.dumps({"config": config}))
    return network.eval()


def structure_of(path: Path) -> Structure:
    with Image.open(path) as image:
        return Structure.model_validate_json(image.info["structure"])


def test_both_classes_are_reconstructed_and_the_structure_is_kept(tmp_path: Path) -> None:
    network = write_dair(tmp_path / "weights")
    rows = read_manifest(write_set(tmp_path / "set", groups=2, each=3))
    files = reconstruct.reconstruct(
        recipe(per_group=2), rows, tmp_path / "weights", tmp_path / "kept", Progress()
    )
    assert sorted(rows[index].group for index in files) == sorted(
        [name for name in {row.group for row in rows} for _ in range(2)]
    )
    assert len({structure_of(path) for path in files.values()}) > 1
    for index, path in files.items():
        # Replayed from what the file says, a reconstruction is the same to the last grey level.
        pixels = np.asarray(Image.open(rows[index].path).convert("RGB"))
        images = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 255
        with torch.no_grad():
            made = network(images, [structure_of(path)])[0].clamp(0, 1).permute(1, 2, 0) * 255
        np.testing.assert_array_equal(np.asarray(Image.open(path)), made.round().numpy())


def test_levels_restrict_the_structures_and_names_decide_them(tmp_path: Path) -> None:
    write_dair(tmp_path / "weights")
    rows = read_manifest(write_set(tmp_path / "set", groups=2, each=4))
    section = recipe(levels=1)
    files = reconstruct.reconstruct(section, rows, tmp_path / "weights", tmp_path / "a", Progress())
    assert {len(structure_of(path).stages) for path in files.values()} == {1}
    fewer = reconstruct.reconstruct(section, rows[5:], tmp_path / "weights", tmp_path / "b", Progress())
    for index, path in fewer.items():
        assert structure_of(path) == structure_of(files[index + 5])


def test_without_dair_the_stage_is_named(tmp_path: Path) -> None:
    rows = read_manifest(write_set(tmp_path / "set"))
    with pytest.raises(ConfigError, match=r"no trained dair in .*--stage dair"):
        reconstruct.reconstruct(recipe(), rows, tmp_path, tmp_path / "kept", Progress())


def test_levels_that_were_not_trained_are_refused(tmp_path: Path) -> None:
    write_dair(tmp_path / "weights", levels=1)
    rows = read_manifest(write_set(tmp_path / "set"))
    with pytest.raises(
        ConfigError, match=r"dair: .* trained with levels 1, the self-augmentation asks for 2"
    ):
        reconstruct.reconstruct(recipe(levels=2), rows, tmp_path / "weights", tmp_path / "kept", Progress())
    files = reconstruct.reconstruct(recipe(), rows, tmp_path / "weights", tmp_path / "kept", Progress())
    assert {len(structure_of(path).stages) for path in files.values()} == {1}


def test_pictures_too_small_are_named(tmp_path: Path) -> None:
    write_dair(tmp_path / "weights")
    rows = read_manifest(write_set(tmp_path / "set", each=1))
    for row, size in zip(rows, ((8, 9), (40, 7)), strict=False):
        Image.new("RGB", size).save(row.path)
    files = reconstruct.reconstruct(recipe(), rows[:1], tmp_path / "weights", tmp_path / "kept", Progress())
    assert Image.open(files[0]).size == (8, 8)
    with pytest.raises(DataError, match=rf"{rows[1].name}: 40x7 pixels are too few.*sides of 8 or more"):
        reconstruct.reconstruct(recipe(), rows, tmp_path / "weights", tmp_path / "kept", Progress())


def test_label_rule_and_share_of_each_class() -> None:
    # Real a, a, b; generated c, d; reconstructed are a real and a generated one.
    rows = [
        Row(Path(name), name, label, name[0], "train", "")
        for name, label in (("a1", 0), ("a2", 0), ("b1", 0), ("c1", 1), ("d1", 1))
    ]
    section = recipe(probability=0.2)
    examples = label_views(section, rows, plan(section.data, len(rows), [0, 3]), [])
    real = np.array([rows[row].label == 0 for row in examples.rows])
    made, weights = examples.reconstructed, examples.weights
    assert (examples.labels == np.where(made, 1, ~real)).all()
    for members in (real, ~real):
        assert weights[members & made].sum() == pytest.approx(0.2 * weights[members].sum())
        assert weights[members].sum() == pytest.approx(weights.sum() / 2)
    # Every fifth real picture has become a generated one.
    assert weights[examples.labels == 0].sum() == pytest.approx(0.4 * weights.sum())


def test_one_kind_of_reconstruction_at_a_time() -> None:
    section = {"reconstruction": {"per_group": 1, "share": 0.1}, "self_augmentation": {}}
    with pytest.raises(
        ValidationError, match="choose one of reconstruction, self_augmentation, imprinting and manipulation"
    ):
        Recipe.model_validate(recipe_values("patch-statistics", data={"patch": 64, **section}))
