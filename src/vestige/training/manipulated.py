"""Manipulated training pictures of a recipe (GAMMA): made once, kept on disk with their masks."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from vestige.data.labelled import Labelled, write_labelled
from vestige.data.manifest import Row
from vestige.data.manipulations import Inpaint, ManipulationSet
from vestige.errors import ConfigError
from vestige.methods.inpainters import build_inpainters
from vestige.progress import Progress
from vestige.training.recipe import Recipe


def manipulate(
    recipe: Recipe, rows: Sequence[Row], weights: Path | None, folder: Path, progress: Progress
) -> list[Labelled]:
    """Make the manipulated pictures that a recipe asks for; those that are in `folder` are kept.

    Every kind has a folder of its own, named after all that decides its pictures: a recipe that leaves a
    kind out finds those of the others. Pictures that come with a mask are left as they are.

    Returns:
        Hosts and donors are indices into `rows`.

    Raises:
        ConfigError: a network has no weights, or a kind needs a network that the recipe does not list.
        DataError: a picture cannot be read.
    """
    section = recipe.data.manipulation
    if section is None:
        return []
    whole = [number for number, row in enumerate(rows) if not (row.mask or row.changed or row.manipulation)]
    needed = any(kind.needs_networks for kind in section.kinds)
    networks = build_inpainters(section.inpainters, weights) if needed else {}
    described = _described(networks)
    found: list[Labelled] = []
    for kind in section.kinds:
        facts = {
            "seed": recipe.seed,
            "kind": kind.model_dump(mode="json"),
            "networks": described if kind.needs_networks else None,
            # Donors are drawn from all of them.
            "rows": _identity([rows[number] for number in whole]) if kind.needs_donor else None,
        }
        key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
        one_kind = ManipulationSet(per_group=section.per_group, kinds=(kind,))
        try:
            made = write_labelled(
                [rows[number] for number in whole], one_kind, networks, folder / key, recipe.seed, progress
            )
        except ConfigError as error:
            raise ConfigError(f"data.manipulation: {error}") from error
        found += [
            replace(one, host=whole[one.host], donor=None if one.donor is None else whole[one.donor])
            for one in made
        ]
    return found


def inpainters_facts(recipe: Recipe, weights: Path | None) -> dict[str, str] | None:
    """What decides the results of each network that a recipe's manipulations use; None without such.

    Raises:
        ConfigError: a network has no weights.
    """
    section = recipe.data.manipulation
    if section is None or not any(kind.needs_networks for kind in section.kinds):
        return None
    return _described(build_inpainters(section.inpainters, weights))


def _described(networks: Mapping[str, Inpaint]) -> dict[str, str]:
    return {name: str(getattr(network, "description", "")) for name, network in networks.items()}


def _identity(rows: Sequence[Row]) -> str:
    known = [(row.name, row.split, row.label, row.group, row.picture) for row in rows]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()
