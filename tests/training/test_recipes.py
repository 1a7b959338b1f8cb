"""Recipes: what ships is valid, and one error lists all that is wrong."""

from pathlib import Path

import pytest
import yaml
from pydantic import TypeAdapter
from tiny_workshop import recipe_values

from vestige.data.manipulations import ManipulationSet
from vestige.errors import ConfigError
from vestige.methods.inpainters import InpainterOptions
from vestige.training.recipe import read_recipe

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("**/*.yaml"))
SETS = [path for path in CONFIGS if path.parent.name == "manipulations"]
# Ablations are no recipes but make some, and labelled sets are made without a recipe.
SHIPPED = [path for path in CONFIGS if not path.name.startswith("ablation") and path not in SETS]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipes_are_valid(path: Path) -> None:
    read_recipe(path)


@pytest.mark.parametrize("path", SETS, ids=lambda path: path.stem)
def test_shipped_sets_of_manipulations_are_valid(path: Path) -> None:
    values = yaml.safe_load(path.read_text())
    inpainters = TypeAdapter(tuple[InpainterOptions, ...]).validate_python(values.pop("inpainters"))
    kinds = ManipulationSet.model_validate(values).kinds
    assert inpainters
    assert any(kind.needs_networks for kind in kinds)


def write(folder: Path, values: object) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def test_all_that_is_wrong_is_listed(tmp_path: Path) -> None:
    values = recipe_values("srm-statistics", data={"patch": 65, "pach": 1}, fit={"steps": 0})
    del values["package"]["summary"]
    with pytest.raises(ConfigError) as caught:
        read_recipe(write(tmp_path, values))
    for part in ("recipe.yaml", "data.patch", "data.pach", "fit.steps", "package.summary"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"method": "magic"}, "no method 'magic'; known are"),
        ({"model": {"depth": 3}}, r"recipe\.yaml: model\.depth: Extra inputs"),
        ({"seed": -1}, r"recipe\.yaml: seed: Input should be greater than or equal to 0"),
        ({"fit": {"seed": -1}}, r"recipe\.yaml: fit\.seed: Input should be greater"),
        ({"calibration": {"folds": 2, "used": 3}}, r"used \(3\) must not be more than folds \(2\)"),
        ({"data": {"chain": {"jpeg": 0.9, "webp": 0.2}}}, "must not exceed 1"),
    ],
)
def test_wrong_values(tmp_path: Path, change: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        read_recipe(write(tmp_path, recipe_values("srm-statistics") | change))


def test_not_a_recipe_at_all(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml: cannot be read as YAML"):
        read_recipe(tmp_path / "absent.yaml")
    (tmp_path / "broken.yaml").write_text("method: [")
    with pytest.raises(ConfigError, match=r"broken\.yaml: cannot be read as YAML"):
        read_recipe(tmp_path / "broken.yaml")
    with pytest.raises(ConfigError, match=r"recipe\.yaml: a recipe is a mapping"):
        read_recipe(write(tmp_path, ["a", "list"]))
