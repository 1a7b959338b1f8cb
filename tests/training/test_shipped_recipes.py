"""Recipes that are measured on one split and shipped from two, and the packages made by them."""

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto

from vestige.inference.card import TOWER_MAP, TOWER_SCALES
from vestige.inference.package import find_card
from vestige.inference.tower_weights import parse_parts, parse_scales
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


def test_the_graph_lacks_just_what_the_tower_gives() -> None:
    """No test has the tower itself, so what the graph wants is compared with what the package says of it."""
    folder, card = find_card("clip")
    graph = onnx.load(folder / card.stages[0], load_external_data=False).graph
    lacking = {
        one.name: one.data_type for one in graph.initializer if one.data_location == TensorProto.EXTERNAL
    }
    parts = parse_parts((folder / TOWER_MAP).read_bytes(), folder / TOWER_MAP)
    scales = parse_scales((folder / TOWER_SCALES).read_bytes(), folder / TOWER_SCALES)
    assert lacking == {
        name: TensorProto.FLOAT if part.int8 is None else TensorProto.INT8 for name, part in parts.items()
    }
    named = {
        name for part in parts.values() if part.int8 for name in (part.int8.columns, part.int8.rows) if name
    }
    assert named == set(scales)
