"""A package without its tower whose logits can be computed by hand, and files of the tower."""

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper
from safetensors.numpy import save_file

from conftest import SIZE, card_of

MAP = {"first": {"tensor": "tower.in"}, "second": {"tensor": "tower.out", "transpose": True}}


def tensors(seed: int = 0) -> dict[str, npt.NDArray[np.float32]]:
    """Values that float16 and bfloat16 hold exactly; `tower.spare` is used by nothing."""
    rng = np.random.default_rng(seed)
    shapes = {"tower.in": (3, 400), "tower.out": (5, 400), "tower.spare": (7,)}
    return {name: (rng.integers(-64, 64, shape) / 64).astype(np.float32) for name, shape in shapes.items()}


def write_tower(path: Path, kind: str = "F16", seed: int = 0) -> Path:
    """The tower as a safetensors file of numbers of this type."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind != "BF16":
        dtype = {"F16": np.float16, "F32": np.float32, "I64": np.int64}[kind]
        save_file({name: array.astype(dtype) for name, array in tensors(seed).items()}, path)
        return path
    header: dict[str, Any] = {}
    content = b""
    for name, array in tensors(seed).items():
        # Cutting off the lower half is exact for these values.
        numbers = array.astype("<f4").tobytes()
        halves = b"".join(numbers[at + 2 : at + 4] for at in range(0, len(numbers), 4))
        offsets = [len(content), len(content) + len(halves)]
        header[name] = {"dtype": "BF16", "shape": list(array.shape), "data_offsets": offsets}
        content += halves
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content)
    return path


def graph_without_weights() -> bytes:
    """logit = sum of (channel means @ first @ second), both matrices outside."""
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, SIZE, SIZE])
    nodes = [
        helper.make_node("ReduceMean", ["images", "places"], ["means"], keepdims=0),
        helper.make_node("MatMul", ["means", "first"], ["wide"]),
        helper.make_node("MatMul", ["wide", "second"], ["narrow"]),
        helper.make_node("ReduceSum", ["narrow", "one"], ["logit"], keepdims=0),
    ]
    outside = []
    for name, shape in (("first", (3, 400)), ("second", (400, 5))):
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape)
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="tower.safetensors")
        outside.append(tensor)
    graph = helper.make_graph(
        nodes,
        "tower",
        [images],
        [helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["batch"])],
        [
            helper.make_tensor("places", TensorProto.INT64, [2], [2, 3]),
            helper.make_tensor("one", TensorProto.INT64, [1], [1]),
            *outside,
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return bytes(model.SerializeToString())


def expected(patches: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """The logits of this package's network, in float64."""
    weights = tensors()
    means = patches.astype(np.float64).mean((1, 2)) / 255
    return np.asarray((means @ weights["tower.in"] @ weights["tower.out"].T).sum(1))


def write_package(folder: Path, file: Path, **changes: Any) -> Path:
    """The package whose tower `file` is; `changes` replace entries of tower.json (`map`) or of the card."""
    folder.mkdir(parents=True)
    graph = graph_without_weights()
    parts = changes.pop("map", MAP)
    content = parts if isinstance(parts, bytes) else json.dumps(parts).encode()
    (folder / "model.onnx").write_bytes(graph)
    (folder / "tower.json").write_bytes(content)
    described = {
        "hub": "someone/tower",
        "file": "model.safetensors",
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "bytes": file.stat().st_size,
    }
    card = card_of(graph, name="head", tower=described)
    card["files"]["tower.json"] = hashlib.sha256(content).hexdigest()
    (folder / "card.json").write_text(json.dumps({**card, **changes}))
    return folder
