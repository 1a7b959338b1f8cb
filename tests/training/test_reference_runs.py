"""References of their own kind, from a recipe to verdicts: facts of files alone, and without training."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_workshop import picture, write_recipe, write_set, write_weights

from vestige.detector import Detector
from vestige.inference.package import load_package
from vestige.methods.references.autoencoder_error import AutoencoderErrorConfig, build
from vestige.results import Verdict
from vestige.training.calibration import read_held_out
from vestige.training.export import as_input, export
from vestige.training.run import train


def write_files(folder: Path, each: int, seed: int) -> Path:
    """The same kind of picture throughout: cameras write JPEG, generators PNG; returns the manifest."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    lines = ["path,label,group,split,license"]
    for label, kind, suffix in ((0, "camera", "jpg"), (1, "generator", "png")):
        for group in range(2):
            for number in range(each):
                name = f"{kind}-{group}-{number}.{suffix}"
                Image.fromarray(picture(number % 2, rng)).save(folder / name)
                lines.append(f"{name},{label},{kind}-{group},train,CC0")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return folder / "manifest.csv"


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of the control that looks at files alone."""
    folder = tmp_path_factory.mktemp("control")
    manifest = write_files(folder / "set", each=6, seed=0)
    recipe = write_recipe(folder / "recipe.yaml", "metadata-only", fit={"inverse_penalty": 1.0})
    train(recipe, manifest, None, folder / "run")
    assert not (folder / "run" / "cache").exists(), "facts are read each time"
    export(folder / "run", manifest, folder / "package")
    return folder / "package"


def test_files_alone_give_the_classes_away(control: Path, tmp_path: Path) -> None:
    detector = Detector.load(control)
    manifest = write_files(tmp_path / "new", each=2, seed=1)
    reports = {path.name: detector.scan(path) for path in sorted(manifest.parent.glob("*.*g"))}
    assert len(reports) == 8
    for name, report in reports.items():
        expected = Verdict.LIKELY_GENERATED if name.endswith("png") else Verdict.LIKELY_REAL
        assert report.verdict == expected, name


def test_control_cannot_see_the_picture(control: Path, tmp_path: Path) -> None:
    detector = Detector.load(control)
    rng = np.random.default_rng(5)
    logits = set()
    for number in range(3):
        Image.fromarray(picture(number % 2, rng)).save(tmp_path / f"{number}.png")
        logits.add(detector.scan(tmp_path / f"{number}.png").logit)
    assert len(logits) == 1


def test_card_of_the_control(control: Path) -> None:
    card = load_package(control).card
    assert card.views.kind == "facts"
    assert "its file as found" in card.calibration.data
    assert card.training.starting_weights == []


def test_without_training_the_pictures_serve_for_the_calibration_alone(tmp_path: Path) -> None:
    manifest = write_set(tmp_path / "set", groups=2, each=2)
    weights = write_weights(tmp_path / "weights")
    chain = {"resize": 0, "blur": 0, "noise": 0, "jpeg": 0, "webp": 0}
    recipe = write_recipe(
        tmp_path / "recipe.yaml", "autoencoder-error", data={"patch": 96, "views": 1, "chain": chain}
    )
    train(recipe, manifest, weights, tmp_path / "run")
    held_out = read_held_out(tmp_path / "run" / "held-out.csv")
    assert sorted(held_out.labels.tolist()) == [0] * 4 + [1] * 4

    # The views are the whole pictures, mirrored or not, so the network alone must say about the same of them.
    network = build(AutoencoderErrorConfig(), weights).eval()
    names = [
        f"{kind}-{group}-{number}.png"
        for kind in ("camera", "generator")
        for group in (0, 1)
        for number in (0, 1)
    ]
    pixels = np.stack([np.asarray(Image.open(tmp_path / "set" / name)) for name in names])
    upright, mirrored = (
        network(as_input(np.ascontiguousarray(part))).logit.numpy() for part in (pixels, pixels[:, :, ::-1])
    )
    with (tmp_path / "run" / "held-out.csv").open() as file:
        found = {line.split(",")[0]: float(line.split(",")[3]) for line in list(file)[1:]}
    for index, name in enumerate(names):
        nearest = min(abs(found[name] - upright[index]), abs(found[name] - mirrored[index]))
        assert nearest < 0.01, name
