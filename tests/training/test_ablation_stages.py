"""Stages of an ablation: trained once for each configuration, found by the rows that they belong to."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pydantic import Field
from safetensors.torch import load_file
from tiny_ablation import DATA, SPEC, write_spec
from tiny_workshop import write_recipe, write_set
from torch import Tensor, nn

from vestige.errors import ConfigError
from vestige.methods import registry
from vestige.methods.stage import Stage, StageConfig, Task
from vestige.progress import Progress
from vestige.training import ablation, ablation_stages


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the pictures in `set`."""
    folder = tmp_path_factory.mktemp("stages")
    write_set(folder / "set", groups=2, each=4)
    return folder


class BlurStage(StageConfig):
    """How strong, and what the stage before it is worth to it."""

    strength: float = Field(1.0, gt=0)


class BlurTask(Task):
    """Learn a scale; the start is what an earlier stage ended with."""

    def __init__(self, config: BlurStage, before: Tensor | None) -> None:
        super().__init__()
        self.network = nn.Linear(1, 1)
        self.strength = config.strength
        if before is not None:
            self.register_buffer("before", before)

    def loss(self, images: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        return {"loss": (self.network(images.mean()[None]) - self.strength).square().sum()}

    def measure(self, images: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        return {"level": images.mean((1, 2, 3))}

    def samples(self, images: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        return {"image": images}


def first(config: BlurStage, run: Path, weights: Path | None) -> BlurTask:
    return BlurTask(config, None)


def second(config: BlurStage, run: Path, weights: Path | None) -> BlurTask:
    return BlurTask(config, load_file(run / "first" / "network.safetensors")["weight"])


@pytest.fixture
def staged(monkeypatch: pytest.MonkeyPatch) -> None:
    stages = (Stage("first", BlurStage, first), Stage("second", BlurStage, second))
    method = dataclasses.replace(registry.get("npr"), stages=stages)
    monkeypatch.setattr(registry, "get", lambda name: method)


STAGE = {"crop": 32, "batch": 2, "steps": 2, "steps_per_epoch": 2, "folds": 2}


def staged_spec(folder: Path) -> Path:
    rows = {
        "whole": {},
        "same": {"set": {"data": {"views": 1}}},
        "other-second": {"set": {"stages": {"second": {"strength": 2}}}, "stages_as": {"second": "third"}},
        "other-first": {"set": {"stages": {"first": {"strength": 2}}}},
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_recipe(folder / "npr.yaml", "npr", data=DATA, stages={"first": STAGE, "second": STAGE})
    values = SPEC | {"rows": rows, "questions": {}}
    (folder / "spec.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    return folder / "spec.yaml"


def opened(spec: Path, home: Path, out: Path, weights: Path | None = None) -> ablation.Ablation:
    return ablation.Ablation(spec, home / "set" / "manifest.csv", None, weights, out, None, Progress())


def test_stages_are_trained_once_for_each_configuration(home: Path, tmp_path: Path, staged: None) -> None:
    (tmp_path / "weights" / "deep").mkdir(parents=True)
    (tmp_path / "weights" / "deep" / "clip.bin").write_text("x")
    (tmp_path / "weights" / "second").mkdir()
    (tmp_path / "weights" / "second" / "stray.txt").write_text("of another recipe")
    work = opened(staged_spec(tmp_path / "spec"), home, tmp_path / "out", tmp_path / "weights")
    laid = {row: work.prepare(row) for row in work.recipes}
    folders = sorted(path.name.split("-")[0] for path in (tmp_path / "out" / "stages").iterdir())
    assert folders == ["first", "first", "second", "second", "second"]

    def trained(row: str, name: str) -> Path:
        return (laid[row] / name / "network.safetensors").resolve()

    assert trained("whole", "second") == trained("same", "second")
    assert trained("whole", "first") == trained("other-second", "first")
    assert trained("whole", "first") != trained("other-first", "first")
    assert trained("whole", "second") != trained("other-first", "second"), "it begins with another first"
    assert not (laid["other-second"] / "second").exists(), "it is called third there"
    assert trained("other-second", "third") != trained("whole", "second")
    assert [path.read_text() for path in laid["whole"].glob("**/clip*.bin")] == ["x"]
    assert not (laid["whole"] / "second" / "stray.txt").exists()
    for folder in (tmp_path / "out" / "stages").glob("second-*"):
        assert (folder / "first" / "network.safetensors").exists()


def test_a_stage_among_the_weights_is_taken_if_it_is_the_same(
    home: Path, tmp_path: Path, staged: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = staged_spec(tmp_path / "spec")
    made = opened(spec, home, tmp_path / "made").prepare("whole")
    # A stage can only have been trained on other weights where it started from them: copies are the same.
    weights = shutil.copytree(made, tmp_path / "weights")
    work = opened(spec, home, tmp_path / "out", weights)
    with monkeypatch.context() as patch:
        patch.setattr(ablation_stages, "train_stage", keeping(tmp_path / "out"))
        laid = work.prepare("whole")
    assert (laid / "first" / "network.safetensors").resolve() == (weights / "first" / "network.safetensors")
    record = json.loads((weights / "first" / "stage.json").read_text())
    (weights / "first" / "stage.json").write_text(json.dumps(record | {"seed": 9}))
    other = opened(spec, home, tmp_path / "anew", weights).prepare("whole")
    assert (tmp_path / "anew") in (other / "first" / "network.safetensors").resolve().parents


def keeping(out: Path) -> Any:
    """`train_stage`, failing where a stage would be trained."""
    real = ablation_stages.train_stage

    def kept(
        recipe: Path, name: str, manifest: Path, weights: Path, run: Path, *rest: Any, **more: Any
    ) -> None:
        assert (run / name / "network.safetensors").exists(), f"{name} trained again"
        real(recipe, name, manifest, weights, run, *rest, **more)

    return kept


def test_only_stages_of_the_method_can_be_called_otherwise(home: Path, tmp_path: Path) -> None:
    rows = {"whole": {"stages_as": {"extractor": "denoiser"}}}
    spec = write_spec(tmp_path / "spec", rows=rows, questions={})
    with pytest.raises(ConfigError, match="stages_as names extractor, which its method does not have"):
        opened(spec, home, tmp_path / "out").prepare("whole")
