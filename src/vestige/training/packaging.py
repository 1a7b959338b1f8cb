"""What it takes to write a package of any kind: the ONNX file, the folder, the sources in the card."""

import logging
import shutil
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from vestige.data.manifest import Row
from vestige.errors import ModelPackageError
from vestige.inference.card import TrainingSource
from vestige.inference.package import CARD

GRAPH = "model.onnx"
TOLERANCE = 1e-4
OPSET = 18


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """A fresh folder that takes the place of `out` when the block ends well.

    Raises:
        ModelPackageError: `out` is something else than a package.
    """
    if out.exists() and not (out / CARD).exists() and (not out.is_dir() or any(out.iterdir())):
        raise ModelPackageError(f"{out}: not empty and not a model package; it is left alone")
    partial = out.with_name(out.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    yield partial
    shutil.rmtree(out, ignore_errors=True)
    partial.rename(out)


def write_onnx(
    module: nn.Module,
    example: Tensor,
    path: Path,
    given: str,
    made: Sequence[str],
    free: Mapping[int, Any],
) -> None:
    """ONNX file of a module with one input.

    Args:
        example: what it is traced with.
        given: name of the input.
        made: names of the outputs.
        free: axes of the input that are of any length, with their `torch.export.Dim`.
    """
    with _quiet_exporter():
        program = torch.onnx.export(
            module.eval(),
            (example,),
            dynamo=True,
            dynamic_shapes=(dict(free),),
            input_names=[given],
            output_names=list(made),
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    program.save(str(path), external_data=False)
    _strip(path)


def require_parity(worst: float) -> None:
    """Refuse a graph whose largest difference from PyTorch is above 1e-4, or no number.

    Raises:
        ModelPackageError: it is.
    """
    if not worst <= TOLERANCE:
        raise ModelPackageError(
            f"the exported graph differs from PyTorch by {worst:.2g}, allowed is {TOLERANCE:g}"
        )


def sources(rows: Sequence[Row]) -> list[TrainingSource]:
    """How many pictures of each class, source and licence, for the card."""
    counts = Counter((row.label, row.group, row.licence) for row in rows)
    return [
        TrainingSource(name=group, label=1 if label else 0, count=count, licence=licence)
        for (label, group, licence), count in sorted(counts.items())
    ]


def _strip(path: Path) -> None:
    """Take out what the exporter notes for debugging: stack traces with this computer's paths."""
    model = onnx.load(path)
    del model.metadata_props[:]
    graph = model.graph
    del graph.metadata_props[:]
    for part in (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    onnx.save(model, path)


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it warns of torchvision, which we do not use
    try:
        with warnings.catch_warnings():
            # The exporter's own use of a part of PyTorch that is going away.
            warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated")
            yield
    finally:
        logger.setLevel(level)
