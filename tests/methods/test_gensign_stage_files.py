"""Trained stages of GenSign on disk: which one is found, that it comes back, what is refused."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file, save_model
from torch import nn

from vestige.errors import ConfigError
from vestige.methods.gensign.dair import Dair, DairConfig
from vestige.methods.gensign.extractor import ExtractorConfig
from vestige.methods.gensign.files import (
    find_dair,
    find_denoiser,
    find_extractor,
    load_dair,
    load_extractor,
)
from vestige.methods.gensign.structure import StructureSpace
from vestige.methods.gensign.training import DairStage, ExtractorStage, build_extractor

TINY = DairConfig(encoder=(4, 4, 4), decoder=(4, 4, 4), groups=2)
TINY_EXTRACTOR = ExtractorConfig(width=4, blocks=1, groups=2)


def write_dair(folder: Path, space: StructureSpace | None = None) -> Dair:
    torch.manual_seed(7)
    network = Dair(TINY)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            nn.init.uniform_(module.running_mean)
    folder.mkdir(parents=True)
    save_model(network, str(folder / "network.safetensors"))
    config = DairStage(model=TINY, space=space or StructureSpace())
    (folder / "stage.json").write_text(json.dumps({"config": config.model_dump(mode="json")}))
    return network.eval()


def test_reconstructor_of_the_run_comes_first(tmp_path: Path) -> None:
    space = StructureSpace(levels=2, normalisations=("group", "batch"))
    network = write_dair(tmp_path / "run" / "dair", space)
    write_dair(tmp_path / "weights" / "dair")
    assert find_dair(tmp_path / "run", tmp_path / "weights") == tmp_path / "run" / "dair"
    assert find_dair(tmp_path, tmp_path / "weights") == tmp_path / "weights" / "dair"
    assert find_dair(None, tmp_path / "weights") == tmp_path / "weights" / "dair"
    loaded, found = load_dair(tmp_path / "run" / "dair")
    assert found == space
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    images, drawn = torch.rand(4, 3, 16, 16), space.draw_for(4, 4, torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(loaded(images, drawn), network(images, drawn))
    task = build_extractor(ExtractorStage(model=TINY_EXTRACTOR), tmp_path / "run", None)
    assert task.space == space
    assert task.dair is not None
    assert task.dair.config == TINY


def test_a_stage_begun_and_not_finished_is_not_passed_over(tmp_path: Path) -> None:
    for name in ("dair", "extractor", "denoiser"):
        write_dair(tmp_path / "weights" / name)
        (tmp_path / "run" / name).mkdir(parents=True)
        (tmp_path / "run" / name / "stage.json").write_text("{}")
    for find, place, stage in (
        (find_dair, "dair", "dair"),
        (find_extractor, "extractor", "extractor"),
        (find_denoiser, "denoiser", "extractor"),
    ):
        sentence = rf"run.{place}: was begun and not finished; continue it with .*--stage {stage}"
        with pytest.raises(ConfigError, match=sentence):
            find(tmp_path / "run", tmp_path / "weights")
        assert find(None, tmp_path / "weights") == tmp_path / "weights" / place


def test_no_reconstructor_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no trained dair in .*run.dair or .*weights.dair: .*--stage dair"):
        build_extractor(ExtractorStage(), tmp_path / "run", tmp_path / "weights")
    with pytest.raises(ConfigError, match="no trained dair in any folder"):
        find_dair(None, None)
    with pytest.raises(ConfigError, match=r"no trained extractor in .*--stage extractor"):
        find_extractor(tmp_path, None)
    task = build_extractor(ExtractorStage(target="noise"), tmp_path / "run", None)
    assert task.dair is None


def test_levels_that_were_not_trained_are_refused(tmp_path: Path) -> None:
    write_dair(tmp_path / "dair", StructureSpace(levels=1))
    with pytest.raises(
        ConfigError, match=r"dair: this reconstructor was trained with levels 1, .* asks for 2"
    ):
        build_extractor(ExtractorStage(levels=2), tmp_path, None)
    assert build_extractor(ExtractorStage(levels=1), tmp_path, None).space.levels == 1


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        ("{", r"stage\.json: cannot be read as the record of a stage"),
        ("[]", r"stage\.json: cannot be read as the record of a stage"),
        ('{"config": {"model": {"width": 3}}}', r"stage\.json: not the record of a reconstructor"),
        ('{"config": {"model": {}}}', r"stage\.json: not the record of a reconstructor"),
        ('{"config": []}', r"stage\.json: not the record of a reconstructor"),
    ],
)
def test_foreign_records_are_refused(tmp_path: Path, record: str, sentence: str) -> None:
    write_dair(tmp_path / "dair")
    (tmp_path / "dair" / "stage.json").write_text(record)
    with pytest.raises(ConfigError, match=sentence):
        load_dair(tmp_path / "dair")


def test_foreign_weights_are_refused(tmp_path: Path) -> None:
    write_dair(tmp_path / "dair")
    save_file({"weight": torch.zeros(2)}, tmp_path / "dair" / "network.safetensors")
    with pytest.raises(
        ConfigError, match=r"network\.safetensors: not the weights that .*stage\.json speaks of"
    ):
        load_dair(tmp_path / "dair")
    (tmp_path / "dair" / "network.safetensors").write_bytes(b"nothing")
    with pytest.raises(ConfigError, match=r"network\.safetensors: not the weights"):
        load_dair(tmp_path / "dair")
    with pytest.raises(ConfigError, match=r"stage\.json: not the record of an extractor"):
        load_extractor(tmp_path / "dair")
