"""Imprints on training pictures: the simulator that a recipe's pictures get them from."""

from pathlib import Path
from typing import Any

from vestige.errors import ConfigError
from vestige.methods.nirnet.imprints import Imprinter, ImprintOptions
from vestige.methods.nirnet.simulator import Simulator
from vestige.methods.nirnet.stage import find_simulator
from vestige.training.recipe import Recipe


def imprinter_of(recipe: Recipe, weights: Path | None) -> Imprinter | None:
    """What puts imprints on a recipe's pictures; None if it asks for none.

    Raises:
        ConfigError: no simulator among the starting weights, or it lacks a generator that the recipe names.
    """
    section = recipe.data.imprinting
    if section is None:
        return None
    path = find_simulator(None, weights)
    options = ImprintOptions.model_validate(section.model_dump(include={*ImprintOptions.model_fields}))
    try:
        return Imprinter(Simulator.load(path), options)
    except ConfigError as error:
        raise ConfigError(f"data.imprinting: {error}") from error


def simulator_facts(recipe: Recipe, weights: Path | None) -> dict[str, Any] | None:
    """What a run keeps of the simulator that its imprints come from; None for a recipe without imprints.

    Returns:
        `key` of all that decides the imprints, `generators`, and `notes` of their weights.

    Raises:
        ConfigError: as `imprinter_of`.
    """
    imprinter = imprinter_of(recipe, weights)
    if imprinter is None:
        return None
    generators, notes = imprinter.generators, imprinter.notes
    return {"key": imprinter.key, "generators": list(generators), "notes": list(notes)}
