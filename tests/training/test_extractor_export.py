"""From a trained extractor stage to its package, and what is refused on the way."""

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from rich.console import Console
from tiny_workshop import write_recipe, write_set
from torch import nn

from vestige.errors import ConfigError, DataError, ModelPackageError
from vestige.inference.package import load_extractor_package
from vestige.inference.signature import ExtractorSession
from vestige.methods.gensign.extractor import Extractor, ExtractorConfig
from vestige.methods.gensign.files import load_extractor
from vestige.methods.gensign.structure import StructureSpace
from vestige.methods.gensign.training import ExtractorStage, ExtractorTask
from vestige.progress import Progress
from vestige.training.export_extractor import METRIC_WORDS, check_parity, export_extractor
from vestige.training.recipe import read_recipe
from vestige.training.stages import train_stage

QUICK = {"crop": 32, "batch": 2, "steps": 2, "steps_per_epoch": 1, "folds": 2}
TINY = {"width": 8, "blocks": 1, "groups": 4}
STAGES = {
    "dair": {
        **QUICK,
        "perceptual": None,
        "model": {"encoder": [4, 4, 8], "decoder": [8, 4, 4], "kernels": 2, "groups": 2},
    },
    "extractor": {**QUICK, "model": {**TINY, "stem_stride": 2}},
}
PACKAGE = {
    "name": "tiny-signature",
    "version": "0.2.0",
    "summary": "For tests.",
    "licence": "CC0-1.0",
    "failure_modes": ["It knows nothing."],
}


def recipe_file(path: Path, stages: dict[str, Any] = STAGES, **sections: Any) -> Path:
    return write_recipe(
        path, "gensign", **{"model": {}, "stages": stages, "extractor_package": PACKAGE, **sections}
    )


class Shop:
    """A run with both stages trained, what training said, and the package."""

    def __init__(self, folder: Path) -> None:
        self.manifest = write_set(folder / "set", groups=3, each=3)
        self.recipe = recipe_file(folder / "recipe.yaml")
        self.run, self.package = folder / "run", folder / "package"
        said = io.StringIO()
        progress = Progress(Console(file=said, width=200))
        for stage in ("dair", "extractor"):
            train_stage(self.recipe, stage, self.manifest, None, self.run, progress)
        self.said = said.getvalue()
        self.card = export_extractor(self.run, self.manifest, self.package, self.recipe)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(tmp_path_factory.mktemp("shop"))


def test_a_package_is_written(shop: Shop) -> None:
    assert sorted(path.name for path in shop.package.iterdir()) == ["card.json", "model.onnx"]
    loaded = load_extractor_package(shop.package)
    assert loaded.card == shop.card
    assert loaded.card.title == "tiny-signature 0.2.0"
    assert (loaded.card.licence, loaded.card.failure_modes) == ("CC0-1.0", ["It knows nothing."])


def test_the_card_says_how_it_was_made(shop: Shop) -> None:
    card = shop.card
    assert (card.method, card.target, card.input) == ("gensign", "residual", "reconstructed")
    # Three sources of real pictures in two folds: two and one.
    assert "training extractor on 3 pictures; 6 of other groups held back" in shop.said
    assert card.training.data.startswith("random crops of 32 pixels from 3 pictures of the train split of ")
    assert [(source.label, source.count) for source in card.training.sources] == [(0, 3)]
    assert card.training.recipe == shop.recipe.read_text()
    (start,) = card.training.starting_weights
    assert "reconstructor (DAIR) of the same run" in start
    assert "no perceptual distance" in start


def test_figures_are_those_of_the_pictures_held_back(shop: Shop) -> None:
    with (shop.run / "extractor" / "held-back.csv").open(newline="") as file:
        gains = [float(line["gain"]) for line in csv.DictReader(file)]
    found = {figure.metric: figure for figure in shop.card.results}
    gain = found["dB by which the squared error is below that of predicting nothing"]
    assert gain.value == pytest.approx(sum(gains) / len(gains))
    assert min(gains) <= gain.low <= gain.value <= gain.high <= max(gains)
    assert (gain.pictures, gain.sources) == (6, 2)
    assert len(gains) > 6, "several draws for each picture are one picture"


def test_figures_of_other_pictures_go_before(shop: Shop, tmp_path: Path) -> None:
    held_back = (
        "middles of pictures held back from the train split of manifest.csv, 2 sources, not trained on"
    )
    assert {figure.data for figure in shop.card.results} == {held_back}
    run = tmp_path / "run"
    shutil.copytree(shop.run, run)
    (trained,) = [source.name for source in shop.card.training.sources]
    figures = "".join(f"{name}.png,{name},0,2,1,3\n" for name in ("one", "two", trained))
    measured = run / "extractor" / "measured.csv"
    measured.write_text(f"picture,group,draw,zero,error,gain\n{figures}")
    card = export_extractor(run, shop.manifest, tmp_path / "package", shop.recipe)
    assert {figure.data for figure in card.results} == {
        "middles of pictures that it was measured on, 3 sources, 1 of them trained on"
    }
    assert [(figure.value, figure.pictures, figure.sources) for figure in card.results] == [
        (2, 3, 3),
        (1, 3, 3),
        (3, 3, 3),
    ]
    assert card.results[1].metric == "squared error of the prediction, pictures in [-1, 1]"
    assert card.training == shop.card.training, "what was trained on is known from the pictures held back"
    measured.write_text("picture,group,draw,zero,error,gain\n")
    with pytest.raises(DataError, match=r"measured\.csv: holds no figures"):
        export_extractor(run, shop.manifest, tmp_path / "package", shop.recipe)


def test_every_figure_has_words() -> None:
    config = ExtractorStage(target="noise", model=ExtractorConfig(**TINY))  # type: ignore[arg-type]
    task = ExtractorTask(config, None, StructureSpace())
    task.denoiser.append(Extractor(config.model))
    found = task.measure(torch.rand(1, 3, 32, 32), torch.Generator().manual_seed(0))
    assert set(found) == set(METRIC_WORDS)


def test_the_graph_is_the_network_at_any_size(shop: Shop) -> None:
    network = load_extractor(shop.run / "extractor")
    session = ExtractorSession(load_extractor_package(shop.package), threads=1)
    rng = np.random.default_rng(0)
    for shape in ((1, 33, 47, 3), (3, 64, 40, 3), (5, 8, 9, 3), (1, 1, 1, 3)):
        pixels = rng.integers(0, 256, shape, dtype=np.uint8)
        with torch.inference_mode():
            expected = network(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255)
        np.testing.assert_allclose(session.run(pixels), expected.permute(0, 2, 3, 1).numpy(), atol=1e-4)


def test_the_file_tells_nothing_of_the_computer_that_made_it(shop: Shop) -> None:
    graph = (shop.package / "model.onnx").read_bytes()
    assert str(Path(__file__).parents[2]).encode() not in graph
    assert b'.py", line ' not in graph
    (images,) = onnx.load_from_string(graph).graph.input
    dimensions = images.type.tensor_type.shape.dim
    assert [bool(dimension.dim_param) for dimension in dimensions] == [True, False, True, True]


@pytest.mark.parametrize("stride", [1, 2])
def test_reach_is_where_the_gradient_ends(shop: Shop, stride: int) -> None:
    config = ExtractorConfig(**TINY, stem_stride=stride)  # type: ignore[arg-type]
    torch.manual_seed(0)
    network = Extractor(config).eval()
    nn.init.normal_(network.last.weight)  # before training it says nothing at all
    for module in network.modules():
        if isinstance(module, nn.Sequential):
            for position, layer in enumerate(module):
                if isinstance(layer, nn.GroupNorm):
                    module[position] = nn.Identity()
    farthest = 0
    for place in (30, 31):  # a strided network treats them differently
        images = torch.rand(1, 3, 60, 60, requires_grad=True)
        network(images)[0, :, place, place].sum().backward()
        assert images.grad is not None
        rows = images.grad.abs().sum((0, 1, 3)).nonzero().flatten()
        farthest = max(farthest, place - int(rows.min()), int(rows.max()) - place)
    # Three convolutions of 3 x 3 after the stem's one.
    assert farthest == {1: 4, 2: 8}[stride]
    if stride == 2:
        assert shop.card.reach == farthest


def test_a_package_may_be_replaced_and_nothing_else(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    with pytest.raises(ModelPackageError, match="full: not empty and not a model package"):
        export_extractor(shop.run, shop.manifest, tmp_path / "full", shop.recipe)
    with pytest.raises(ConfigError, match=r"recipe\.yaml: there is no such file.*--recipe"):
        export_extractor(shop.run, shop.manifest, shop.package)
    before = (shop.package / "model.onnx").read_bytes()
    kept = shop.run / "recipe.yaml"  # as training the detector leaves it
    kept.write_text(shop.recipe.read_text())
    assert export_extractor(shop.run, shop.manifest, shop.package) == shop.card
    kept.unlink()
    assert (shop.package / "model.onnx").read_bytes() == before


def test_what_does_not_belong_together_is_refused(shop: Shop, tmp_path: Path) -> None:
    out = tmp_path / "package"
    wider = {**STAGES, "extractor": {**STAGES["extractor"], "learning_rate": 0.1}}
    for recipe, words in (
        (recipe_file(tmp_path / "a.yaml", wider), "another config"),
        (recipe_file(tmp_path / "b.yaml", seed=9), "another seed"),
        (recipe_file(tmp_path / "c.yaml", extractor_package=None), "section extractor_package is missing"),
        (write_recipe(tmp_path / "d.yaml", "npr", extractor_package=PACKAGE), "npr has no stage 'extractor'"),
    ):
        with pytest.raises(ConfigError, match=words):
            export_extractor(shop.run, shop.manifest, out, recipe)
    with pytest.raises(DataError, match="not the manifest that"):
        export_extractor(shop.run, write_set(tmp_path / "set", groups=3, each=4), out, shop.recipe)
    with pytest.raises(ConfigError, match="its stage extractor is not trained"):
        export_extractor(tmp_path / "nowhere", shop.manifest, out, shop.recipe)
    assert not out.exists()


def test_a_recipe_lists_what_is_wrong_with_the_section(tmp_path: Path) -> None:
    wrong = {**PACKAGE, "failure_modes": [], "views": 4}
    with pytest.raises(ConfigError) as caught:
        read_recipe(recipe_file(tmp_path / "recipe.yaml", extractor_package=wrong))
    assert "extractor_package.failure_modes: List should have at least 1 item" in str(caught.value)
    assert "extractor_package.views: Extra inputs" in str(caught.value)


def test_a_graph_that_disagrees_is_refused(shop: Shop, tmp_path: Path) -> None:
    network = load_extractor(shop.run / "extractor")
    with torch.no_grad():
        network.last.bias += 0.001
    views = [np.zeros((5, 20, 24, 3), np.uint8)]
    with pytest.raises(ModelPackageError, match=r"differs from PyTorch by 0\.001"):
        check_parity(network, shop.package, views)
    with torch.no_grad():
        network.last.bias += float("nan")
    with pytest.raises(ModelPackageError, match="differs from PyTorch by nan"):
        check_parity(network, shop.package, views)


def test_a_denoiser_says_so(shop: Shop, tmp_path: Path) -> None:
    stages = {"extractor": {**STAGES["extractor"], "target": "noise", "model": TINY}}
    recipe = recipe_file(tmp_path / "recipe.yaml", stages)
    train_stage(recipe, "extractor", shop.manifest, None, tmp_path / "run")
    card = export_extractor(tmp_path / "run", shop.manifest, tmp_path / "package", recipe)
    assert (card.target, card.input, card.training.starting_weights) == ("noise", "original", [])
    assert json.loads((tmp_path / "package" / "card.json").read_text())["kind"] == "extractor"
