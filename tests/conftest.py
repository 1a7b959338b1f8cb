"""Fixtures shared by all tests: a model package whose scores can be computed by hand, and small pictures."""

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

SIZE = 64
EXAMPLES = Path(__file__).parents[1] / "examples"


def brightness_graph(size: int = SIZE, with_map: bool = False) -> bytes:
    """ONNX file whose logit is 8 * (mean of all values - 0.5): bright is "generated", dark is "real"."""
    nodes = [
        helper.make_node("ReduceMean", ["images", "axes"], ["mean"], keepdims=0),
        helper.make_node("Sub", ["mean", "half"], ["centred"]),
        helper.make_node("Mul", ["centred", "eight"], ["logit"]),
    ]
    outputs = [helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["batch"])]
    if with_map:
        nodes += [
            helper.make_node("ReduceMean", ["images", "channels"], ["grey"], keepdims=1),
            helper.make_node("Sub", ["grey", "half"], ["grey_centred"]),
            helper.make_node("Mul", ["grey_centred", "eight"], ["map"]),
        ]
        outputs.append(helper.make_tensor_value_info("map", TensorProto.FLOAT, ["batch", 1, size, size]))
    graph = helper.make_graph(
        nodes,
        "brightness",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, size, size])],
        outputs,
        [
            helper.make_tensor("axes", TensorProto.INT64, [3], [1, 2, 3]),
            helper.make_tensor("channels", TensorProto.INT64, [1], [1]),
            helper.make_tensor("half", TensorProto.FLOAT, [], [0.5]),
            helper.make_tensor("eight", TensorProto.FLOAT, [], [8.0]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def card_of(graph: bytes, **changes: Any) -> dict[str, Any]:
    """A valid card for `graph`, as JSON data."""
    card = {
        "name": "brightness",
        "version": "1.0",
        "method": "brightness",
        "summary": "Bright is generated.",
        "stages": ["model.onnx"],
        "views": {"size": SIZE, "count": 4, "minimum_side": 32},
        "calibration": {"slope": 1.0, "intercept": 0.0, "data": "none", "real": 0, "generated": 0},
        "operating_points": [{"fpr": 0.01, "threshold": 0.95}, {"fpr": 0.05, "threshold": 0.8}],
        "abstention": {"low": 0.2, "high": 0.8},
        "training": {
            "recipe": "",
            "seed": 0,
            "data": "none",
            "manifest_sha256": "0" * 64,
            "starting_weights": [],
            "sources": [],
        },
        "failure_modes": ["Everything but brightness."],
        "licence": "Apache-2.0",
        "minimum_vestige": "0.1.0",
        "files": {"model.onnx": hashlib.sha256(graph).hexdigest()},
    }
    return {**card, **changes}


@pytest.fixture
def make_package(tmp_path: Path) -> Callable[..., Path]:
    """Writes a package with the brightness graph; keyword arguments change its card."""

    def make(graph: bytes | None = None, **changes: Any) -> Path:
        graph = graph or brightness_graph()
        folder = tmp_path / f"package-{len(list(tmp_path.glob('package-*')))}"
        folder.mkdir()
        (folder / "model.onnx").write_bytes(graph)
        (folder / "card.json").write_text(json.dumps(card_of(graph, **changes)))
        return folder

    return make


@pytest.fixture
def package(make_package: Callable[..., Path]) -> Path:
    """A package with the brightness graph."""
    return make_package()


def grey_picture(path: Path, level: int, size: tuple[int, int] = (96, 80), noise: int = 4) -> Path:
    """A PNG of one grey level with a little noise, so that no codec or hash sees constants."""
    rng = np.random.default_rng(level)
    pixels = rng.integers(-noise, noise + 1, (size[1], size[0], 3)) + level
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path)
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder: a bright, a dark and a middling picture, a broken one, and a text file."""
    folder = tmp_path / "pictures"
    (folder / "deeper").mkdir(parents=True)
    grey_picture(folder / "bright.png", 230)
    grey_picture(folder / "dark.png", 25)
    grey_picture(folder / "deeper" / "middle.png", 128)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 this is no picture")
    (folder / "notes.txt").write_text("not a picture")
    return folder


@pytest.fixture(scope="session")
def bytes_of_pictures() -> dict[str, bytes]:
    """Pictures cut from the examples in several formats and sizes, a truncated one and one that is text."""
    found = {}
    for number, path in enumerate(sorted(EXAMPLES.glob("*/*.*"))):
        with Image.open(path) as image:
            cut = image.convert("RGB").crop((8, 8, 8 + 70 + 9 * number, 8 + 66 + 5 * number))
        buffer = io.BytesIO()
        kind = ("PNG", "JPEG", "WEBP")[number % 3]
        cut.save(buffer, kind, **({"lossless": True} if kind == "WEBP" else {}))
        found[f"{path.stem}.{kind.lower()}"] = buffer.getvalue()
    whole = next(data for name, data in found.items() if name.endswith("png"))
    found["torn.png"] = whole[: len(whole) // 2]
    found["text.jpg"] = b"this is no picture at all"
    return found
