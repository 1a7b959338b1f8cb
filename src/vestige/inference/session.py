"""Run a model package's graph with ONNX Runtime."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import onnxruntime

from vestige.errors import ModelPackageError
from vestige.inference.card import FactsView
from vestige.inference.package import ModelPackage
from vestige.inference.tower_weights import Values, read

# Accelerators first; ONNX Runtime falls back to the CPU for what they cannot run.
PROVIDERS = ("CUDAExecutionProvider", "DmlExecutionProvider", "CPUExecutionProvider")


class Scores(NamedTuple):
    """What the network says of a batch of views.

    Attributes:
        logit: float32 [N], positive = generated.
        map: float32 [N, h, w], a logit per location, or None.
        deviation: float32 [N], at least 0, how little a view resembles what the network was fitted to, or
            None.
    """

    logit: npt.NDArray[np.float32]
    map: npt.NDArray[np.float32] | None = None
    deviation: npt.NDArray[np.float32] | None = None

    def part(self, first: int, end: int | None = None) -> "Scores":
        """Of the views from `first` on, up to `end` and without it; None: all the rest."""
        return Scores(
            self.logit[first:end],
            None if self.map is None else self.map[first:end],
            None if self.deviation is None else self.deviation[first:end],
        )

    @classmethod
    def joined(cls, parts: Sequence["Scores"]) -> "Scores":
        """Scores of several batches of one network, at least one, as one."""
        maps = [part.map for part in parts if part.map is not None]
        deviations = [part.deviation for part in parts if part.deviation is not None]
        return cls(
            np.concatenate([part.logit for part in parts]),
            np.concatenate(maps) if maps else None,
            np.concatenate(deviations) if deviations else None,
        )


def default_threads() -> int:
    """Processors that this process may use, at most 8: patches this small do not profit from more."""
    try:
        usable = len(os.sched_getaffinity(0))  # type: ignore[attr-defined,unused-ignore]
    except AttributeError:
        usable = os.cpu_count() or 1
    return min(usable, 8)


def open_graph(
    folder: Path, graph: bytes, threads: int | None = None, outside: Mapping[str, Values] | None = None
) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session set up the way all packages run.

    Args:
        folder: of the package, for messages.
        graph: bytes of the ONNX file.
        threads: threads inside one operator; None: `default_threads()`.
        outside: values of initialisers that the file only names; the caller keeps them as long as the
            session, which may use their memory as it is.

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
        if outside:
            values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in outside.values()]
            options.add_external_initializers(list(outside), values)
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
            does not take the facts that the card names; or the tower's file or the scales lack what the
            graph takes.
    """

    def __init__(self, package: ModelPackage, threads: int | None = None) -> None:
        tower = package.tower
        self._outside = {} if tower is None else read(tower.path, tower.parts, tower.scales)
        self._session = open_graph(package.folder, package.graphs[0], threads, self._outside)
        outputs = package.card.outputs
        self._outputs = outputs
        self._names = [name for name in (outputs.logit, outputs.map, outputs.deviation) if name is not None]
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
        answers = self._session.run(self._names, {self._input: batch})
        found = {
            name: np.asarray(answer, dtype=np.float32)
            for name, answer in zip(self._names, answers, strict=True)
        }
        names = self._outputs
        return Scores(
            found[names.logit].reshape(len(views)),
            found[names.map][:, 0] if names.map is not None else None,
            found[names.deviation].reshape(len(views)) if names.deviation is not None else None,
        )
