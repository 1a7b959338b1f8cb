"""The stage simulator: differences of real reconstructors, computed once, fitted, measured and found."""

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_model
from torch import Tensor, nn

from vestige.errors import ConfigError
from vestige.methods import registry
from vestige.methods.gensign.dair import Dair, DairConfig
from vestige.methods.gensign.training import DairStage
from vestige.methods.nirnet.simulator import Simulator
from vestige.methods.nirnet.stage import (
    STAGES,
    Difference,
    SimulatorStage,
    build_simulator,
    find_simulator,
)
from vestige.methods.reconstructors import Reconstructor
from vestige.nn.tiny_autoencoder import TinyAutoencoder
from vestige.training.stages import train_stage

torch.set_num_threads(1)

SIDE, CROP, EACH = 48, 32, 3
RECONSTRUCTORS = [{"kind": "tiny-autoencoder", "name": "tiny"}, {"kind": "dair", "structures": 2}]
SECTION = {"crop": CROP, "folds": 2, "block": 8, "reconstructors": RECONSTRUCTORS}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of two groups, and starting weights with random numbers in them."""
    home = tmp_path_factory.mktemp("simulator")
    rng = np.random.default_rng(0)
    lines = ["path,label,group,split"]
    for group in ("one", "two"):
        for number in range(EACH):
            name = f"{group}-{number}.png"
            Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)).save(home / name)
            lines.append(f"{name},0,{group},train")
    (home / "manifest.csv").write_text("\n".join(lines))
    (home / "held-back.csv").write_text("\n".join(lines[: 1 + EACH]))
    torch.manual_seed(0)
    weights = home / "weights"
    (weights / "dair").mkdir(parents=True)
    autoencoder = TinyAutoencoder()
    torch.save(autoencoder.encoder.state_dict(), weights / "random_encoder.pth")
    torch.save(autoencoder.decoder.state_dict(), weights / "random_decoder.pth")
    config = DairStage(model=DairConfig(encoder=(4, 4, 4), decoder=(4, 4, 4), groups=2))
    save_model(Dair(config.model), str(weights / "dair" / "network.safetensors"))
    record = {"config": config.model_dump(mode="json")}
    (weights / "dair" / "stage.json").write_text(json.dumps(record))
    return home


@pytest.fixture(autouse=True)
def staged(monkeypatch: pytest.MonkeyPatch) -> None:
    method = dataclasses.replace(registry.get("npr"), stages=STAGES)
    monkeypatch.setattr(registry, "get", lambda name: method)


def train(home: Path, run: Path, cache: Path | None = None, others: str = "", **changes: Any) -> Simulator:
    run.mkdir(exist_ok=True)
    package = {"name": "tiny", "version": "0.1.0", "summary": "For tests.", "failure_modes": ["All."]}
    values = {"method": "npr", "package": package, "stages": {"simulator": SECTION | changes}}
    (run / "recipe.yaml").write_text(yaml.safe_dump(values))
    measure_on = (home / others, None) if others else None
    paths = home / "manifest.csv", home / "weights", run
    train_stage(run / "recipe.yaml", "simulator", *paths, measure_on=measure_on, cache=cache)
    return Simulator.load(find_simulator(run, None))


def lines_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_fits_are_those_of_the_differences_of_the_middles(home: Path, tmp_path: Path) -> None:
    simulator = train(home, tmp_path / "run", block=1, colours="rgb")
    assert simulator.generators == ("tiny", "dair-0", "dair-1")
    assert simulator.pictures == (EACH,) * 3
    network = TinyAutoencoder.load(
        *(home / "weights" / f"random_{half}.pth" for half in ("encoder", "decoder"))
    )
    first = (SIDE - CROP) // 2
    differences = []
    for number in range(EACH):
        # Groups of one size are dealt by name, the first is held back.
        pixels = np.asarray(Image.open(home / f"two-{number}.png"))[first:, first:][:CROP, :CROP]
        with torch.no_grad():
            made = network(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 255).clamp(0, 1)
        differences.append(made[0].permute(1, 2, 0).numpy() * 255.0 - pixels)
    expected = np.concatenate([difference.reshape(-1, 3) for difference in differences])
    median = np.median(expected, axis=0)
    laplace = simulator.fits["laplace"]
    np.testing.assert_allclose(laplace.location[0].reshape(3), median, atol=0.1)
    np.testing.assert_allclose(laplace.scale[0].reshape(3), np.abs(expected - median).mean(0), rtol=1e-3)
    gaussian = simulator.fits["gaussian"]
    np.testing.assert_allclose(gaussian.location[0].reshape(3), expected.mean(0), atol=0.02)


def test_figures(home: Path, tmp_path: Path) -> None:
    simulator = train(home, tmp_path / "run", others="held-back.csv")
    lines = lines_of(tmp_path / "run" / "simulator" / "fits.csv")
    assert len(lines) == 3 * 3 * 2
    for line, row in zip(lines, simulator.goodness, strict=True):
        values = row.model_dump()
        assert list(line) == list(values)
        assert (line["generator"], line["family"], line["scope"]) == (row.generator, row.family, row.scope)
        assert float(line["ks"]) == pytest.approx(row.ks, rel=1e-5)
        assert int(line["pictures"]) == EACH
    measured = lines_of(tmp_path / "run" / "simulator" / "measured.csv")
    assert measured == [line for line in lines if line["scope"] == "pooled"], "of the very pictures held back"


def test_differences_are_computed_once_for_all_settings(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    eights = train(home, tmp_path / "eights", tmp_path / "kept")
    monkeypatch.setattr(Difference, "forward", lambda *_: pytest.fail("computed again"))
    fours = train(home, tmp_path / "fours", tmp_path / "kept", block=4, colours="rgb", folds=2)
    assert eights.fits["laplace"].scale.shape == (3, 8, 8, 3)
    assert fours.fits["laplace"].scale.shape == (3, 4, 4, 3)
    # One of them alone is known, too, and fitted alike.
    alone = train(home, tmp_path / "alone", tmp_path / "kept", reconstructors=RECONSTRUCTORS[:1])
    assert np.array_equal(alone.fits["laplace"].scale[0], eights.fits["laplace"].scale[0])
    assert not list((tmp_path / "eights" / "simulator").glob("cache"))


def test_a_finished_stage_of_another_recipe(home: Path, tmp_path: Path) -> None:
    train(home, tmp_path / "run", reconstructors=RECONSTRUCTORS[:1])
    with pytest.raises(ConfigError, match="begun with another config, starting_weights_sha256, parts"):
        train(home, tmp_path / "run")


def test_difference_is_exact_under_autocast() -> None:
    class Brighter(Reconstructor):
        def __init__(self) -> None:
            super().__init__("brighter", "brighter", 1, "")
            self.layer = nn.Conv2d(3, 3, 1, bias=False)
            nn.init.zeros_(self.layer.weight)
            self.layer.weight.data[range(3), range(3)] = 1.001
            self.freeze()

        def reconstruct(self, images: Tensor) -> Tensor:
            found: Tensor = self.layer(images)
            return found

    images = 0.9 * torch.rand(2, 3, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        found = Difference(Brighter())(images)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, images * 0.001 * 255, atol=1e-4, rtol=0)


def test_impossible_options(home: Path) -> None:
    with pytest.raises(ValueError, match=r"crop \(40\) must be a multiple of block \(16\)"):
        SimulatorStage(crop=40, block=16)
    with pytest.raises(ConfigError, match=r"list them in the recipe \(stages\.simulator\.reconstructors\)"):
        build_simulator(SimulatorStage(), home, home / "weights")
    config = SimulatorStage.model_validate(SECTION)
    with pytest.raises(ConfigError, match="folder of starting weights"):
        build_simulator(config, home, None)
    assert STAGES[0].wanted(config)
    assert not STAGES[0].wanted(SimulatorStage())


def test_where_a_simulator_is_found(tmp_path: Path) -> None:
    run, weights = tmp_path / "run", tmp_path / "weights"
    with pytest.raises(ConfigError, match=r"no trained simulator in .*run.simulator or .*simulator\.safe"):
        find_simulator(run, weights)
    weights.mkdir()
    (weights / "simulator.safetensors").touch()
    assert find_simulator(run, weights) == weights / "simulator.safetensors"
    (weights / "simulator").mkdir()
    assert find_simulator(None, weights) == weights / "simulator.safetensors"
    (weights / "simulator" / "network.safetensors").touch()
    assert find_simulator(None, weights) == weights / "simulator" / "network.safetensors"
    (run / "simulator").mkdir(parents=True)
    (run / "simulator" / "stage.json").touch()
    with pytest.raises(ConfigError, match=r"run.simulator: was begun and not finished; .*--stage simulator"):
        find_simulator(run, weights)
    (run / "simulator" / "network.safetensors").touch()
    assert find_simulator(run, weights) == run / "simulator" / "network.safetensors"
