"""Tensors of a safetensors file as float32 arrays, and which of them a package's graph takes."""

import json
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidationError,
    model_serializer,
)

from vestige.errors import ModelPackageError
from vestige.inference.card import TOWER_MAP, TOWER_SCALES

Array = npt.NDArray[np.float32]
Values = npt.NDArray[np.float32] | npt.NDArray[np.int8]
Scales = Mapping[str, Array]

READABLE = ("F32", "F16", "BF16")


class _Described(BaseModel):
    """What tower.json says; keys without a value are left out, as in packages from before they were known."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_serializer(mode="wrap")
    def _only_if_there(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if value is not None}


class Int8(_Described):
    """How a matrix becomes whole numbers: see `quantised`.

    Attributes:
        columns, rows: names in the package's scales; without `rows` no row is scaled.
        levels: the numbers lie from -levels to levels.
    """

    columns: str
    rows: str | None = None
    levels: int = Field(ge=1, le=127)


class Part(_Described):
    """Where the numbers of one initialiser are found.

    Attributes:
        tensor: name in the tower's file.
        transpose: whether its two axes are swapped.
        int8: how they become whole numbers afterwards; None: they stay float32.
    """

    tensor: str
    transpose: bool = False
    int8: Int8 | None = None


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


def parse_scales(content: bytes, place: Path) -> dict[str, Array]:
    """The content of a package's `tower-scales.safetensors`: vectors by name.

    Raises:
        ModelPackageError: it is something else; `place` is named.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        scales: dict[str, Array] = load(content)
    # Of types that NumPy does not have, safetensors speaks in errors of Python's own.
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ModelPackageError(f"{place}: cannot be read as scales of weights ({error})") from error
    for name, scale in scales.items():
        if scale.ndim != 1 or scale.dtype != np.float32 or not (np.isfinite(scale) & (scale > 0)).all():
            raise ModelPackageError(f"{place}: {name} must be a list of positive float32 numbers")
    return scales


def quantised(weight: Array, rows: Array | None, columns: Array, levels: int) -> npt.NDArray[np.int8]:
    """A matrix as whole numbers: its rows times `rows`, its columns divided by `columns`, rounded.

    Every step is exact to the bit, so that it gives the same on any computer.

    Args:
        weight: [R, C].
        rows: [R]; None: ones.
        columns: [C].
        levels: what lies beyond -levels or levels becomes these.
    """
    scaled = weight if rows is None else weight * rows[:, None]
    numbers: npt.NDArray[np.int8] = np.clip(np.rint(scaled / columns), -levels, levels).astype(np.int8)
    return numbers


def read(path: Path, parts: Parts, scales: Scales | None = None) -> dict[str, Values]:
    """The tensors that a graph takes, by the names of its initialisers: float32, or int8 where parts say so.

    Args:
        scales: of the package, by name.

    Raises:
        ModelPackageError: the file cannot be read, or lacks one, or has it in a form that does not fit; or
            a scale is missing or does not fit.
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
            if part.int8 is not None:
                shape = weights.shape(part.tensor)
                _check_scales(path, part, part.int8, shape[::-1] if part.transpose else shape, scales or {})
        return {name: _values(weights, part, scales or {}) for name, part in parts.items()}


def _values(weights: Weights, part: Part, scales: Scales) -> Values:
    found = weights.read(part.tensor, part.transpose)
    if part.int8 is None:
        return found
    rows = None if part.int8.rows is None else scales[part.int8.rows]
    return quantised(found, rows, scales[part.int8.columns], part.int8.levels)


def _check_scales(path: Path, part: Part, int8: Int8, shape: tuple[int, ...], scales: Scales) -> None:
    if len(shape) != 2:
        raise ModelPackageError(
            f"{path}: {part.tensor} has no two axes, which the package's {TOWER_MAP} wants scaled"
        )
    for name, axis in ((int8.rows, 0), (int8.columns, 1)):
        if name is None:
            continue
        if name not in scales:
            raise ModelPackageError(
                f"the package's {TOWER_SCALES} has no {name}, which its {TOWER_MAP} names for {part.tensor}"
            )
        if len(scales[name]) != shape[axis]:
            raise ModelPackageError(
                f"the package's {TOWER_SCALES} has {len(scales[name])} numbers in {name}, but "
                f"{('rows', 'columns')[axis]} of {part.tensor} are {shape[axis]}"
            )
