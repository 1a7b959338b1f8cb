"""What there is to be exported as an extractor: GenSign's trained stage, or the imprint extractor of NIRNet.

GenSign's is trained by itself, in a stage of its own. NIRNet's is trained end to end with the detector and is
a part of its network.
"""

import copy
import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vestige.data.manifest import Row, read_manifest, sha256_of
from vestige.errors import ConfigError, DataError
from vestige.methods.gensign.extractor import receptive_field
from vestige.methods.gensign.files import load_extractor
from vestige.methods.gensign.training import ExtractorStage
from vestige.methods.nirnet.extractor import COLOURS, FOLD, ImprintExtractor, reach
from vestige.methods.nirnet.model import NirNet
from vestige.training.export import load_network
from vestige.training.held_back import HELD_BACK_FIGURES
from vestige.training.pictures import Pictures, middle_crops
from vestige.training.recipe import Recipe, read_recipe
from vestige.training.run import RECIPE, RUN, used_rows
from vestige.training.stages import MEASURED, STAGE, finished, recorded
from vestige.training.variants import Variant

EXTRACTOR, DAIR = "extractor", "dair"
NIRNET = "nirnet"
LABELS = {"real": (0,), "generated": (1,), "all": (0, 1)}
PACKAGES = {"package", "extractor_package"}  # sections of a recipe that no weights depend on
IMPRINT_LEVELS = 2.0  # grey levels, root mean square of imprints over pictures of the training
SCALED_ON = 32  # pictures


@dataclass(frozen=True)
class ExtractorSource:
    """A trained extractor, and what its card says of it.

    Attributes:
        network: frozen, in eval mode: float32 [B, 3, H, W] in [0, 1] -> the same shape.
        rows: pictures for the parity check.
        trained: pictures that it was trained on.
        crop: side in pixels of what it was shown in training.
        data: what it was trained on, in words.
        starting_weights: as the card lists them.
        target, input, reach: as in the card.
        figures: a line for each picture and draw that was measured on; none where nothing was.
        measured_on: which pictures these are, in words.
    """

    network: nn.Module
    rows: list[Row]
    trained: list[Row]
    crop: int
    data: str
    starting_weights: list[str]
    target: Literal["residual", "noise", "imprint"]
    input: Literal["reconstructed", "original"]
    reach: int
    figures: list[dict[str, str]]
    measured_on: str


class ScaledImprint(nn.Module):
    """An imprint extractor on the scale of `IMPRINT_LEVELS`: what it was trained to has no scale of its own.

    What it says of a flat picture is taken off: it works on cells of 2 x 2 pixels and may say something else
    of each of the four, a pattern in every picture that a reader would take for a trace of upsampling.

    Args:
        pictures: uint8 [N, 3, S, S], those that the scale is set by.
    """

    def __init__(self, extractor: ImprintExtractor, pictures: Tensor) -> None:
        super().__init__()
        self.extractor = without_pattern(extractor)
        with torch.inference_mode():
            squares = [self.extractor(one[None].float() / 255).square().mean() for one in pictures]
        strength = float(torch.stack(squares).double().mean().sqrt())
        if not strength > 0:
            raise ConfigError("the imprint extractor gives nothing but zeros, which no scale makes visible")
        self.factor = IMPRINT_LEVELS / 127.5 / strength

    def forward(self, images: Tensor) -> Tensor:
        """float32 [B, 3, H, W] in [0, 1] -> the same shape."""
        found: Tensor = self.extractor(images) * self.factor
        return found


def without_pattern(extractor: ImprintExtractor) -> ImprintExtractor:
    """A copy that finds nothing in a flat picture, up to its border."""
    found = copy.deepcopy(extractor).eval()
    side = 4 * reach(extractor.options)  # its middle is then the corner of a cell
    with torch.inference_mode():
        flat = found(torch.full((1, COLOURS, side, side), 0.5))
        # The middle cell, as the last convolution has it: the four places of each colour one after the other.
        cell = F.pixel_unshuffle(flat[..., side // 2 : side // 2 + FOLD, side // 2 : side // 2 + FOLD], FOLD)
    with torch.no_grad():
        assert found.last.bias is not None
        found.last.bias -= cell.flatten()
    return found


def extractor_source(run: Path, manifest: Path, recipe: Recipe, path: Path) -> ExtractorSource:
    """The trained extractor of a run.

    Args:
        recipe: it was trained by.
        path: of the recipe, for messages.

    Raises:
        ConfigError: the method has no extractor, it is not trained, or the recipe is another one.
        DataError: the manifest is another one, or a file of the run cannot be read.
    """
    if recipe.method == NIRNET:
        return _of_network(run, manifest, recipe, path)
    return _of_stage(run, manifest, recipe, path)


def text_of(path: Path) -> str:
    """The text of a file of a run.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); was the stage trained?") from error


def _of_stage(run: Path, manifest: Path, recipe: Recipe, path: Path) -> ExtractorSource:
    """GenSign's, from the folder of its stage."""
    _, config = recipe.stage(EXTRACTOR)
    if not isinstance(config, ExtractorStage):
        raise ConfigError(
            f"{path}: the extractor of {recipe.method} cannot be exported by itself, those of gensign and "
            "nirnet can"
        )
    finished(run, EXTRACTOR)
    folder = run / EXTRACTOR
    _require_same_stage(json.loads(text_of(folder / STAGE)), recipe, config, path, manifest, folder)
    rows = [row for row in read_manifest(manifest, recipe.data.split) if row.label in LABELS[config.pictures]]
    split = recipe.data.pictures(manifest.name)
    held_back = _figures(folder / HELD_BACK_FIGURES)
    names = {line["picture"] for line in held_back}
    trained = [row for row in rows if row.name not in names]
    if (folder / MEASURED).exists():  # of more sources than the few that are held back
        figures = _figures(folder / MEASURED)
        measured_on = "middles of pictures that it was measured on"
    else:
        figures, measured_on = held_back, f"middles of pictures held back from the {split}"
    return ExtractorSource(
        network=load_extractor(folder),
        rows=rows,
        trained=trained,
        crop=config.crop,
        data=f"random crops of {config.crop} pixels from {len(trained)} pictures of the {split}",
        starting_weights=_reconstructor(run, config),
        target=config.target,
        input="original" if config.target == "noise" else config.model.input,
        # With a stride of 2, both pixels of a pair see what the first one sees.
        reach=receptive_field(config.model) // 2 + config.model.stem_stride - 1,
        figures=figures,
        measured_on=f"{measured_on}, {_of_sources(figures, {row.group for row in trained})}",
    )


def _of_network(run: Path, manifest: Path, recipe: Recipe, path: Path) -> ExtractorSource:
    """NIRNet's, from the network of the finished run; no figures are kept of it alone."""
    if not (run / RECIPE).exists():
        raise DataError(f"{run}: not a run of vestige train, it has no {RECIPE}")
    if _deciding(recipe) != _deciding(read_recipe(run / RECIPE)):
        raise ConfigError(f"{path}: not the recipe that {run} was trained by; leave out --recipe")
    facts = json.loads(text_of(run / RUN))
    if facts["manifest_sha256"] != sha256_of(manifest):
        raise DataError(f"{manifest}: not the manifest that {run} was trained on")
    network = load_network(run, recipe)
    extractor = network.extractor if isinstance(network, NirNet) else None
    if extractor is None:
        raise ConfigError(
            f"{run}: its network was trained without an imprint extractor, there is none to export"
        )
    used = used_rows(recipe, manifest)
    kept = Variant.model_validate(facts.get("variant", {})).keeps(used, recipe.seed)
    rows = [row for row, keep in zip(used, kept, strict=True) if keep]
    return ExtractorSource(
        network=ScaledImprint(
            extractor.eval().requires_grad_(False), middle_crops(Pictures(rows), recipe.data.patch, SCALED_ON)
        ),
        rows=rows,
        trained=rows,
        crop=recipe.data.patch,
        data=(
            f"together with a detector, on views of {recipe.data.patch} pixels of {len(rows)} pictures of "
            f"the {recipe.data.pictures(manifest.name)}"
        ),
        starting_weights=[],
        target="imprint",
        input="original",
        reach=reach(extractor.options),
        figures=[],
        measured_on="",
    )


def _deciding(recipe: Recipe) -> dict[str, Any]:
    return recipe.model_dump(mode="json", exclude=PACKAGES)


def _require_same_stage(
    facts: dict[str, Any], recipe: Recipe, config: ExtractorStage, path: Path, manifest: Path, folder: Path
) -> None:
    expected = {
        "method": recipe.method,
        "config": recorded(config),
        "seed": recipe.seed,
        "split": recipe.data.split_record,
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
    facts = json.loads(text_of(path))
    perceptual = facts["config"]["perceptual"] or "no perceptual distance"
    return [
        f"the reconstructor (DAIR) of the same run, trained on {facts['manifest']} with squared error and "
        f"{perceptual}"
    ]


def _figures(path: Path) -> list[dict[str, str]]:
    """Lines of a stage's figures on pictures held back or others, one per picture and draw."""
    lines = list(csv.DictReader(text_of(path).splitlines()))
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
