"""Tensors of a safetensors file as float32 arrays, and which of them a package's graph takes."""

import json
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from vestige.errors import ModelPackageError
from vestige.inference.card import TOWER_MAP

Array = npt.NDArray[np.float32]

READABLE = ("F32", "F16", "BF16")


class Part(BaseModel):
    """Where the numbers of one initialiser are found.

    Attributes:
        tensor: name in the tower's file.
        transpose: whether its two axes are swapped.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tensor: str
    transpose: bool = False


Parts = Mapping[str, Part]
_MAP: TypeAdapter[dict[str, Part]] = TypeAdapter(Annotated[dict[str, Part], Field(min_length=1)])


class Weights:
    """An open safetensors file; made by `opened`."""

    def __init__(self, path: Path, file: Any) -> None:
        self.path, self._file = path, file
        self.names: list[str] = sorted(file.keys())

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a tensor, without reading it."""
        return tuple(self._file.get_slice(name).get_shape())

    def kind(self, name: str) -> str:
        """Type of its numbers as safetensors calls it; those in `READABLE` become float32 without loss."""
        return str(self._file.get_slice(name).get_dtype())

    def read(self, name: str, transpose: bool = False) -> Array:
        """A tensor as contiguous float32 of its own shape, or with its two axes swapped."""
        # NumPy has no bfloat16.
        found = self._bfloat16(name) if self.kind(name) == "BF16" else self._file.get_tensor(name)
        return np.ascontiguousarray(found.T if transpose else found, dtype=np.float32)

    def _bfloat16(self, name: str) -> Array:
        # The bits of a bfloat16 are the upper half of a float32.
        with self.path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            start, end = json.loads(file.read(length))[name]["data_offsets"]
            file.seek(8 + length + start)
            bits = np.frombuffer(file.read(end - start), dtype="<u2")
        return (bits.astype(np.uint32) << 16).view(np.float32).reshape(self.shape(name))


@contextmanager
def opened(path: Path) -> Iterator[Weights]:
    """Open a safetensors file.

    Raises:
        ModelPackageError: it cannot be read as one.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            yield Weights(path, file)
    except (SafetensorError, OSError) as error:
        raise ModelPackageError(f"{path}: cannot be read as weights ({error})") from error


def parse_parts(content: bytes, place: Path) -> dict[str, Part]:
    """The content of a package's `tower.json`: initialiser -> where it is found.

    Raises:
        ModelPackageError: it is something else; `place` is named.
    """
    try:
        return _MAP.validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ModelPackageError(
            f"{place}: does not say which tensors of the tower the graph takes: "
            f"{where + ': ' if where else ''}{first['msg']}"
        ) from error


def dump_parts(parts: Parts) -> bytes:
    """The content of `tower.json`, sorted by the names of the initialisers."""
    return _MAP.dump_json(dict(sorted(parts.items())), indent=1) + b"\n"


def read(path: Path, parts: Parts) -> dict[str, Array]:
    """The tensors that a graph takes, float32, by the names of its initialisers.

    Raises:
        ModelPackageError: the file cannot be read, or lacks one, or has it in a form that does not fit.
    """
    with opened(path) as weights:
        known = set(weights.names)
        for name, part in parts.items():
            if part.tensor not in known:
                raise ModelPackageError(
                    f"{path}: has no tensor {part.tensor}, which the package's {TOWER_MAP} names for {name}"
                )
            if weights.kind(part.tensor) not in READABLE:
                raise ModelPackageError(
                    f"{path}: {part.tensor} is of the type {weights.kind(part.tensor)}, the package's "
                    f"{TOWER_MAP} can use {', '.join(READABLE)} only"
                )
            if part.transpose and len(weights.shape(part.tensor)) != 2:
                raise ModelPackageError(
                    f"{path}: {part.tensor} has no two axes, which the package's {TOWER_MAP} wants swapped"
                )
        return {name: weights.read(part.tensor, part.transpose) for name, part in parts.items()}
