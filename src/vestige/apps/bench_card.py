"""`vestige bench --card` and `--twin`: what a bench measured goes into a package's card."""

from pathlib import Path

import yaml

from vestige.errors import ConfigError
from vestige.evaluation import tables
from vestige.evaluation.bench import read_bench
from vestige.evaluation.scores import read_scores
from vestige.inference.card import BAND_CHECK, Measured, ModelCard
from vestige.inference.package import CARD, read_card
from vestige.training.recipe import Recipe, parse_recipe


def write_to_card(out: Path, package: Path) -> ModelCard:
    """Put a package's overall figures in a bench into its card.

    They replace those of an earlier bench; what its export measured of the abstention band stays.

    Raises:
        ConfigError: the package is no model of the bench.
    """
    card = read_card(package)
    return _write(package, card, _figures(out, card, ""))


def write_to_twin(out: Path, measured: ModelCard, package: Path) -> ModelCard:
    """Put a package's figures in a bench into the card of its twin, which says whose figures they are.

    Twins were made by the same recipe from other splits: what ships may have learned from all pictures, those
    of the bench among them, and then only a model that did not can tell how good the recipe is.

    Args:
        measured: card of a model of the bench.
        package: the twin.

    Raises:
        ConfigError: it is no model of the bench, or the recipes differ in more than splits and version.
    """
    card = read_card(package)
    if _without_splits(measured) != _without_splits(card):
        raise ConfigError(
            f"{package}: {card.title} and {measured.title} differ in more of their recipes than data.split "
            "and package.version, so the figures of one say nothing of the other"
        )
    note = f"; figures of {measured.title}, the same recipe on the {measured.training.data}"
    return _write(package, card, _figures(out, measured, note))


def _without_splits(card: ModelCard) -> Recipe:
    recipe = parse_recipe(yaml.safe_load(card.training.recipe), card.title)
    data = recipe.data.model_copy(update={"split": ""})
    package = recipe.package.model_copy(update={"version": ""})
    return recipe.model_copy(update={"data": data, "package": package})


def _figures(out: Path, card: ModelCard, note: str) -> list[Measured]:
    """Of one model of a bench; `note` is added to what they were measured on."""
    state = read_bench(out)
    if card.title not in state.models:
        others = ", ".join(state.models[1:])
        raise ConfigError(
            f"{out}: its first model is {state.models[0]}, not {card.title}"
            f"{f', and the others are {others}' if others else ''}"
        )
    pooled = {data.name: data.sample for data in state.sets if data.pooled}
    results = []
    for entry in state.entries:
        single = entry.level is None and entry.family != "delivery"
        if entry.model == card.title and single and entry.data in pooled:
            scores = read_scores(out / "scores" / entry.file)
            most = pooled[entry.data]
            some = f", at most {most} pictures of each class" if most is not None else ""
            known = f", {entry.seen} pictures from sources it was trained on" if entry.seen else ""
            results += tables.measured(scores, f"{entry.data}, {entry.condition}{some}{known}{note}")
    return results


def _write(package: Path, card: ModelCard, figures: list[Measured]) -> ModelCard:
    results = [*(one for one in card.results if one.data.endswith(BAND_CHECK)), *figures]
    updated = card.model_copy(update={"results": results})
    (package / CARD).write_text(updated.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return updated
