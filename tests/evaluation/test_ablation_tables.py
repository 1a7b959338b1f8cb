"""The page of an ablation from made-up scores, with figures worked out by hand."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from vestige.errors import ConfigError, DataError
from vestige.evaluation import tables
from vestige.evaluation.ablation import write_page
from vestige.evaluation.ablation_figures import excludes_zero, figures, rows_of
from vestige.evaluation.ablation_record import (
    FitRecord,
    PictureScores,
    Record,
    RowRecord,
    ScoreRecord,
    SetRecord,
    TrainRecord,
    read_record,
    read_scores,
    save_record,
    score_file,
    write_scores,
)
from vestige.evaluation.metrics import Interval

# Two sources and two generators with two pictures each.
LABELS = [0, 0, 0, 0, 1, 1, 1, 1]
GROUPS = ["camera", "camera", "phone", "phone", "gan", "gan", "vae", "vae"]
PERFECT = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
# 12 of 16 pairs right: the two of "gan" lie between the sources.
HALF = [0.0, 1.0, 6.0, 7.0, 4.0, 5.0, 8.0, 9.0]
# 1 of 16 pairs right, of "camera" and "vae".
POOR = [4.0, 5.0, 6.0, 7.0, 0.0, 1.0, 4.5, 0.5]


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "DRAWS", 100)


def scores(logits: list[float]) -> PictureScores:
    return PictureScores(
        [f"{number}.png" for number in range(8)], np.array(LABELS), GROUPS, np.array(logits, dtype=np.float64)
    )


ROWS = {
    "base": {0: scores(HALF), 1: scores(PERFECT)},
    "poor": {0: scores(POOR)},
    "same": {0: scores(HALF), 1: scores(HALF)},
}


def write_ablation(out: Path, **changes: object) -> Record:
    """A folder with the scores of `ROWS` on the test set "made-up"; `changes` go into the record."""
    record = Record(
        title="Made up",
        command="vestige ablate spec.yaml --train manifest.csv --test made-up=test.csv --out OUT",
        spec={},
        order=["base", "poor", "same"],
        baseline="base",
        questions={},
        views=2,
        versions={"vestige": "0"},
        train=TrainRecord(manifest="manifest.csv", manifest_sha256="ab" * 32, split="train"),
        tests={
            "made-up": SetRecord(
                manifest="test.csv", manifest_sha256="cd" * 32, split="", real=4, generated=4, seen=2
            )
        },
    )
    for row, several in ROWS.items():
        changed = {} if row == "base" else {"model.signature": None, "fit.steps": 3}
        record.rows[row] = RowRecord(changed=changed, recipe={}, stages={})
        for seed, one in several.items():
            record.add_fit(
                FitRecord(
                    row=row,
                    seed=seed,
                    basis="",
                    network_sha256="",
                    seconds=10 + 2 * seed,
                    images_per_second=50,
                    continued=False,
                    real=20,
                    generated=30,
                    views=100,
                )
            )
            file = score_file("made-up", row, seed)
            lines = zip(one.pictures, one.labels.tolist(), one.groups, one.logits.tolist(), strict=True)
            write_scores(out / file, lines)
            record.add_score(ScoreRecord(test="made-up", row=row, seed=seed, basis="", file=file))
    record = record.model_copy(update=changes)
    save_record(out, record)
    return record


def cells(page: str, row: str, nth: int = -1) -> list[str]:
    """Cells of a row in one of the tables that have it."""
    lines = [line for line in page.splitlines() if line.startswith(f"| {row} |")]
    return [cell.strip() for cell in lines[nth].strip("|").split(" | ")]


def test_figures_by_hand() -> None:
    found = figures(ROWS, "base")
    base, poor = found["base"]["AUROC"], found["poor"]["AUROC"]
    assert base.seeds == [12 / 16, 1.0]
    assert base.mean.value == pytest.approx(14 / 16)
    assert base.minus is None
    assert poor.mean.value == pytest.approx(1 / 16)
    assert poor.minus is not None
    # Over the seed that both have: the baseline's other seed is better than its first.
    assert poor.minus.value == pytest.approx(1 / 16 - 12 / 16)
    # Precision at each generated picture of HALF, from the highest: 1/1, 2/2, then 3/5 and 4/6.
    assert found["same"]["AP, generated positive"].mean.value == pytest.approx((1 + 1 + 3 / 5 + 4 / 6) / 4)
    # And at each real one, from the lowest: 1/1, 2/2, 3/5, 4/6.
    assert found["same"]["AP, real positive"].mean.value == pytest.approx((1 + 1 + 3 / 5 + 4 / 6) / 4)
    assert found["same"]["recall at 5 % FPR"].mean.value == pytest.approx(2 / 4)


def test_accuracy_is_balanced_and_taken_at_logit_0() -> None:
    # Of five real pictures two are right, of three generated ones two: 0 counts as generated.
    known = PictureScores(
        [f"{number}.png" for number in range(8)],
        np.array([0, 0, 0, 0, 0, 1, 1, 1]),
        ["camera", "camera", "phone", "phone", "phone", "gan", "gan", "vae"],
        np.array([-1.0, -0.1, 0.0, 2.0, 3.0, 0.0, 5.0, -0.2]),
    )
    accuracy = figures({"base": {0: known}}, "base")["base"]["balanced accuracy at logit 0"]
    assert accuracy.mean.value == pytest.approx((2 / 5 + 2 / 3) / 2)


def test_intervals_are_those_of_all_resamples_of_groups() -> None:
    found = figures(ROWS, "base")
    # Two sources and two generators: nine different resamples. In HALF pairs of "phone" and "gan" are wrong
    # and all others right, so a resample of these two alone gives 0, and many give 1.
    assert (found["same"]["AUROC"].mean.low, found["same"]["AUROC"].mean.high) == (0.0, 1.0)
    # The base is the mean with a perfect seed on the same resample.
    assert (found["base"]["AUROC"].mean.low, found["base"]["AUROC"].mean.high) == (0.5, 1.0)
    minus = found["same"]["AUROC"].minus
    assert minus is not None
    # Paired: HALF minus the mean of HALF and 1, so between (0 - 1) / 2 and 0 on every resample.
    assert (minus.value, minus.low, minus.high) == (pytest.approx(0.75 - 0.875), -0.5, 0.0)
    assert not excludes_zero(minus)


def test_differences_are_taken_over_shared_seeds() -> None:
    base = {0: scores(HALF), 1: scores(PERFECT), 2: scores(POOR)}
    found = figures({"base": base, "row": {1: scores(PERFECT)}, "other": {7: scores(HALF)}}, "base")
    minus = found["row"]["AUROC"].minus
    assert minus is not None
    assert (minus.value, minus.low, minus.high) == (0, 0, 0), "the same fit, on every resample"
    assert found["row"]["AUROC"].mean.value == 1
    minus = found["other"]["AUROC"].minus
    assert minus is not None
    assert minus.value == pytest.approx(12 / 16 - (12 + 16 + 1) / 16 / 3), "none shared: over all"


def test_an_interval_beside_zero_is_marked() -> None:
    assert excludes_zero(Interval(0.1, 0.05, 0.2))
    assert excludes_zero(Interval(-0.1, -0.2, -0.05))
    assert not excludes_zero(Interval(0.1, 0.0, 0.2))
    assert not excludes_zero(Interval(0.1, -0.1, 0.2))
    assert not excludes_zero(Interval(0.1, float("nan"), float("nan")))


def test_the_page(tmp_path: Path) -> None:
    write_ablation(tmp_path)
    assert [path.name for path in write_page(tmp_path)] == ["README.md", "figures.csv"]
    page = (tmp_path / "README.md").read_text()
    assert page.startswith("# Made up\n\nGenerated by `vestige ablate`; do not edit.\n\n```sh\nvestige ")
    names = re.findall(r"^\| (\w+) \| 4 / 4", page, flags=re.M)
    assert names == ["base", "poor", "same"], "in the order of the specification"
    assert cells(page, "base")[1:6] == ["4 / 4", "2", "0.875 (0.500-1.000)", "0.750-1.000", "-"]
    poor = cells(page, "poor")
    assert poor[2:5] == ["1", poor[3], "-"]
    assert poor[5].startswith("-0.688 (")
    assert "over the seeds that both rows have (over all where they share none)" in page
    assert cells(page, "same")[5] == "-0.125 (-0.500, +0.000)"
    assert cells(page, "poor", 0)[1:] == [
        r"model.signature: null; fit.steps: 3".replace("_", r"\_"),
        "20 / 30",
        "100",
        "10",
        "50",
    ]
    assert cells(page, "base", 0)[1] == "nothing"
    assert cells(page, "base", 0)[4] == "11", "mean over seeds"
    assert "2 of them come from generators or sources that were trained on" in page
    assert "of the 2 differences on this page" in page
    assert "In words" not in page
    assert "trained once for each configuration" not in page, "no row has stages"


def test_every_figure_is_in_the_csv(tmp_path: Path) -> None:
    write_ablation(tmp_path)
    write_page(tmp_path)
    with (tmp_path / "figures.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 5
    (line,) = [row for row in rows if (row["row"], row["metric"]) == ("same", "AUROC")]
    assert line == {
        "test": "made-up",
        "row": "same",
        "seeds": "2",
        "metric": "AUROC",
        "value": "0.7500",
        "low_by_group": "0.0000",
        "high_by_group": "1.0000",
        "lowest_seed": "0.7500",
        "highest_seed": "0.7500",
        "minus_baseline": "-0.1250",
        "minus_low_by_group": "-0.5000",
        "minus_high_by_group": "0.0000",
        "real": "4",
        "generated": "4",
    }
    assert {row["minus_baseline"] for row in rows if row["row"] == "base"} == {""}


def test_questions_group_the_rows(tmp_path: Path) -> None:
    write_ablation(tmp_path, questions={"Is it poor?": ["poor"]})
    write_page(tmp_path)
    page = (tmp_path / "README.md").read_text()
    first, second = page.split("### Is it poor?")[1].split("### Other rows")
    assert re.findall(r"^\| (\w+) \| 4", first, flags=re.M) == ["base", "poor"]
    assert re.findall(r"^\| (\w+) \| 4", second, flags=re.M) == ["base", "same"]


def test_words_of_an_author_stand_apart(tmp_path: Path) -> None:
    write_ablation(tmp_path)
    (tmp_path / "reading.md").write_text("It is *poor*.\n")
    write_page(tmp_path)
    page = (tmp_path / "README.md").read_text()
    assert (
        "## In words\n\n*This section was written by hand (reading.md).*\n\nIt is *poor*.\n\n## Rows" in page
    )


def test_rows_that_were_not_run_are_named(tmp_path: Path) -> None:
    record = write_ablation(tmp_path)
    record.order.append("later")
    record.scores = [score for score in record.scores if score.row != "base"]
    save_record(tmp_path, record)
    write_page(tmp_path)
    page = (tmp_path / "README.md").read_text()
    assert "Not run yet: base, later." in page
    assert cells(page, "poor")[5] == "-", "nothing to compare with"
    assert cells(page, "later", 0)[1] == "not run yet"


def test_one_group_in_a_class_gives_no_interval() -> None:
    one = PictureScores(
        ["a", "b", "c", "d"], np.array([0, 0, 1, 1]), ["camera"] * 2 + ["gan", "vae"], np.arange(4.0)
    )
    figure = figures({"base": {0: one}}, "base")["base"]["AUROC"]
    assert figure.mean.value == 1
    assert np.isnan(figure.mean.low)


def test_rows_of_other_pictures_are_refused(tmp_path: Path) -> None:
    record = write_ablation(tmp_path)
    path = tmp_path / score_file("made-up", "poor", 0)
    path.write_text(path.read_text().replace("3.png", "9.png"))
    with pytest.raises(DataError, match=r"poor-seed0\.csv: not of the same pictures as .*base-seed0\.csv"):
        rows_of(tmp_path, record, "made-up")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "path,label,group,logit\na,0,b,1\n",
        "picture,label,group,logit\na,2,b,1\n",
        "picture,label,group,logit\na,0,b,nan\n",
        "picture,label,group,logit\na,0\n",
    ],
)
def test_files_of_something_else_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(DataError, match=r"s\.csv: not a file of scores of an ablation"):
        read_scores(tmp_path / "s.csv")
    with pytest.raises(DataError, match=r"gone\.csv: not a file"):
        read_scores(tmp_path / "gone.csv")


def test_scores_survive_writing(tmp_path: Path) -> None:
    lines = [('odd, "name".png', 0, "a,b", -1.23456789), ("ü.png", 1, "é", 2.0)]
    write_scores(tmp_path / "deep" / "s.csv", lines)
    found = read_scores(tmp_path / "deep" / "s.csv")
    assert found.pictures == ['odd, "name".png', "ü.png"]
    assert found.groups == ["a,b", "é"]
    assert found.labels.tolist() == [0, 1]
    assert found.logits.tolist() == [-1.234568, 2.0]


def test_records(tmp_path: Path) -> None:
    assert read_record(tmp_path) is None
    with pytest.raises(ConfigError, match="no ablation there"):
        write_page(tmp_path)
    record = write_ablation(tmp_path)
    assert read_record(tmp_path) == record
    assert record.score("made-up", "base", 1) is not None
    assert record.score("made-up", "base", 2) is None
    count = len(record.scores)
    record.add_score(ScoreRecord(test="made-up", row="base", seed=1, basis="new", file="f"))
    assert len(record.scores) == count
    values = json.loads((tmp_path / "ablation.json").read_text())
    del values["baseline"]
    (tmp_path / "ablation.json").write_text(json.dumps(values))
    with pytest.raises(ConfigError, match=r"ablation\.json: cannot be read as the record of an ablation"):
        read_record(tmp_path)
