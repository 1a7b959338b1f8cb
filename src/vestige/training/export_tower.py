"""Split frozen weights off an exported graph, so that a package can be published without them."""

import hashlib
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from pydantic import ValidationError

from vestige.errors import ConfigError, DataError
from vestige.inference.card import TOWER_MAP, Tower
from vestige.inference.tower import sha256_of
from vestige.inference.tower_weights import READABLE, Array, Part, dump_parts, opened

SMALLEST = 1024  # numbers; smaller tensors stay in the graph
PLACE = "tower.safetensors"  # where the graph says they are; nothing lies there, the session is given them


class TowerSource(NamedTuple):
    """A file of frozen weights, and under which name others can have it, or what it is if no hub has it.

    Attributes:
        path: of the file here.
        hub, revision, file: of the same file at the Hugging Face hub, as in `vestige.inference.card.Tower`;
            None: not said. The hub is not asked.
        origin: what the file is and where it comes from, if it is at no hub.
    """

    path: Path
    hub: str | None = None
    revision: str | None = None
    file: str | None = None
    origin: str | None = None


def split_off(graph: Path, source: TowerSource) -> Tower:
    """Take out of an ONNX file what a file of weights contains, and write `tower.json` beside it.

    Tensors are found by their values as float32, as they are or transposed, whatever they are called.

    Args:
        graph: the ONNX file, is rewritten.

    Raises:
        ConfigError: name, revision, file or origin are none that a card can hold, or do not go together.
        DataError: less than half of the graph's bytes are tensors of `source`.
        ModelPackageError: its file cannot be read.
    """
    card = _card(source)
    size = graph.stat().st_size
    model = onnx.load(graph, load_external_data=False)
    parts: dict[str, Part] = {}
    saved = 0
    found = _found(source.path, model.graph)
    for initialiser in model.graph.initializer:
        part = found.get(initialiser.name)
        if part is None:
            continue
        parts[initialiser.name] = part
        saved += 4 * int(np.prod(initialiser.dims))
        for content in ("raw_data", "float_data"):
            initialiser.ClearField(content)
        initialiser.data_location = TensorProto.EXTERNAL
        initialiser.external_data.add(key="location", value=PLACE)
    if 2 * saved < size:
        raise DataError(
            f"{source.path}: {'only ' if saved else ''}{saved / size:.0%} of the graph's {size / 1e6:.3g} MB "
            "are tensors of this file, at least half must be; give the file that the run's frozen weights "
            "were taken from, or export without --tower"
        )
    onnx.save(model, graph)
    (graph.parent / TOWER_MAP).write_bytes(dump_parts(parts))
    return card


def _card(source: TowerSource) -> Tower:
    names = {name: value for name, value in source._asdict().items() if name != "path" and value is not None}
    try:
        return Tower.model_validate(
            {**names, "sha256": sha256_of(source.path), "bytes": source.path.stat().st_size}
        )
    except OSError as error:
        raise DataError(f"{source.path}: cannot be read ({error.strerror})") from error
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:
            raise ConfigError(f"the tower makes no card: {first['ctx']['error']}") from error
        raise ConfigError(
            f"{first['input']!r} cannot be the tower's {first['loc'][0]}: OWNER/NAME of a repository, a "
            "branch, tag or commit, and the path of a .safetensors file in it are expected, or an origin in "
            "words on one line"
        ) from error


def _found(path: Path, graph: onnx.GraphProto) -> dict[str, Part]:
    """Initialiser -> the first tensor of the file with its values."""
    wanted: dict[bytes, list[str]] = defaultdict(list)
    for initialiser in graph.initializer:
        if initialiser.data_type == TensorProto.FLOAT and np.prod(initialiser.dims) >= SMALLEST:
            wanted[_digest(numpy_helper.to_array(initialiser))].append(initialiser.name)
    shapes = {tuple(one.dims) for one in graph.initializer}
    found: dict[str, Part] = {}
    with opened(path) as weights:
        for tensor in weights.names:
            shape = weights.shape(tensor)
            if np.prod(shape) < SMALLEST or weights.kind(tensor) not in READABLE:
                continue
            for transpose in (False, True) if len(shape) == 2 else (False,):
                if (shape[::-1] if transpose else shape) not in shapes:
                    continue
                for name in wanted.pop(_digest(weights.read(tensor, transpose)), ()):
                    found[name] = Part(tensor=tensor, transpose=transpose)
    return found


def _digest(array: Array) -> bytes:
    """Of values and shape."""
    start = hashlib.sha256(repr(array.shape).encode())
    start.update(np.ascontiguousarray(array).data)
    return start.digest()
