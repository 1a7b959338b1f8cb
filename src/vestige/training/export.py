"""`vestige export`: a finished run -> a model package, checked against PyTorch."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_model
from torch import Tensor, nn

import vestige
from vestige.data.manifest import Row, sha256_of
from vestige.errors import DataError
from vestige.images.file_facts import NAMES
from vestige.inference.card import FactsView, Localisation, ModelCard, Outputs, Tower, Training, Views
from vestige.inference.package import CARD, load_package
from vestige.inference.session import Scores, Session
from vestige.methods.base import Network
from vestige.methods.nirnet.stage import NAME as SIMULATOR
from vestige.training.band import measured_band, promised, within
from vestige.training.calibration import (
    abstention,
    deviation_limit,
    fit_platt,
    operating_points,
    read_held_out,
)
from vestige.training.export_tower import TowerSource, split_off
from vestige.training.held_out_maps import MAPS, read_maps
from vestige.training.localisation import localisation
from vestige.training.packaging import GRAPH, replacing, require_parity, sources, write_onnx
from vestige.training.recipe import Recipe, read_recipe
from vestige.training.reconstruct import chosen
from vestige.training.run import HELD_OUT, NETWORK, RECIPE, RUN, used_rows
from vestige.training.variants import Variant
from vestige.training.views import read_facts, read_pixels


def export(run: Path, manifest: Path, out: Path, tower: TowerSource | None = None) -> ModelCard:
    """Write the model package of a finished run; `out` is replaced if it is a package already.

    Args:
        manifest: the one the run was trained on; its training pictures serve for the parity check.
        tower: frozen weights that the package shall do without; None: it contains all.

    Raises:
        ConfigError: `tower` makes no card.
        DataError: the run is not finished, the manifest is another one, or the graph does not consist of
            the weights of `tower`.
        ModelPackageError: the exported graph disagrees with PyTorch, `out` is something else, or the file of
            `tower` cannot be read.
    """
    recipe = read_recipe(run / RECIPE)
    facts = json.loads(_text(run / RUN))
    variant = Variant.model_validate(facts.get("variant", {}))
    used = used_rows(recipe, manifest)
    kept = variant.keeps(used, recipe.seed)
    rows = [row for row, keep in zip(used, kept, strict=True) if keep]
    reconstructed = int(kept[chosen(recipe, used)].sum())
    if variant.name:
        version = f"{recipe.package.version}+{variant.name}"
        recipe = recipe.model_copy(update={"package": recipe.package.model_copy(update={"version": version})})
    if facts["manifest_sha256"] != sha256_of(manifest):
        raise DataError(f"{manifest}: not the manifest that {run} was trained on")
    network = load_network(run, recipe)
    with replacing(out) as partial:
        views = sample_views(recipe, rows)
        outputs = write_graph(network.exportable(), as_input(views[:2]), partial / GRAPH)
        taken = None if tower is None else split_off(partial / GRAPH, tower)
        card = _card(recipe, rows, reconstructed, run, facts, partial, outputs, taken)
        (partial / CARD).write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")
        check_parity(network, partial, views, None if tower is None else tower.path)
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
        return tuple(given for given in self.network(images) if given is not None)


def as_input(views: npt.NDArray[np.uint8 | np.float32]) -> Tensor:
    """What a network takes for some views: images float32 [N, 3, S, S] in [0, 1], or facts as they are."""
    if views.ndim == 2:
        return torch.from_numpy(views).float()
    return torch.from_numpy(views).permute(0, 3, 1, 2).float() / 255


def write_graph(network: Network, example: Tensor, path: Path) -> Outputs:
    """ONNX file with one input like `example`, images or facts; B is free.

    Returns:
        The names of its outputs: `logit`, and `map` and `deviation` where the network gives them.
    """
    with torch.inference_mode():
        output = network(example[:1])
    outputs = Outputs(
        map="map" if output.map is not None else None,
        deviation="deviation" if output.deviation is not None else None,
    )
    names = [name for name in (outputs.logit, outputs.map, outputs.deviation) if name is not None]
    batch = torch.export.Dim("batch", min=1, max=4096)
    given = "images" if example.ndim == 4 else "facts"
    write_onnx(_Graph(network), example, path, given, names, {0: batch})
    return outputs


def sample_views(
    recipe: Recipe, rows: list[Row], count: int = 16
) -> npt.NDArray[np.uint8] | npt.NDArray[np.float32]:
    """Views of some pictures, evenly over the manifest.

    Returns:
        Centre patches, uint8 [N, size, size, 3], or facts of the files, float32 [N, F].
    """
    method, _ = recipe.parts()
    some = rows[:: max(1, len(rows) // count)][:count]
    if method.looks_at == "facts":
        return np.stack([read_facts(row) for row in some])
    return np.stack([_centre(read_pixels(row.content(), row.name), recipe.data.patch) for row in some])


def _centre(pixels: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    pad = [(0, max(0, size - side)) for side in pixels.shape[:2]]
    pixels = np.pad(pixels, [*pad, (0, 0)], mode="symmetric")
    top, left = (pixels.shape[0] - size) // 2, (pixels.shape[1] - size) // 2
    return pixels[top : top + size, left : left + size]


def check_parity(
    network: Network,
    folder: Path,
    views: npt.NDArray[np.uint8] | npt.NDArray[np.float32],
    tower: Path | None = None,
) -> float:
    """Largest difference between PyTorch's logits and those of the package, alone and in a batch.

    Deviations and maps count, too, what is above 1 relative to PyTorch's: they have no scale of their own.

    Args:
        tower: file of the frozen weights that the package does without.

    Raises:
        ModelPackageError: it is above 1e-4.
    """
    with torch.inference_mode():
        expected = network(as_input(views))
    session = Session(load_package(folder, tower))
    together = session.run(views)
    alone = Scores.joined([session.run(view[None]) for view in views])
    apart = [np.abs(found.logit - expected.logit.numpy()).max() for found in (together, alone)]
    if expected.deviation is not None:
        deviation = expected.deviation.numpy()
        for found in (together, alone):
            assert found.deviation is not None
            apart.append((np.abs(found.deviation - deviation) / np.maximum(deviation, 1)).max())
    if expected.map is not None:
        map = expected.map[:, 0].numpy()
        for found in (together, alone):
            assert found.map is not None
            apart.append((np.abs(found.map - map) / np.maximum(np.abs(map), 1)).max())
    worst = float(np.max(apart))  # not Python's maximum, which may lose what is no number
    require_parity(worst)
    return worst


def _card(
    recipe: Recipe,
    rows: list[Row],
    reconstructed: int,
    run: Path,
    facts: dict[str, Any],
    folder: Path,
    outputs: Outputs,
    tower: Tower | None,
) -> ModelCard:
    method, config = recipe.parts()
    held_out = read_held_out(run / HELD_OUT)
    facts_alone = method.looks_at == "facts"
    seen = "its file as found" if facts_alone else f"mean of {recipe.data.views} recoded views"
    fitted = "each picture scored by a model fitted without its source or generator"
    # A simulator has a say by its imprints alone.
    earlier = recipe.data.imprinting is not None or any(stage.name != SIMULATOR for stage in method.stages)
    stages = "; its earlier stages had seen real pictures of these sources" if earlier else ""
    always = recipe.never_held_out()
    if always:
        stages += f"; none of {', '.join(always)}, which all of these models were fitted to"
    pictures = recipe.data.pictures(facts["manifest"])
    calibration = fit_platt(
        held_out,
        f"{pictures}, {fitted} "
        f"({recipe.calibration.used} of {recipe.calibration.folds} folds), {seen}, both classes weighing the "
        f"same{stages}",
    )
    points = operating_points(held_out, calibration)
    parts = _localisation(recipe, run, calibration.data) if outputs.map is not None else None
    limit, band = deviation_limit(held_out, recipe.package.deviation_quantile), recipe.calibration.band
    results = []
    if band is None:
        unsure = abstention(held_out, calibration, points, limit)
    else:
        calibration, unsure = promised(held_out, calibration, band, limit)
        results = measured_band(within(held_out, limit), band, pictures)
    data = pictures
    if recipe.data.reconstruction is not None:
        autoencoder = recipe.data.reconstruction.autoencoder
        data += f"; {reconstructed} of its real pictures also after {autoencoder}, counted as generated"
    if recipe.data.self_augmentation is not None:
        data += (
            f"; {reconstructed} of its pictures, real and generated, also after DAIR with a "
            f"probability of {recipe.data.self_augmentation.probability:g}, counted as generated"
        )
    if recipe.data.imprinting is not None:
        data += (
            f"; {reconstructed} of its real pictures also with imprints of simulated generators (fitted to "
            f"{', '.join(facts['simulator']['generators'])}), counted as generated"
        )
    if recipe.data.manipulation is not None:
        kinds = ", ".join(kind.kind for kind in recipe.data.manipulation.kinds)
        data += f"; some of its pictures, real and generated, also manipulated in part ({kinds})"
        if facts.get("inpainters"):
            data += f", by networks called {', '.join(facts['inpainters'])}"
    package = recipe.package
    return ModelCard(
        name=package.name,
        version=package.version,
        method=recipe.method,
        summary=package.summary,
        stages=[GRAPH],
        views=(
            FactsView(names=list(NAMES), minimum_side=package.minimum_side)
            if facts_alone
            else Views(size=recipe.data.patch, count=package.views, minimum_side=package.minimum_side)
        ),
        outputs=outputs,
        calibration=calibration,
        operating_points=points,
        localisation=parts,
        abstention=unsure,
        results=results,
        training=Training(
            recipe=_text(run / RECIPE),
            seed=recipe.seed,
            data=data,
            manifest_sha256=facts["manifest_sha256"],
            starting_weights=[
                *(method.starting_weights if method.weights_of is None else method.weights_of(config)),
                *(f"for imprints: {note}" for note in (facts.get("simulator") or {}).get("notes", ())),
            ],
            sources=sources(rows),
        ),
        failure_modes=package.failure_modes,
        licence=package.licence,
        minimum_vestige=vestige.__version__,
        files={path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())},
        tower=tower,
    )


def _localisation(recipe: Recipe, run: Path, data: str) -> Localisation | None:
    folds = [run / f"fold-{fold}" / MAPS for fold in range(recipe.calibration.used)]
    maps, section = read_maps(folds), recipe.package.part
    if maps is None or section is None:
        return None
    return localisation(maps, section, f"{data}; manipulated views of the same pictures, too")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); was the run finished?") from error
