"""Rows of an ablation on a part of the pictures, and test sets under a condition or drawn group by group."""

import csv
import hashlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_ablation import SPEC, write_spec
from tiny_workshop import picture, recipe_values, rows_of, write_set

from vestige.apps.ablate import AblateOptions, run
from vestige.apps.ablate_sets import drawn, open_sets, parse_test
from vestige.data.manifest import Row, read_manifest
from vestige.errors import ConfigError, DataError
from vestige.evaluation import tables
from vestige.evaluation.ablation_record import Record, read_record, read_scores
from vestige.evaluation.protocols import Condition, conditions
from vestige.images import decode
from vestige.methods.base import Network, Output
from vestige.progress import Progress
from vestige.training import ablation, gradient, scoring
from vestige.training.ablation import Ablation
from vestige.training.ablation_spec import read_spec
from vestige.training.recipe import parse_recipe

PARTS = {
    "whole": {},
    "half": {"fraction": 0.5},
    "least": {"fraction": 0.001, "seeds": [0]},
}
CONDITIONS = ("none", "jpeg-95", "jpeg-50")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "DRAWS", 20)
    monkeypatch.setattr(gradient, "PREPARING_BATCHES", 2)


def options(home: Path, out: Path, **changes: Any) -> AblateOptions:
    values: dict[str, Any] = {
        "out": out,
        "spec": home / "spec.yaml",
        "train": home / "set" / "manifest.csv",
        "split": "train",
        "tests": given_sets(home),
        "weights": None,
        "cache": home / "cache",
        "only": [],
        "per_group": 2,
    }
    return AblateOptions(**(values | changes))


def given_sets(home: Path) -> list[str]:
    place = home / "test" / "manifest.csv"
    return [f"plain={place}:dev", *(f"{name}={place}:dev@{name}" for name in CONDITIONS)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures, some too small for the sweeps, and the finished ablation in `out`."""
    folder = tmp_path_factory.mktemp("parts")
    write_set(folder / "set", groups=2, each=4)
    write_set(folder / "test", groups=2, each=3, seed=1, split="dev")
    rng = np.random.default_rng(7)
    for row in read_manifest(folder / "test" / "manifest.csv"):
        side = 300 if row.name == small_of(folder) else 512
        Image.fromarray(picture(row.label, rng, side)).save(row.path)
    write_spec(folder, rows=PARTS, questions={}, views=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "DRAWS", 20)
        patch.setattr(gradient, "PREPARING_BATCHES", 2)
        run(options(folder, folder / "out"))
    return folder


def small_of(folder: Path) -> str:
    """A picture that --per-group draws, so that leaving it out can be seen."""
    rows = drawn(read_manifest(folder / "test" / "manifest.csv"), 2)
    return next(row.name for row in rows if row.label == 0)


def record_of(out: Path) -> Record:
    record = read_record(out)
    assert record is not None
    return record


def opened(spec: Path, home: Path, out: Path) -> Ablation:
    return Ablation(spec, home / "set" / "manifest.csv", "train", None, out, home / "cache", Progress())


def test_a_fraction_is_taken_of_each_class_and_recorded(home: Path) -> None:
    record = record_of(home / "out")
    found = {(fit.row, fit.seed): (fit.real, fit.generated, fit.views) for fit in record.fits}
    assert found == {
        ("whole", 0): (8, 8, 32),
        ("whole", 1): (8, 8, 32),
        ("half", 0): (4, 4, 16),
        ("half", 1): (4, 4, 16),
        ("least", 0): (1, 1, 4),
    }
    assert record.rows["half"].changed == {"fraction": 0.5}
    assert record.rows["half"].fraction == 0.5
    assert record.rows["whole"].fraction is None
    page = (home / "out" / "README.md").read_text()
    assert "| half | fraction: 0.5 | 4 / 4 | 16 |" in page
    assert "| least | fraction: 0.001 | 1 / 1 | 4 |" in page
    assert "drawn by the seed of the fit" in page


def test_the_pictures_of_a_fraction_are_drawn_by_the_seed_of_the_fit(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {}

    def keeping(network: Network, examples: Any, chosen: Any, recipe: Any, *_: Any) -> None:
        seen[recipe.fit_seed] = sorted(set(examples.rows[chosen]))

    monkeypatch.setattr(ablation, "solve", keeping)
    work = opened(home / "spec.yaml", home, tmp_path / "out")
    weights = work.prepare("half")
    for seed in (0, 1):
        work.fit("half", seed, weights)
    # The rows of the manifest: 8 real, then 8 generated pictures; each class by its own permutation.
    for seed, rows in seen.items():
        expected = [
            8 * label + int(place)
            for label in (0, 1)
            for place in sorted(np.random.default_rng([seed, label]).permutation(8)[:4])
        ]
        assert rows == expected
    assert seen[0] != seen[1]


def test_a_fraction_is_part_of_the_basis_only_where_there_is_one(home: Path, tmp_path: Path) -> None:
    work = opened(home / "spec.yaml", home, tmp_path)
    facts: dict[str, Any] = {
        "recipe": work.recipes["whole"],
        "seed": 0,
        "manifest": hashlib.sha256((home / "set" / "manifest.csv").read_bytes()).hexdigest(),
        "stages": {},
        "stages_as": {},
    }
    hashed = [
        hashlib.sha256(json.dumps(facts | more, sort_keys=True).encode()).hexdigest()
        for more in ({}, {"fraction": 0.5})
    ]
    assert [work.basis("whole", 0), work.basis("half", 0)] == hashed


def test_another_fraction_is_another_row(home: Path, tmp_path: Path) -> None:
    spec = write_spec(tmp_path / "spec", rows=PARTS | {"half": {"fraction": 0.6}}, questions={}, views=1)
    with pytest.raises(ConfigError, match=r"half-seed0\.csv: scored by another recipe"):
        run(options(home, home / "out", spec=spec))
    page = {"train": None, "split": None, "tests": [], "cache": None, "per_group": None}
    with pytest.raises(ConfigError, match="rows half were run otherwise than"):
        run(options(home, home / "out", spec=spec, **page))


def test_conditions_leave_the_same_pictures_out_of_all_rows(home: Path) -> None:
    record, out = record_of(home / "out"), home / "out"
    plain, jpeg = record.tests["plain"], record.tests["jpeg-50"]
    assert (plain.real, plain.generated, plain.condition, plain.per_group) == (4, 4, None, 2)
    assert (jpeg.real, jpeg.generated, jpeg.left_out_real, jpeg.left_out_generated) == (3, 4, 1, 0)
    assert jpeg.left_out_reason == "The shorter side has 300 pixels, fewer than the 512 that jpeg-50/1 needs."
    (known,) = conditions(["jpeg-50"])
    assert jpeg.condition is not None
    assert jpeg.condition.model_dump() == {
        "title": "jpeg-50/1",
        "text": known.text,
        "family": "jpeg",
        "level": 50.0,
    }
    for file in (out / "scores" / "jpeg-50").iterdir():
        assert small_of(home) not in read_scores(file).pictures
    assert small_of(home) in read_scores(out / "scores" / "plain" / "whole-seed0.csv").pictures


def test_a_condition_is_applied_before_patches_are_cut(home: Path) -> None:
    scores = read_scores(home / "out" / "scores" / "jpeg-50" / "whole-seed0.csv")
    work = opened(home / "spec.yaml", home, home / "out")
    network, _ = work.fit("whole", 0, work.prepare("whole"))
    (known,) = conditions(["jpeg-50"])
    for name, logit in zip(scores.pictures, scores.logits, strict=True):
        content = known.apply(home / "test" / name, name)
        patch = scoring.native_patches(decode(content).pixels, 64, 1)
        images = torch.from_numpy(patch).permute(0, 3, 1, 2).float() / 255
        with torch.inference_mode():
            said = float(network(images).logit.mean())
        assert logit == pytest.approx(said, abs=2e-3)
    others = read_scores(home / "out" / "scores" / "none" / "whole-seed0.csv")
    assert np.abs(others.logits - scores.logits).max() > 0.01


def test_the_page_of_conditions(home: Path) -> None:
    page = (home / "out" / "README.md").read_text()
    assert "jpeg-50=manifest.csv:dev@jpeg-50 --per-group 2" in page
    assert re.findall("^## (.*)$", page, flags=re.M) == ["Rows", "plain", "none", "Under perturbation"]
    assert "At most 2 pictures of each group and class, drawn once for all rows" in page
    assert "Left out for all rows alike: 1 real and 0 generated pictures" in page
    with (home / "out" / "figures.csv").open(newline="") as file:
        assert {line["test"] for line in csv.DictReader(file)} == {"plain", *CONDITIONS}


def test_scores_under_a_condition_are_kept(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablation, "new_network", lambda *_: pytest.fail("fitted again"))
    before = {path: path.read_bytes() for path in (home / "out").rglob("*.*") if path.suffix}
    run(options(home, home / "out"))
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"tests": "@jpeg-95"}, "condition"),
        ({"per_group": 1}, r"number of pictures of each group \(--per-group\)"),
        ({"split": "other"}, "split"),
    ],
)
def test_other_pictures_need_another_name(home: Path, changes: dict[str, Any], what: str) -> None:
    place = home / "test" / "manifest.csv"
    given: dict[str, Any] = {"tests": [f"jpeg-50={place}:dev@jpeg-50"]}
    if "tests" in changes:
        given = {"tests": [f"jpeg-50={place}:dev@jpeg-95"]}
    elif "split" in changes:
        given = {"tests": [f"plain={place}"]}
    else:
        given |= changes
    with pytest.raises(ConfigError, match=f"has scores of another {what} under this name"):
        run(options(home, home / "out", **given))


def test_another_precision_needs_another_folder(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = write_spec(tmp_path / "spec", rows=PARTS, questions={}, views=1, precision="bfloat16")
    with pytest.raises(ConfigError, match="in another precision"):
        run(options(home, home / "out", spec=spec))
    asked = []

    def asking(*values: Any) -> Any:
        asked.append(values[-1])
        return features_of(*values)

    features_of = scoring.features_of
    monkeypatch.setattr(scoring, "features_of", asking)
    run(options(home, tmp_path / "out", spec=spec, only=["least"], tests=given_sets(home)[:1]))
    assert asked == ["bfloat16"]
    assert "computed in bfloat16; packages compute in float32" in (tmp_path / "out" / "README.md").read_text()
    bases = [
        record_of(out).score("plain", "least", 0).basis  # type: ignore[union-attr]
        for out in (tmp_path / "out", home / "out")
    ]
    assert bases[0] != bases[1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=b/c.csv@jpeg-50", ("a", "b/c.csv", None, "jpeg-50", "a=c.csv@jpeg-50")),
        ("a=b/c.csv:dev@none", ("a", "b/c.csv", "dev", "none", "a=c.csv:dev@none")),
        ("a=b@2/c.csv:dev", ("a", "b@2/c.csv", "dev", None, "a=c.csv:dev")),
        ("a=b@2/c.csv@web", ("a", "b@2/c.csv", None, "web", "a=c.csv@web")),
        ("a=c@2.csv:dev", ("a", "c@2.csv", "dev", None, "a=c@2.csv:dev")),
    ],
)
def test_options_with_a_condition(text: str, expected: tuple[Any, ...]) -> None:
    found = parse_test(text)
    assert (found.name, str(found.manifest), found.split, found.condition, found.text) == expected


def test_a_file_with_an_at_sign_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "c@web").write_text("")
    assert parse_test(f"a={tmp_path / 'c@web'}").condition is None


@pytest.mark.parametrize(
    ("condition", "sentence"),
    [
        ("jpeg-51", "--test a=manifest.csv@jpeg-51: no protocol is called 'jpeg-51'"),
        ("sweep-jpeg", "sweep-jpeg stands for 7 conditions, one is expected; .* none, jpeg-95, "),
        ("web", "web takes none of the real pictures .The shorter side has 96 pixels"),
    ],
)
def test_wrong_conditions(home: Path, condition: str, sentence: str) -> None:
    tests = [parse_test(f"a={home / 'set' / 'manifest.csv'}@{condition}")]
    with pytest.raises((ConfigError, DataError), match=sentence):
        open_sets(tests, None, Progress())


def test_no_condition_at_all() -> None:
    with pytest.raises(ConfigError, match="NAME=MANIFEST"):
        parse_test("a=b.csv@")


def test_figures_are_drawn_without_another_run(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "kept"
    shutil.copytree(home / "out" / "scores", out / "scores")
    shutil.copy(home / "out" / "ablation.json", out)
    asked = {
        "questions": {"How few?": ["least"]},
        "curves": {"shares": {"axis": "share", "log": True, "lines": {"npr": {0.5: "half", 1: "whole"}}}},
        "scatter": {"two": ["half", "whole"]},
    }
    spec = write_spec(tmp_path / "spec", rows=PARTS, views=1, **asked)
    page = {"train": None, "split": None, "tests": [], "cache": None, "per_group": None}
    run(options(home, out, spec=spec, **page))
    found = sorted(path.name for path in out.glob("*.svg"))
    assert found == [
        "curve-shares--none.svg",
        "curve-shares--plain.svg",
        "perturbation-none--jpeg.svg",
        "scatter-two--none.svg",
        "scatter-two--plain.svg",
    ]
    assert "### How few?" in (out / "README.md").read_text()
    assert record_of(out).curves["shares"].lines == {"npr": {0.5: "half", 1.0: "whole"}}
    before = (out / "README.md").read_bytes()
    run(options(home, out, spec=None, **page))
    assert (out / "README.md").read_bytes() == before
    with pytest.raises(ConfigError, match="--per-group: for a run, which needs --train"):
        run(options(home, out, **(page | {"per_group": 3})))


def test_drawn_pictures_follow_from_names_alone() -> None:
    rows = rows_of({(0, "camera"): 9, (0, "phone"): 2, (1, "camera"): 5})
    found = drawn(rows, 3)
    assert [
        sum(row.label == label and row.group == group for row in found)
        for label, group in ((0, "camera"), (0, "phone"), (1, "camera"))
    ] == [3, 2, 3]
    assert found == [row for row in rows if row in found], "in the manifest's order"
    assert set(map(str, drawn(rows[::-1], 3))) == set(map(str, found)), "wherever they stand"
    fewer = drawn([row for row in rows if row.group == "phone" or row.label == 1], 3)
    assert fewer == [row for row in found if row.group == "phone" or row.label == 1]
    assert {row.name for row in drawn(rows, 2)} < {row.name for row in found}
    assert drawn(rows, None) == rows


class Stub(Network):
    """The mean of a view."""

    def frozen(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (images.mean((1, 2, 3))[:, None],)

    def head(self, *features: torch.Tensor) -> Output:
        return Output(features[0][:, 0])


def test_features_are_kept_apart_by_condition_and_by_name(home: Path, tmp_path: Path) -> None:
    row = read_manifest(home / "test" / "manifest.csv")[-1]
    row = replace(row, sha256="ab" * 32)
    other = replace(row, name="another-name.png")
    recipe = parse_recipe(recipe_values("npr"), "recipe")

    def score(one: Row, condition: Condition | None) -> float:
        (logit,) = scoring.score_pictures(Stub(), recipe, [one], 1, tmp_path, Progress(), condition)
        return logit

    noise, same = (
        replace(conditions([name])[0], pipeline=lambda pixels, seed: _grey(seed % 200))
        for name in ("noise-20", "noise-10")
    )
    found = [score(one, how) for one in (row, other) for how in (noise, same, None)]
    assert len({round(value, 4) for value in found}) == 5, "without a condition the name does not matter"


def _grey(level: int) -> bytes:
    from io import BytesIO

    out = BytesIO()
    Image.new("RGB", (64, 64), (level,) * 3).save(out, "PNG")
    return out.getvalue()


def test_methods_that_look_at_facts_see_the_delivered_file(home: Path, tmp_path: Path) -> None:
    class Facts(Stub):
        def head(self, *features: torch.Tensor) -> Output:
            return Output(features[0].sum(1))

    recipe = parse_recipe(recipe_values("metadata-only"), "recipe")
    rows = read_manifest(home / "set" / "manifest.csv")[:2]
    (condition,) = conditions(["delivery-jpeg-95"])
    found = [
        scoring.score_pictures(Facts(), recipe, rows, 1, tmp_path, Progress(), how)
        for how in (None, condition)
    ]
    assert found[0] != found[1]


def lines(line: dict[Any, str], **more: Any) -> dict[str, Any]:
    return {"curves": {"C": {"axis": "x", "lines": {"l": line}, **more}}}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"rows": SPEC["rows"] | {"wider": {"fraction": 0}}}, r"rows\.wider\.fraction: .*greater than 0"),
        ({"rows": SPEC["rows"] | {"wider": {"fraction": 1.5}}}, r"rows\.wider\.fraction: .*less than or"),
        ({"precision": "float16"}, r"precision: .*'float32' or 'bfloat16'"),
        (lines({1: "gone"}), r"curves\.C\.lines\.l names the row 'gone'"),
        (lines({"few": "wider"}), r"curves\.C\.lines\.l\.few.*number"),
        (lines({float("inf"): "wider"}), r"curves\.C\.lines\.l.*finite number"),
        (lines({0: "wider"}, log=True), r"x must be above 0 on a logarithmic axis, got 0"),
        (lines({}), r"curves\.C\.lines\.l: .*at least 1 item"),
        ({"curves": {"C": {"axis": "x", "lines": {}}}}, r"curves\.C\.lines: .*at least 1 item"),
        ({"scatter": {"S": ["wider"]}}, r"scatter\.S"),
        ({"scatter": {"S": ["wider", "gone"]}}, r"scatter\.S names the row 'gone'"),
        ({"scatter": {"S": ["wider", "wider"]}}, r"scatter\.S names the row 'wider' twice"),
    ],
)
def test_wrong_specifications(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    spec = write_spec(tmp_path / "spec", **changes)
    with pytest.raises(ConfigError, match=sentence):
        read_spec(spec)


def test_fractions_seen_as_written(tmp_path: Path) -> None:
    spec = read_spec(write_spec(tmp_path, **lines({0.05: "wider", 1: "whole"}, log=True)))
    assert spec.curves["C"].lines == {"l": {0.05: "wider", 1.0: "whole"}}
