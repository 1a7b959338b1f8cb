"""Packages whose tower becomes int8 when it is loaded, and what their cards say of it."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from pydantic import ValidationError
from safetensors.numpy import save

from conftest import SIZE, card_of
from tower_samples import MAP, expected, tensors, write_package, write_tower
from vestige.apps import cli
from vestige.errors import ModelPackageError
from vestige.inference import package as packages
from vestige.inference.card import ModelCard, Quantisation
from vestige.inference.package import load_package
from vestige.inference.session import Session
from vestige.inference.tower_weights import Int8, Part, dump_parts, parse_parts, parse_scales, quantised, read

PLACE = Path("package/tower-scales.safetensors")
ONES = np.ones(400, np.float32)


@pytest.fixture(autouse=True)
def _no_kept_towers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VESTIGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("VESTIGE_TOWERS", raising=False)


@pytest.fixture
def tower(tmp_path: Path) -> Path:
    return write_tower(tmp_path / "mine" / "weights.safetensors")


def write_int8_package(folder: Path, tower: Path, scales: bytes | None) -> Path:
    """The package in `tower_samples` whose first matrix is int8: its values are 64ths, so nothing is lost."""
    given = [
        helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, SIZE, SIZE]),
        helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["batch"]),
    ]
    nodes = [
        helper.make_node("ReduceMean", ["images", "places"], ["means"], keepdims=0),
        helper.make_node("DequantizeLinear", ["whole", "step", "zero"], ["twice"], axis=1),
        # Right before a product, ONNX Runtime would round the means, too.
        helper.make_node("Mul", ["twice", "half"], ["first"]),
        helper.make_node("MatMul", ["means", "first"], ["wide"]),
        helper.make_node("MatMul", ["wide", "second"], ["narrow"]),
        helper.make_node("ReduceSum", ["narrow", "one"], ["logit"], keepdims=0),
    ]
    outside = []
    for name, kind, shape in (
        ("whole", TensorProto.INT8, (3, 400)),
        ("second", TensorProto.FLOAT, (400, 5)),
    ):
        tensor = TensorProto(name=name, data_type=kind, dims=shape)
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="tower.safetensors")
        outside.append(tensor)
    constants = [
        helper.make_tensor("places", TensorProto.INT64, [2], [2, 3]),
        helper.make_tensor("one", TensorProto.INT64, [1], [1]),
        helper.make_tensor("step", TensorProto.FLOAT, [400], [1 / 32] * 400),
        helper.make_tensor("half", TensorProto.FLOAT, [], [0.5]),
        helper.make_tensor("zero", TensorProto.INT8, [400], [0] * 400),
    ]
    graph = helper.make_graph(nodes, "tower", given[:1], given[1:], [*constants, *outside])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    content = bytes(model.SerializeToString())
    int8 = {"columns": "steps", "levels": 64}
    parts = {"whole": {**MAP["first"], "int8": int8}, "second": MAP["second"]}
    write_package(folder, tower, map=parts)
    (folder / "model.onnx").write_bytes(content)
    card = json.loads((folder / "card.json").read_text())
    card["files"]["model.onnx"] = hashlib.sha256(content).hexdigest()
    if scales is not None:
        (folder / "tower-scales.safetensors").write_bytes(scales)
        card["files"]["tower-scales.safetensors"] = hashlib.sha256(scales).hexdigest()
    (folder / "card.json").write_text(json.dumps(card))
    return folder


def test_whole_numbers_by_hand() -> None:
    weight = np.array([[1, -2, 0.5], [0.3, 4, -0.9]], np.float32)
    rows, columns = np.array([2, 0.5], np.float32), np.array([0.05, 0.1, 0.04], np.float32)
    # 2, -4, 1 and 0.15, 2, -0.45, divided by the columns: 40, -40, 25 and 3, 20, -11.25.
    found = quantised(weight, rows, columns, 63)
    assert found.dtype == np.int8
    assert found.tolist() == [[40, -40, 25], [3, 20, -11]]
    assert quantised(weight, rows, columns, 30).tolist() == [[30, -30, 25], [3, 20, -11]]
    assert quantised(weight, None, columns, 63).tolist() == [[20, -20, 12], [6, 40, -22]]  # 12.5: to even


def test_a_tower_becomes_int8_when_it_is_loaded(tmp_path: Path, tower: Path) -> None:
    folder = write_int8_package(tmp_path / "head", tower, save({"steps": ONES / 64}))
    patches = np.random.default_rng(1).integers(0, 256, (5, SIZE, SIZE, 3), dtype=np.uint8)
    logit = Session(load_package(folder, tower)).run(patches).logit
    np.testing.assert_allclose(logit, expected(patches), atol=1e-3)


@pytest.mark.parametrize(
    ("scales", "words"),
    [
        (None, "has no steps, which its tower.json names for tower.in"),
        (save({"other": ONES}), "has no steps"),
        (save({"steps": ONES[:3]}), "3 numbers in steps, but columns of tower.in are 400"),
        (b"no numbers", "tower-scales.safetensors: cannot be read as scales"),
    ],
)
def test_scales_that_do_not_fit_are_refused(
    tmp_path: Path, tower: Path, scales: bytes | None, words: str
) -> None:
    folder = write_int8_package(tmp_path / "head", tower, scales)
    with pytest.raises(ModelPackageError, match=words):
        Session(load_package(folder, tower))


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_damaged_scales_are_refused(tmp_path: Path, tower: Path, damage: str) -> None:
    folder = write_int8_package(tmp_path / "head", tower, save({"steps": ONES / 64}))
    scales = folder / "tower-scales.safetensors"
    if damage == "gone":
        scales.unlink()
    else:
        scales.write_bytes(save({"steps": ONES / 63}))
    words = {"changed": "altered or damaged", "gone": "cannot be read"}[damage]
    with pytest.raises(ModelPackageError, match=f"tower-scales.safetensors: {words}"):
        load_package(folder, tower)


@pytest.mark.parametrize(
    "scale",
    [
        np.ones((2, 2), np.float32),
        np.ones(3, np.float64),
        np.array([1, 0], np.float32),
        np.array([1, np.nan], np.float32),
        np.array([1, -1], np.float32),
    ],
)
def test_scales_are_positive_numbers(scale: np.ndarray) -> None:
    with pytest.raises(ModelPackageError, match=r"package/tower-scales.safetensors: steps must be"):
        parse_scales(save({"steps": scale}), PLACE)


def test_rows_must_fit_and_vectors_are_no_matrices(tower: Path) -> None:
    scales = {"steps": ONES, "rows": np.ones(2, np.float32)}
    int8 = Int8(columns="steps", rows="rows", levels=63)
    with pytest.raises(ModelPackageError, match=r"2 numbers in rows, but rows of tower.in are 3"):
        read(tower, {"a": Part(tensor="tower.in", int8=int8)}, scales)
    with pytest.raises(ModelPackageError, match=r"tower.spare has no two axes"):
        read(tower, {"a": Part(tensor="tower.spare", int8=int8)}, scales)


def test_a_transposed_matrix_is_scaled_as_the_graph_has_it(tower: Path) -> None:
    rng = np.random.default_rng(0)
    rows = rng.uniform(0.5, 2, 400).astype(np.float32)
    columns = rng.uniform(0.01, 0.02, 5).astype(np.float32)
    part = Part(tensor="tower.out", transpose=True, int8=Int8(columns="c", rows="r", levels=127))
    found = read(tower, {"a": part}, {"c": columns, "r": rows})["a"]
    wanted = tensors()["tower.out"].astype(np.float64).T * rows[:, None] / columns
    assert found.shape == (400, 5)
    np.testing.assert_allclose(found, np.clip(wanted, -127, 127), atol=0.5001)


def test_a_map_without_scales_is_written_as_ever() -> None:
    assert dump_parts({"a": Part(tensor="x")}) == (
        b'{\n "a": {\n  "tensor": "x",\n  "transpose": false\n }\n}\n'
    )
    full = {"a": Part(tensor="x", int8=Int8(columns="c", levels=63))}
    assert json.loads(dump_parts(full))["a"]["int8"] == {"columns": "c", "levels": 63}
    assert parse_parts(dump_parts(full), PLACE) == full
    with pytest.raises(ModelPackageError, match="levels"):
        parse_parts(dump_parts(full).replace(b"63", b"128"), PLACE)


def test_a_card_says_what_is_quantised_or_nothing() -> None:
    plain = ModelCard.model_validate(card_of(b""))
    assert "quantisation" not in plain.model_dump(mode="json")
    told = Quantisation(levels=63, pictures=64, kept=["layers.0.fc2"], error=0.2134)
    card = ModelCard.model_validate(card_of(b"", quantisation=told.model_dump()))
    assert ModelCard.model_validate_json(card.model_dump_json()).quantisation == told
    assert told.describe() == (
        "int8 weights from -63 to 63, uint8 activations with ranges from 64 pictures, 1 large layer kept in "
        "float32; logits differ from float32 by 0.21 of their standard deviation"
    )
    assert "kept" not in Quantisation(levels=127, pictures=64, error=0.1).describe()


@pytest.mark.parametrize("changes", [{"error": float("nan")}, {"weights": "int4"}, {"levels": 128}])
def test_a_card_cannot_say_what_makes_no_sense(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(changes))):
        Quantisation.model_validate({"levels": 63, "pictures": 64, "error": 0.1, **changes})


def test_scales_are_of_a_tower() -> None:
    files = {"model.onnx": "0" * 64, "tower-scales.safetensors": "0" * 64}
    with pytest.raises(ValidationError, match="is of a tower, and the card names none"):
        ModelCard.model_validate(card_of(b"", files=files))


def test_models_are_listed_with_it_though_the_tower_is_not_here(
    tmp_path: Path, tower: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = Quantisation(levels=63, pictures=64, error=0.2)
    write_package(tmp_path / "shipped" / "head", tower, quantisation=told.model_dump())
    monkeypatch.setattr(packages, "_shipped_root", lambda: tmp_path / "shipped")
    cli.models()
    assert capsys.readouterr().out.splitlines() == [
        "head 1.0 (detector): Bright is generated.",
        f"  {told.describe()}",
    ]
