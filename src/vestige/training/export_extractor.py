"""`vestige export --stage extractor`: the trained extractor of a run -> a package of its own."""

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.export import Dim

import vestige
from vestige.data.manifest import Row, sha256_of
from vestige.errors import ConfigError
from vestige.inference.card import ExtractorCard, HeldBack, Training
from vestige.inference.package import CARD, load_extractor_package
from vestige.inference.signature import INPUT, OUTPUT, ExtractorSession
from vestige.training.extractor_sources import extractor_source, text_of
from vestige.training.package_recipe import CardSection
from vestige.training.packaging import GRAPH, replacing, require_parity, sources, write_onnx
from vestige.training.pictures import Pictures, middle_crops
from vestige.training.recipe import Recipe, read_recipe
from vestige.training.run import RECIPE

BATCHES = (4, 1)  # pictures at once, in the parity check
METRIC_WORDS = {
    "error": "squared error of the prediction, pictures in [-1, 1]",
    "gain": "dB by which the squared error is below that of predicting nothing",
    "zero": "squared error of predicting nothing, pictures in [-1, 1]",
    "denoiser_error": "the same error, of a denoiser of the same sizes",
    "denoiser_gain": "the same gain in dB, of a denoiser of the same sizes",
    "denoiser_best_error": "the same error, of a denoiser with the best factor for each picture",
    "denoiser_best_gain": "the same gain in dB, of a denoiser with the best factor for each picture",
}


def export_extractor(run: Path, manifest: Path, out: Path, recipe_path: Path | None = None) -> ExtractorCard:
    """Write the package of a run's trained extractor; `out` is replaced if it is a package already.

    Args:
        run: with a trained stage extractor (GenSign), or finished, its network having an imprint extractor
            (NIRNet).
        manifest: the one it was trained on; its pictures serve for the parity check.
        recipe_path: the recipe it was trained by, for its section `extractor_package`; None: the run's own.

    Raises:
        ConfigError: nothing was trained, or the recipe is another one or lacks what the card needs.
        DataError: the manifest is another one, or cannot be read.
        ModelPackageError: the exported graph disagrees with PyTorch, or `out` is something else.
    """
    path = recipe_path or run / RECIPE
    recipe, section = _recipe(path)
    source = extractor_source(run, manifest, recipe, path)
    with replacing(out) as partial:
        views = _views(source.rows, source.crop)
        write_graph(source.network, views[0], partial / GRAPH)
        card = ExtractorCard(
            kind="extractor",
            name=section.name,
            version=section.version,
            method=recipe.method,
            summary=section.summary,
            stages=[GRAPH],
            training=Training(
                recipe=text_of(path),
                seed=recipe.seed,
                data=source.data,
                manifest_sha256=sha256_of(manifest),
                starting_weights=source.starting_weights,
                sources=sources(source.trained),
            ),
            target=source.target,
            input=source.input,
            reach=source.reach,
            results=_results(source.figures, source.measured_on) if source.figures else [],
            failure_modes=section.failure_modes,
            licence=section.licence,
            minimum_vestige=vestige.__version__,
            files={GRAPH: hashlib.sha256((partial / GRAPH).read_bytes()).hexdigest()},
        )
        (partial / CARD).write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")
        check_parity(source.network, partial, views)
    return card


def write_graph(network: nn.Module, example: npt.NDArray[np.uint8], path: Path) -> None:
    """ONNX file with the input `images` and the output `signature`, [B, 3, H, W]; B, H and W are free.

    Args:
        example: uint8 [B, H, W, 3], B from 2, sides that differ.
    """
    free = {0: Dim("batch", min=1, max=4096), 2: Dim("height", max=65536), 3: Dim("width", max=65536)}
    write_onnx(network, _images(example), path, INPUT, [OUTPUT], free)


def check_parity(network: nn.Module, folder: Path, views: list[npt.NDArray[np.uint8]]) -> float:
    """Largest difference between PyTorch's residuals and those of the package, alone and in a batch.

    Args:
        views: some batches of pictures, each uint8 [N, H, W, 3].

    Raises:
        ModelPackageError: it is above 1e-4.
    """
    session = ExtractorSession(load_extractor_package(folder))
    worst = 0.0
    for batch in views:
        with torch.inference_mode():
            expected = network(_images(batch)).permute(0, 2, 3, 1).numpy()
        for size in BATCHES:
            parts = [session.run(batch[start : start + size]) for start in range(0, len(batch), size)]
            # max() would let a value pass that is no number.
            worst = float(np.maximum(worst, np.abs(np.concatenate(parts) - expected).max()))
    require_parity(worst)
    return worst


def _images(pixels: npt.NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


def _views(rows: list[Row], crop: int) -> list[npt.NDArray[np.uint8]]:
    """Middles of some pictures at two sizes, the second with odd sides that differ."""
    pictures = Pictures(rows)
    large = middle_crops(pictures, 2 * crop, 2 * BATCHES[0]).permute(0, 2, 3, 1).numpy()
    return [large[:, : crop + 9, : crop - 7], large]


def _recipe(path: Path) -> tuple[Recipe, CardSection]:
    if not path.exists():
        raise ConfigError(f"{path}: there is no such file; name the recipe of the run with --recipe")
    recipe = read_recipe(path)
    if recipe.extractor_package is None:
        raise ConfigError(
            f"{path}: the section extractor_package is missing; it says name, version, summary, licence and "
            "failure_modes of the package"
        )
    return recipe, recipe.extractor_package


def _results(lines: list[dict[str, str]], data: str) -> list[HeldBack]:
    """Each figure's mean over the pictures, and what nine tenths of them lie between."""
    found = []
    for name in list(lines[0])[3:]:  # after picture, group and draw
        draws: dict[str, list[float]] = {}
        for line in lines:
            draws.setdefault(line["picture"], []).append(float(line[name]))
        values = [sum(draw) / len(draw) for draw in draws.values()]
        low, high = np.quantile(values, (0.05, 0.95))
        found.append(
            HeldBack(
                data=data,
                metric=METRIC_WORDS.get(name, name),
                value=float(np.mean(values)),
                low=float(low),
                high=float(high),
                pictures=len(values),
                sources=len({line["group"] for line in lines}),
            )
        )
    return found
