"""Quantised graphs: what is rewritten, that smoothing changes nothing, and that packages say what they do."""

import functools
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from safetensors.numpy import load_file
from tiny_workshop import (
    MODELS,
    TOWER,
    picture,
    recipe_values,
    write_clip,
    write_recipe,
    write_set,
    write_weights,
)
from torch import Tensor, nn

from vestige.errors import ConfigError, ModelPackageError
from vestige.inference.card import Quantisation
from vestige.inference.package import load_package
from vestige.inference.session import Session, open_graph
from vestige.inference.tower_weights import parse_parts, parse_scales, read
from vestige.methods import registry
from vestige.training import cache, export_tower, quantise_graph
from vestige.training.export import as_input, check_batches, export, write_graph
from vestige.training.export_tower import TowerSource, split_off
from vestige.training.package_recipe import QuantisationSection
from vestige.training.packaging import write_onnx
from vestige.training.quantise import quantise
from vestige.training.recipe import parse_recipe
from vestige.training.run import train

HUB = "someone/tiny-clip"
FINE = QuantisationSection(levels=127)


@pytest.fixture(autouse=True)
def _small_layers_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantise_graph, "SMALLEST", 500)


def views(count: int = 12) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.stack([picture(number % 2, rng, 64) for number in range(count)])


class Block(nn.Module):
    """Cells of a picture -> norm -> two layers -> logit; `beside`: something else uses the norm's output."""

    def __init__(self, outlier: float = 0.0, beside: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.cells = nn.Conv2d(3, 16, 16, stride=16)
        self.norm = nn.LayerNorm(16)
        self.fc1, self.fc2, self.head = nn.Linear(16, 256), nn.Linear(256, 16), nn.Linear(16, 1)
        self.beside = beside
        with torch.no_grad():
            self.norm.weight.uniform_(0.2, 3)
            self.norm.bias.normal_()
            self.fc1.bias[0] += outlier

    def forward(self, images: Tensor) -> Tensor:
        cells = self.norm(self.cells(images).flatten(2).transpose(1, 2))
        found = self.fc2(nn.functional.gelu(self.fc1(cells)))
        found = found + cells if self.beside else found
        return self.head(found.mean(1))[:, 0]


@functools.cache
def exported(**options: Any) -> tuple[Block, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        block, path = Block(**options).eval(), Path(folder) / "model.onnx"
        batch = torch.export.Dim("batch", min=1, max=64)
        write_onnx(block, as_input(views(2)), path, "images", ["logit"], {0: batch})
        return block, path.read_bytes()


def write_block(path: Path, **options: Any) -> Block:
    block, content = exported(**options)
    path.write_bytes(content)
    return block


def constants(path: Path) -> dict[str, np.ndarray]:
    found = onnx.load(path, load_external_data=False).graph.initializer
    return {one.name: numpy_helper.to_array(one) for one in found if not one.external_data}


def kinds(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path, load_external_data=False).graph.node]


def logits(path: Path, outside: dict[str, Any] | None = None) -> np.ndarray:
    session = open_graph(path.parent, path.read_bytes(), 1, outside)
    return np.asarray(session.run(["logit"], {"images": as_input(views()).numpy()})[0])


def test_a_norm_and_its_layer_are_smoothed_by_the_formula(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    block = write_block(path)
    with torch.inference_mode():
        before = block(as_input(views())).numpy()
    told = quantise(path, FINE, views())
    with torch.inference_mode():
        cells = block.norm(block.cells(as_input(views())).flatten(2).transpose(1, 2))
        reach, weight = cells.abs().amax((0, 1)).numpy(), block.fc1.weight.numpy().T
    scales = reach**0.7 / np.abs(weight).max(1) ** 0.3
    found = constants(path)
    norm = next(node for node in onnx.load(path).graph.node if node.op_type == "LayerNormalization")
    for name, given in zip(norm.input[1:], (block.norm.weight, block.norm.bias), strict=True):
        np.testing.assert_allclose(found[name] * scales, given.detach().numpy(), rtol=1e-4, atol=1e-6)
    whole = next(name for name, one in found.items() if one.dtype == np.int8 and one.shape == (16, 256))
    steps = found[whole.removesuffix("_int8") + "_steps"]
    np.testing.assert_allclose(steps, np.abs(weight * scales[:, None]).max(0) / 127, rtol=1e-4)
    assert (np.abs(found[whole] * steps - weight * scales[:, None]) <= steps * 0.51).all()
    # In float the rescaled pair is what it was.
    with torch.inference_mode():
        x = torch.randn(50, 16, generator=torch.Generator().manual_seed(1))
        rescaled = [torch.from_numpy(found[name].copy()) for name in norm.input[1:]]
        smoothed = nn.functional.layer_norm(x, (16,), *rescaled).numpy() @ (weight * scales[:, None])
        np.testing.assert_allclose(smoothed, block.norm(x).numpy() @ weight, atol=1e-5, rtol=1e-5)
    assert told == Quantisation(levels=127, pictures=12, error=told.error)
    after = logits(path)
    assert told.error == pytest.approx(np.sqrt(np.mean((after - before) ** 2)) / before.std(), rel=1e-3)
    assert told.error > 0
    assert kinds(path).count("QuantizeLinear") == 2
    assert [one.name for one in onnx.load(path).graph.output] == ["logit"]


@pytest.mark.parametrize("levels", [63, 127])
def test_weights_stay_within_their_levels(tmp_path: Path, levels: int) -> None:
    path = tmp_path / "model.onnx"
    write_block(path)
    quantise(path, QuantisationSection(levels=levels), views())
    whole = [one for one in constants(path).values() if one.dtype == np.int8 and one.ndim == 2]
    assert len(whole) == 2
    for one in whole:
        assert (np.abs(one).max(0) == levels).all()  # of each column the largest, and none beyond


def test_without_smoothing_the_norm_stays(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    block = write_block(path)
    quantise(path, QuantisationSection(smoothing=0), views())
    np.testing.assert_array_equal(constants(path)["norm.weight"], block.norm.weight.detach().numpy())
    assert kinds(path).count("QuantizeLinear") == 2


def test_a_norm_that_something_else_uses_stays(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    block = write_block(path, beside=True)
    quantise(path, FINE, views())
    np.testing.assert_array_equal(constants(path)["norm.weight"], block.norm.weight.detach().numpy())
    assert kinds(path).count("QuantizeLinear") == 2


def test_outliers_stay_in_float32(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    block = write_block(path, outlier=200)
    told = quantise(path, FINE, views())
    assert told.kept == ["fc2"]
    assert kinds(path).count("QuantizeLinear") == 1
    weight = block.fc2.weight.detach().numpy().T
    assert any(one.shape == weight.shape and (one == weight).all() for one in constants(path).values())


def test_a_graph_without_large_layers_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.onnx"
    write_block(path)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"kept in float32: fc1, fc2; leave the section out"):
        quantise(path, QuantisationSection(smoothing=0, outliers=1e-6), views())
    monkeypatch.setattr(quantise_graph, "SMALLEST", 2**16)
    with pytest.raises(ConfigError, match=r"no large layer that can be quantised; leave the section out"):
        quantise(path, FINE, views())
    assert path.read_bytes() == before


def test_a_graph_that_loses_too_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    write_block(path, outlier=2e4)
    with pytest.raises(ModelPackageError, match=r"differ from those in float32 by .* allowed is 0.5"):
        quantise(path, QuantisationSection(outliers=1e6), views())
    write_block(path)
    with pytest.raises(ModelPackageError, match=r"for all 3 calibration pictures"):
        quantise(path, FINE, np.repeat(views(1), 3, 0))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny CLIP tower's file, and beside it the graph of a network on it."""
    folder = tmp_path_factory.mktemp("clip")
    weights = write_clip(write_weights(folder)) / "clip-tiny.safetensors"
    method = registry.get("attribution")
    features = [{"kind": "clip", "tower": TOWER, "layers": [1], "tokens": ["class", "mean"]}]
    config = method.config.model_validate({"features": features, "widths": [8, 4]})
    torch.manual_seed(0)
    network = method.build(config, folder).eval()
    write_graph(network.exportable(), as_input(views(2)), folder / "model.onnx")
    return weights


@pytest.fixture(params=[1024, 16])
def tower(
    request: pytest.FixtureRequest, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The graph in `whole`, and without its tower in `head`; with 16 even norms and biases are outside."""
    monkeypatch.setattr(export_tower, "SMALLEST", request.param)
    for name in ("whole", "head"):
        (tmp_path / name).mkdir()
        shutil.copy(clip.parent / "model.onnx", tmp_path / name)
    split_off(tmp_path / "head" / "model.onnx", TowerSource(clip, HUB))
    return clip


def test_a_tower_outside_gives_the_same_bits(tower: Path, tmp_path: Path) -> None:
    whole, head = tmp_path / "whole" / "model.onnx", tmp_path / "head" / "model.onnx"
    before = logits(whole)
    told = quantise(whole, FINE, views())
    assert quantise(head, FINE, views(), tower) == told
    scales = parse_scales((head.parent / "tower-scales.safetensors").read_bytes(), head)
    parts = parse_parts((head.parent / "tower.json").read_bytes(), head)
    after = logits(whole)
    np.testing.assert_array_equal(logits(head, read(tower, parts, scales)), after)
    assert not np.array_equal(after, before)
    # Each of the two layers of the tower: q, k, v, out, fc1, fc2.
    assert sum(part.int8 is not None for part in parts.values()) == 12
    names = {one.name for one in onnx.load(head, load_external_data=False).graph.initializer}
    assert set(parts) <= names


def test_a_smoothed_attention_is_what_it_was(tower: Path, tmp_path: Path) -> None:
    """The graph without its rounding, its weights rescaled as the scales say, gives the logits of before."""
    path = tmp_path / "head" / "model.onnx"
    before = logits(tmp_path / "whole" / "model.onnx")
    quantise(path, FINE, views(), tower)
    parts = parse_parts((path.parent / "tower.json").read_bytes(), path)
    scales, steps = load_file(path.parent / "tower-scales.safetensors"), constants(path)
    values = read(tower, {name: part.model_copy(update={"int8": None}) for name, part in parts.items()})
    divided = 0
    for name, part in parts.items():
        if part.int8 is not None:
            assert part.int8.rows is not None or "fc2" in part.tensor
            rows = scales[part.int8.rows] if part.int8.rows else np.ones(len(values[name]), np.float32)
            divisor = scales[part.int8.columns] / steps[name.removesuffix("_int8") + "_steps"]
            assert ("v_proj" in part.tensor) == bool(np.ptp(divisor) > 1e-3)
            divided += np.ptp(divisor) > 1e-3
            values[name] = values[name] * rows[:, None] / divisor
    assert divided == 2
    model = onnx.load(path, load_external_data=False)
    plain = []
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            node = onnx.helper.make_node("Identity", [node.input[0]], list(node.output))
        plain.append(node)
    del model.graph.node[:]
    model.graph.node.extend(plain)
    for one in model.graph.initializer:
        if one.name in values:
            one.data_type = onnx.TensorProto.FLOAT
    del model.graph.value_info[:]
    onnx.save(model, path)
    np.testing.assert_allclose(logits(path, values), before, rtol=1e-5, atol=1e-5)


def test_packages_are_exported_quantised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "SHARD", 8)
    manifest = write_set(tmp_path / "set", groups=2, each=4)
    tower = write_clip(write_weights(tmp_path / "weights")) / "clip-tiny.safetensors"
    section = recipe_values("clip-probe")["package"] | {"quantisation": {"pictures": 10}}
    chain = {"resize": 0, "blur": 0, "noise": 0, "jpeg": 0, "webp": 0}
    data = {"patch": 64, "views": 2, "chain": chain}
    recipe = write_recipe(tmp_path / "recipe.yaml", "clip-probe", data=data, package=section)
    train(recipe, manifest, tmp_path / "weights", tmp_path / "run")
    whole = export(tmp_path / "run", manifest, tmp_path / "whole")
    head = export(tmp_path / "run", manifest, tmp_path / "head", TowerSource(tower, HUB))
    assert whole.quantisation is not None
    assert whole.quantisation == head.quantisation
    assert (whole.quantisation.levels, whole.quantisation.pictures) == (63, 10)
    assert sorted(head.files) == ["model.onnx", "tower-scales.safetensors", "tower.json"]
    assert json.loads((tmp_path / "head" / "card.json").read_text()) == head.model_dump(mode="json")
    inside = Session(load_package(tmp_path / "whole"), threads=1)
    outside = Session(load_package(tmp_path / "head", tower), threads=1)
    together = inside.run(views()).logit
    np.testing.assert_array_equal(outside.run(views()).logit, together)
    alone = np.concatenate([inside.run(view[None]).logit for view in views()])
    np.testing.assert_allclose(alone, together, atol=1e-5)
    assert check_batches(tmp_path / "head", views(), tower) <= 1e-5


def test_facts_are_not_quantised() -> None:
    values = recipe_values("metadata-only")
    values["package"]["quantisation"] = {}
    with pytest.raises(ConfigError, match=r"package.quantisation is for networks that look at pixels"):
        parse_recipe(values, "recipe.yaml")


def test_the_section_knows_two_sets_of_levels() -> None:
    values = recipe_values("clip-probe", model=MODELS["clip-probe"])
    values["package"]["quantisation"] = {"levels": 100}
    with pytest.raises(ConfigError, match=r"package.quantisation.levels"):
        parse_recipe(values, "recipe.yaml")
