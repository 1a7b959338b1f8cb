"""Runs whose attribution module is fitted to named groups: they are in every fit and in no calibration."""

import csv
from pathlib import Path

import pytest
from tiny_workshop import TOWER, write_clip, write_recipe, write_set

from vestige.errors import DataError
from vestige.training.export import export
from vestige.training.run import train

MODEL = {
    "features": [{"kind": "clip", "tower": TOWER}],
    "widths": [4],
    "source": {"label": "generated", "groups": ["generator-1"]},
}
DATA = {"patch": 64, "views": 1}


def test_the_source_is_seen_by_every_fold_and_scored_by_none(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "recipe.yaml", "attribution", model=MODEL, data=DATA)
    manifest = write_set(tmp_path / "set", groups=3)
    (tmp_path / "weights").mkdir()
    write_clip(tmp_path / "weights")
    train(recipe, manifest, tmp_path / "weights", tmp_path / "run")
    with (tmp_path / "run" / "held-out.csv").open(newline="") as file:
        scored = [row["group"] for row in csv.DictReader(file)]
    assert set(scored) == {"camera-0", "camera-1", "camera-2", "generator-0", "generator-2"}
    card = export(tmp_path / "run", manifest, tmp_path / "package")
    assert "none of generator-1, which all of these models were fitted to" in card.calibration.data
    assert card.calibration.generated == scored.count("generator-0") + scored.count("generator-2")


def test_too_few_groups_besides_the_source_are_refused_at_once(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "recipe.yaml", "attribution", model=MODEL, data=DATA)
    manifest = write_set(tmp_path / "set", groups=2)
    with pytest.raises(
        DataError,
        match="groups of generated pictures besides generator-1, which attribution is fitted to, there are 1",
    ):
        train(recipe, manifest, tmp_path / "weights", tmp_path / "run")
    assert not (tmp_path / "run").exists()
