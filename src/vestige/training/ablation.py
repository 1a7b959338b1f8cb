"""Fits and scores of an ablation: rows of one recipe with one thing changed each, all on the same pictures.

OUT/stages/                               stages that rows share (see `ablation_stages`)
OUT/shared/KEY/reconstructions/           training pictures after a reconstructor, for all rows that have it
OUT/shared/KEY/manipulations/             manipulated training pictures, for all rows that have them
OUT/cache/                                frozen features that rows share, if no other folder is named
OUT/rows/ROW/recipe.yaml                  the recipe of a row
OUT/rows/ROW/weights/                     starting weights and stages, as this row finds them
OUT/rows/ROW/seed-N/fit/                  what the solver leaves
OUT/rows/ROW/seed-N/network.safetensors   fitted on all training views, or on the row's share of them
OUT/rows/ROW/seed-N/fit.json              what it follows from, how long it took
"""

import hashlib
import json
import platform
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors.torch import load_model, save_model

import vestige
from vestige.data.manifest import Row, sha256_of
from vestige.errors import ConfigError
from vestige.methods.base import Network
from vestige.progress import Progress
from vestige.training.ablation_spec import Values, flattened, read_spec, recipe_of, row_recipes
from vestige.training.ablation_stages import KEY, stage_keys, train_stages
from vestige.training.features import fingerprint
from vestige.training.imprinting import imprinter_of
from vestige.training.manipulated import inpainters_facts
from vestige.training.recipe import Recipe
from vestige.training.reconstruct import reconstructors_facts
from vestige.training.run import NETWORK, RECIPE, make_examples, new_network, solve, used_rows
from vestige.training.scoring import Condition, PictureMaps, score_maps, score_pictures
from vestige.training.starting_weights import lay_out_weights
from vestige.training.variants import Variant

ROWS, CACHE, SHARED = "rows", "cache", "shared"
FIT = "fit.json"


@dataclass(frozen=True)
class FitFacts:
    """What is known of a fit; attributes as in `vestige.evaluation.ablation_record.FitRecord`."""

    basis: str
    network_sha256: str
    seconds: float
    images_per_second: float
    continued: bool
    real: int
    generated: int
    views: int


class Ablation:
    """A specification with the training pictures; every row is known to make a valid recipe.

    Args:
        spec: file of the specification.
        manifest: of the training pictures.
        split: of the manifest, in place of the recipe's.
        weights: folder with starting weights.
        out: of the ablation.
        cache: folder of frozen features, which other runs may share; None: in `out`.

    Attributes:
        recipes: row -> values of its recipe.

    Raises:
        ConfigError: the specification or a row's recipe is wrong; the message names the rows.
    """

    def __init__(
        self,
        spec: Path,
        manifest: Path,
        split: str | None,
        weights: Path | None,
        out: Path,
        cache: Path | None,
        progress: Progress,
    ) -> None:
        self.spec = read_spec(spec)
        self.recipes = row_recipes(spec, self.spec, split)
        self.manifest, self.weights, self.out = manifest, weights, out
        self.manifest_sha256 = sha256_of(manifest)
        self.cache = cache or out / CACHE
        self.progress = progress

    @property
    def title(self) -> str:
        """Of the page."""
        name: str = self.recipes[self.spec.baseline]["package"]["name"]
        return self.spec.title or f"Ablation of {name}"

    @property
    def split(self) -> str | list[str]:
        """Of the training manifest, as the baseline has it."""
        return recipe_of(self.recipes[self.spec.baseline], 0).data.split_record

    def changed(self, row: str) -> Values:
        """What a row sets, by dotted key; its share of the pictures, too."""
        part = self.fraction(row)
        return ({} if part is None else {"fraction": part}) | flattened(self.spec.rows[row].set)

    def fraction(self, row: str) -> float | None:
        """Share of the pictures of each class that a fit of this row sees; None: all."""
        return self.spec.rows[row].fraction

    def stages(self, row: str) -> dict[str, str]:
        """Key of each stage of a row."""
        return stage_keys(recipe_of(self.recipes[row], 0), self.manifest)

    def training_rows(self, row: str) -> list[Row]:
        """The pictures that fits of a row choose from: all of them without a fraction.

        Raises:
            DataError: the manifest cannot be read, or has no such split.
        """
        return used_rows(recipe_of(self.recipes[row], 0), self.manifest)

    def basis(self, row: str, seed: int) -> str:
        """Hash of all that a fit follows from, starting weights and versions apart."""
        facts = {
            "recipe": self.recipes[row],
            "seed": seed,
            "manifest": self.manifest_sha256,
            "stages": self.stages(row),
            "stages_as": self.spec.rows[row].stages_as,
        }
        if self.fraction(row) is not None:
            facts["fraction"] = self.fraction(row)
        return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()

    def prepare(self, row: str) -> Path:
        """Write a row's recipe, train its stages, and lay out its starting weights.

        Returns:
            The folder of starting weights.

        Raises:
            ConfigError, DataError: as `vestige.training.stages.train_stage`.
        """
        folder = self.out / ROWS / row
        folder.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(self.recipes[row], sort_keys=False, allow_unicode=True)
        (folder / RECIPE).write_text(text, encoding="utf-8")
        stages = train_stages(
            folder / RECIPE, self.manifest, self.weights, self.out, self.progress, self.cache
        )
        called = self.spec.rows[row].stages_as
        unknown = sorted(set(called) - set(stages))
        if unknown:
            raise ConfigError(
                f"row {row}: stages_as names {', '.join(unknown)}, which its method does not have"
            )
        return lay_out_weights(folder / "weights", self.weights, stages, called)

    def fit(self, row: str, seed: int, weights: Path) -> tuple[Network, FitFacts]:
        """A row's network, fitted on all views of its pictures unless its folder holds it already.

        Args:
            weights: from `prepare`.

        Raises:
            ConfigError: the folder holds a fit of another recipe or other pictures, or weights are missing.
            DataError: a picture cannot be read.
        """
        recipe = recipe_of(self.recipes[row], seed)
        folder = self.out / ROWS / row / f"seed-{seed}"
        basis = self.basis(row, seed)
        network = new_network(recipe, weights)
        claim = {"basis": basis, "starting_network_sha256": fingerprint(network)}
        imprinter = imprinter_of(recipe, weights)
        if imprinter is not None:
            claim["imprints"] = imprinter.key
        reconstructors = reconstructors_facts(recipe, weights)
        if reconstructors is not None:
            claim["reconstructors"] = reconstructors["key"]
        inpainters = inpainters_facts(recipe, weights)
        if inpainters is not None:
            claim["inpainters"] = json.dumps(inpainters, sort_keys=True)
        taught = [fingerprint(module) for _, module in network.teachers()]
        if taught:
            claim["teachers_sha256"] = " ".join(taught)
        _claim(folder, claim)
        if (folder / NETWORK).exists():
            load_model(network, str(folder / NETWORK))
            facts = FitFacts(**json.loads((folder / FIT).read_text(encoding="utf-8"))["facts"])
            return network.eval(), facts
        self.progress.say(f"row {row}, seed {seed}: fitting")
        rows = self.training_rows(row)
        shared = self.out / SHARED / self._reconstructor(row)
        examples = make_examples(recipe, rows, weights, network, shared, self.progress, self.cache)
        kept = Variant(fraction=self.fraction(row) or 1.0).keeps(rows, seed)
        chosen = examples.of_rows(kept)
        seen = [one for one, keep in zip(rows, kept, strict=True) if keep]
        views = int(chosen.sum())
        continued = (folder / "fit").exists()
        begun = time.perf_counter()
        solve(network, examples, chosen, recipe, folder / "fit", self.progress)
        seconds = time.perf_counter() - begun
        save_model(network, str(folder / (NETWORK + ".part")))
        facts = FitFacts(
            basis=basis,
            network_sha256=hashlib.sha256((folder / (NETWORK + ".part")).read_bytes()).hexdigest(),
            seconds=round(seconds, 1),
            images_per_second=round(_learned_from(recipe, views) / max(seconds, 1e-9), 1),
            continued=continued,
            real=sum(one.label == 0 for one in seen),
            generated=sum(one.label == 1 for one in seen),
            views=views,
        )
        _write(folder / FIT, claim | {"facts": asdict(facts)})
        (folder / (NETWORK + ".part")).replace(folder / NETWORK)
        shutil.rmtree(folder / "fit", ignore_errors=True)  # checkpoints are of no use any more
        return network.eval(), facts

    def _reconstructor(self, row: str) -> str:
        """Key of what a reconstruction of a training picture follows from."""
        recipe = recipe_of(self.recipes[row], 0)
        section = recipe.data.self_augmentation
        facts = {
            "seed": recipe.seed,
            "manifest": self.manifest_sha256,
            "dair": None if section is None else self.stages(row).get("dair"),
            "levels": None if section is None else section.levels,
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:KEY]

    def score(
        self, row: str, seed: int, network: Network, rows: Sequence[Row], condition: Condition | None = None
    ) -> list[float]:
        """Logit of each test picture: the mean over its native patches, as the field kit takes them.

        Args:
            condition: what every picture goes through first; it must take them all.

        Raises:
            DataError: a picture cannot be read.
        """
        recipe = recipe_of(self.recipes[row], seed)
        views, precision = self.spec.views, self.spec.precision
        return score_pictures(network, recipe, rows, views, self.cache, self.progress, condition, precision)

    def has_map(self, row: str) -> bool:
        """Whether networks of a row's method have a map."""
        return recipe_of(self.recipes[row], 0).parts()[0].map_output

    def score_maps(
        self, row: str, seed: int, network: Network, rows: Sequence[Row], condition: Condition | None = None
    ) -> Iterator[PictureMaps]:
        """As `score`, with the maps of the native patches, picture by picture in any order."""
        recipe = recipe_of(self.recipes[row], seed)
        views, precision = self.spec.views, self.spec.precision
        return score_maps(network, recipe, rows, views, self.cache, self.progress, condition, precision)

    def patch(self, row: str) -> int:
        """Side of a row's native patches in pixels."""
        return recipe_of(self.recipes[row], 0).data.patch


def versions() -> dict[str, str]:
    """Of what shapes a network."""
    return {
        "vestige": vestige.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def _learned_from(recipe: Recipe, views: int) -> int:
    """Views that the solver went through."""
    method, _ = recipe.parts()
    return recipe.fit.steps * recipe.fit.batch if method.solver in ("gradient", "distilled") else views


def _claim(folder: Path, claim: dict[str, str]) -> None:
    """Make the folder this fit's own, or make sure that it is."""
    path = folder / FIT
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _write(path, claim)
        return
    known = json.loads(path.read_text(encoding="utf-8"))
    if any(known.get(key) != value for key, value in claim.items()):
        raise ConfigError(
            f"{folder}: this fit was begun with another recipe, other pictures, stages or starting weights; "
            "remove it, or choose another folder for the ablation"
        )


def _write(path: Path, values: dict[str, Any]) -> None:
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)
