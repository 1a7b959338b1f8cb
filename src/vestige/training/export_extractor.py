"""`vestige export --stage extractor`: the trained extractor of a run -> a package of its own."""

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.export import Dim

import vestige
from vestige.data.manifest import Row, read_manifest, sha256_of
from vestige.errors import ConfigError, DataError
from vestige.inference.card import ExtractorCard, HeldBack, Training
from vestige.inference.package import CARD, load_extractor_package
from vestige.inference.signature import INPUT, OUTPUT, ExtractorSession
from vestige.methods.gensign.extractor import Extractor, receptive_field
from vestige.methods.gensign.files import load_extractor
from vestige.methods.gensign.training import ExtractorStage
from vestige.training.held_back import HELD_BACK_FIGURES
from vestige.training.packaging import GRAPH, replacing, require_parity, sources, write_onnx
from vestige.training.pictures import Pictures, middle_crops
from vestige.training.recipe import CardSection, Recipe, read_recipe
from vestige.training.run import RECIPE
from vestige.training.stages import MEASURED, STAGE, finished

EXTRACTOR, DAIR = "extractor", "dair"
BATCHES = (4, 1)  # pictures at once, in the parity check
LABELS = {"real": (0,), "generated": (1,), "all": (0, 1)}
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
        manifest: the one the stage was trained on; its pictures serve for the parity check.
        recipe_path: the recipe it was trained by, for its section `extractor_package`; None: the run's own.

    Raises:
        ConfigError: the stage is not trained, or the recipe is another one or lacks what the card needs.
        DataError: the manifest is another one, or cannot be read.
        ModelPackageError: the exported graph disagrees with PyTorch, or `out` is something else.
    """
    finished(run, EXTRACTOR)
    folder = run / EXTRACTOR
    recipe, section, config = _recipe(recipe_path or run / RECIPE)
    _require_same(
        json.loads(_text(folder / STAGE)), recipe, config, recipe_path or run / RECIPE, manifest, folder
    )
    network = load_extractor(folder)
    rows = [row for row in read_manifest(manifest, recipe.data.split) if row.label in LABELS[config.pictures]]
    split = f"{recipe.data.split} split of {manifest.name}"
    held_back = _figures(folder / HELD_BACK_FIGURES)
    names = {line["picture"] for line in held_back}
    trained = [row for row in rows if row.name not in names]
    known = {row.group for row in trained}
    if (folder / MEASURED).exists():  # of more sources than the few that are held back
        figures = _figures(folder / MEASURED)
        measured_on = "middles of pictures that it was measured on"
    else:
        figures, measured_on = held_back, f"middles of pictures held back from the {split}"
    with replacing(out) as partial:
        views = _views(rows, config.crop)
        write_graph(network, views[0], partial / GRAPH)
        card = ExtractorCard(
            kind="extractor",
            name=section.name,
            version=section.version,
            method=recipe.method,
            summary=section.summary,
            stages=[GRAPH],
            training=Training(
                recipe=_text(recipe_path or run / RECIPE),
                seed=recipe.seed,
                data=f"random crops of {config.crop} pixels from {len(trained)} pictures of the {split}",
                manifest_sha256=sha256_of(manifest),
                starting_weights=_reconstructor(run, config),
                sources=sources(trained),
            ),
            target=config.target,
            input="original" if config.target == "noise" else config.model.input,
            # With a stride of 2, both pixels of a pair see what the first one sees.
            reach=receptive_field(config.model) // 2 + config.model.stem_stride - 1,
            results=_results(figures, f"{measured_on}, {_of_sources(figures, known)}"),
            failure_modes=section.failure_modes,
            licence=section.licence,
            minimum_vestige=vestige.__version__,
            files={GRAPH: hashlib.sha256((partial / GRAPH).read_bytes()).hexdigest()},
        )
        (partial / CARD).write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")
        check_parity(network, partial, views)
    return card


def write_graph(network: Extractor, example: npt.NDArray[np.uint8], path: Path) -> None:
    """ONNX file with the input `images` and the output `signature`, [B, 3, H, W]; B, H and W are free.

    Args:
        example: uint8 [B, H, W, 3], B from 2, sides that differ.
    """
    free = {0: Dim("batch", min=1, max=4096), 2: Dim("height", max=65536), 3: Dim("width", max=65536)}
    write_onnx(network, _images(example), path, INPUT, [OUTPUT], free)


def check_parity(network: Extractor, folder: Path, views: list[npt.NDArray[np.uint8]]) -> float:
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


def _recipe(path: Path) -> tuple[Recipe, CardSection, ExtractorStage]:
    if not path.exists():
        raise ConfigError(f"{path}: there is no such file; name the recipe of the run with --recipe")
    recipe = read_recipe(path)
    _, config = recipe.stage(EXTRACTOR)
    if not isinstance(config, ExtractorStage):
        raise ConfigError(
            f"{path}: the extractor of {recipe.method} cannot be exported by itself, gensign's can"
        )
    if recipe.extractor_package is None:
        raise ConfigError(
            f"{path}: the section extractor_package is missing; it says name, version, summary, licence and "
            "failure_modes of the package"
        )
    return recipe, recipe.extractor_package, config


def _require_same(
    facts: dict[str, Any], recipe: Recipe, config: ExtractorStage, path: Path, manifest: Path, folder: Path
) -> None:
    expected = {
        "method": recipe.method,
        "config": config.model_dump(mode="json"),
        "seed": recipe.seed,
        "split": recipe.data.split,
    }
    other = [key for key, value in expected.items() if facts.get(key) != value]
    if other:
        raise ConfigError(f"{path}: not the recipe that {folder} was trained by, another {', '.join(other)}")
    if facts.get("manifest_sha256") != sha256_of(manifest):
        raise DataError(f"{manifest}: not the manifest that {folder} was trained on")


def _reconstructor(run: Path, config: ExtractorStage) -> list[str]:
    """What the card says of the reconstructor whose residuals were learned."""
    if config.target == "noise":
        return []
    path = run / DAIR / STAGE
    if not path.exists():
        return ["a reconstructor (DAIR) from the folder of starting weights"]
    facts = json.loads(_text(path))
    perceptual = facts["config"]["perceptual"] or "no perceptual distance"
    return [
        f"the reconstructor (DAIR) of the same run, trained on {facts['manifest']} with squared error and "
        f"{perceptual}"
    ]


def _figures(path: Path) -> list[dict[str, str]]:
    """Lines of a stage's figures on pictures held back or others, one per picture and draw."""
    lines = list(csv.DictReader(_text(path).splitlines()))
    if not lines:
        raise DataError(
            f"{path}: holds no figures; remove it and run vestige train --stage {EXTRACTOR} again"
        )
    return lines


def _of_sources(lines: list[dict[str, str]], known: set[str]) -> str:
    """How many sources figures are of, and how many of these the extractor was trained on."""
    found = {line["group"] for line in lines}
    seen = len(found & known)
    trained = f"{seen} of them trained on" if seen else "not trained on"
    return f"{len(found)} source{'s' if len(found) > 1 else ''}, {trained}"


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


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); was the stage trained?") from error
