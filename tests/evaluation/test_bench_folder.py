"""The bench: scores are kept, tables are made of them alone, and figures get into the card."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from bench_set import write_package, write_pictures

from vestige.errors import ConfigError, DataError
from vestige.evaluation import bench as module
from vestige.evaluation import tables
from vestige.evaluation.bench import bench, render, write_to_card
from vestige.evaluation.metrics import auroc, recall_at_fpr
from vestige.evaluation.scores import FIELDS, Scores, read_scores, write_scores
from vestige.inference.package import load_package


class Stopped(BaseException):
    """Stands for a kill."""


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    original = tables.bootstrap
    monkeypatch.setattr(
        tables, "bootstrap", lambda *given, **named: original(*given, **{**named, "draws": 40})
    )


def test_from_pictures_to_a_page(tmp_path: Path) -> None:
    data, train = write_pictures(tmp_path / "set"), write_pictures(tmp_path / "train", split="train")
    models = [str(write_package(tmp_path / "a")), str(write_package(tmp_path / "b", "reversed", -10))]
    out = tmp_path / "bench"
    bench(data, models, out, train, title="Bright and dark")
    page = (out / "README.md").read_text()
    assert page.startswith("# Bright and dark\n")
    for part in (
        "brightness 1.0",
        "reversed 1.0",
        "metadata and size only",
        "generator-1",
        "fewer than 10 pictures",
    ):
        assert part in page
    assert "| metadata and size only | 12 / 12 | 0.500 | 0.500-0.500 |" in page
    first = read_scores(out / "scores" / "brightness-1.0.csv")
    assert f"| brightness 1.0 | 12 / 12 | {auroc(first.labels, first.logits):.3f} |" in page
    assert len(first.paths) == 24
    reverse = read_scores(out / "scores" / "reversed-1.0.csv")
    assert auroc(first.labels, first.logits) + auroc(reverse.labels, reverse.logits) == pytest.approx(1)
    assert render(out) == page


def test_scores_are_kept_until_something_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, model, out = (
        write_pictures(tmp_path / "set"),
        str(write_package(tmp_path / "a")),
        tmp_path / "bench",
    )
    scored = count_scorings(monkeypatch)
    bench(data, [model], out)
    bench(data, [model], out)
    assert scored == ["brightness 1.0"]
    write_to_card(out, tmp_path / "a")  # figures in the card are no reason
    bench(data, [model], out)
    assert len(scored) == 1
    bench(data, [model], out, redo=True)
    assert len(scored) == 2
    bench(data, [str(write_package(tmp_path / "b", slope=5))], out)  # same name, another network
    assert len(scored) == 3
    data.write_text("\n".join(data.read_text().splitlines()[:-1]))
    bench(data, [str(tmp_path / "b")], out)
    assert len(scored) == 4


def test_a_killed_bench_goes_on_with_the_next_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, out = write_pictures(tmp_path / "set"), tmp_path / "bench"
    models = [str(write_package(tmp_path / "a")), str(write_package(tmp_path / "b", "other"))]
    with monkeypatch.context() as patch:
        original = module.write_scores

        def killing(path: Path, rows: object) -> None:
            if path.name.startswith("other"):
                raise Stopped
            original(path, rows)  # type: ignore[arg-type]

        patch.setattr(module, "write_scores", killing)
        with pytest.raises(Stopped):
            bench(data, models, out)
    scored = count_scorings(monkeypatch)
    bench(data, models, out)
    assert scored == ["other 1.0"]


def test_figures_get_into_the_card(tmp_path: Path) -> None:
    data, package, out = write_pictures(tmp_path / "set"), write_package(tmp_path / "a"), tmp_path / "bench"
    bench(data, [str(package)], out)
    write_to_card(out, package)
    results = load_package(package).card.results
    scores = read_scores(out / "scores" / "brightness-1.0.csv")
    assert [result.metric.split(",")[0] for result in results] == [
        "AUROC",
        "recall at 1 % FPR",
        "recall at 5 % FPR",
    ]
    assert results[0].value == pytest.approx(auroc(scores.labels, scores.logits), abs=1e-4)
    assert results[2].value == pytest.approx(recall_at_fpr(scores.labels, scores.logits, 0.05), abs=1e-4)
    assert (results[0].real, results[0].generated, results[0].data) == (12, 12, "manifest.csv")
    assert results[0].low <= results[0].value <= results[0].high
    with pytest.raises(ConfigError, match=r"first model is brightness 1\.0, not other 1\.0"):
        write_to_card(out, write_package(tmp_path / "b", "other"))


def test_unreadable_pictures_are_counted_and_not_scored(tmp_path: Path) -> None:
    data, out = write_pictures(tmp_path / "set"), tmp_path / "bench"
    (tmp_path / "set" / "camera3.jpg").write_bytes(b"gone")
    bench(data, [str(write_package(tmp_path / "a"))], out)
    scores = read_scores(out / "scores" / "brightness-1.0.csv")
    assert scores.unreadable == ["camera3.jpg"]
    assert len(scores.paths) == 23
    assert "brightness 1.0: 1 pictures could not be read." in (out / "README.md").read_text()


def test_verdicts_are_counted(tmp_path: Path) -> None:
    scores = Scores(
        model="m",
        paths=[""] * 5,
        labels=np.array([0, 0, 0, 1, 1]),
        groups=["g"] * 5,
        logits=np.zeros(5),
        probabilities=np.array([0.1, 0.5, 0.9, 0.9, 0.5]),
        verdicts=["likely_real", "inconclusive", "likely_generated", "likely_generated", "inconclusive"],
        unreadable=[],
    )
    table = tables.verdicts(scores)
    assert "| 3 real | 1 (33%) | 1 (33%) | 1 (33%) |" in table
    assert "| 2 generated | 1 (50%) | 1 (50%) | 0 (0%) |" in table
    assert "Of the 2 real pictures with a verdict, 1 (50%) were accused." in table


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    data = write_pictures(tmp_path / "set", each=2)
    package = str(write_package(tmp_path / "a"))
    with pytest.raises(ConfigError, match=r"two models are called brightness 1\.0"):
        bench(data, [package, package], tmp_path / "bench")
    with pytest.raises(ConfigError, match="nowhere: no bench there"):
        render(tmp_path / "nowhere")
    (tmp_path / "bench" / "bench.json").write_text(json.dumps({"title": 3}))
    with pytest.raises(ConfigError, match="no bench there"):
        render(tmp_path / "bench")


def test_score_files(tmp_path: Path) -> None:
    path = tmp_path / "a" / "scores.csv"
    row = dict.fromkeys(FIELDS, "") | {
        "model": "m",
        "path": "ü.png",
        "label": 1,
        "logit": "1.5",
        "probability": "0.8",
    }

    def broken() -> object:
        yield row
        raise Stopped

    with pytest.raises(Stopped):
        write_scores(path, broken())  # type: ignore[arg-type]
    assert not path.exists(), "a file of scores is whole or absent"
    write_scores(path, iter([row]))
    assert read_scores(path).paths == ["ü.png"]
    with path.open() as file:
        assert next(csv.reader(file)) == list(FIELDS)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"scores\.csv: not a file of scores"):
        read_scores(path)


def count_scorings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    scored: list[str] = []
    original = module.write_scores

    def counting(path: Path, rows: object) -> None:
        rows = list(rows)  # type: ignore[call-overload]
        scored.append(rows[0]["model"])
        original(path, iter(rows))

    monkeypatch.setattr(module, "write_scores", counting)
    return scored
