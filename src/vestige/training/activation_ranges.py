"""What an exported graph's activations are on some views: ranges of channels, and the logits."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from vestige.inference.session import open_graph
from vestige.inference.tower_weights import Array, Values

BATCH = 4  # views; all activations asked for are in memory for so many


class Range(NamedTuple):
    """Smallest and largest value of each channel (last axis), float32 [C]."""

    low: Array
    high: Array

    @property
    def reach(self) -> Array:
        """Largest absolute value of each channel, [C]."""
        return np.maximum(np.abs(self.low), np.abs(self.high))


def measure(
    model: onnx.ModelProto,
    folder: Path,
    views: npt.NDArray[np.uint8],
    names: Sequence[str],
    logit: str,
    outside: Mapping[str, Values],
) -> tuple[npt.NDArray[np.float64], dict[str, Range]]:
    """Run a graph and look into it.

    Args:
        folder: of the package, for messages.
        views: uint8 [N, S, S, 3], sRGB.
        names: activations that are measured; they need not be outputs.
        logit: name of the output.
        outside: values of initialisers that the graph only names.

    Returns:
        Logits [N], and the ranges by name.

    Raises:
        ModelPackageError: ONNX Runtime refuses the graph.
    """
    seen = onnx.ModelProto()
    seen.CopyFrom(model)
    known = {one.name for one in seen.graph.output}
    seen.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names if name not in known
    )
    session = open_graph(folder, seen.SerializeToString(), outside=outside)
    given = session.get_inputs()[0].name
    logits: list[npt.NDArray[np.float64]] = []
    ranges: dict[str, Range] = {}
    for batch in _batches(views):
        first, *activations = session.run([logit, *names], {given: batch})
        logits.append(np.asarray(first, dtype=np.float64).reshape(len(batch)))
        for name, values in zip(names, activations, strict=True):
            places = tuple(range(values.ndim - 1))
            low, high = values.min(places), values.max(places)
            before = ranges.get(name)
            if before is not None:
                low, high = np.minimum(low, before.low), np.maximum(high, before.high)
            ranges[name] = Range(low, high)
    return np.concatenate(logits), ranges


def _batches(views: npt.NDArray[np.uint8]) -> Iterator[Array]:
    for start in range(0, len(views), BATCH):
        some = views[start : start + BATCH].transpose(0, 3, 1, 2)
        yield np.ascontiguousarray(some, dtype=np.float32) / np.float32(255)
