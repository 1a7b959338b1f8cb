"""Tables kind by kind, and how the kinds of pictures get from a manifest into kept scores."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from bench_set import write_package, write_pictures
from score_samples import made_up, scores_of
from sklearn.metrics import roc_auc_score

from vestige.apps.bench_card import write_to_card
from vestige.data.manifest import read_manifest, write_manifest
from vestige.errors import DataError
from vestige.evaluation import scoring, tables
from vestige.evaluation.bench import Plan, bench, read_bench
from vestige.evaluation.kind_tables import by_kind
from vestige.evaluation.report import PAGE, render, write_report
from vestige.evaluation.scores import basis_of, read_scores, update_kinds
from vestige.inference.card import BAND_CHECK, Measured, OperatingPoint
from vestige.inference.package import CARD, read_card

POINTS = [OperatingPoint(fpr=0.01, threshold=0.9), OperatingPoint(fpr=0.05, threshold=0.7)]


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "DRAWS", 40)


def with_kinds(manifest: Path, real: str = "photo", generated: str = "mixed") -> Path:
    """The same manifest with a column of kinds."""
    with manifest.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with manifest.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["path", "label", "group", "kind"])
        writer.writeheader()
        writer.writerows(row | {"kind": generated if row["label"] == "1" else real} for row in rows)
    return manifest


def plan(manifest: Path, package: Path) -> Plan:
    return Plan(data=[manifest], models=[str(package)], audit=False)


def test_real_pictures_by_hand() -> None:
    # 10 photos, of which one is accused at 5 % and one at both points; 9 rare ones of three kinds.
    probabilities = [0.1] * 8 + [0.75, 0.95] + [0.5] * 8 + [0.9] + [0.99] * 10
    labels = [0] * 19 + [1] * 10
    kinds = ["photo"] * 10 + ["art"] * 4 + ["document"] * 4 + [""] + ["mixed"] * 10
    logits = np.log(np.array(probabilities) / (1 - np.array(probabilities)))
    scores = scores_of(labels, logits.tolist(), probabilities=probabilities, kinds=kinds)
    real, generated = by_kind(scores, POINTS)
    assert real.title == "brightness 1.0, kind by kind: real pictures"
    assert [row[:2] for row in real.rows] == [["photo", "10"], ["other", "9"]]
    # Wilson, 1927, for 1 and 2 of 10.
    assert real.rows[0][2:4] == ["1 (10.0%, 1.8%-40.4%)", "2 (20.0%, 5.7%-51.0%)"]
    assert real.rows[0][4:] == ["10%", "10%", "80%"]
    assert real.rows[1][2] == "1 (11.1%, 2.0%-43.5%)", "a probability at the threshold counts"
    assert [row[:2] for row in generated.rows] == [["mixed", "10"]]
    assert generated.rows[0][3].startswith("10 (100.0%, ")


def test_generated_pictures_against_all_real_ones() -> None:
    scores = made_up(each=60)
    kinds = ["photo"] * 30 + ["art"] * 30 + ["face"] * 25 + ["mixed"] * 30 + ["poster"] * 5
    found = made_up(each=60, kinds=kinds)
    table = by_kind(found, POINTS)[1]
    assert [row[:2] for row in table.rows] == [["face", "25"], ["mixed", "30"], ["other", "5"]]
    for name, row in zip(("face", "mixed"), table.rows, strict=False):
        inside = (scores.labels == 0) | (np.array(kinds) == name)
        area = roc_auc_score(scores.labels[inside], scores.logits[inside])
        assert row[2].startswith(f"{area:.3f} (")
        above = (scores.probabilities >= 0.7) & (np.array(kinds) == name)
        assert row[3].startswith(f"{above.sum()} ({above.sum() / int(row[1]):.1%}, ")
    assert table.rows[2][2] == "fewer than 10 pictures"


def test_nothing_is_made_up_where_something_is_not_known() -> None:
    assert by_kind(made_up(), POINTS) == []
    kinds = ["photo"] * 120 + ["mixed"] * 120
    real, generated = by_kind(made_up(kinds=kinds), POINTS[1:])
    assert [row[2] for row in real.rows] == ["-"], "the model has no point at 1 %"
    assert real.rows[0][3] != "-"
    assert by_kind(made_up(kinds=kinds), [])[1].rows[0][3] == "-"
    bare = made_up(kinds=kinds, probabilities=np.full(240, np.nan), thresholds=(np.nan, np.nan))
    assert by_kind(bare, POINTS)[0].rows[0][2:4] == ["-", "-"]
    half = by_kind(made_up(kinds=["photo"] * 60 + [""] * 180), POINTS)[0]
    assert [row[:2] for row in half.rows] == [["photo", "60"], ["not stated", "60"]]
    assert generated.columns[0] == "kind of generated pictures"


def test_kinds_get_from_the_manifest_to_the_page(tmp_path: Path) -> None:
    data, package = with_kinds(write_pictures(tmp_path / "set")), write_package(tmp_path / "a")
    bench(plan(data, package), tmp_path / "bench")
    write_report(tmp_path / "bench")
    page = (tmp_path / "bench" / PAGE).read_text()
    assert "### brightness 1.0, kind by kind: real pictures" in page
    assert "| photo | 12 | - |" in page, "the package has a point at 5 % alone"
    assert page.index("source by source") < page.index("kind by kind") < page.index("probabilities are worth")
    assert "kind by kind: generated pictures" in (tmp_path / "bench" / "report.html").read_text()


def test_a_change_of_kinds_costs_no_scoring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, package = write_pictures(tmp_path / "set"), write_package(tmp_path / "a")
    out = tmp_path / "bench"
    bench(plan(data, package), out)
    path = out / "scores" / read_bench(out).entries[0].file
    before = read_scores(path)
    assert before.kinds == []
    assert "kind by kind" not in render(out)
    monkeypatch.setattr(scoring, "score_chunk", lambda *_: pytest.fail("scored again"))
    for real in ("photo", "screenshot"):
        bench(plan(with_kinds(data, real=real), package), out)
        found = read_scores(path)
        assert found.kinds == [real] * 12 + ["mixed"] * 12
        assert found.logits.tolist() == before.logits.tolist()
        assert "kind by kind" in render(out)


def test_files_from_before_the_column_are_read(tmp_path: Path) -> None:
    data, package = with_kinds(write_pictures(tmp_path / "set")), write_package(tmp_path / "a")
    bench(plan(data, package), tmp_path / "bench")
    path = next((tmp_path / "bench" / "scores").glob("*.parquet"))
    basis = basis_of(path)
    pq.write_table(pq.read_table(path).drop_columns(["kind"]), path)
    old = read_scores(path)
    assert (len(old.paths), old.kinds) == (24, [])
    assert "kind by kind" not in render(tmp_path / "bench")
    update_kinds(path, dict.fromkeys(old.paths, "photo"))
    assert read_scores(path).kinds == ["photo"] * 24
    assert basis_of(path) == basis
    # And bench.json from before it had operating points.
    state = json.loads((tmp_path / "bench" / "bench.json").read_text())
    del state["entries"][0]["operating_points"]
    (tmp_path / "bench" / "bench.json").write_text(json.dumps(state))
    assert "| photo | 12 | - | - |" in render(tmp_path / "bench")
    path.write_bytes(b"no table")
    with pytest.raises(DataError, match="not a file of scores"):
        update_kinds(path, {})


@pytest.mark.parametrize("name", ["m.csv", "m.parquet"])
def test_a_manifest_keeps_the_kind(tmp_path: Path, name: str) -> None:
    write_manifest(
        tmp_path / name, [{"path": "a.png", "label": 0, "kind": "photo"}, {"path": "b.png", "label": 1}]
    )
    assert [row.kind for row in read_manifest(tmp_path / name)] == ["photo", ""]


def test_a_large_generator_is_named_where_a_small_one_is_worst() -> None:
    labels = [0] * 50 + [1] * 90
    logits = [
        *np.linspace(-2, 2, 50),
        *np.linspace(-2, 1, 10),
        *np.linspace(-1, 3, 40),
        *np.linspace(0, 3, 40),
    ]
    groups = ["camera"] * 50 + ["small"] * 10 + ["large"] * 40 + ["larger"] * 40
    scores = scores_of(labels, logits, groups=groups)
    table = tables.generators([scores, made_up(each=30)])
    assert table.rows[0][4] == "small"
    area = roc_auc_score([0] * 50 + [1] * 40, [*logits[:50], *logits[60:100]])
    assert table.columns[-1] == "worst with at least 40 pictures"
    assert table.rows[0][-1].startswith(f"large: {area:.3f} (")
    assert table.rows[1][-1] == "-", "made-up generators have ten pictures each"
    assert len(tables.generators([made_up(each=30)]).columns) == 6, "no column of nothing"


def test_a_bench_leaves_what_export_measured_of_the_band(tmp_path: Path) -> None:
    data, package = write_pictures(tmp_path / "set"), write_package(tmp_path / "a")
    values = {"value": 0.04, "low": 0.03, "high": 0.05, "real": 100, "generated": 0}
    band = Measured(data=f"held-out groups, {BAND_CHECK}", metric="accused", **values)
    old = Measured(data="another bench", metric="AUROC", **values)
    card = read_card(package).model_copy(update={"results": [band, old]})
    (package / CARD).write_text(card.model_dump_json())
    bench(plan(data, package), tmp_path / "bench")
    updated = write_to_card(tmp_path / "bench", package)
    assert updated.results[0] == band
    assert [one.metric.split(",")[0] for one in updated.results[1:]] == [
        "AUROC",
        "recall at 1 % FPR",
        "recall at 5 % FPR",
    ]
