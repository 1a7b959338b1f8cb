"""From a recipe to verdicts, for every method: train, export, scan; and what can go wrong on the way."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import yaml
from tiny_workshop import write_clip, write_recipe, write_set, write_weights

from vestige.detector import Detector
from vestige.errors import ConfigError, DataError, ModelPackageError
from vestige.images.file_facts import NAMES
from vestige.inference.package import load_package
from vestige.inference.session import Session
from vestige.methods import registry
from vestige.methods.references import efficientnet_statistics
from vestige.training import cache, features, gradient, run
from vestige.training.export import check_parity, export, load_network
from vestige.training.recipe import parse_recipe, read_recipe
from vestige.training.run import train

AS_FOUND = {"resize": 0, "blur": 0, "noise": 0, "jpeg": 0, "webp": 0}
DATA = {"patch": 64, "views": 2, "chain": AS_FOUND}
SECTIONS = {
    "patch-statistics": {
        "data": DATA | {"reconstruction": {"per_group": 1, "share": 0.1}},
        "model": {"frozen_taps": [-1, 0], "tuned_taps": [2, 3]},
    },
}


class Stopped(BaseException):
    """Stands for a kill."""


def some_views(name: str, count: int) -> np.ndarray:
    """Noise of the kind that a method looks at, the last one flat: dead channels, empty histograms."""
    rng = np.random.default_rng(0)
    if registry.get(name).looks_at == "facts":
        return np.concatenate([rng.random((count - 1, len(NAMES))), np.zeros((1, len(NAMES)))]).astype(
            np.float32
        )
    patches = rng.integers(0, 256, (count, 64, 64, 3), dtype=np.uint8)
    patches[-1] = 128
    return patches


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("shop")
    write_set(folder / "set", groups=2, each=4)
    write_clip(write_weights(folder / "weights"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gradient, "PREPARING_BATCHES", 2)
        patch.setattr(cache, "SHARD", 8)
        # Four blocks instead of sixteen: they have all kinds of padding, and export takes a second, not ten.
        patch.setattr(efficientnet_statistics, "TAPS", (-1, 0, 2, 3))
        for name in registry.METHODS:
            recipe = write_recipe(folder / f"{name}.yaml", name, **SECTIONS.get(name, {"data": DATA}))
            train(recipe, folder / "set" / "manifest.csv", folder / "weights", folder / name)
            export(folder / name, folder / "set" / "manifest.csv", folder / "packages" / name)
        yield folder


@pytest.fixture(params=sorted(registry.METHODS))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def test_every_method_is_exported_as_it_is(shop: Path, name: str) -> None:
    package = shop / "packages" / name
    assert sorted(path.name for path in package.iterdir()) == ["card.json", "model.onnx"]
    network = load_network(shop / name, read_recipe(shop / name / "recipe.yaml"))
    assert check_parity(network, package, some_views(name, 5)) <= 1e-4


def test_batch_size_is_free_and_normalisation_is_folded(shop: Path, name: str) -> None:
    graph = onnx.load(shop / "packages" / name / "model.onnx").graph
    (images,) = graph.input
    dimensions = images.type.tensor_type.shape.dim
    facts = registry.get(name).looks_at == "facts"
    assert images.name == ("facts" if facts else "images")
    assert dimensions[0].dim_param
    sizes = [dimension.dim_value for dimension in dimensions[1:]]
    assert sizes == ([len(NAMES)] if facts else [3, 64, 64])
    kinds = {node.op_type for node in graph.node}
    assert "BatchNormalization" not in kinds, "folded into the convolutions"
    # Of a padding only zeros can be folded into a convolution.
    assert ("Pad" in kinds) == (name in {"denoiser-residual", "nirnet"})
    session = Session(load_package(shop / "packages" / name))
    for count in (1, 2, 7):
        assert session.run(some_views(name, count)).logit.shape == (count,)


def test_the_file_tells_nothing_of_the_computer_that_made_it(shop: Path, name: str) -> None:
    graph = (shop / "packages" / name / "model.onnx").read_bytes()
    assert str(Path(__file__).parents[2]).encode() not in graph
    assert b'.py", line ' not in graph  # as in a stack trace


def test_card_says_how_it_was_made(shop: Path, name: str) -> None:
    card = load_package(shop / "packages" / name).card
    assert card.title == f"tiny-{name} 0.1.0"
    assert card.views.minimum_side == 48
    if registry.get(name).looks_at == "facts":
        assert (card.views.kind, card.views.names) == ("facts", list(NAMES))
    else:
        assert (card.views.kind, card.views.size, card.views.count) == ("patches", 64, 2)
    method, config = parse_recipe(yaml.safe_load(card.training.recipe), "card").parts()
    used = method.starting_weights if method.weights_of is None else method.weights_of(config)
    assert card.training.starting_weights == list(used)
    seen = "its earlier stages had seen real pictures of these sources"
    # A stage that only makes training pictures has no say where a recipe asks for none.
    assert (seen in card.calibration.data) == (name == "gensign")
    assert (card.calibration.real, card.calibration.generated) == (8, 8)
    assert yaml.safe_load(card.training.recipe)["method"] == name
    assert [(source.name, source.label, source.count) for source in card.training.sources] == [
        ("camera-0", 0, 4),
        ("camera-1", 0, 4),
        ("generator-0", 1, 4),
        ("generator-1", 1, 4),
    ]
    assert ("autoencoder" in card.training.data) == (name == "patch-statistics")


@pytest.mark.parametrize("name", ["srm-statistics", "fft-profile"])
def test_an_easy_set_is_learned(shop: Path, tmp_path: Path, name: str) -> None:
    manifest = write_set(tmp_path, groups=1, each=5, seed=9)
    detector = Detector.load(shop / "packages" / name)
    logits = [report.logit for report in detector.scan_many(sorted(manifest.parent.glob("*.png")))]
    assert max(logits[:5]) < min(logits[5:]), "cameras come first in the alphabet"


def test_a_finished_run_is_left_alone(shop: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_solver", lambda _: pytest.fail)
    monkeypatch.setattr(features, "_compute_views", lambda *_: pytest.fail("computed again"))
    before = (shop / name / "network.safetensors").read_bytes()
    train(shop / f"{name}.yaml", shop / "set" / "manifest.csv", shop / "weights", shop / name)
    assert (shop / name / "network.safetensors").read_bytes() == before


@pytest.mark.parametrize("stage", ["cache", "fold", "all"])
@pytest.mark.parametrize("name", ["srm-statistics", "patch-statistics"])
def test_a_killed_run_ends_with_the_same_weights(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, stage: str
) -> None:
    arguments = (shop / f"{name}.yaml", shop / "set" / "manifest.csv", shop / "weights", tmp_path / "run")
    with monkeypatch.context() as patch:
        kill_in(patch, stage)
        with pytest.raises(Stopped):
            train(*arguments)
    assert not (tmp_path / "run" / "network.safetensors").exists()
    with pytest.raises(DataError, match=r"not finished|was the run finished"):
        export(tmp_path / "run", arguments[1], tmp_path / "package")
    train(*arguments)
    for file in ("network.safetensors", "held-out.csv"):
        assert (tmp_path / "run" / file).read_bytes() == (shop / name / file).read_bytes(), file


def kill_in(patch: pytest.MonkeyPatch, stage: str) -> None:
    """Let the third shard, the second fold or the final fit end in a kill."""
    calls = 0
    if stage == "cache":
        compute = features._compute_views

        def killing_shard(*given: object) -> object:
            nonlocal calls
            calls += 1
            if calls == 3:
                raise Stopped
            return compute(*given)

        patch.setattr(features, "_compute_views", killing_shard)
        return
    solver = run._solver

    def killing(recipe: run.Recipe) -> run.Fit:
        fit = solver(recipe)

        def one(network, examples, chosen, recipe, folder, progress):  # type: ignore[no-untyped-def]
            if folder.name == {"fold": "fold-1", "all": "all"}[stage]:
                raise Stopped
            fit(network, examples, chosen, recipe, folder, progress)

        return one

    patch.setattr(run, "_solver", killing)


def test_foreign_folders_are_refused(shop: Path, tmp_path: Path) -> None:
    manifest, weights = shop / "set" / "manifest.csv", shop / "weights"
    recipe, folder = shop / "srm-statistics.yaml", shop / "srm-statistics"
    other = write_recipe(tmp_path / "other.yaml", "srm-statistics", seed=4)
    with pytest.raises(ConfigError, match="srm-statistics: this run was begun with another recipe"):
        train(other, manifest, weights, folder)
    with pytest.raises(ConfigError, match="srm-statistics: this run was begun with another manifest"):
        train(recipe, write_set(tmp_path / "set", each=5), weights, folder)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    with pytest.raises(ConfigError, match="full: not empty and not a run"):
        train(recipe, manifest, weights, tmp_path / "full")


def test_other_starting_weights_are_refused(shop: Path, tmp_path: Path) -> None:
    weights = shutil.copytree(shop / "weights", tmp_path / "weights")
    (path,) = weights.glob("efficientnet*")
    state = torch.load(path, weights_only=True)
    state["_conv_stem.weight"] += 1
    torch.save(state, path)
    with pytest.raises(ConfigError, match="begun with other starting weights"):
        train(
            shop / "efficientnet-statistics.yaml",
            shop / "set" / "manifest.csv",
            weights,
            shop / "efficientnet-statistics",
        )


def test_what_a_run_needs(shop: Path, tmp_path: Path) -> None:
    manifest = shop / "set" / "manifest.csv"
    with pytest.raises(ConfigError, match="give their folder with --weights"):
        train(shop / "efficientnet-statistics.yaml", manifest, None, tmp_path / "run")
    folds = write_recipe(tmp_path / "r.yaml", "srm-statistics", calibration={"folds": 3, "used": 1})
    with pytest.raises(
        DataError, match="3 folds for the calibration need at least 3 groups of real pictures"
    ):
        train(folds, manifest, None, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_unreadable_picture_is_named(tmp_path: Path) -> None:
    manifest = write_set(tmp_path / "set")
    (tmp_path / "set" / "camera-1-2.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(DataError, match=r"camera-1-2\.png: "):
        train(write_recipe(tmp_path / "r.yaml", "srm-statistics"), manifest, None, tmp_path / "run")


def test_export_minds_its_folders(shop: Path, tmp_path: Path) -> None:
    manifest, folder = shop / "set" / "manifest.csv", shop / "srm-statistics"
    with pytest.raises(ConfigError, match=r"recipe\.yaml: cannot be read"):
        export(tmp_path / "nowhere", manifest, tmp_path / "package")
    with pytest.raises(DataError, match="not the manifest that"):
        export(folder, write_set(tmp_path / "set", each=5), tmp_path / "package")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    with pytest.raises(ModelPackageError, match="full: not empty and not a model package"):
        export(folder, manifest, tmp_path / "full")
    for _ in range(2):  # a package may be replaced
        export(folder, manifest, tmp_path / "package")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "package", "set"]


def test_a_graph_that_disagrees_is_refused(shop: Path) -> None:
    recipe = read_recipe(shop / "srm-statistics" / "recipe.yaml")
    network = load_network(shop / "srm-statistics", recipe)
    with torch.no_grad():
        network.linear.bias += 0.001
    patches = np.zeros((2, 64, 64, 3), dtype=np.uint8)
    with pytest.raises(ModelPackageError, match=r"differs from PyTorch by 0\.001"):
        check_parity(network, shop / "packages" / "srm-statistics", patches)


def test_same_start_whatever_was_drawn_before(tmp_path: Path) -> None:
    recipe = read_recipe(write_recipe(tmp_path / "r.yaml", "srm-statistics"))
    before = torch.random.get_rng_state()
    one = run.new_network(recipe, None)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(7)
    other = run.new_network(recipe, None)
    assert torch.equal(one.linear.weight, other.linear.weight)
