"""The folder of starting weights and own stages: what is linked there, what is never removed."""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_model
from tiny_workshop import recipe_values, write_clip, write_recipe, write_set, write_weights

from vestige.errors import ConfigError
from vestige.methods.gensign.dair import Dair, DairConfig
from vestige.methods.gensign.training import DairStage
from vestige.training.recipe import Recipe
from vestige.training.run import train, with_own_stages
from vestige.training.starting_weights import lay_out_weights

TINY = DairConfig(encoder=(4, 8, 8), decoder=(8, 4, 4), groups=4)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def write_stage(folder: Path, text: str = "trained") -> Path:
    write(folder / "stage.json", "{}")
    write(folder / "network.safetensors", text)
    return folder


def contents(folder: Path) -> dict[str, str]:
    """Texts of all files that a search in depth finds."""
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.glob("**/*.*")}


def test_folders_that_links_lead_to_are_searched(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere" / "sub" / "clip.bin", "clip")
    write(tmp_path / "far" / "b0.bin", "b0")
    weights = tmp_path / "weights"
    write(weights / "lite.bin", "lite")
    (weights / "linked").symlink_to(tmp_path / "elsewhere")
    (weights / "deep").mkdir()
    (weights / "deep" / "linked").symlink_to(tmp_path / "far")
    (weights / "one.bin").symlink_to(tmp_path / "far" / "b0.bin")
    write_stage(weights / "first", "of another run")
    stage = write_stage(tmp_path / "run" / "first")
    for _ in range(2):  # the second time in place of the first
        laid = lay_out_weights(tmp_path / "run" / "weights", weights, {"first": stage}, {})
        assert contents(laid) == {
            "lite.bin": "lite",
            "linked/sub/clip.bin": "clip",
            "deep/linked/b0.bin": "b0",
            "one.bin": "b0",
            "first/stage.json": "{}",
            "first/network.safetensors": "trained",
        }
    assert (weights / "first" / "network.safetensors").read_text() == "of another run"


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    write(weights / "a" / "x.bin", "x")
    (weights / "a" / "up").symlink_to(weights)
    (weights / "b").symlink_to(weights / "a")
    laid = lay_out_weights(tmp_path / "laid", weights, {}, {})
    assert set(contents(laid)) == {"a/x.bin", "b/x.bin"}, "one file may be had by two names"


def test_a_run_among_the_weights_does_not_meet_itself(tmp_path: Path) -> None:
    stage = write_stage(tmp_path / "run" / "first")
    write(tmp_path / "x.bin", "x")
    for _ in range(2):
        laid = lay_out_weights(tmp_path / "run" / "weights", tmp_path, {"first": stage}, {})
        assert not (laid / "run" / "weights").exists()
        assert (laid / "x.bin").read_text() == "x"


def test_files_of_the_user_are_never_removed(tmp_path: Path) -> None:
    stage = write_stage(tmp_path / "run" / "first")
    weights, folder = tmp_path / "weights", tmp_path / "run" / "weights"
    write(weights / "x.bin", "x")
    lay_out_weights(folder, weights, {"first": stage}, {})
    own = write(folder / "deep" / "clip.bin", "precious")
    before = contents(folder)
    with pytest.raises(
        ConfigError, match=r"run.weights: holds files of its own \(.*clip\.bin\); move them elsewhere"
    ):
        lay_out_weights(folder, weights, {"first": stage}, {})
    assert contents(folder) == before, "not even links are gone"
    own.unlink()
    lay_out_weights(folder, weights, {"first": stage}, {})
    assert not (folder / "deep").exists()


def test_what_links_lead_to_is_left_alone(tmp_path: Path) -> None:
    precious = write(tmp_path / "data" / "x.bin", "precious")
    folder = tmp_path / "run" / "weights"
    folder.mkdir(parents=True)
    (folder / "linked").symlink_to(tmp_path / "data")
    lay_out_weights(folder, None, {}, {})
    assert list(folder.iterdir()) == []
    assert precious.read_text() == "precious"
    folder.rmdir()
    folder.symlink_to(tmp_path / "data")
    with pytest.raises(ConfigError, match=r"run.weights: must be a folder"):
        lay_out_weights(folder, None, {}, {})
    assert precious.read_text() == "precious"


@pytest.mark.parametrize("place", ["run/weights", "run/weights/deep", "run/weights/linked", "alias"])
def test_weights_in_the_folder_itself_are_refused(tmp_path: Path, place: str) -> None:
    folder = tmp_path / "run" / "weights"
    (folder / "deep").mkdir(parents=True)
    write(tmp_path / "data" / "x.bin", "x")
    (folder / "linked").symlink_to(tmp_path / "data")
    (tmp_path / "alias").symlink_to(folder)
    with pytest.raises(ConfigError, match=r"starting weights cannot lie in .*move them elsewhere"):
        lay_out_weights(folder, tmp_path / place, {}, {})
    assert (folder / "linked" / "x.bin").read_text() == "x"


def test_weights_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere: cannot be read as a folder of starting weights"):
        lay_out_weights(tmp_path / "laid", tmp_path / "nowhere", {}, {})
    assert not (tmp_path / "laid").exists()


def test_links_to_nothing_stay_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "self").symlink_to(tmp_path / "weights" / "self")
    (tmp_path / "weights" / "gone").symlink_to(tmp_path / "gone")
    laid = lay_out_weights(tmp_path / "laid", tmp_path / "weights", {}, {})
    assert sorted(os.listdir(laid)) == ["gone", "self"]


def test_a_stage_begun_in_the_run_is_not_passed_over(tmp_path: Path) -> None:
    recipe = Recipe.model_validate(recipe_values("gensign"))
    write_stage(tmp_path / "weights" / "extractor")
    write_stage(tmp_path / "run" / "dair")
    write(tmp_path / "run" / "extractor" / "stage.json", "{}")
    with pytest.raises(
        ConfigError,
        match=r"extractor: was begun and not finished; continue it with vestige train .* --stage extractor",
    ):
        with_own_stages(recipe, tmp_path / "weights", tmp_path / "run")
    assert not (tmp_path / "run" / "weights").exists()


def write_dair(folder: Path, seed: int) -> None:
    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    save_model(Dair(TINY), str(folder / "network.safetensors"))
    config = DairStage(model=TINY, perceptual=None).model_dump(mode="json")
    write(folder / "stage.json", json.dumps({"config": config}))


def test_a_run_keeps_to_its_reconstructor_and_deletes_nothing(tmp_path: Path) -> None:
    manifest = write_set(tmp_path / "set", groups=2, each=2)
    weights = write_clip(write_weights(tmp_path / "weights"))
    data = {"patch": 64, "views": 1, "self_augmentation": {"per_group": 1}}
    recipe = write_recipe(tmp_path / "r.yaml", "gensign", data=data)
    run = tmp_path / "run"
    write_dair(run / "dair", 1)
    own = write(run / "weights" / "clip.safetensors", "precious")
    with pytest.raises(ConfigError, match="holds files of its own"):
        train(recipe, manifest, weights, run)
    assert own.read_text() == "precious"
    own.unlink()
    train(recipe, manifest, weights, run)
    held = json.loads((run / "run.json").read_text())["reconstructor_sha256"]
    assert len(held) == 64
    train(recipe, manifest, weights, run)  # finished: left alone
    write_dair(run / "dair", 2)
    with pytest.raises(ConfigError, match="run: this run was begun with another reconstructor"):
        train(recipe, manifest, weights, run)
    plain = write_recipe(tmp_path / "plain.yaml", "srm-statistics", data={"patch": 64, "views": 1})
    train(plain, manifest, None, tmp_path / "plain")
    assert json.loads((tmp_path / "plain" / "run.json").read_text())["reconstructor_sha256"] is None
