"""Pictures and a model package for tests of the bench."""

import csv
import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from vestige.inference.card import Abstention, Calibration, ModelCard, OperatingPoint, Training, Views


def write_pictures(folder: Path, each: int = 12, biased: bool = False, split: str = "") -> Path:
    """Dark real and bright generated JPEGs, overlapping a little; biased: generated ones are square PNGs."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "group", "split"])
        for label, kind in ((0, "camera"), (1, "generator")):
            for number in range(each):
                odd = biased and label == 1
                level = rng.normal(110 + 40 * label, 25)
                size = (64, 64, 3) if odd else (64, 80, 3)
                pixels = np.clip(rng.normal(level, 10, size), 0, 255).astype(np.uint8)
                name = f"{kind}{number}.{'png' if odd else 'jpg'}"
                Image.fromarray(pixels).save(folder / name, **({} if odd else {"quality": 90}))
                writer.writerow([name, label, f"{kind}-{number % 3 if number < 10 else 'rare'}", split])
    return folder / "manifest.csv"


def write_package(folder: Path, name: str = "brightness", slope: float = 10) -> Path:
    """A model package whose logit is the mean brightness above one half, times `slope`."""
    folder.mkdir(parents=True)
    nodes = [
        helper.make_node("ReduceMean", ["images", "axes"], ["mean"], keepdims=0),
        helper.make_node("Sub", ["mean", "half"], ["above"]),
        helper.make_node("Mul", ["above", "slope"], ["logit"]),
    ]
    constants = {"axes": np.array([1, 2, 3]), "half": np.float32(0.5), "slope": np.float32(slope)}
    graph = helper.make_graph(
        nodes,
        "brightness",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, 64, 64])],
        [helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["batch"])],
        [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, folder / "model.onnx")
    card = ModelCard(
        name=name,
        version="1.0",
        method="none",
        summary="Bright is generated.",
        stages=["model.onnx"],
        views=Views(size=64, count=2, minimum_side=32),
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
