"""Reconstructions of real pictures: which, how, and only once."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_workshop import recipe_values, write_set, write_weights

from vestige.data.manifest import read_manifest
from vestige.errors import ConfigError
from vestige.progress import Progress
from vestige.training import reconstruct
from vestige.training.recipe import Recipe


def recipe(per_group: int) -> Recipe:
    section = {"per_group": per_group, "share": 0.3}
    return Recipe.model_validate(
        recipe_values("patch-statistics", data={"patch": 64, "reconstruction": section})
    )


def test_some_of_each_real_source(tmp_path: Path) -> None:
    rows = read_manifest(write_set(tmp_path, groups=3, each=4))
    picked = [rows[index] for index in reconstruct.chosen(recipe(2), rows)]
    assert [row.group for row in picked] == ["camera-0"] * 2 + ["camera-1"] * 2 + ["camera-2"] * 2
    assert len(reconstruct.chosen(recipe(99), rows)) == 12
    assert (
        reconstruct.chosen(
            recipe(2).model_copy(update={"data": recipe(2).data.model_copy(update={"reconstruction": None})}),
            rows,
        )
        == []
    )


def test_pictures_are_kept_and_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = read_manifest(write_set(tmp_path / "set"))
    wide = Image.open(rows[0].path).resize((45, 30))
    for row in rows:
        wide.save(row.path)
    weights, folder = write_weights(tmp_path / "weights"), tmp_path / "kept"
    files = reconstruct.reconstruct(recipe(1), rows, weights, folder, Progress())
    assert sorted(files) == reconstruct.chosen(recipe(1), rows)
    for path in files.values():
        with Image.open(path) as image:
            assert image.size == (40, 24)  # multiples of 8
    first = next(iter(files.values()))
    first.unlink()
    made = []
    original = reconstruct._pass
    monkeypatch.setattr(reconstruct, "_pass", lambda *given: (made.append(1), original(*given))[1])
    assert reconstruct.reconstruct(recipe(1), rows, weights, folder, Progress()) == files
    assert len(made) == 1
    # All there: the weights are not needed any more.
    assert reconstruct.reconstruct(recipe(1), rows, None, folder, Progress()) == files


def test_pixels_pass_the_autoencoder(tmp_path: Path) -> None:
    rows = read_manifest(write_set(tmp_path / "set"))
    weights = write_weights(tmp_path / "weights")
    files = reconstruct.reconstruct(recipe(1), rows, weights, tmp_path / "kept", Progress())
    index, path = next(iter(files.items()))
    pixels = np.asarray(Image.open(rows[index].path).convert("RGB"))
    network = reconstruct._autoencoder(weights)
    with torch.inference_mode():
        expected = network(torch.from_numpy(pixels / 255).float().permute(2, 0, 1)[None])[0].permute(1, 2, 0)
    found = np.asarray(Image.open(path), dtype=float)
    np.testing.assert_allclose(found, expected.numpy() * 255, atol=0.51)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    rows = read_manifest(write_set(tmp_path / "set"))
    for weights in (None, tmp_path):
        with pytest.raises(ConfigError, match=r"tiny autoencoder.*\*_decoder\.pth|no \*_encoder\.pth"):
            reconstruct.reconstruct(recipe(1), rows, weights, tmp_path / "kept", Progress())
