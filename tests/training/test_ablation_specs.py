"""Specifications of ablations: what ships is valid, what is wrong is named, and how changes are merged."""

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_ablation import write_spec

from vestige.errors import ConfigError
from vestige.training.ablation_spec import flattened, merged, read_spec, recipe_of, row_recipes

SHIPPED = sorted((Path(__file__).parents[2] / "configs").glob("**/ablation*.yaml"))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"rows": {"whole": {}, "odd": {"set": {"model": {"width": 3}}}}}, r"row odd: model\.width: Extra"),
        (
            {"rows": {"whole": {"set": {"data": {"patch": 50}}}, "b": {"set": {"method": "none"}}}},
            r"row whole: data\.patch: .*; row b: .*none",
        ),
        ({"baseline": "both"}, "baseline names the row 'both', which is not among the rows"),
        ({"questions": {"Why?": ["nobody"]}}, r"questions\.Why\? names the row 'nobody'"),
        ({"seeds": [1, 1]}, "a seed is listed twice"),
        ({"rows": {"../up": {}}}, r"rows.*should match pattern"),
        ({"budget": 3}, "budget: Extra inputs are not permitted"),
        ({"recipe": "gone.yaml"}, r"gone\.yaml: cannot be read as YAML"),
    ],
)
def test_a_wrong_specification_is_refused(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    spec = write_spec(tmp_path / "spec", **({"questions": {}} | changes))
    with pytest.raises(ConfigError, match=sentence):
        row_recipes(spec, read_spec(spec))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.parent.name))
def test_shipped_specifications_are_valid(path: Path) -> None:
    row_recipes(path, read_spec(path))


def test_rows_of_the_gensign_ablation_differ_as_they_say() -> None:
    (path,) = (path for path in SHIPPED if path.parent.name == "gensign")
    spec = read_spec(path)
    recipes = {row: recipe_of(values, 0) for row, values in row_recipes(path, spec).items()}
    assert set(recipes) == {spec.baseline} | {row for rows in spec.questions.values() for row in rows}
    for row, recipe in recipes.items():
        _, config = recipe.parts()
        _, extractor = recipe.stage("extractor")
        signature = config.signature
        if signature is not None and signature.source != "srm":
            assert signature.extractor == extractor.model, f"{row}: the detector would refuse the stage"
            noise = signature.source == "denoiser"
            assert (extractor.target == "noise") == noise, row
            assert spec.rows[row].stages_as == ({"extractor": "denoiser"} if noise else {}), row
        if recipe.data.self_augmentation is not None:
            assert recipe.data.self_augmentation.levels is None, f"{row}: more than one thing changed"


def test_merging() -> None:
    base = {"model": {"signature": {"source": "extractor", "form": "plain"}, "taps": [1, 2]}, "seed": 0}
    before = json.dumps(base)
    changes = {"model": {"signature": {"source": "srm"}, "taps": [3]}, "data": {"views": 1}}
    assert merged(base, changes) == {
        "model": {"signature": {"source": "srm", "form": "plain"}, "taps": [3]},
        "data": {"views": 1},
        "seed": 0,
    }
    off = merged(base, {"model": {"signature": None}})
    assert off["model"] == {"signature": None, "taps": [1, 2]}
    assert merged(off, {"model": {"signature": {"source": "srm"}}})["model"]["signature"] == {"source": "srm"}
    assert json.dumps(base) == before
    assert flattened({"model": {"signature": None, "rgb": {"lora": {}}}, "seed": 1}) == {
        "model.signature": None,
        "model.rgb.lora": {},
        "seed": 1,
    }


def test_changes_of_all_rows_come_before_those_of_a_row(tmp_path: Path) -> None:
    rows = {"whole": {}, "longer": {"set": {"fit": {"steps": 9}}}}
    path = write_spec(tmp_path, set={"fit": {"steps": 7, "batch": 4}}, rows=rows, questions={})
    recipes = row_recipes(path, read_spec(path), "dev")
    assert recipes["whole"]["fit"] | {"steps": 9} == recipes["longer"]["fit"]
    assert (recipes["whole"]["fit"]["steps"], recipes["whole"]["fit"]["batch"]) == (7, 4)
    assert recipes["whole"]["data"]["split"] == "dev"
