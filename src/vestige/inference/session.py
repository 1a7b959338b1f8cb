"""Run a model package's graph with ONNX Runtime."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import onnxruntime

from vestige.errors import ModelPackageError
from vestige.inference.card import FactsView
from vestige.inference.package import ModelPackage

# Accelerators first; ONNX Runtime falls back to the CPU for what they cannot run.
PROVIDERS = ("CUDAExecutionProvider", "DmlExecutionProvider", "CPUExecutionProvider")


class Scores(NamedTuple):
    """What the network says of a batch of views.

    Attributes:
        logit: float32 [N], positive = generated.
        map: float32 [N, h, w], a logit per location, or None.
    """

    logit: npt.NDArray[np.float32]
    map: npt.NDArray[np.float32] | None


def default_threads() -> int:
    """Processors that this process may use, at most 8: patches this small do not profit from more."""
    try:
        usable = len(os.sched_getaffinity(0))  # type: ignore[attr-defined,unused-ignore]
    except AttributeError:
        usable = os.cpu_count() or 1
    return min(usable, 8)


def open_graph(folder: Path, graph: bytes, threads: int | None = None) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session set up the way all packages run.

    Args:
        folder: of the package, for messages.
        graph: bytes of the ONNX file.
        threads: threads inside one operator; None: `default_threads()`.

    Raises:
        ModelPackageError: ONNX Runtime refuses the graph.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or default_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Spinning threads burn the cores that the decoder needs during a folder scan.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    available = onnxruntime.get_available_providers()
    providers = [name for name in PROVIDERS if name in available]
    try:
        return onnxruntime.InferenceSession(graph, options, providers=providers)
    except Exception as error:  # ONNX Runtime's exceptions share no public base class
        raise ModelPackageError(f"{folder}: ONNX Runtime cannot load the graph: {error}") from error


class Session:
    """An ONNX Runtime session for one package.

    Args:
        package: what to run.
        threads: threads inside one operator; None: `default_threads()`.

    Raises:
        ModelPackageError: ONNX Runtime refuses the graph, it lacks an output that the card names, or it
            does not take the facts that the card names.
    """

    def __init__(self, package: ModelPackage, threads: int | None = None) -> None:
        self._session = open_graph(package.folder, package.graphs[0], threads)
        outputs = package.card.outputs
        self._names = [outputs.logit] + ([outputs.map] if outputs.map else [])
        known = {output.name for output in self._session.get_outputs()}
        for name in self._names:
            if name not in known:
                raise ModelPackageError(
                    f"{package.folder}: the graph has no output {name!r}, only {sorted(known)}"
                )
        first = self._session.get_inputs()[0]
        self._input = first.name
        views = package.card.views
        self._takes_facts = isinstance(views, FactsView)
        if isinstance(views, FactsView):
            # A dimension without a fixed length is a name or None.
            length = first.shape[1] if len(first.shape) == 2 else 0
            if isinstance(length, int) and length != len(views.names):
                raise ModelPackageError(
                    f"{package.folder}: the graph takes an input of shape {first.shape}, "
                    f"not vectors of the {len(views.names)} facts that the card names"
                )

    def run(self, views: npt.NDArray[np.uint8 | np.float32]) -> Scores:
        """Score views.

        Args:
            views: patches, uint8 [N, size, size, 3], sRGB; for a model that looks at the facts of the file,
                vectors of `vestige.images.file_facts`, float32 [N, F]. N >= 1.
        """
        if self._takes_facts:
            batch = np.ascontiguousarray(views, dtype=np.float32)
        else:
            batch = np.ascontiguousarray(views.transpose(0, 3, 1, 2), dtype=np.float32)
            batch /= 255
        found = self._session.run(self._names, {self._input: batch})
        logit = np.asarray(found[0], dtype=np.float32).reshape(len(views))
        return Scores(logit, np.asarray(found[1], dtype=np.float32)[:, 0] if len(found) > 1 else None)
