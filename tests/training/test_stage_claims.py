"""Stages that do not start: folders of something else, stages and pictures that are not there."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from tiny_stages import open_shop, recipe, train
from tiny_workshop import write_recipe
from torch import Tensor

from vestige.errors import ConfigError, DataError
from vestige.training import stage_training
from vestige.training.stages import finished, train_stage


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return open_shop(tmp_path_factory.mktemp("shop"))


@pytest.mark.parametrize(
    ("changes", "seed", "named"),
    [
        ({"dair": {"steps": 6}}, 3, "config"),
        ({"dair": {"model": {"encoder": [4, 4, 8], "decoder": [4, 4, 4], "groups": 2}}}, 3, "config, start"),
        ({}, 4, "seed, starting_weights_sha256"),
    ],
)
def test_folder_begun_with_another_recipe(
    shop: Path, tmp_path: Path, changes: dict[str, Any], seed: int, named: str
) -> None:
    other = recipe(tmp_path / "recipe.yaml", seed=seed, **changes)
    with pytest.raises(ConfigError, match=f"dair: this stage was begun with another {named}"):
        train(shop, "dair", shop / "run", other)


def test_folder_begun_with_another_manifest(shop: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "other.csv"
    text = (shop / "set" / "manifest.csv").read_text()
    manifest.write_text(text.replace("CC0", "CC-BY").replace("camera-0-0", str(shop / "set" / "camera-0-0")))
    with pytest.raises(ConfigError, match="with another manifest, manifest_sha256; choose another folder"):
        train_stage(shop / "recipe.yaml", "dair", manifest, None, shop / "run")


def test_extractor_begun_with_another_reconstructor(shop: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(shop / "run", run)
    shutil.rmtree(run / "dair")
    train(shop, "dair", run, recipe(tmp_path / "recipe.yaml", dair={"steps": 1}))
    with pytest.raises(ConfigError, match=r"extractor: .* begun with another starting_weights_sha256"):
        train(shop, "extractor", run)


def test_foreign_folders_are_left_alone(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "run" / "dair").mkdir(parents=True)
    (tmp_path / "run" / "dair" / "thesis.tex").write_text("precious")
    with pytest.raises(ConfigError, match="dair: not empty and not a stage of a run"):
        train(shop, "dair", tmp_path / "run")
    (tmp_path / "run" / "dair" / "stage.json").write_text('{"half')
    with pytest.raises(ConfigError, match=r"stage\.json: cannot be read as the record of a stage"):
        train(shop, "dair", tmp_path / "run")
    assert (tmp_path / "run" / "dair" / "thesis.tex").read_text() == "precious"


def test_stages_that_are_not_there(shop: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no trained dair in .*run.dair: .*train RECIPE --stage dair"):
        train(shop, "extractor", tmp_path / "run")
    with pytest.raises(ConfigError, match="gensign has no stage 'denoise'; known are dair, extractor"):
        train(shop, "denoise", tmp_path / "run")
    other = write_recipe(tmp_path / "other.yaml", "srm-statistics")
    with pytest.raises(ConfigError, match="srm-statistics has no stage 'dair'; known are none besides"):
        train(shop, "dair", tmp_path / "run", other)
    with pytest.raises(ConfigError, match=r"its stage dair is not trained; run .* with --stage dair"):
        finished(tmp_path / "run", "dair")
    assert not (tmp_path / "run").exists()


def test_wrong_options_are_named(shop: Path, tmp_path: Path) -> None:
    wrong = recipe(tmp_path / "recipe.yaml", dair={"crop": 33}, extractor={"levels": 9})
    with pytest.raises(ConfigError, match=r"recipe\.yaml: stages\.dair\.crop: .* multiple of 8"):
        train(shop, "dair", tmp_path / "run", wrong)
    wrong = write_recipe(tmp_path / "recipe.yaml", "gensign", stages={"dare": {}})
    with pytest.raises(ConfigError, match=r"recipe\.yaml: gensign has no stage 'dare'"):
        train(shop, "dair", tmp_path / "run", wrong)


@pytest.mark.parametrize(
    ("pictures", "kind"), [("real", "real"), ("generated", "generated"), ("all", "generated")]
)
def test_too_few_groups(shop: Path, tmp_path: Path, pictures: str, kind: str) -> None:
    lines = (shop / "set" / "manifest.csv").read_text().splitlines()
    if pictures != "real":
        lines = [line for line in lines if not line.startswith("generator") or "generator-0" in line]
    manifest = shop / "set" / f"few-{pictures}.csv"
    manifest.write_text("\n".join(lines))
    folds = 5 if pictures == "real" else 3
    few = recipe(tmp_path / "recipe.yaml", dair={"folds": folds, "pictures": pictures})
    count = 4 if pictures == "real" else 1
    sentence = (
        rf"few-{pictures}\.csv: {folds} folds need as many groups of {kind} pictures, there are {count}$"
    )
    with pytest.raises(DataError, match=sentence):
        train_stage(few, "dair", manifest, None, tmp_path / "run")
    assert not (tmp_path / "run").exists(), "a folder that nothing was begun in stays free"


@pytest.mark.parametrize("pictures", ["real", "generated", "all"])
def test_which_pictures(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pictures: str) -> None:
    seen: dict[str, Any] = {}

    def looking(task: Any, config: Any, seed: int, given: Any, held_back: Tensor, *_: Any) -> bool:
        seen.update(rows=given.rows, held_back=held_back)
        return True

    monkeypatch.setattr(stage_training, "fit", looking)
    train(shop, "dair", tmp_path / "run", recipe(tmp_path / "r.yaml", dair={"pictures": pictures}))
    labels = {"real": {0}, "generated": {1}, "all": {0, 1}}[pictures]
    assert {row.label for row in seen["rows"]} == labels
    assert len(seen["rows"]) == len(seen["held_back"]) == 6 * len(labels)
    assert len({(row.label, row.group) for row in seen["rows"]}) == 2 * len(labels)


def test_nothing_to_measure_on(shop: Path, tmp_path: Path) -> None:
    lines = (shop / "set" / "manifest.csv").read_text().splitlines()
    manifest = shop / "set" / "generated.csv"
    manifest.write_text("\n".join([lines[0], *(line for line in lines if line.startswith("generator"))]))
    for split, where in ((None, "this manifest"), ("train", "the split train of this manifest")):
        with pytest.raises(DataError, match=rf"generated\.csv: no real pictures in {where}, and the stage"):
            train(shop, "dair", tmp_path / "run", measure_on=(manifest, split))
    assert not (tmp_path / "run").exists(), "found before training"


def test_a_stage_that_keeps_no_features_takes_no_folder_of_them(shop: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--cache goes with .* that keep frozen features; dair keeps none"):
        train(shop, "dair", tmp_path / "run", cache=tmp_path / "kept")
    assert not list(tmp_path.iterdir())


def test_unreadable_picture_is_named(shop: Path, tmp_path: Path) -> None:
    broken = tmp_path / "set"
    shutil.copytree(shop / "set", broken)
    for group in range(4):
        (broken / f"camera-{group}-1.png").write_bytes(b"not a picture")
    with pytest.raises(DataError, match=r"camera-\d-1\.png"):
        train_stage(shop / "recipe.yaml", "dair", broken / "manifest.csv", None, tmp_path / "run")
    assert not (tmp_path / "run" / "dair" / "last.ckpt").exists()
