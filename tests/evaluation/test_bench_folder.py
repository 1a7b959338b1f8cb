"""The bench: scores are kept, a killed run goes on, and reports are made of what is kept alone."""

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from bench_set import write_format_reader, write_package, write_pictures

from vestige.apps.bench_card import write_to_card, write_to_twin
from vestige.errors import ConfigError, DataError
from vestige.evaluation import scoring, tables
from vestige.evaluation.bench import Plan, bench, read_bench
from vestige.evaluation.metrics import auroc, average_precision, recall_at_fpr
from vestige.evaluation.report import HTML, PAGE, render, write_report
from vestige.evaluation.scores import Scores, read_scores
from vestige.inference.package import load_package
from vestige.lock import only_one


class Stopped(BaseException):
    """Stands for a kill."""


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "DRAWS", 40)


def plan(data: Path, *models: Path, **changes: Any) -> Plan:
    return Plan(data=[data], models=[str(model) for model in models], **({"audit": False} | changes))


def kept(out: Path, model: str = "brightness-1.0", condition: str = "as-found") -> Scores:
    return read_scores(out / "scores" / f"manifest--{model}--{condition}.parquet")


def test_from_pictures_to_a_report(tmp_path: Path) -> None:
    data, out = write_pictures(tmp_path / "set"), tmp_path / "bench"
    models = [write_package(tmp_path / "a"), write_package(tmp_path / "b", "reversed", -10)]
    bench(plan(data, *models, title="Bright and dark", audit=True), out)
    write_report(out, {"manifest": data.parent})
    page, html = (out / PAGE).read_text(), (out / HTML).read_text()
    first, second = kept(out), kept(out, "reversed-1.0")
    assert page.startswith("# Bright and dark\n")
    assert f"| brightness 1.0 | 12 / 12 | {auroc(first.labels, first.logits):.3f} |" in page
    assert f"| reversed 1.0 | 12 / 12 | {auroc(second.labels, second.logits):.3f} |" in page
    assert auroc(first.labels, first.logits) + auroc(second.labels, second.logits) == pytest.approx(1)
    for part in ("VA101", "generator-1", "fewer than 10 pictures", "camera-rare"):
        assert part in page
        assert part in html
    assert html.count("<svg") >= 7
    assert html.count("data:image/jpeg;base64,") > 6, "the worst mistakes are shown"
    assert render(out) == page
    write_report(out)
    assert "data:image/jpeg" not in (out / HTML).read_text(), "copies of pictures are shown on request only"


def test_scores_are_kept_until_something_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, model, out = write_pictures(tmp_path / "set"), write_package(tmp_path / "a"), tmp_path / "bench"
    scored = count_scorings(monkeypatch)
    bench(plan(data, model), out)
    bench(plan(data, model), out)
    assert scored == ["brightness 1.0 as-found/1"]
    write_to_card(out, model)  # figures in the card are no reason
    bench(plan(data, model), out)
    assert len(scored) == 1
    bench(plan(data, model, redo=True), out)
    assert len(scored) == 2
    other = write_package(tmp_path / "b", slope=5)  # same name, another network
    bench(plan(data, other), out)
    assert len(scored) == 3
    bench(plan(data, other, protocols=("as-found", "delivery-jpeg-75")), out)
    assert scored[3:] == ["brightness 1.0 delivery-jpeg-75/1"]
    data.write_text("\n".join(data.read_text().splitlines()[:-1]))
    bench(plan(data, other), out)
    assert len(scored) == 5
    assert len(read_bench(out).entries) == 1, "the report shows what was asked for last"


def test_a_killed_bench_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, out = write_pictures(tmp_path / "set"), tmp_path / "bench"
    models = [write_package(tmp_path / "a"), write_package(tmp_path / "b", "other")]
    bench(plan(data, *models), tmp_path / "whole")
    monkeypatch.setattr(scoring, "CHUNK", 5)
    original, calls = scoring.score_chunk, []

    def killing(*given: Any) -> Any:
        calls.append(given[1])
        if len(calls) == 8:  # the third chunk of the second model
            raise Stopped
        return original(*given)

    with monkeypatch.context() as patch:
        patch.setattr(scoring, "score_chunk", killing)
        with pytest.raises(Stopped):
            bench(plan(data, *models), out)
    lines = next((out / "scores").glob("*.lines"))
    lines.write_text(lines.read_text() + '{"model": "half a li')  # torn by the kill
    assert [entry.model for entry in read_bench(out).entries] == ["brightness 1.0"]
    with monkeypatch.context() as patch:
        patch.setattr(scoring, "score_chunk", lambda *given: (calls.append(given[1]), original(*given))[1])
        del calls[:]
        bench(plan(data, *models), out)
    assert calls == ["other 1.0"] * 3, "24 pictures in chunks of 5, the first 10 were scored"
    assert not list((out / "scores").glob("*.lines"))
    for model in ("brightness-1.0", "other-1.0"):
        assert kept(out, model).paths == kept(tmp_path / "whole", model).paths
        assert kept(out, model).logits.tolist() == kept(tmp_path / "whole", model).logits.tolist()


def test_several_workers_give_the_same_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, model = write_pictures(tmp_path / "set", side=520), write_package(tmp_path / "a")
    monkeypatch.setattr(scoring, "CHUNK", 7)
    bench(plan(data, model, protocols=("hard",)), tmp_path / "one")
    bench(plan(data, model, protocols=("hard",), workers=2), tmp_path / "two")
    one, two = (kept(tmp_path / name, condition="hard") for name in ("one", "two"))
    assert (one.paths, one.groups, one.verdicts) == (two.paths, two.groups, two.verdicts)
    assert one.logits == pytest.approx(two.logits, abs=2e-6)


def test_pictures_without_a_score_are_named(tmp_path: Path) -> None:
    data, out = write_pictures(tmp_path / "set"), tmp_path / "bench"
    (tmp_path / "set" / "camera3.jpg").write_bytes(b"gone")
    bench(plan(data, write_package(tmp_path / "a"), protocols=("as-found", "web")), out)
    found, small = kept(out), kept(out, condition="web")
    assert [path for path, _ in found.unreadable] == ["camera3.jpg"]
    assert (len(found.paths), len(small.paths), len(small.left_out), len(small.unreadable)) == (23, 0, 23, 1)
    write_report(out)
    page = (out / PAGE).read_text()
    assert "Without a score: 1 pictures" in page
    assert "| camera3.jpg | could not be read |" in page
    assert "| camera1.jpg | left out | The shorter side has 64 pixels, fewer than the 512" in page
    write_pictures(tmp_path / "set")
    bench(plan(data, tmp_path / "a"), out)
    assert len(kept(out).paths) == 24, "a picture that came back is scored"


def test_names_that_look_alike_keep_their_own_files(tmp_path: Path) -> None:
    package, out = write_package(tmp_path / "a"), tmp_path / "bench"
    sets = []
    for name, each in (("a_b", 3), ("a-b", 4), ("A-b", 5), ("数据集", 6), ("画像", 7)):
        manifest = write_pictures(tmp_path / name, each=each)
        sets.append(manifest.rename(manifest.with_name(f"{name}.csv")))
    state = bench(replace(plan(sets[0], package), data=sets), out)
    counts = [len(read_scores(out / "scores" / entry.file).paths) for entry in state.entries]
    assert counts == [6, 8, 10, 12, 14]


def test_models_without_common_pictures_are_not_compared_blindly(tmp_path: Path) -> None:
    data, out = write_pictures(tmp_path / "set"), tmp_path / "bench"
    bench(plan(data, write_package(tmp_path / "a"), write_package(tmp_path / "b", "other", 5)), out)
    other = kept(out, "other-1.0")
    shorter = replace(
        other,
        paths=other.paths[3:],
        labels=other.labels[3:],
        logits=other.logits[3:],
        groups=other.groups[3:],
        pictures=other.pictures[3:],
        compare_with=other.compare_with[3:],
        probabilities=other.probabilities[3:],
        verdicts=other.verdicts[3:],
    )
    row = tables.ranking([kept(out), shorter]).rows[1]
    assert row[1] == "9 / 12"
    assert row[5] == "+0.000 (+0.000, +0.000) on 21 common pictures", "the same ranking on common pictures"


def test_a_warning_where_the_model_knows_the_sources(tmp_path: Path) -> None:
    data, package, out = write_pictures(tmp_path / "set"), write_package(tmp_path / "a"), tmp_path / "bench"
    card = json.loads((package / "card.json").read_text())
    card["training"]["sources"] = [
        {"name": "camera-1", "label": 0, "count": 5, "licence": "CC0"},
        {"name": "generator-1", "label": 0, "count": 5, "licence": "CC0"},
    ]
    (package / "card.json").write_text(json.dumps(card))
    bench(plan(data, package), out)
    write_report(out)
    seen = "3 of the 24 pictures come from generators or sources that were trained on"
    assert seen in (out / PAGE).read_text(), "camera-1 has three pictures; generator-1 was no generator there"


def test_the_report_of_a_killed_bench_shows_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = write_pictures(tmp_path / "set", each=3), tmp_path / "bench"
    models = [write_package(tmp_path / "a"), write_package(tmp_path / "b", "other")]
    original, calls = scoring.score_chunk, []

    def killing(*given: Any) -> Any:
        calls.append(given)
        if len(calls) == 13:  # the third way of the second model
            raise Stopped
        return original(*given)

    monkeypatch.setattr(scoring, "score_chunk", killing)
    with pytest.raises(Stopped):
        bench(plan(data, *models, protocols=("delivery",)), out)
    write_report(out)
    page = (out / PAGE).read_text()
    assert "| brightness 1.0 | 3 real |" in page
    assert "Not scored in all of them: other 1.0." in page


def test_pictures_that_nothing_can_read_leave_a_report(tmp_path: Path) -> None:
    data, out = write_pictures(tmp_path / "set", each=2), tmp_path / "bench"
    for picture in data.parent.glob("*.jpg"):
        picture.write_bytes(b"gone")
    wanted = ("as-found", "sweep-blur", "delivery")
    bench(plan(data, write_package(tmp_path / "a"), protocols=wanted, audit=True), out)
    write_report(out)
    page = (out / PAGE).read_text()
    assert "Pictures without a score for some way, left out: 4 by brightness 1.0." in page
    assert "Without a score: 4 pictures" in page


def test_an_audit_of_other_pictures_is_not_shown(tmp_path: Path) -> None:
    data, package, out = write_pictures(tmp_path / "set"), write_package(tmp_path / "a"), tmp_path / "bench"
    bench(plan(data, package, audit=True), out)
    bench(plan(data, package, sample=3), out)
    write_report(out)
    assert "VA101" not in (out / PAGE).read_text()


def test_one_bench_at_a_time(tmp_path: Path) -> None:
    pytest.importorskip("fcntl", reason="the system has no such locks")
    script = (
        "import sys\nfrom pathlib import Path\nfrom vestige.lock import only_one\n"
        "with only_one(Path(sys.argv[1])): print('held')"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with only_one(tmp_path):
        refused = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "another command of vestige is at work there" in refused.stderr
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "held\n"


def test_a_detector_of_the_file_format_is_exposed(tmp_path: Path) -> None:
    data, out = write_pictures(tmp_path / "set", each=20, side=520, biased=True), tmp_path / "bench"
    bench(plan(data, write_format_reader(tmp_path / "a"), protocols=("as-found", "web"), audit=True), out)
    found, web = kept(out, "format-reader-1.0"), kept(out, "format-reader-1.0", "web")
    assert auroc(found.labels, found.logits) == 1.0
    assert auroc(web.labels, web.logits) == 0.5
    assert len(web.paths) == 40
    audit = json.loads((out / "audit" / "manifest.json").read_text())
    sections = {finding["code"]: finding["section"] for finding in audit["findings"]}
    assert sections["VA101"] == "issue"
    write_report(out)
    assert "VA101" in (out / PAGE).read_text()


def test_sweeps_and_deliveries_have_their_own_chapters(tmp_path: Path) -> None:
    data, out = write_pictures(tmp_path / "set", each=4, side=520), tmp_path / "bench"
    bench(plan(data, write_package(tmp_path / "a"), protocols=("sweep-blur", "delivery"), sample=3), out)
    write_report(out)
    page = (out / PAGE).read_text()
    assert "## manifest: perturbations" in page
    assert "| blur-3/1 | 3 / 3 |" in page
    assert "## manifest: byte delivery" in page
    assert "| brightness 1.0 | 3 real |" in page
    assert "<svg" in (out / HTML).read_text()


def test_published_figures_stand_beside_ours(tmp_path: Path) -> None:
    data, out = write_pictures(tmp_path / "set"), tmp_path / "bench"
    data.write_text(data.read_text().replace("generator-rare", "Midjourney"))
    bench(plan(data, write_package(tmp_path / "a"), benchmark="aigcdetect-benchmark"), out)
    write_report(out)
    page, scores = (out / PAGE).read_text(), kept(out)
    line = next(line for line in page.splitlines() if line.startswith("| **brightness 1.0**"))
    inside = [g == "Midjourney" or label == 0 for g, label in zip(scores.groups, scores.labels, strict=True)]
    ours = average_precision(scores.labels[inside], scores.logits[inside])
    assert f"**{100 * ours:.2f}**" in line
    assert "GenSign" in page
    with pytest.raises(DataError, match="wibble"):
        bench(plan(data, tmp_path / "a", benchmark="wibble"), out)


def test_every_figure_is_kept_with_both_intervals(tmp_path: Path) -> None:
    data, out = write_pictures(tmp_path / "set"), tmp_path / "bench"
    bench(plan(data, write_package(tmp_path / "a")), out)
    write_report(out)
    with (out / "figures.csv").open(newline="") as file:
        rows = {row["metric"]: row for row in csv.DictReader(file)}
    assert len(rows) == 12
    scores = kept(out)
    assert float(rows["AUROC"]["value"]) == pytest.approx(auroc(scores.labels, scores.logits), abs=1e-4)
    called = scores.probabilities >= scores.thresholds[1]
    assert float(rows["accuracy"]["value"]) == pytest.approx((called == scores.labels).mean(), abs=1e-4)
    for row in rows.values():
        for kind in ("picture", "group"):
            assert float(row[f"low_by_{kind}"]) <= float(row["value"]) + 0.2, row
            assert float(row[f"low_by_{kind}"]) <= float(row[f"high_by_{kind}"])


def test_figures_get_into_the_card(tmp_path: Path) -> None:
    data, package, out = write_pictures(tmp_path / "set"), write_package(tmp_path / "a"), tmp_path / "bench"
    bench(plan(data, package), out)
    write_to_card(out, package)
    results, scores = load_package(package).card.results, kept(out)
    assert [result.metric.split(",")[0] for result in results] == [
        "AUROC",
        "recall at 1 % FPR",
        "recall at 5 % FPR",
    ]
    assert results[0].value == pytest.approx(auroc(scores.labels, scores.logits), abs=1e-4)
    assert results[2].value == pytest.approx(recall_at_fpr(scores.labels, scores.logits, 0.05), abs=1e-4)
    assert (results[0].real, results[0].generated) == (12, 12)
    assert results[0].data == "manifest, as-found/1"
    assert results[0].low <= results[0].value <= results[0].high
    with pytest.raises(ConfigError, match=r"first model is brightness 1\.0, not other 1\.0"):
        write_to_card(out, write_package(tmp_path / "b", "other"))


def test_figures_of_a_later_model_get_into_its_card(tmp_path: Path) -> None:
    data, out = write_pictures(tmp_path / "set"), tmp_path / "bench"
    package, darker = write_package(tmp_path / "a"), write_package(tmp_path / "b", "darker", -10)
    bench(plan(data, package, darker), out)
    first, second = (write_to_card(out, folder).results[0].value for folder in (package, darker))
    assert first == pytest.approx(1 - second, abs=1e-4)
    assert first != second
    with pytest.raises(ConfigError, match=r"first model is brightness 1\.0, not other 1\.0, and .* darker"):
        write_to_card(out, write_package(tmp_path / "c", "other"))


def with_recipe(package: Path, split: object, version: str, penalty: float = 0.01) -> Path:
    """The package as if a recipe on some splits had made it."""
    recipe = {
        "method": "srm-statistics",
        "data": {"split": split},
        "fit": {"inverse_penalty": penalty},
        "package": {"name": "brightness", "version": version, "summary": "-", "failure_modes": ["-"]},
    }
    card = json.loads((package / "card.json").read_text())
    card["version"] = version
    card["training"] |= {"recipe": yaml.safe_dump(recipe), "data": f"{split} of set.csv"}
    (package / "card.json").write_text(json.dumps(card))
    return package


def test_figures_get_into_the_card_of_a_twin_that_learned_from_more(tmp_path: Path) -> None:
    data, out = write_pictures(tmp_path / "set"), tmp_path / "bench"
    package = with_recipe(write_package(tmp_path / "a"), "train", "1.0-train")
    bench(plan(data, package), out)
    measured = write_to_card(out, package)
    twin = with_recipe(write_package(tmp_path / "b"), ["train", "dev"], "1.0")
    write_to_twin(out, measured, twin)
    card = load_package(twin).card
    assert (card.version, card.training.data) == ("1.0", "['train', 'dev'] of set.csv")
    for own, theirs in zip(card.results, measured.results, strict=True):
        assert (
            own.data
            == f"{theirs.data}; figures of brightness 1.0-train, the same recipe on the train of set.csv"
        )
        assert own.model_copy(update={"data": theirs.data}) == theirs
    other = with_recipe(write_package(tmp_path / "c"), ["train", "dev"], "1.0", penalty=0.02)
    before = (other / "card.json").read_bytes()
    with pytest.raises(ConfigError, match=r"brightness 1\.0 and brightness 1\.0-train differ in more"):
        write_to_twin(out, measured, other)
    assert (other / "card.json").read_bytes() == before
    with pytest.raises(ConfigError, match=r"first model is brightness 1\.0-train, not brightness 1\.0"):
        write_to_twin(out, card, twin)


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    data, package, out = (
        write_pictures(tmp_path / "set", each=2),
        write_package(tmp_path / "a"),
        tmp_path / "b",
    )
    with pytest.raises(ConfigError, match=r"two models are called brightness 1\.0"):
        bench(plan(data, package, package), out)
    with pytest.raises(ConfigError, match="two data sets are called manifest"):
        bench(replace(plan(data, package), data=[data, data]), out)
    with pytest.raises(ConfigError, match="'wibble'"):
        bench(plan(data, package, protocols=("wibble",)), out)
    with pytest.raises(ConfigError, match="nowhere: no bench there"):
        render(tmp_path / "nowhere")
    out.mkdir(exist_ok=True)
    (out / "bench.json").write_text(json.dumps({"title": 3}))
    with pytest.raises(ConfigError, match="no bench there"):
        render(out)


def count_scorings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    from vestige.evaluation import bench as module

    scored: list[str] = []
    original = module.score

    def counting(job: scoring.Job, *given: Any) -> None:
        scored.append(f"{job.package.card.title} {job.condition.title}")
        original(job, *given)

    monkeypatch.setattr(module, "score", counting)
    return scored
