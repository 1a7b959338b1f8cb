"""Recipes that train on several splits of a manifest, and what they promise of the band."""

import csv
import json
from pathlib import Path

import pytest
import yaml
from tiny_workshop import recipe_values, write_recipe, write_set

from vestige.data.manifest import read_manifest, split_words
from vestige.errors import ConfigError, DataError
from vestige.inference.package import read_card
from vestige.training.ablation_spec import Spec, row_recipes
from vestige.training.ablation_stages import stage_keys
from vestige.training.export import export
from vestige.training.recipe import BandSection, parse_recipe, read_recipe
from vestige.training.run import train, used_rows
from vestige.training.stages import holds

BOTH = ["train", "dev"]


def split_set(folder: Path) -> Path:
    """Of each group two pictures are for training, one for development, one for a test."""
    manifest = write_set(folder)
    with manifest.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        row["split"] = ("train", "dev", "train", "test")[number % 4]
    with manifest.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return manifest


def test_rows_of_all_named_splits_in_the_order_of_the_manifest(tmp_path: Path) -> None:
    manifest = split_set(tmp_path)
    everything = read_manifest(manifest)
    wanted = [row.name for row in everything if row.split != "test"]
    assert [row.name for row in read_manifest(manifest, ("dev", "train"))] == wanted
    recipe = parse_recipe(recipe_values("srm-statistics", data={"patch": 64, "split": BOTH}), "recipe")
    assert [row.name for row in used_rows(recipe, manifest)] == wanted
    with pytest.raises(DataError, match=r"no rows of split 'evaluation', only \['dev', 'test', 'train'\]"):
        read_manifest(manifest, ("train", "evaluation"))


@pytest.mark.parametrize(
    ("split", "said"), [([], "name at least one split"), (["dev", "dev"], "names a split twice: dev, dev")]
)
def test_no_split_and_repeats_are_refused(split: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_recipe(recipe_values("srm-statistics", data={"split": split}), "recipe")


@pytest.mark.parametrize(
    ("split", "record", "pictures"),
    [
        ("train", "train", "train split of m.csv"),
        (["train"], ["train"], "split train of m.csv"),
        (BOTH, BOTH, "splits train and dev of m.csv"),
        (["a", "b", "c"], ["a", "b", "c"], "splits a, b and c of m.csv"),
    ],
)
def test_how_texts_and_records_name_them(split: str | list[str], record: object, pictures: str) -> None:
    data = parse_recipe(recipe_values("srm-statistics", data={"split": split}), "recipe").data
    assert data.split_record == json.loads(json.dumps(data.split_record)) == record
    assert data.pictures("m.csv") == pictures
    assert split_words("train") == "split train"


def test_a_stage_is_known_again_by_its_splits(tmp_path: Path) -> None:
    manifest = split_set(tmp_path / "set")
    recipe = parse_recipe(recipe_values("gensign", data={"patch": 64, "split": BOTH}), "recipe")
    other = parse_recipe(recipe_values("gensign", data={"patch": 64}), "recipe")
    record = {"split": recipe.data.split_record}
    (tmp_path / "stage.json").write_text(json.dumps(record))
    (tmp_path / "network.safetensors").write_bytes(b"")
    assert holds(tmp_path, record)
    assert not holds(tmp_path, {"split": other.data.split_record})
    assert stage_keys(recipe, manifest) != stage_keys(other, manifest)


def test_an_ablation_takes_several_splits(tmp_path: Path) -> None:
    write_recipe(tmp_path / "base.yaml", "srm-statistics")
    spec = Spec.model_validate({"recipe": "base.yaml", "baseline": "full", "rows": {"full": {}, "two": {}}})
    values = row_recipes(tmp_path / "spec.yaml", spec, BOTH)["full"]
    assert yaml.safe_load(yaml.safe_dump(values))["data"]["split"] == BOTH


def test_a_run_on_two_splits_with_a_band(tmp_path: Path) -> None:
    manifest = split_set(tmp_path / "set")
    data = {"patch": 64, "views": 1, "split": BOTH}
    calibration = {"folds": 2, "used": 2, "band": {}}
    recipe = write_recipe(tmp_path / "r.yaml", "srm-statistics", data=data, calibration=calibration)
    assert read_recipe(recipe).calibration.band == BandSection(accused=0.05, missed=0.1, confidence=None)
    train(recipe, manifest, None, tmp_path / "run")
    train(recipe, manifest, None, tmp_path / "run")
    export(tmp_path / "run", manifest, tmp_path / "package")
    card = read_card(tmp_path / "package")
    assert card.training.data == "splits train and dev of manifest.csv"
    assert card.calibration.data.startswith("splits train and dev of manifest.csv, each picture scored by")
    assert (card.calibration.real, card.calibration.generated) == (6, 6)
    assert {source.count for source in card.training.sources} == {3}
    assert card.calibration.data.endswith("so every picture is inconclusive"), "six pictures promise nothing"
    assert (card.abstention.low, card.abstention.high) == (0, 1)
    assert [result.value for result in card.results] == [0, 0]
    assert [point.fpr for point in card.operating_points] == [0.01, 0.05], "these stay"
