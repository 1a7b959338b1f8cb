"""`vestige export`: a finished run -> a model package, checked against PyTorch."""

import hashlib
import json
import logging
import shutil
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from safetensors.torch import load_model
from torch import Tensor, nn

import vestige
from vestige.data.manifest import Row, read_manifest, sha256_of
from vestige.errors import DataError, ModelPackageError
from vestige.inference.card import ModelCard, Outputs, Training, TrainingSource, Views
from vestige.inference.package import CARD, load_package
from vestige.inference.session import Session
from vestige.methods.base import Network
from vestige.training.calibration import abstention, fit_platt, operating_points, read_held_out
from vestige.training.recipe import Recipe, read_recipe
from vestige.training.reconstruct import chosen
from vestige.training.run import HELD_OUT, NETWORK, RECIPE, RUN
from vestige.training.views import read_pixels

GRAPH = "model.onnx"
TOLERANCE = 1e-4
OPSET = 18


def export(run: Path, manifest: Path, out: Path) -> ModelCard:
    """Write the model package of a finished run; `out` is replaced if it is a package already.

    Args:
        manifest: the one the run was trained on; its training pictures serve for the parity check.

    Raises:
        DataError: the run is not finished, or the manifest is another one.
        ModelPackageError: the exported graph disagrees with PyTorch, or `out` is something else.
    """
    recipe = read_recipe(run / RECIPE)
    facts = json.loads(_text(run / RUN))
    rows = read_manifest(manifest, recipe.data.split)
    if facts["manifest_sha256"] != sha256_of(manifest):
        raise DataError(f"{manifest}: not the manifest that {run} was trained on")
    network = load_network(run, recipe)
    if out.exists() and not (out / CARD).exists() and (not out.is_dir() or any(out.iterdir())):
        raise ModelPackageError(f"{out}: not empty and not a model package; it is left alone")
    partial = out.with_name(out.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    write_graph(network, recipe.data.patch, partial / GRAPH)
    card = _card(recipe, rows, run, facts, partial)
    (partial / CARD).write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")
    check_parity(network, partial, sample_patches(rows, recipe.data.patch))
    shutil.rmtree(out, ignore_errors=True)
    partial.rename(out)
    return card


def load_network(run: Path, recipe: Recipe) -> Network:
    """The trained network of a run, in eval mode.

    Raises:
        DataError: the run is not finished.
    """
    method, config = recipe.parts()
    network = method.build(config, None)
    if not (run / NETWORK).exists():
        raise DataError(
            f"{run}: the run is not finished, {NETWORK} is missing; continue it with vestige train"
        )
    load_model(network, str(run / NETWORK))
    return network.eval()


class _Graph(nn.Module):
    """A network whose output is a plain tuple without None."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        output = self.network(images)
        return (output.logit,) if output.map is None else (output.logit, output.map)


def write_graph(network: Network, size: int, path: Path) -> None:
    """ONNX file with input `images` float32 [B, 3, size, size] in [0, 1] and output `logit` [B], B free."""
    with torch.inference_mode():
        has_map = network(torch.zeros(1, 3, size, size)).map is not None
    names = ["logit", "map"] if has_map else ["logit"]
    batch = torch.export.Dim("batch", min=1, max=4096)
    with _quiet_exporter():
        program = torch.onnx.export(
            _Graph(network).eval(),
            (torch.rand(2, 3, size, size),),
            dynamo=True,
            dynamic_shapes=({0: batch},),
            input_names=["images"],
            output_names=names,
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    program.save(str(path), external_data=False)
    _strip(path)


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


def sample_patches(rows: list[Row], size: int, count: int = 16) -> npt.NDArray[np.uint8]:
    """Centre patches of some pictures, evenly over the manifest: uint8 [N, size, size, 3]."""
    patches = []
    for row in rows[:: max(1, len(rows) // count)][:count]:
        pixels = read_pixels(row.path)
        pad = [(0, max(0, size - side)) for side in pixels.shape[:2]]
        pixels = np.pad(pixels, [*pad, (0, 0)], mode="symmetric")
        top, left = (pixels.shape[0] - size) // 2, (pixels.shape[1] - size) // 2
        patches.append(pixels[top : top + size, left : left + size])
    return np.stack(patches)


def check_parity(network: Network, folder: Path, patches: npt.NDArray[np.uint8]) -> float:
    """Largest difference between PyTorch's logits and those of the package, alone and in a batch.

    Raises:
        ModelPackageError: it is above 1e-4.
    """
    with torch.inference_mode():
        expected = network(torch.from_numpy(patches).permute(0, 3, 1, 2).float() / 255).logit.numpy()
    session = Session(load_package(folder))
    together = session.run(patches).logit
    alone = np.concatenate([session.run(patch[None]).logit for patch in patches])
    worst = float(max(np.abs(together - expected).max(), np.abs(alone - expected).max()))
    if not worst <= TOLERANCE:
        raise ModelPackageError(
            f"the exported graph differs from PyTorch by {worst:.2g}, allowed is {TOLERANCE:g}"
        )
    return worst


def _card(recipe: Recipe, rows: list[Row], run: Path, facts: dict[str, str], folder: Path) -> ModelCard:
    held_out = read_held_out(run / HELD_OUT)
    calibration = fit_platt(
        held_out,
        f"{recipe.data.split} split of {facts['manifest']}, each picture scored by a model fitted without "
        f"its source or generator ({recipe.calibration.used} of {recipe.calibration.folds} folds), mean of "
        f"{recipe.data.views} recoded views, both classes weighing the same",
    )
    points = operating_points(held_out, calibration)
    data = f"{recipe.data.split} split of {facts['manifest']}"
    if recipe.data.reconstruction is not None:
        count, autoencoder = len(chosen(recipe, rows)), recipe.data.reconstruction.autoencoder
        data += f"; {count} of its real pictures also after {autoencoder}, counted as generated"
    method, _ = recipe.parts()
    counts = Counter((row.label, row.group, row.licence) for row in rows)
    package = recipe.package
    return ModelCard(
        name=package.name,
        version=package.version,
        method=recipe.method,
        summary=package.summary,
        stages=[GRAPH],
        views=Views(size=recipe.data.patch, count=package.views, minimum_side=package.minimum_side),
        outputs=Outputs(map="map" if method.map_output else None),
        calibration=calibration,
        operating_points=points,
        abstention=abstention(held_out, calibration, points),
        training=Training(
            recipe=_text(run / RECIPE),
            seed=recipe.seed,
            data=data,
            manifest_sha256=facts["manifest_sha256"],
            starting_weights=list(method.starting_weights),
            sources=[
                TrainingSource(name=group, label=1 if label else 0, count=count, licence=licence)
                for (label, group, licence), count in sorted(counts.items())
            ],
        ),
        failure_modes=package.failure_modes,
        licence=package.licence,
        minimum_vestige=vestige.__version__,
        files={GRAPH: hashlib.sha256((folder / GRAPH).read_bytes()).hexdigest()},
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); was the run finished?") from error
