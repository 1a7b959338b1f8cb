"""`vestige export --tower`: the frozen tower is split off, and what is left gives the same logits."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from safetensors.numpy import load_file
from safetensors.torch import save_file
from tiny_workshop import TOWER, write_clip, write_recipe, write_set, write_weights
from typer.testing import CliRunner

from vestige.apps.cli import app
from vestige.data.manifest import sha256_of
from vestige.errors import ConfigError, DataError, ModelPackageError
from vestige.inference.card import Outputs, Tower
from vestige.inference.package import load_package
from vestige.inference.session import Session, open_graph
from vestige.inference.tower_weights import parse_parts, read
from vestige.methods import registry
from vestige.nn.clip_vision import ClipTower, ClipTowerConfig
from vestige.training import cache
from vestige.training import export as exporting
from vestige.training.export import as_input, check_parity, export, load_network, write_graph
from vestige.training.export_tower import TowerSource, split_off
from vestige.training.recipe import read_recipe
from vestige.training.run import train

AS_FOUND = {"resize": 0, "blur": 0, "noise": 0, "jpeg": 0, "webp": 0}
HUB = "someone/tiny-clip"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on a float16 tower, its package without the tower, and the same package before it was split."""
    folder = tmp_path_factory.mktemp("shop")
    write_set(folder / "set", groups=2, each=4)
    tower = write_clip(write_weights(folder / "weights")) / "clip-tiny.safetensors"
    half = {name: torch.from_numpy(array).half() for name, array in load_file(tower).items()}
    save_file(half, tower)
    data = {"patch": 64, "views": 2, "chain": AS_FOUND}
    recipe = write_recipe(folder / "recipe.yaml", "clip-probe", data=data)
    manifest = folder / "set" / "manifest.csv"

    def kept_first(graph: Path, source: TowerSource) -> Tower:
        (folder / "whole").mkdir()
        shutil.copy(graph, folder / "whole")
        return split_off(graph, source)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "SHARD", 8)
        patch.setattr(exporting, "split_off", kept_first)
        train(recipe, manifest, folder / "weights", folder / "run")
        card = export(folder / "run", manifest, folder / "head", TowerSource(tower, HUB))
    files = {"model.onnx": sha256_of(folder / "whole" / "model.onnx")}
    whole = card.model_copy(update={"tower": None, "files": files})
    (folder / "whole" / "card.json").write_text(whole.model_dump_json())
    return folder


def tower_of(shop: Path) -> Path:
    return shop / "weights" / "clip-tiny.safetensors"


def patches(count: int = 6) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 64, 64, 3), dtype=np.uint8)


def outside(graph: Path) -> dict[str, onnx.TensorProto]:
    tensors = onnx.load(graph, load_external_data=False).graph.initializer
    return {one.name: one for one in tensors if one.data_location == onnx.TensorProto.EXTERNAL}


def test_a_head_gives_the_same_as_the_whole(shop: Path) -> None:
    whole = Session(load_package(shop / "whole"), threads=1).run(patches())
    head = Session(load_package(shop / "head", tower_of(shop)), threads=1).run(patches())
    np.testing.assert_array_equal(head.logit, whole.logit)
    network = load_network(shop / "run", read_recipe(shop / "run" / "recipe.yaml"))
    assert check_parity(network, shop / "head", patches(), tower_of(shop)) <= 1e-4


def test_every_large_tensor_of_the_tower_is_outside(shop: Path) -> None:
    names = {part["tensor"] for part in json.loads((shop / "head" / "tower.json").read_text()).values()}
    attention = {
        f"vision_model.encoder.layers.0.{part}.weight"
        for part in (
            "self_attn.q_proj",
            "self_attn.k_proj",
            "self_attn.v_proj",
            "self_attn.out_proj",
            "mlp.fc1",
            "mlp.fc2",
        )
    }
    assert attention | {"vision_model.embeddings.patch_embedding.weight"} <= names
    assert all(name.startswith("vision_model.") for name in names)
    graph = (shop / "head" / "model.onnx").stat().st_size
    assert graph < (shop / "whole" / "model.onnx").stat().st_size / 2


def test_the_map_says_where_each_initialiser_is_found(shop: Path) -> None:
    whole = {one.name: one for one in onnx.load(shop / "whole" / "model.onnx").graph.initializer}
    parts: dict[str, dict[str, Any]] = json.loads((shop / "head" / "tower.json").read_text())
    tensors = load_file(tower_of(shop))
    assert set(parts) == set(outside(shop / "head" / "model.onnx"))
    for name, part in parts.items():
        found = tensors[part["tensor"]].astype(np.float32)
        np.testing.assert_array_equal(
            found.T if part["transpose"] else found, numpy_helper.to_array(whole[name])
        )
    assert {part["transpose"] for part in parts.values()} == {False, True}


def test_the_card_names_the_tower(shop: Path) -> None:
    card = load_package(shop / "head", tower_of(shop)).card
    assert card.tower is not None
    assert (card.tower.hub, card.tower.revision, card.tower.file) == (HUB, "main", "model.safetensors")
    assert card.tower.bytes == tower_of(shop).stat().st_size
    assert sorted(card.files) == ["model.onnx", "tower.json"]
    with pytest.raises(ModelPackageError, match=f"model.safetensors of {HUB}"):
        load_package(shop / "head")


def test_the_head_tells_nothing_of_the_computer_that_made_it(shop: Path) -> None:
    for path in (shop / "head").iterdir():
        assert str(shop).encode() not in path.read_bytes()


def test_attribution_can_do_without_its_tower(shop: Path, tmp_path: Path) -> None:
    method = registry.get("attribution")
    features = [{"kind": "clip", "tower": TOWER, "layers": [1], "tokens": ["class", "mean"]}]
    config = method.config.model_validate({"features": features, "widths": [8, 4]})
    network = method.build(config, shop / "weights").eval()
    path = tmp_path / "model.onnx"
    write_graph(network.exportable(), as_input(patches(2)), path)
    whole = open_graph(tmp_path, path.read_bytes(), 1)
    size = path.stat().st_size
    split_off(path, TowerSource(tower_of(shop), HUB))
    assert path.stat().st_size < size / 2
    values = read(tower_of(shop), parse_parts((tmp_path / "tower.json").read_bytes(), tmp_path))
    head = open_graph(tmp_path, path.read_bytes(), 1, values)
    views = {"images": as_input(patches()).numpy()}
    for found, expected in zip(head.run(None, views), whole.run(None, views), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """Two matrices of 40 x 40 and 30 x 50, a vector, and a matrix that is in no tower."""
    rng = np.random.default_rng(0)
    tensors = {"a": (40, 40), "b": (30, 50), "small": (40,), "own": (2, 600)}
    arrays = {name: rng.normal(size=shape).astype(np.float16) for name, shape in tensors.items()}
    initialisers = [numpy_helper.from_array(array.astype(np.float32), name) for name, array in arrays.items()]
    path = tmp_path / "model.onnx"
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [], initialisers)), path)
    tower = {name: torch.from_numpy(arrays[name].copy()) for name in ("a", "b", "small")}
    # Named otherwise, one of them transposed, in two types.
    save_file(
        {
            "x": tower["a"],
            "y": tower["b"].T.contiguous().float(),
            "z": tower["small"],
            "n": torch.arange(2000),
        },
        tmp_path / "tower.safetensors",
    )
    return path


def test_tensors_are_known_by_their_values(graph: Path) -> None:
    split_off(graph, TowerSource(graph.parent / "tower.safetensors", HUB))
    parts = json.loads((graph.parent / "tower.json").read_text())
    assert parts == {"a": {"tensor": "x", "transpose": False}, "b": {"tensor": "y", "transpose": True}}
    left = {one.name: one for one in onnx.load(graph, load_external_data=False).graph.initializer}
    assert numpy_helper.to_array(left["small"]).shape == (40,)
    assert numpy_helper.to_array(left["own"]).shape == (2, 600)
    assert list(left["b"].dims) == [30, 50]
    assert not left["a"].raw_data


def test_bfloat16_is_known_too(graph: Path) -> None:
    model = onnx.load(graph)
    value = torch.randn(100, 100, generator=torch.Generator().manual_seed(0)).bfloat16()
    model.graph.initializer.append(numpy_helper.from_array(value.float().numpy(), "c"))
    onnx.save(model, graph)
    save_file({"w": value}, graph.parent / "bf16.safetensors")
    split_off(graph, TowerSource(graph.parent / "bf16.safetensors", HUB))
    assert set(json.loads((graph.parent / "tower.json").read_text())) == {"c"}


@pytest.mark.parametrize("share", ["nothing", "little"])
def test_another_tower_is_refused(graph: Path, share: str) -> None:
    other = {"x": torch.ones(40, 40)}
    if share == "little":
        model = onnx.load(graph)
        other["y"] = torch.from_numpy(numpy_helper.to_array(model.graph.initializer[1]).copy())
    save_file(other, graph.parent / "other.safetensors")
    before = graph.read_bytes()
    words = "other.safetensors: 0%" if share == "nothing" else "only 3[0-9]% of the graph's 0.01[0-9]+ MB"
    with pytest.raises(DataError, match=words):
        split_off(graph, TowerSource(graph.parent / "other.safetensors", HUB))
    assert graph.read_bytes() == before
    assert not (graph.parent / "tower.json").exists()


def test_what_cannot_be_read_is_refused(graph: Path) -> None:
    (graph.parent / "text.safetensors").write_text("no weights")
    with pytest.raises(ModelPackageError, match="cannot be read as weights"):
        split_off(graph, TowerSource(graph.parent / "text.safetensors", HUB))
    with pytest.raises(DataError, match="cannot be read"):
        split_off(graph, TowerSource(graph.parent / "gone.safetensors", HUB))
    with pytest.raises(ConfigError, match="'no-owner' cannot be the tower's hub"):
        split_off(graph, TowerSource(graph.parent / "tower.safetensors", "no-owner"))


def test_a_file_that_is_at_no_hub_is_told_in_words(graph: Path) -> None:
    file = graph.parent / "tower.safetensors"
    card = split_off(graph, TowerSource(file, origin="made up for this test"))
    assert card.model_dump() == {
        "hub": None,
        "origin": "made up for this test",
        "sha256": sha256_of(file),
        "bytes": file.stat().st_size,
    }


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({}, "hub is null, so origin must say"),
        ({"hub": HUB, "origin": "made up"}, "leave one of them out"),
        ({"origin": "made up", "revision": "v2"}, "revision and file are of the hub"),
        ({"origin": "two\nlines"}, "cannot be the tower's origin"),
    ],
)
def test_a_source_that_makes_no_card_is_refused(graph: Path, names: dict[str, str], words: str) -> None:
    before = graph.read_bytes()
    with pytest.raises(ConfigError, match=words):
        split_off(graph, TowerSource(graph.parent / "tower.safetensors", **names))
    assert graph.read_bytes() == before


def test_a_run_on_another_tower_keeps_its_package(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def written(_: Any, __: Any, path: Path) -> Outputs:
        shutil.copy(shop / "whole" / "model.onnx", path)
        return Outputs()

    monkeypatch.setattr(exporting, "write_graph", written)
    torch.manual_seed(1)
    other = ClipTower(ClipTowerConfig(**TOWER)).tower.state_dict()
    save_file(other, tmp_path / "other.safetensors")
    before = (shop / "head" / "card.json").read_bytes()
    with pytest.raises(DataError, match="of the graph's"):
        export(
            shop / "run",
            shop / "set" / "manifest.csv",
            shop / "head",
            TowerSource(tmp_path / "other.safetensors", HUB),
        )
    assert (shop / "head" / "card.json").read_bytes() == before


@pytest.mark.parametrize(
    "options",
    [
        ["--tower", HUB],
        ["--tower-file", "weights.safetensors"],
        ["--tower-revision", "main"],
        ["--tower-origin", "made up"],
        ["--tower", HUB, "--tower-origin", "made up", "--tower-file", "weights.safetensors"],
        ["--tower-origin", "made up", "--tower-file", "weights.safetensors", "--tower-revision", "v2"],
        [
            "--tower-origin",
            "made up",
            "--tower-file",
            "weights.safetensors",
            "--tower-hub-file",
            "a.safetensors",
        ],
        ["--tower-origin", "made up", "--tower-file", "weights.safetensors", "--stage", "extractor"],
        ["--tower", HUB, "--tower-file", "weights.safetensors", "--stage", "extractor"],
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path: Path, options: list[str]) -> None:
    arguments = ["export", str(tmp_path), "--data", "m.csv", "--out", str(tmp_path / "out"), *options]
    found = CliRunner().invoke(app, arguments)
    assert isinstance(found.exception, ConfigError)
    assert "--tower" in str(found.exception)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--tower", HUB], {"hub": HUB, "revision": None, "file": None, "origin": None}),
        (
            ["--tower", HUB, "--tower-revision", "v2", "--tower-hub-file", "a.safetensors"],
            {"hub": HUB, "revision": "v2", "file": "a.safetensors", "origin": None},
        ),
        (["--tower-origin", "made up"], {"hub": None, "revision": None, "file": None, "origin": "made up"}),
    ],
)
def test_options_name_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], expected: dict[str, Any]
) -> None:
    seen: list[TowerSource] = []

    def stop(*arguments: Any) -> None:
        seen.append(arguments[-1])
        raise ConfigError("seen enough")

    monkeypatch.setattr(exporting, "export", stop)
    arguments = ["export", str(tmp_path), "--data", "m.csv", "--out", str(tmp_path / "out"), *options]
    found = CliRunner().invoke(app, [*arguments, "--tower-file", "weights.safetensors"])
    assert str(found.exception) == "seen enough"
    assert [source._asdict() for source in seen] == [{"path": Path("weights.safetensors"), **expected}]
