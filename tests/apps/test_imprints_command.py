"""`vestige spectra` on a run of NIRNet: a tiny autoencoder at random, and the simulator fitted to it."""

import json
import shutil
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
import yaml
from PIL import Image
from typer.testing import CliRunner

from vestige.apps import workshop_cli
from vestige.apps.imprints import ImprintsOptions, run
from vestige.errors import ConfigError, DataError
from vestige.evaluation.imprint_record import Report
from vestige.methods.reconstructors.tiny_autoencoder import TinyAutoencoderReconstructor
from vestige.nn.tiny_autoencoder import TinyAutoencoder
from vestige.training.stages import train_stage

torch.set_num_threads(1)

CROP, EACH = 96, 4
SECTION = {"crop": CROP, "folds": 2, "reconstructors": [{"kind": "tiny-autoencoder"}]}
PACKAGE = {"name": "tiny", "version": "0.1.0", "summary": "For tests.", "failure_modes": ["It guesses."]}


def write_weights(folder: Path, seed: int) -> Path:
    folder.mkdir()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        autoencoder = TinyAutoencoder()
    torch.save(autoencoder.encoder.state_dict(), folder / "random_encoder.pth")
    torch.save(autoencoder.decoder.state_dict(), folder / "random_decoder.pth")
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures, weights, and a run with its simulator fitted."""
    home = tmp_path_factory.mktemp("imprints")
    rng = np.random.default_rng(0)
    lines = ["path,label,group,split"]
    for label, group, split, side in (
        (0, "one", "train", 104),
        (0, "two", "train", 104),
        (0, "three", "dev", 104),
        (0, "four", "dev", 104),
        (0, "five", "dev", 104),
        (0, "small", "dev", 88),
        (1, "gan", "dev", 104),
    ):
        for number in range(EACH):
            name = f"{group}-{number}.png"
            coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
            coarse.resize((side, side), Image.Resampling.BICUBIC).save(home / name)
            lines.append(f"{name},{label},{group},{split}")
    (home / "manifest.csv").write_text("\n".join(lines))
    write_weights(home / "weights", 0)
    values = {"method": "nirnet", "stages": {"simulator": SECTION}, "package": PACKAGE}
    (home / "recipe.yaml").write_text(yaml.safe_dump(values))
    train_stage(home / "recipe.yaml", "simulator", home / "manifest.csv", home / "weights", home / "run")
    return home


@pytest.fixture
def options(home: Path, tmp_path: Path) -> ImprintsOptions:
    return ImprintsOptions(
        home / "run", home / "manifest.csv", tmp_path / "out", split="dev", weights=home / "weights"
    )


def report(options: ImprintsOptions) -> Report:
    return Report.model_validate_json((options.out / "imprints.json").read_text())


def test_figures_and_sentences_are_made(options: ImprintsOptions, capsys: pytest.CaptureFixture[str]) -> None:
    run(options)
    found = report(options)
    assert (found.pictures, found.sources) == (12, {"five": 4, "four": 4, "three": 4})
    assert found.too_small == {"small": 4}
    (generator,) = found.generators
    assert generator.name == "tiny-autoencoder"
    assert len(generator.differences) == len(generator.sampled) == len(found.fused) == 12
    assert {row["generator"] for row in found.fits} == {"tiny-autoencoder"}
    assert found.settings["fitted_to"]["split"] == "train"
    said = capsys.readouterr().out
    assert "left out, smaller than 96 pixels: 4 of small" in said
    assert "12 real pictures of 3 sources, 1 generators" in said
    assert "fitted to pictures of this split" not in said
    for name in ("imprints", "spectra"):
        ET.fromstring((options.out / f"{name}.svg").read_text())
        assert (options.out / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_differences_are_those_of_the_network(options: ImprintsOptions, home: Path) -> None:
    run(options)
    network = TinyAutoencoder.load(
        home / "weights" / "random_encoder.pth", home / "weights" / "random_decoder.pth"
    )
    pixels = np.asarray(Image.open(home / "three-0.png"))[4:100, 4:100]
    images = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        difference = ((network(images) - images) * 255).mean((1, 2, 3)).item()
    (rows,) = (options.out / "cache").glob("*/*.rows")
    kept = np.fromfile(rows, np.float16).reshape(12, 3, 96, 96)
    assert float(kept[0].astype(np.float32).mean()) == pytest.approx(difference, abs=0.05)


def test_called_again_it_reconstructs_nothing(
    options: ImprintsOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(options)
    before = {path.name: path.read_bytes() for path in options.out.glob("imprints.*")}

    def never(*_: object) -> None:
        raise AssertionError("reconstructed again")

    monkeypatch.setattr(TinyAutoencoderReconstructor, "reconstruct", never)
    run(options)
    assert {path.name: path.read_bytes() for path in options.out.glob("imprints.*")} == before
    cache = options.out.parent / "cache"
    shutil.copytree(options.out / "cache", cache)
    run(replace(options, out=options.out.parent / "other", cache=cache))


def test_a_folder_is_of_one_comparison_and_a_refused_one_leaves_it_free(options: ImprintsOptions) -> None:
    with pytest.raises(
        DataError, match="10 real pictures of at least 96 pixels a side are needed, there are 3"
    ):
        run(replace(options, pictures=1))
    with pytest.raises(
        DataError, match="10 real pictures of at least 112 pixels a side are needed, there are 0"
    ):
        run(replace(options, side=112))
    run(replace(options, side=104))
    assert (report(options).settings["side"], report(options).settings["pictures"]) == (104, 8)
    with pytest.raises(ConfigError, match="begun with another side, seed; choose another folder"):
        run(replace(options, seed=1))


def test_a_simulator_of_small_crops_needs_a_side(options: ImprintsOptions, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(options.run, folder)
    path = folder / "simulator" / "stage.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"config": record["config"] | {"crop": 88}}))
    with pytest.raises(ConfigError, match=r"crops of 88 pixels .* multiple of 8 from 96 on with --side$"):
        run(replace(options, run=folder))


def test_pictures_of_the_fit_are_said_to_be(
    options: ImprintsOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    run(replace(options, split="all", pictures=2))
    assert report(options).settings["seen"] is True
    assert "fitted to pictures of this split (train)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pictures": 0}, "--pictures must be at least 1, got 0"),
        ({"side": 100}, "--side must be a multiple of 8 from 96 on, got 100"),
        ({"side": 88}, "--side must be a multiple of 8 from 96 on, got 88"),
        ({"seed": -1}, "--seed must not be negative"),
        ({"weights": None}, "needs a folder of starting weights; give it with --weights"),
        ({"run": Path("nowhere")}, "nowhere: its stage simulator is not trained"),
    ],
)
def test_what_makes_no_sense_is_refused(options: ImprintsOptions, change: dict, words: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(ConfigError, match=words):
        run(replace(options, **change))


def test_other_weights_and_other_records_are_refused(options: ImprintsOptions, tmp_path: Path) -> None:
    other = write_weights(tmp_path / "other", 1)
    with pytest.raises(ConfigError, match=r"not those that .* was fitted to"):
        run(replace(options, weights=other))
    folder = tmp_path / "run"
    shutil.copytree(options.run, folder)
    record = json.loads((folder / "simulator" / "stage.json").read_text())
    (folder / "simulator" / "stage.json").write_text(json.dumps({**record, "config": {"crop": "wide"}}))
    with pytest.raises(ConfigError, match="not the record of a simulator"):
        run(replace(options, run=folder))


def call(*words: object) -> str | ConfigError:
    """What the command says, or why it refuses."""
    app = typer.Typer()
    workshop_cli.register(app)
    result = CliRunner().invoke(app, ["spectra", *map(str, words)])
    if result.exception is None:
        return result.output
    assert isinstance(result.exception, ConfigError), result.exception
    return result.exception


def test_the_command_goes_by_what_the_run_holds(options: ImprintsOptions, tmp_path: Path) -> None:
    common = ("--data", options.data, "--out", options.out, "--split", "dev")
    said = call("--run", options.run, *common, "--weights", options.weights, "--cache", tmp_path / "cache")
    assert "12 real pictures of 3 sources" in said
    assert (tmp_path / "cache").is_dir()
    assert "goes with runs of gensign only" in str(call("--run", options.run, *common, "--jpeg", 80))
    refused = call("--run", tmp_path, *common, "--weights", tmp_path)
    assert f"--weights goes with runs of nirnet only, and {tmp_path} is one of gensign" in str(refused)
    assert "no trained dair" in str(call("--run", tmp_path, *common))
    shutil.copy(options.run.parent / "recipe.yaml", tmp_path / "recipe.yaml")
    assert "its stage simulator is not trained" in str(call("--run", tmp_path, *common))
