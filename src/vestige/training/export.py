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
from vestige.errors import DataError, ModelPackageError
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
from vestige.training.quantise import quantise
from vestige.training.recipe import Recipe, read_recipe
from vestige.training.reconstruct import chosen
from vestige.training.run import HELD_OUT, NETWORK, RECIPE, RUN, used_rows
from vestige.training.variants import Variant
from vestige.training.views import read_facts, read_pixels

BATCH_TOLERANCE = 1e-3  # of quantised graphs: a value that is rounded the other way moves a logit a little


def export(run: Path, manifest: Path, out: Path, tower: TowerSource | None = None) -> ModelCard:
    """Write the model package of a finished run; `out` is replaced if it is a package already.

    Args:
        manifest: the one the run was trained on; its training pictures serve for the parity check.
        tower: frozen weights that the package shall do without; None: it contains all.

    Raises:
        ConfigError: `tower` makes no card, or the recipe wants a graph quantised that has nothing for it.
        DataError: the run is not finished, the manifest is another one, or the graph does not consist of
            the weights of `tower`.
        ModelPackageError: the exported graph disagrees with PyTorch, or quantised too much with itself;
            `out` is something else, or the file of `tower` cannot be read.
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
        _write_card(card, partial)
        outside = None if tower is None else tower.path
        check_parity(network, partial, views, outside)
        if recipe.package.quantisation is not None:
            seen = centre_patches(recipe, rows, recipe.package.quantisation.pictures)
            told = quantise(partial / GRAPH, recipe.package.quantisation, seen, outside, outputs.logit)
            card = card.model_copy(update={"quantisation": told, "files": _hashes(partial)})
            _write_card(card, partial)
            check_batches(partial, views, outside)
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
    if method.looks_at == "facts":
        return np.stack([read_facts(row) for row in _evenly(rows, count)])
    return centre_patches(recipe, rows, count)


def centre_patches(recipe: Recipe, rows: list[Row], count: int) -> npt.NDArray[np.uint8]:
    """Centre patches of some pictures, evenly over the manifest, uint8 [N, size, size, 3]."""
    side = recipe.data.patch
    return np.stack([_centre(read_pixels(row.content(), row.name), side) for row in _evenly(rows, count)])


def _evenly(rows: list[Row], count: int) -> list[Row]:
    count = min(count, len(rows))
    return [rows[number * len(rows) // count] for number in range(count)]


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
    wanted = Scores(
        expected.logit.numpy(),
        None if expected.map is None else expected.map[:, 0].numpy(),
        None if expected.deviation is None else expected.deviation.numpy(),
    )
    # Not Python's maximum, which may lose what is no number.
    worst = float(np.max([_apart(wanted, found) for found in _alone_and_together(folder, views, tower)]))
    require_parity(worst)
    return worst


def check_batches(
    folder: Path,
    views: npt.NDArray[np.uint8] | npt.NDArray[np.float32],
    tower: Path | None = None,
) -> float:
    """Largest difference between what a package says of views alone and in a batch, as in `check_parity`.

    Raises:
        ModelPackageError: it is above 1e-3.
    """
    worst = _apart(*_alone_and_together(folder, views, tower))
    if not worst <= BATCH_TOLERANCE:
        raise ModelPackageError(
            f"the quantised graph's scores of a view alone and in a batch differ by {worst:.2g}, allowed is "
            f"{BATCH_TOLERANCE:g}"
        )
    return worst


def _alone_and_together(
    folder: Path, views: npt.NDArray[np.uint8] | npt.NDArray[np.float32], tower: Path | None
) -> tuple[Scores, Scores]:
    session = Session(load_package(folder, tower))
    return Scores.joined([session.run(view[None]) for view in views]), session.run(views)


def _apart(expected: Scores, found: Scores) -> float:
    apart = [np.abs(found.logit - expected.logit).max()]
    for given, wanted in ((found.deviation, expected.deviation), (found.map, expected.map)):
        if wanted is not None:
            assert given is not None
            apart.append((np.abs(given - wanted) / np.maximum(np.abs(wanted), 1)).max())
    return float(np.max(apart))


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
        after, listed = recipe.data.reconstruction.autoencoder, facts.get("reconstructors")
        if listed:
            after = "the network " if len(listed["names"]) == 1 else "one of the networks "
            after += ", ".join(listed["names"])
        data += f"; {reconstructed} of its real pictures also after {after}, counted as generated"
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
                *(
                    f"for reconstructions: {note}"
                    for note in (facts.get("reconstructors") or {}).get("notes", ())
                ),
                *(f"for imprints: {note}" for note in (facts.get("simulator") or {}).get("notes", ())),
            ],
            sources=sources(rows),
        ),
        failure_modes=package.failure_modes,
        licence=package.licence,
        minimum_vestige=vestige.__version__,
        files=_hashes(folder),
        tower=tower,
    )


def _hashes(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.iterdir()) if path.name != CARD]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _write_card(card: ModelCard, folder: Path) -> None:
    (folder / CARD).write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")


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
