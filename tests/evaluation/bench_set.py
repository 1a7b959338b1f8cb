"""Pictures and model packages for tests of the bench."""

import csv
import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from vestige.images.file_facts import NAMES
from vestige.inference.card import (
    Abstention,
    Calibration,
    FactsView,
    ModelCard,
    OperatingPoint,
    Training,
    Views,
)


def write_pictures(folder: Path, each: int = 12, side: int = 64, biased: bool = False) -> Path:
    """Dark real and bright generated JPEGs, overlapping a little; biased: generated ones are PNGs."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "group"])
        for label, kind in ((0, "camera"), (1, "generator")):
            for number in range(each):
                odd = biased and label == 1
                level = 128 if biased else rng.normal(110 + 40 * label, 25)
                coarse = rng.normal(level, 10, (8, 10, 3)).clip(0, 255).astype(np.uint8)
                pixels = Image.fromarray(coarse).resize((side * 5 // 4, side), Image.Resampling.BICUBIC)
                name = f"{kind}{number}.{'png' if odd else 'jpg'}"
                pixels.save(folder / name, **({} if odd else {"quality": 90}))
                writer.writerow([name, label, f"{kind}-{number % 3 if number < 10 else 'rare'}"])
    return folder / "manifest.csv"


def write_package(folder: Path, name: str = "brightness", slope: float = 10) -> Path:
    """A model package whose logit is the mean brightness above one half, times `slope`."""
    nodes = [
        helper.make_node("ReduceMean", ["images", "axes"], ["mean"], keepdims=0),
        helper.make_node("Sub", ["mean", "half"], ["above"]),
        helper.make_node("Mul", ["above", "slope"], ["logit"]),
    ]
    constants = {"axes": np.array([1, 2, 3]), "half": np.float32(0.5), "slope": np.float32(slope)}
    return _write(
        folder, name, nodes, constants, ["batch", 3, 64, 64], Views(size=64, count=2, minimum_side=32)
    )


def write_format_reader(folder: Path) -> Path:
    """A model package that looks at nothing but the format of the file: PNG is generated."""
    nodes = [
        helper.make_node("MatMul", ["facts", "weights"], ["column"]),
        helper.make_node("Squeeze", ["column", "axis"], ["logit"]),
    ]
    weights = np.zeros((len(NAMES), 1), dtype=np.float32)
    weights[NAMES.index("format_png")] = 4
    constants = {"weights": weights, "axis": np.array([1])}
    return _write(
        folder, "format-reader", nodes, constants, ["batch", len(NAMES)], FactsView(names=list(NAMES))
    )


def _write(
    folder: Path,
    name: str,
    nodes: list[onnx.NodeProto],
    constants: dict[str, np.ndarray],
    shape: list[str | int],
    views: Views | FactsView,
) -> Path:
    folder.mkdir(parents=True)
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(nodes[0].input[0], TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["batch"])],
        [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, folder / "model.onnx")
    card = ModelCard(
        name=name,
        version="1.0",
        method="none",
        summary="For tests.",
        stages=["model.onnx"],
        views=views,
        calibration=Calibration(slope=1, intercept=0, data="none", real=0, generated=0),
        operating_points=[OperatingPoint(fpr=0.05, threshold=0.6)],
        abstention=Abstention(low=0.4, high=0.6),
        training=Training(
            recipe="", seed=0, data="none", manifest_sha256="0" * 64, starting_weights=[], sources=[]
        ),
        failure_modes=["Night."],
        licence="Apache-2.0",
        minimum_vestige="0.0.0",
        files={"model.onnx": hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()},
    )
    (folder / "card.json").write_text(card.model_dump_json())
    return folder
