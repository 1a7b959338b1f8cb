"""Extractors that are plain convolutions: what they say of a picture can be computed by hand."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from conftest import card_of

FREE = ("batch", 3, "height", "width")


def graph_of(
    nodes: Sequence[onnx.NodeProto],
    constants: dict[str, npt.NDArray[np.generic]],
    given: Sequence[int | str] = FREE,
    made: Sequence[int | str] = FREE,
    output: str = "signature",
) -> bytes:
    """ONNX file with the input `images`."""
    graph = helper.make_graph(
        nodes,
        "extractor",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, given)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, made)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def conv_graph(kernel: npt.NDArray[np.float32], bias: float = 0.0) -> bytes:
    """ONNX file of one convolution with zeros around; `kernel` is float32 [3, 3, k, k], k odd."""
    node = helper.make_node(
        "Conv", ["images", "kernel", "bias"], ["signature"], pads=[kernel.shape[-1] // 2] * 4
    )
    return graph_of([node], {"kernel": kernel, "bias": np.full(3, bias, np.float32)})


def plain_graph() -> bytes:
    """ONNX file that gives the picture itself in [-1, 1]."""
    return conv_graph(2 * np.eye(3, dtype=np.float32)[..., None, None], -1.0)


def strided_graph(seed: int = 0) -> bytes:
    """ONNX file of a convolution at every second pixel, brought back by DepthToSpace; even sides only."""
    kernel = np.random.default_rng(seed).normal(0, 0.2, (12, 3, 5, 5)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["images", "kernel"], ["deep"], pads=[2] * 4, strides=[2, 2]),
        helper.make_node("DepthToSpace", ["deep"], ["signature"], blocksize=2, mode="CRD"),
    ]
    return graph_of(nodes, {"kernel": kernel}, made=("batch", 3, "a", "b"))


def extractor_card(graph: bytes, **changes: Any) -> dict[str, Any]:
    """A valid card of an extractor, as JSON data."""
    card = card_of(graph)
    common = (
        "version",
        "method",
        "summary",
        "stages",
        "training",
        "failure_modes",
        "licence",
        "minimum_vestige",
        "files",
    )
    return {
        "kind": "extractor",
        "name": "plain",
        **{key: card[key] for key in common},
        "target": "residual",
        "input": "original",
        "reach": 0,
        **changes,
    }


def write_extractor(folder: Path, graph: bytes | None = None, **changes: Any) -> Path:
    """A package in a new folder; keyword arguments change its card."""
    graph = graph or plain_graph()
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(graph)
    (folder / "card.json").write_text(json.dumps(extractor_card(graph, **changes)))
    return folder


def wave(
    x: float, y: float, size: tuple[int, int] = (300, 280), amplitude: float = 20.0
) -> npt.NDArray[np.uint8]:
    """A grey picture with a wave of so many cycles per pixel: uint8 [H, W, 3]; size is (W, H)."""
    down, across = np.indices(size[::-1])
    plane = 128 + amplitude * np.cos(2 * np.pi * (x * across + y * down) + 0.3)
    return np.repeat(plane.round().astype(np.uint8)[..., None], 3, 2)
