"""Recipes that are measured on one split and shipped from two, and the packages made by them."""

from pathlib import Path

import pytest

from vestige.inference.package import find_card
from vestige.training.recipe import Recipe, read_recipe

CONFIGS = Path(__file__).parents[2] / "configs"


def without_splits(recipe: Recipe) -> Recipe:
    data = recipe.data.model_copy(update={"split": ""})
    return recipe.model_copy(
        update={"data": data, "package": recipe.package.model_copy(update={"version": ""})}
    )


@pytest.mark.parametrize("name", ["lite", "clip"])
def test_the_measured_recipe_differs_in_its_splits_alone(name: str) -> None:
    shipped, measured = read_recipe(CONFIGS / f"{name}.yaml"), read_recipe(CONFIGS / f"{name}-measured.yaml")
    assert (shipped.data.split, measured.data.split) == (("train", "dev"), "train")
    assert measured.package.version == f"{shipped.package.version}+train"
    assert without_splits(shipped) == without_splits(measured)


def test_the_card_holds_the_recipe_that_is_in_configs() -> None:
    folder, card = find_card("clip")
    recipe = "clip-measured.yaml" if card.version.endswith("+train") else "clip.yaml"
    assert card.training.recipe == (CONFIGS / recipe).read_text(encoding="utf-8")
    assert card.results
    assert card.tower is not None
    assert sum(path.stat().st_size for path in folder.iterdir()) < 5e6
