"""Figures on the page of an ablation: rows along an axis, pairs of rows, and levels of a perturbation."""

import csv
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from vestige.evaluation import tables
from vestige.evaluation.ablation import write_page
from vestige.evaluation.ablation_charts import spearman
from vestige.evaluation.ablation_perturbed import ladders
from vestige.evaluation.ablation_record import (
    ConditionRecord,
    CurveRecord,
    Record,
    ScoreRecord,
    SetRecord,
    TrainRecord,
    read_record,
    save_record,
    score_file,
    write_scores,
)
from vestige.evaluation.metrics import Interval
from vestige.evaluation.plots.lines import Series, auroc_along
from vestige.evaluation.plots.pair import DRAWN, pair
from vestige.evaluation.protocols import conditions

# Two sources and two generators with two pictures each.
LABELS = [0, 0, 0, 0, 1, 1, 1, 1]
GROUPS = ["camera", "camera", "phone", "phone", "gan", "gan", "vae", "vae"]
ROWS = {
    "few": [[1.0, -1.0, 1.0, -1.0, 2.0, -2.0, 2.0, -2.0]],
    "many": [[-4.0, -3.0, -2.0, -1.0, 1.0, 2.0, 3.0, 4.0]],
    # Mean over its seeds: all real ones right, the generated pictures of "gan" wrong.
    "other": [
        [-1.0, -1.0, -1.0, -1.0, -3.0, -3.0, 5.0, 5.0],
        [-3.0, -3.0, -3.0, -3.0, 1.0, 1.0, 1.0, 1.0],
    ],
}
NAN = float("nan")


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "DRAWS", 50)


def set_of(condition: str = "", **changes: object) -> SetRecord:
    """A test set, after a condition by name."""
    values: dict[str, object] = {
        "manifest": "test.csv",
        "manifest_sha256": "cd" * 32,
        "split": "dev",
        "real": 4,
        "generated": 4,
        "seen": 0,
    }
    if condition:
        (known,) = conditions([condition])
        values["condition"] = ConditionRecord(
            title=known.title, text=known.text, family=known.family, level=known.level
        )
    return SetRecord.model_validate(values | changes)


def write_ablation(out: Path, tests: dict[str, SetRecord], **changes: object) -> Record:
    """A folder with the scores of `ROWS`, the same on every test set; `changes` go into the record."""
    values: dict[str, object] = {
        "title": "Made up",
        "command": "vestige ablate",
        "spec": {},
        "order": list(ROWS),
        "baseline": "many",
        "questions": {},
        "views": 2,
        "versions": {},
        "train": TrainRecord(manifest="m.csv", manifest_sha256="ab" * 32, split=""),
        "tests": tests,
    }
    record = Record.model_validate(values | changes)
    for test in tests:
        for row, several in ROWS.items():
            for seed, logits in enumerate(several):
                file = score_file(test, row, seed)
                names = [f"{number}.png" for number in range(8)]
                write_scores(out / file, zip(names, LABELS, GROUPS, logits, strict=True))
                record.add_score(ScoreRecord(test=test, row=row, seed=seed, basis="", file=file))
    save_record(out, record)
    assert read_record(out) == record
    return record


def curve(**changes: object) -> dict[str, CurveRecord]:
    lines = {"ours": {0.1: "few", 1.0: "many"}, "theirs": {1.0: "other"}}
    return {
        "How many pictures?": CurveRecord.model_validate(
            {"axis": "share of the pictures", "log": True, "lines": lines} | changes
        )
    }


def section(page: str, title: str) -> str:
    """What stands below a heading, up to the next one of its kind."""
    level = "##" if f"\n## {title}\n" in page else "###"
    return re.split(rf"^{level} ", page.split(f"\n{level} {title}\n")[1], flags=re.M)[0]


def headings(page: str, level: str = "##") -> list[str]:
    return re.findall(f"^{level} (.*)$", page, flags=re.M)


def texts(svg: str) -> list[str]:
    """All that is written in a plot."""
    root = ET.fromstring(svg)
    return ["".join(element.itertext()) for element in root.iter() if element.tag.endswith("}text")]


def test_curves_have_figures_in_a_table_and_a_file(tmp_path: Path) -> None:
    write_ablation(tmp_path, {"dev": set_of()}, curves=curve())
    files = write_page(tmp_path)
    assert [path.name for path in files[:2]] == ["README.md", "figures.csv"]
    (drawing,) = files[2:]
    assert drawing.parent == tmp_path
    assert re.fullmatch(r"curve-how-many-pictures-[0-9a-f]{8}--dev\.svg", drawing.name)
    found = section((tmp_path / "README.md").read_text(), "How many pictures?")
    assert (
        f"AUROC of ours, theirs by share of the pictures on dev; figures in the table below.]({drawing.name})"
        in found
    )
    assert "| share of the pictures | ours | theirs |" in found
    # 8 of 16 pairs of "few" are right; of "other", by seed: 8 (both of "vae" above all, both of "gan" below)
    # and all 16.
    assert re.search(r"^\| 0\.1 \| 0\.500 \(.*\) \| - \|$", found, flags=re.M)
    assert re.search(r"^\| 1 \| 1\.000 \(1\.000-1\.000\) \| 0\.750 \(.*\) \|$", found, flags=re.M)
    written = texts(drawing.read_text())
    assert {"How many pictures?", "share of the pictures", "ours", "theirs", "0.1", "1"} <= set(written)
    assert "at 0.1 0.500, at 1 1.000" in drawing.read_text()


def test_rows_that_are_not_run_are_no_points(tmp_path: Path) -> None:
    record = write_ablation(tmp_path, {"dev": set_of()}, curves=curve(), scatter={"Both": ("few", "many")})
    record.scores = [score for score in record.scores if score.row != "few"]
    save_record(tmp_path, record)
    assert [path.name[:5] for path in write_page(tmp_path)[2:]] == ["curve"], "no scatter of one row"
    found = section((tmp_path / "README.md").read_text(), "How many pictures?")
    assert "| 0.1 | - | - |" in found
    assert "Not run yet: few." in found


def test_curves_are_drawn_of_unchanged_pictures_only(tmp_path: Path) -> None:
    tests = {"plain": set_of(), "base": set_of("none"), "q": set_of("jpeg-50")}
    write_ablation(tmp_path, tests, curves=curve(), scatter={"both": ("few", "many")})
    names = [path.name for path in write_page(tmp_path)[2:]]
    ends = [name.split("--")[1] for name in names if not name.startswith("perturbation")]
    assert sorted(ends) == ["base.svg", "base.svg", "plain.svg", "plain.svg"]


def test_scatters_say_what_each_row_gets_wrong(tmp_path: Path) -> None:
    write_ablation(tmp_path, {"dev": set_of()}, scatter={"two rows": ("few", "other")})
    (drawing,) = write_page(tmp_path)[2:]
    assert drawing.name == "scatter-two-rows--dev.svg"
    found = section((tmp_path / "README.md").read_text(), "two rows")
    few, other = np.array(ROWS["few"][0]), np.mean(ROWS["other"], axis=0)
    assert "AUROC 0.500 for few and 1.000 for other (of the logits averaged over seeds; " in found
    assert (
        f"Spearman correlation of the logits {stats.spearmanr(few, other).statistic:.3f}, not defined"
        in found
    )
    inside = stats.spearmanr(few[4:], other[4:]).statistic
    assert f"not defined among real pictures, {inside:.3f} among generated pictures" in found
    # few: wrong on the real 0 and 2, on the generated 5 and 7; other: on the generated 4 and 5.
    assert "few is wrong and other right on 3 pictures (2 real, 1 generated)" in found
    assert "other is wrong and few right on 1 picture (0 real, 1 generated)" in found
    assert "both are wrong on 1 picture (0 real, 1 generated)" in found
    assert {"logit of few", "logit of other"} <= set(texts(drawing.read_text()))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=2, max_size=20))
def test_rank_correlation_is_scipys(pairs: list[tuple[int, int]]) -> None:
    x, y = np.array(pairs, dtype=np.float64).T
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        assert np.isnan(spearman(x, y))
    else:
        assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)


def test_levels_stand_side_by_side_and_long_tables_are_left_out(tmp_path: Path) -> None:
    tests = {
        "soft": set_of("blur-2"),
        "q50": set_of("jpeg-50"),
        "q95": set_of("jpeg-95", left_out_real=2, left_out_reason="The shorter side has 9 pixels."),
        "base": set_of("none"),
        "shop": set_of("web"),
        "plain": set_of(),
    }
    write_ablation(tmp_path, tests)
    files = [path.name for path in write_page(tmp_path)]
    assert files == ["README.md", "figures.csv", "perturbation-base--jpeg.svg", "perturbation-base--blur.svg"]
    page = (tmp_path / "README.md").read_text()
    assert headings(page) == ["Rows", "base", "plain", "Under perturbation"]
    assert "of the 4 differences on this page" in page, "two rows on two test sets"
    found = section(page, "Under perturbation")
    assert headings(found, "###") == [
        "jpeg: JPEG quality, 4:2:0 chroma",
        "blur: standard deviation of the Gaussian in pixels",
        "Other conditions",
        "Conditions",
    ]
    assert "| row | none | 95 | 50 |" in found, "in the order of the protocols"
    assert "| row | none | 2 |" in found
    assert "| row | web |" in found
    assert re.search(r"^\| few \| 0\.500 \(.*\) \| 0\.500 \(.*\) \| 0\.500 \(.*\) \|$", found, flags=re.M)
    assert "| q95 | jpeg-95/1 | 4 / 4 | 2 / 0 | Centre square, " in found
    assert "left out for all rows alike, such as: The shorter side has 9 pixels." in found
    drawing = texts((tmp_path / "perturbation-base--jpeg.svg").read_text())
    assert [text for text in drawing if text in {"none", "95", "50"}] == ["none", "95", "50"]
    with (tmp_path / "figures.csv").open(newline="") as file:
        assert {line["test"] for line in csv.DictReader(file)} == set(tests)


def test_what_differs_in_more_than_the_condition_is_no_step(tmp_path: Path) -> None:
    tests = {
        "base": set_of("none"),
        "q50": set_of("jpeg-50", per_group=3),
        "q95": set_of("jpeg-95", split="test"),
        "q85": set_of("jpeg-85", manifest_sha256="ef" * 32),
    }
    record = write_ablation(tmp_path, tests)
    assert ladders(record) == []
    write_page(tmp_path)
    assert headings((tmp_path / "README.md").read_text()) == ["Rows", *tests]


def test_two_manifests_have_a_section_each(tmp_path: Path) -> None:
    pairs = {
        f"{name}-{one}": set_of(one, manifest=f"{name}.csv") for name in "ab" for one in ("none", "blur-1")
    }
    write_ablation(tmp_path, pairs)
    write_page(tmp_path)
    page = (tmp_path / "README.md").read_text()
    assert headings(page)[-2:] == ["Under perturbation: a.csv:dev", "Under perturbation: b.csv:dev"]


def test_the_same_scores_give_the_same_bytes(tmp_path: Path) -> None:
    tests = {"base": set_of("none"), "q50": set_of("jpeg-50")}
    write_ablation(tmp_path, tests, curves=curve(), scatter={"both": ("few", "many")})
    files = write_page(tmp_path)
    before = [path.read_bytes() for path in files]
    assert [path.read_bytes() for path in write_page(tmp_path)] == before
    page = files[0].read_text()
    for path in files[2:]:
        assert f"]({path.name})" in page
        svg = path.read_text()
        assert not re.search(r"\d{4}-\d\d-\d\dT|Matplotlib|<metadata|<script", svg)


def test_hostile_titles_stay_text(tmp_path: Path) -> None:
    title = "](x) <b> | $a$ \u202e\n#"
    changes = {"curves": {title: curve()["How many pictures?"]}, "scatter": {title: ("few", "many")}}
    write_ablation(tmp_path, {"../up": set_of()} | {"a b": set_of()}, **changes)
    for path in write_page(tmp_path)[2:]:
        assert path.parent == tmp_path
        assert re.fullmatch(r"[a-z0-9.+-]+\.svg", path.name)
        texts(path.read_text())
    assert "<b>" not in (tmp_path / "README.md").read_text()


def test_ticks_have_room() -> None:
    places = [0.001, 0.0011, 0.01, 0.1, 1.0]
    svg = auroc_along("t", "u", "x", [Series("a", {x: Interval(0.7, 0.6, 0.8) for x in places})], log=True)
    assert [text for text in texts(svg) if re.fullmatch(r"0?\.?\d+", text) and float(text) in places][:4] == [
        "0.001",
        "0.01",
        "0.1",
        "1",
    ]


@pytest.mark.parametrize(
    ("series", "said"),
    [
        ([], "Nothing to draw"),
        ([Series("a", {})], "Nothing to draw"),
        ([Series("a", {1.0: Interval(NAN, NAN, NAN)})], "Nothing to draw"),
        ([Series("a", {1.0: Interval(0.5, NAN, NAN)})], "at 1 0.500"),
        ([Series("a", {1.0: Interval(0.5, 0.4, 0.6), 2.0: Interval(NAN, NAN, NAN)})], "at 1 0.500"),
        ([Series("a", {}), Series("b", {3.0: Interval(0.2, 0.1, 0.3)})], "a: nothing scored. b: at 3 0.200"),
    ],
)
def test_whatever_is_missing_a_plot_is_made(series: list[Series], said: str) -> None:
    for log in (False, True):
        svg = auroc_along("title", "under", "axis", series, log=log)
        assert said in svg
        texts(svg)


def test_many_pictures_are_not_all_drawn() -> None:
    count = DRAWN + 100
    logits = np.random.default_rng(0).normal(size=(2, count))
    labels = (np.arange(count) % 2).astype(np.int64)
    svg = pair("t", f"{count} pictures", ("a", "b"), logits[0], logits[1], labels)
    assert f"{count} pictures; {DRAWN} of them are drawn" in svg
    assert DRAWN <= svg.count("<use ") <= DRAWN + 60
    few = pair("t", "u", ("a", "b"), logits[0, :5], logits[1, :5], labels[:5])
    assert "of them are drawn" not in few
