"""`vestige train`: the stages of a recipe, each resumable, in one folder per run.

recipe.yaml           the recipe as given
run.json              manifest, hashes, versions
STAGE/                stages before the detector, if the method has some (`vestige.training.stages`)
weights/              links to the starting weights and the stages
reconstructions/      real pictures after the autoencoder, or in a folder for each listed reconstructor
manipulations/        manipulated pictures with their masks
cache/                frozen features of all views, unless they are in a folder that several runs share
fold-N/held-out.csv   logits (and deviations) of the pictures of a fold, by a model fitted without it
fold-N/held-out-maps.npz  logits by place of the same views and of manipulated ones, for networks with a map
fold-N/last.ckpt      checkpoint of the gradient solver; all/last.ckpt for the final fit
held-out.csv          the folds together
network.safetensors   fitted on everything
"""

import csv
import hashlib
import json
import platform
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_model

import vestige
from vestige.data.manifest import Row, read_manifest, sha256_of
from vestige.errors import ConfigError, DataError
from vestige.methods import registry
from vestige.methods.base import Network
from vestige.progress import Progress
from vestige.training import alternating, discriminant, distilled, fixed, logistic, sources
from vestige.training.cache import build_cache, facts_of
from vestige.training.examples import Examples, RowScore, label_views, score_rows, with_truth
from vestige.training.features import fingerprint
from vestige.training.held_out_maps import MAPS, score_maps, write_maps
from vestige.training.imprinting import imprinter_of, simulator_facts
from vestige.training.manipulated import inpainters_facts, manipulate
from vestige.training.recipe import Recipe, read_recipe
from vestige.training.reconstruct import (
    chosen,
    makers_of,
    reconstruct,
    reconstructor_sha256,
    reconstructors_facts,
)
from vestige.training.stages import STAGE
from vestige.training.starting_weights import lay_out_weights
from vestige.training.truth import truth_of
from vestige.training.variants import WHOLE, Variant
from vestige.training.views import Made, View, capped, deal_groups, plan

RECIPE = "recipe.yaml"
RUN = "run.json"
HELD_OUT = "held-out.csv"
NETWORK = "network.safetensors"
WEIGHTS = "weights"

Fit = Callable[[Network, Examples, npt.NDArray[np.bool_], Recipe, Path, Progress], None]
SOLVERS: dict[str, Fit] = {
    "logistic": logistic.fit,
    "sources": sources.fit,
    "alternating": alternating.fit,
    "discriminant": discriminant.fit,
    "distilled": distilled.fit,
    "none": fixed.fit,
}


def train(
    recipe_path: Path,
    manifest: Path,
    weights: Path | None,
    folder: Path,
    progress: Progress | None = None,
    cache: Path | None = None,
) -> None:
    """Carry out a recipe. Called again after an interruption it goes on where it stopped.

    Args:
        manifest: CSV of pictures (see `vestige.data.manifest`).
        weights: folder with starting weights; None if the recipe needs none, or finds all of them at the hub.
        folder: of the run.
        cache: folder of frozen features that several runs share; None: the run's own.

    Raises:
        ConfigError: the recipe is wrong, weights are missing, or the folder belongs to something else.
        DataError: the manifest or one of its pictures cannot be read, or it has too few groups.
    """
    # Before it is known whose folder this is: nothing but links is ever removed.
    recipe = read_recipe(recipe_path)
    weights = with_own_stages(recipe, weights, folder)
    if weights is None and recipe.from_hub():
        weights = folder / WEIGHTS  # there is nothing in it, so the hub is asked
    shop = open_shop(recipe_path, manifest, weights, folder, progress or Progress(), cache)
    fit_run(shop, WHOLE, folder)
    shop.progress.say(f"trained; now: vestige export {folder} --data {manifest} --out PACKAGE")


def with_own_stages(recipe: Recipe, weights: Path | None, run: Path) -> Path | None:
    """The starting weights of a run whose stages lie in its own folder.

    Returns:
        `weights` if the run has no trained stages; else `run/weights`, where links lead to both.

    Raises:
        ConfigError: a stage was begun and not finished, or `run/weights` holds files of its own or `weights`.
    """
    names = [stage.name for stage in registry.get(recipe.method).stages]
    trained = {name: run / name for name in names if (run / name / NETWORK).exists()}
    for name in names:
        if name not in trained and (run / name / STAGE).exists():
            raise ConfigError(
                f"{run / name}: was begun and not finished; continue it with vestige train RECIPE "
                f"--stage {name}"
            )
    return lay_out_weights(run / WEIGHTS, weights, trained, {}) if trained else weights


@dataclass
class Shop:
    """A recipe with its pictures and their frozen features: what all fits of it share."""

    recipe_path: Path
    recipe: Recipe
    manifest: Path
    rows: list[Row]
    weights: Path | None
    examples: Examples
    progress: Progress


def open_shop(
    recipe_path: Path,
    manifest: Path,
    weights: Path | None,
    folder: Path,
    progress: Progress,
    cache: Path | None = None,
) -> Shop:
    """Read a recipe and compute the frozen features of all its views, kept in `cache`, else in `folder`.

    Raises:
        ConfigError, DataError: as `train`.
    """
    recipe = read_recipe(recipe_path)
    rows = used_rows(recipe, manifest)
    _require_groups(recipe, rows, manifest)
    network = new_network(recipe, weights)
    _claim(folder, recipe_path, recipe, manifest, weights, network, WHOLE)
    examples = make_examples(recipe, rows, weights, network, folder, progress, cache)
    return Shop(recipe_path, recipe, manifest, rows, weights, examples, progress)


def fit_run(shop: Shop, variant: Variant, folder: Path) -> None:
    """Fit a variant of a recipe, its held-out folds first; what is done in `folder` already is kept.

    Raises:
        ConfigError: the folder belongs to something else.
        DataError: the variant leaves too few groups.
    """
    recipe, examples, progress = shop.recipe, shop.examples, shop.progress
    network = new_network(recipe, shop.weights)
    _claim(folder, shop.recipe_path, recipe, shop.manifest, shop.weights, network, variant)
    kept = variant.keeps(shop.rows, recipe.seed)
    _require_groups(recipe, [row for row, keep in zip(shop.rows, kept, strict=True) if keep], shop.manifest)
    chosen = examples.of_rows(kept)
    fit = _solver(recipe)
    if not (folder / HELD_OUT).exists():
        _hold_out(shop, kept, folder, fit)
    if not (folder / NETWORK).exists():
        progress.say("fitting on all groups")
        fit(network, examples, chosen, recipe, folder / "all", progress)
        partial = folder / (NETWORK + ".part")
        save_model(network, str(partial))
        partial.replace(folder / NETWORK)


def make_examples(
    recipe: Recipe,
    rows: list[Row],
    weights: Path | None,
    network: Network,
    folder: Path,
    progress: Progress,
    cache: Path | None = None,
) -> Examples:
    """All views of a recipe with their frozen features, from disk as far as they are there.

    Args:
        network: put into eval mode.
        folder: of the run, for its manipulated pictures, and its reconstructions if there is no `cache`.
        cache: folder of frozen features and reconstructions that several runs share; None: the run's own.

    Raises:
        ConfigError: weights are missing.
        DataError: a picture cannot be read.
    """
    method, _ = recipe.parts()
    if method.looks_at == "facts":
        views = [View(row, 0, False) for row in range(len(rows))]
        return label_views(recipe, rows, views, facts_of(rows, progress))
    imprinter, made, makers = imprinter_of(recipe, weights), dict[int, Made](), dict[int, str]()
    if imprinter is not None:
        made |= dict.fromkeys(chosen(recipe, rows), imprinter)
    else:
        shared = cache / "reconstructions" if cache is not None else None
        files = reconstruct(recipe, rows, weights, folder / "reconstructions", progress, shared)
        made |= files
        if recipe.data.reconstruction is not None and recipe.data.reconstruction.by:
            makers = makers_of(files)
    labelled = manipulate(recipe, rows, weights, folder / "manipulations", progress)
    views = plan(recipe.data, len(rows), sorted(made), labelled)
    buckets = build_cache(recipe, rows, views, made, network, cache or folder / "cache", progress, labelled)
    if not (labelled or network.learns_where):
        return label_views(recipe, rows, views, buckets, makers=makers)
    truth = truth_of(buckets, views, rows, recipe.data, recipe.seed, labelled, progress)
    examples = label_views(recipe, rows, views, buckets, labelled, truth, makers)
    return with_truth(examples) if network.learns_where else examples


def used_rows(recipe: Recipe, manifest: Path) -> list[Row]:
    """The rows of a manifest that a recipe trains on.

    Raises:
        DataError: the manifest cannot be read, or has no rows of a split.
    """
    return capped(read_manifest(manifest, recipe.data.split), recipe.data.per_group, recipe.seed)


def new_network(recipe: Recipe, weights: Path | None) -> Network:
    """The recipe's network before training, the same each time.

    Raises:
        ConfigError: starting weights are needed and not there.
    """
    method, config = recipe.parts()
    needed = method.starting_weights if method.weights_of is None else method.weights_of(config)
    if needed and weights is None:
        raise ConfigError(f"{method.name} starts from pretrained weights: give their folder with --weights")
    with torch.random.fork_rng():
        torch.manual_seed(recipe.fit_seed)
        return method.build(config, weights)


def _require_groups(recipe: Recipe, rows: list[Row], manifest: Path) -> None:
    folds, always = recipe.calibration.folds, recipe.never_held_out()
    for label, name in ((0, "real"), (1, "generated")):
        groups = {row.group for row in rows if row.label == label and row.group not in always}
        if len(groups) < folds:
            besides = f" besides {', '.join(always)}, which {recipe.method} is fitted to" if always else ""
            raise DataError(
                f"{manifest}: {folds} folds for the calibration need at least {folds} groups of {name} "
                f"pictures{besides}, there are {len(groups)}"
            )


def _claim(
    folder: Path,
    recipe_path: Path,
    recipe: Recipe,
    manifest: Path,
    weights: Path | None,
    network: Network,
    variant: Variant,
) -> None:
    """Make the folder this run's own, or make sure that it is."""
    tensors = network.state_dict()
    start = hashlib.sha256(b"".join(tensors[name].numpy().tobytes() for name in sorted(tensors)))
    facts = {
        "manifest": manifest.name,
        "manifest_sha256": sha256_of(manifest),
        "starting_network_sha256": start.hexdigest(),
        "reconstructor_sha256": reconstructor_sha256(recipe, weights),
        "reconstructors": reconstructors_facts(recipe, weights),
        "simulator": simulator_facts(recipe, weights),
        "inpainters": inpainters_facts(recipe, weights),
        "teachers_sha256": [fingerprint(module) for _, module in network.teachers()],
        "variant": variant.model_dump(mode="json"),
        "versions": {
            "vestige": vestige.__version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
    }
    if (folder / RUN).exists():
        known = json.loads((folder / RUN).read_text(encoding="utf-8"))
        for same, what in (
            (read_recipe(folder / RECIPE) == recipe, "another recipe"),
            (known["manifest_sha256"] == facts["manifest_sha256"], "another manifest"),
            (known["starting_network_sha256"] == facts["starting_network_sha256"], "other starting weights"),
            (known.get("reconstructor_sha256") == facts["reconstructor_sha256"], "another reconstructor"),
            (known.get("reconstructors") == facts["reconstructors"], "other reconstructors"),
            (known.get("simulator") == facts["simulator"], "another simulator of imprints"),
            (known.get("inpainters") == facts["inpainters"], "other networks that inpaint"),
            (known.get("teachers_sha256", []) == facts["teachers_sha256"], "other weights of a teacher"),
            (
                known.get("variant", WHOLE.model_dump(mode="json")) == facts["variant"],
                "another part of the pictures",
            ),
        ):
            if not same:
                raise ConfigError(f"{folder}: this run was begun with {what}; choose another folder")
        return
    own = {WEIGHTS, *(stage.name for stage in registry.get(recipe.method).stages)}
    if folder.exists() and any(found.name not in own for found in folder.iterdir()):
        raise ConfigError(f"{folder}: not empty and not a run; choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(recipe_path, folder / RECIPE)
    (folder / RUN).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def solve(
    network: Network,
    examples: Examples,
    chosen: npt.NDArray[np.bool_],
    recipe: Recipe,
    folder: Path,
    progress: Progress,
) -> None:
    """Fit a network to the chosen views by the solver of its method, in place.

    Args:
        chosen: bool [views of the plan], which views take part.
        folder: for checkpoints; a fit that was interrupted goes on from there.
    """
    _solver(recipe)(network, examples, chosen, recipe, folder, progress)


def _solver(recipe: Recipe) -> Fit:
    method, _ = recipe.parts()
    if method.solver in SOLVERS:
        return SOLVERS[method.solver]
    from vestige.training import gradient  # Lightning takes seconds to import

    return gradient.fit


def _hold_out(shop: Shop, kept: npt.NDArray[np.bool_], folder: Path, fit: Fit) -> None:
    """Score pictures with models that saw neither their source nor their generator; for the calibration."""
    recipe, rows, examples = shop.recipe, shop.rows, shop.examples
    chosen = examples.of_rows(kept)
    always = recipe.never_held_out()
    dealt = kept & np.array([row.group not in always for row in rows])
    # Dealt among the kept rows, so that no fold is without a class.
    fold_of = np.full(len(rows), -1)
    fold_of[dealt] = deal_groups(
        [row for row, deal in zip(rows, dealt, strict=True) if deal], recipe.calibration.folds
    )
    parts = [folder / f"fold-{fold}" / HELD_OUT for fold in range(recipe.calibration.used)]
    for fold, part in enumerate(parts):
        if part.exists():
            continue
        shop.progress.say(f"fitting without fold {fold} of {recipe.calibration.folds}")
        network = new_network(recipe, shop.weights)
        outside = examples.of_rows(fold_of != fold)
        fit(network, examples, chosen & outside, recipe, part.parent, shop.progress)
        inside = chosen & (fold_of == fold)[examples.rows]
        scored = list(score_rows(network, examples, inside & ~examples.reconstructed))
        if network.learns_where:
            within = examples.of_rows(fold_of == fold)
            write_maps(part.parent / MAPS, score_maps(network, examples, chosen & within))
        _write_csv(part, _held_out_table(rows, scored))
    first, *others = [_read_csv(part) for part in parts]
    for part, table in zip(parts[1:], others, strict=True):
        if table[0] != first[0]:
            raise DataError(
                f"{part}: its columns are not those of {parts[0]}; delete both files to have these folds "
                "scored again"
            )
    _write_csv(folder / HELD_OUT, [*first, *(line for table in others for line in table[1:])])


def _held_out_table(rows: list[Row], scored: Sequence[RowScore]) -> Iterator[tuple[object, ...]]:
    """A head and a line for each row; the deviation only where the network gives one."""
    has_deviation = any(one.deviation is not None for one in scored)
    yield ("path", "label", "group", "logit", *(["deviation"] if has_deviation else []))
    for row, logit, deviation in scored:
        known = (rows[row].name, rows[row].label, rows[row].group, f"{logit:.6f}")
        # Significant digits: the scale is the network's own.
        yield (*known, f"{deviation:.6g}") if deviation is not None else known


def _write_csv(path: Path, lines: Iterable[tuple[object, ...]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    with partial.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(lines)
    partial.replace(path)


def _read_csv(path: Path) -> list[tuple[str, ...]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [tuple(line) for line in csv.reader(file)]
