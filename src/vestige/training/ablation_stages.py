"""Stages of an ablation's rows: trained once for each configuration, and laid where each row finds its own.

OUT/stages/STAGE-KEY/STAGE/   the stage as `vestige train --stage` leaves it
OUT/stages/STAGE-KEY/EARLIER  links to the stages before it
OUT/rows/ROW/weights/         the starting weights and the row's own stages, as links
"""

import hashlib
import json
from pathlib import Path

from vestige.data.manifest import sha256_of
from vestige.methods import registry
from vestige.methods.stage import FittedConfig
from vestige.progress import Progress
from vestige.training.recipe import Recipe, read_recipe
from vestige.training.stages import NETWORK, finished, holds, new_task, record_of, train_stage
from vestige.training.starting_weights import link

STAGES = "stages"
KEY = 12  # characters


def stage_keys(recipe: Recipe, manifest: Path) -> dict[str, str]:
    """Name of each stage that a recipe asks for -> key of all that it follows from, starting weights apart.

    A stage follows from its own section, the seed, the pictures, and all stages before it.
    """
    keys: dict[str, str] = {}
    for stage in registry.get(recipe.method).stages:
        _, config = recipe.stage(stage.name)
        if not stage.wanted(config):
            continue
        facts = {
            "method": recipe.method,
            "stage": stage.name,
            "config": config.model_dump(mode="json"),
            "seed": recipe.seed,
            "split": recipe.data.split_record,
            "manifest": sha256_of(manifest),
            "before": keys,
        }
        keys[stage.name] = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:KEY]
    return keys


def train_stages(
    recipe_path: Path,
    manifest: Path,
    weights: Path | None,
    out: Path,
    progress: Progress,
    cache: Path | None = None,
) -> dict[str, Path]:
    """Train the stages that a recipe asks for and that are not trained yet, each in a folder of its key.

    A stage that lies finished among the starting weights, trained just as the recipe says, is taken from
    there.

    Args:
        cache: folder of frozen features, for the stages that keep some; None: their own.

    Returns:
        Name of the stage -> its folder.

    Raises:
        ConfigError, DataError: as `vestige.training.stages.train_stage`.
    """
    recipe = read_recipe(recipe_path)
    found: dict[str, Path] = {}
    for name, key in stage_keys(recipe, manifest).items():
        run = out / STAGES / f"{name}-{key}"
        run.mkdir(parents=True, exist_ok=True)
        for earlier, folder in found.items():
            link(run / earlier, folder)
        if not _taken(recipe, name, manifest, weights, run, progress):
            _, config = recipe.stage(name)
            kept = cache if isinstance(config, FittedConfig) else None
            train_stage(recipe_path, name, manifest, weights, run, progress, cache=kept)
        found[name] = finished(run, name).parent
    return found


def _taken(
    recipe: Recipe, name: str, manifest: Path, weights: Path | None, run: Path, progress: Progress
) -> bool:
    """Link a stage of the starting weights into `run` if it is the one wanted; nothing is written there."""
    place = run / name
    if place.is_symlink():
        place.unlink()  # the starting weights may be others now
    if weights is None or place.exists() or not (weights / name / NETWORK).exists():
        return False
    wanted = record_of(recipe, name, manifest, new_task(recipe, name, run, weights))
    same = holds(weights / name, wanted)
    if same:
        link(place, weights / name)
    found = "is what the recipe asks for" if same else "was trained otherwise, another one is trained"
    progress.say(f"stage {name}: the one in {weights} {found}")
    return same
