"""Runs compared by made-up held-out logits, with figures worked out by hand or by scikit-learn."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from vestige.errors import ConfigError, DataError
from vestige.evaluation import tables
from vestige.evaluation.choosing import accused, best, by_generator, changes, common, figures
from vestige.evaluation.choosing_page import write_page
from vestige.evaluation.choosing_record import (
    HeldOut,
    Record,
    RunRecord,
    read_held_out,
    run_file,
    save_record,
    write_held_out,
)
from vestige.evaluation.metrics import recall_at_fpr

# Three sources of 20 real pictures, two generators of 20 and one of 3.
GROUPS = [name for name in ("camera", "phone", "scan", "gan", "vae") for _ in range(20)] + ["rare"] * 3
LABELS = np.array([0] * 60 + [1] * 43)


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "DRAWS", 50)


def held_out(seed: int, strength: float = 1.0) -> HeldOut:
    """Logits at random, those of generated pictures larger by `strength`."""
    logits = np.random.default_rng(seed).normal(size=len(LABELS)) + strength * LABELS
    paths = [f"{number:03}.png" for number in range(len(LABELS))]
    return HeldOut(paths, LABELS, GROUPS, logits.round(6))


def run_record(manifest: str = "ab", **recipe: Any) -> RunRecord:
    values = {"method": "discriminant", "package": {"name": "a"}, **recipe}
    return RunRecord(
        summary="A try.",
        manifest="m.csv",
        manifest_sha256=manifest * 32,
        seed=0,
        recipe=values,
        variant={"fraction": 1.0},
    )


def record(*names: str, **changed: Any) -> Record:
    values: dict[str, Any] = {
        "title": "Tries",
        "order": list(names),
        "beside": names[0],
        "runs": {name: run_record() for name in names},
    }
    return Record(**(values | changed))


def write_folder(out: Path, known: Record, found: dict[str, HeldOut]) -> None:
    save_record(out, known)
    for name, pictures in found.items():
        write_held_out(run_file(out, name), pictures)


def test_files_come_back_sorted_by_path(tmp_path: Path) -> None:
    path = tmp_path / "held-out.csv"
    path.write_text("path,label,group,logit,deviation\nb,1,gan,2.5,0\na,0,camera,-1,3\n")
    found = read_held_out(path)
    assert (found.paths, found.labels.tolist(), found.groups) == (["a", "b"], [0, 1], ["camera", "gan"])
    assert found.logits.tolist() == [-1, 2.5]
    assert (found.real, found.generated) == (1, 1)
    write_held_out(tmp_path / "copy" / "a.csv", found)
    text = (tmp_path / "copy" / "a.csv").read_text()
    assert text == "path,label,group,logit\na,0,camera,-1.000000\nb,1,gan,2.500000\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path,label,group\na,0,camera\n", "no column logit"),
        ("path,label,group,logit\na,0,camera,high\nb,1,gan,1\n", "could not convert"),
        ("path,label,group,logit\na,0,camera,nan\nb,1,gan,1\n", "finite numbers"),
        ("path,label,group,logit\na,0,camera,0\nb,2,gan,1\n", "labels must be 0 or 1"),
        ("path,label,group,logit\na,0,camera\nb,1,gan,1\n", "cannot be read as held-out logits"),
        ("path,label,group,logit\na,0,camera,0\na,1,gan,1\n", "a is listed twice"),
        ("path,label,group,logit\na,1,gan,0\nb,1,gan,1\n", "one class only"),
        ("", "no column path, label, group, logit"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "held-out.csv").write_text(text)
    with pytest.raises(DataError, match=rf"held-out\.csv: .*{words}"):
        read_held_out(tmp_path / "held-out.csv")


def test_figures_are_those_of_scikit_learn() -> None:
    found = {"a": held_out(0), "b": held_out(1, 2.0)}
    made = figures(record("a", "b"), found)
    aurocs = {name: roc_auc_score(LABELS, one.logits) for name, one in found.items()}
    for name, figure in made.items():
        assert figure.auroc.value == pytest.approx(aurocs[name])
        assert figure.auroc.low < figure.auroc.value < figure.auroc.high
        assert figure.recall.value == recall_at_fpr(LABELS, found[name].logits, 0.05)
        # "rare" has too few pictures for the mean.
        each = [
            roc_auc_score(LABELS[inside], found[name].logits[inside])
            for inside in ((LABELS == 0) | (np.array(GROUPS) == group) for group in ("gan", "vae"))
        ]
        assert figure.mean_over_generators == pytest.approx(np.mean(each))
    assert made["a"].minus is None
    minus = made["b"].minus
    assert minus is not None
    assert minus.value == pytest.approx(aurocs["b"] - aurocs["a"])
    assert minus.low <= minus.value <= minus.high
    assert best(record("a", "b"), made) == "b"
    assert best(record("b", "a"), figures(record("b", "a"), found)) == "b"


def test_the_difference_is_paired() -> None:
    ours = held_out(0)
    # One constant more for every picture: no order changes, in no resample.
    shifted = HeldOut(ours.paths, ours.labels, ours.groups, ours.logits + 1)
    minus = figures(record("a", "b"), {"a": ours, "b": shifted})["b"].minus
    assert minus is not None
    assert (minus.value, minus.low, minus.high) == (0, 0, 0)


def test_only_common_pictures_are_compared() -> None:
    whole = held_out(0)
    part = whole.of(np.arange(0, len(LABELS), 2))
    for found in ({"a": whole, "b": part}, {"a": part, "b": whole}):
        figure = figures(record("a", "b"), found)["b"]
        assert figure.minus is not None
        assert (figure.minus.value, figure.minus.low, figure.minus.high) == (0, 0, 0)
        assert figure.common == 52
        assert figure.auroc.value == pytest.approx(roc_auc_score(found["b"].labels, found["b"].logits))
    mine, others = common(part, whole)
    assert [part.paths[i] for i in mine] == [whole.paths[i] for i in others] == part.paths


def test_what_cannot_be_compared() -> None:
    ours = held_out(0)
    part = ours.of(np.arange(1, len(LABELS)))
    runs = {"a": run_record(), "b": run_record("cd")}
    figures(record("a", "b", runs=runs), {"a": ours, "b": held_out(1)})  # other manifests, the same paths
    with pytest.raises(ConfigError, match="b and a were trained on different manifests, and 1 held-out"):
        figures(record("a", "b", runs=runs), {"a": ours, "b": part})
    figures(record("a", "b"), {"a": ours, "b": part})
    labels = LABELS.copy()
    labels[7] = 1
    with pytest.raises(ConfigError, match=r"007\.png has the label 1 in b and 0 in a"):
        figures(record("a", "b"), {"a": ours, "b": HeldOut(ours.paths, labels, GROUPS, ours.logits)})
    groups = ["other", *GROUPS[1:]]
    with pytest.raises(ConfigError, match=r"000\.png has the group other in b and camera in a"):
        figures(record("a", "b"), {"a": ours, "b": HeldOut(ours.paths, LABELS, groups, ours.logits)})


def test_changes_are_dotted_keys() -> None:
    base = run_record(
        seed=0,
        fit={"discriminant": {"between": 10.0, "shrinkage": 0.3}},
        model={"features": [{"kind": "clip", "layers": [1, 2]}, {"kind": "srm"}]},
        data={"reconstruction": None},
    )
    other = run_record(
        seed=0,
        fit={"discriminant": {"between": 0, "shrinkage": 0.3}},
        model={"features": [{"kind": "clip", "layers": [1]}, {"kind": "srm"}], "width": 3},
        package={"name": "b"},
        data={"reconstruction": {"share": 0.5}},
    )
    assert changes(base, base) == []
    assert sorted(changes(other, base)) == [
        'data.reconstruction: {"share": 0.5}',
        "fit.discriminant.between: 0",
        "model.features.0.layers: [1]",
        "model.width: 3",
    ]
    assert "model.width: left out" in changes(base, other)
    assert "data.reconstruction: null" in changes(base, other)
    fewer = run_record(model={"features": [{"kind": "srm"}]})
    assert 'model.features: [{"kind": "srm"}]' in changes(fewer, base)
    part = other.model_copy(update={"variant": {"fraction": 0.1}})
    assert changes(part, other) == ["variant.fraction: 0.1"]


def test_generator_by_generator() -> None:
    found = {"a": held_out(0), "b": held_out(1, 2.0)}
    gan, rare, vae = by_generator(found, ["a", "b"])
    assert [one.generator for one in (gan, rare, vae)] == ["gan", "rare", "vae"]
    assert (gan.real, gan.generated, rare.generated) == (60, 20, 3)
    inside = (LABELS == 0) | (np.array(GROUPS) == "gan")
    expected = {name: roc_auc_score(LABELS[inside], one.logits[inside]) for name, one in found.items()}
    assert {name: one.value for name, one in gan.auroc.items()} == pytest.approx(expected)
    assert gan.minus is not None
    assert gan.minus.value == pytest.approx(expected["b"] - expected["a"])
    assert rare.auroc == {}
    assert rare.minus is None
    (alone, *_) = by_generator(found, ["a"])
    assert alone.minus is None
    assert alone.auroc["a"] == gan.auroc["a"]


def test_accused_sources() -> None:
    # 60 real pictures: at 5 % three may exceed the threshold. They are 59, 58 and 39, of a few sources.
    logits = np.arange(60.0)
    logits[39], logits[57] = 57.0, 39.0
    pictures = HeldOut(
        [f"{number:03}.png" for number in range(103)], LABELS, GROUPS, np.append(logits, np.zeros(43))
    )
    found = accused(pictures)
    assert [(one.name, one.accused, one.count) for one in found] == [
        ("scan", 2, 20),
        ("phone", 1, 20),
        ("camera", 0, 20),
    ]
    few = pictures.of(np.arange(15, 103))  # five of "camera" are too few to be named
    assert [one.name for one in accused(few)] == ["scan", "phone"]


@pytest.mark.parametrize("seed", range(3))
def test_accused_are_those_that_recall_pays_for(seed: int) -> None:
    pictures = held_out(seed)
    logits = pictures.logits.round(1)  # with ties
    real = logits[LABELS == 0]
    spared = max(value for value in real if (real > value).sum() <= 3 and (real >= value).sum() > 3)
    found = accused(HeldOut(pictures.paths, LABELS, GROUPS, logits))
    assert sum(one.accused for one in found) == (real > spared).sum()
    assert recall_at_fpr(LABELS, logits, 0.05) == (logits[LABELS == 1] > spared).mean()


def test_the_page(tmp_path: Path) -> None:
    found = {"a": held_out(0), "b_1": held_out(1, 2.0), "c": held_out(2, 0.2).of(np.arange(0, 103, 2))}
    runs = {name: run_record(seed=number) for number, name in enumerate(found)}
    write_folder(tmp_path, record(*found, runs=runs), found)
    assert write_page(tmp_path) == [tmp_path / "README.md", tmp_path / "figures.csv"]
    page = (tmp_path / "README.md").read_text()
    assert page.startswith("# Tries\n\nGenerated by `vestige choose`; do not edit.\n")
    assert "vestige choose a b_1 c --title Tries --out OUT" in page
    assert "In words" not in page
    auroc = roc_auc_score(LABELS, found["a"].logits)
    assert f"\n| a | - | 60 / 43 | {auroc:.3f} (" in page
    assert "\n| b\\_1 | seed: 1 | 60 / 43 | " in page
    assert " on 52 common pictures |\n" in page
    assert "of 3 runs the one with the highest AUROC beside it, b\\_1" in page
    assert "| generator | real / generated | AUROC of a | AUROC of b\\_1 | b\\_1 minus a |" in page
    assert "| rare | 60 / 3 | fewer than 10 pictures | fewer than 10 pictures | - |" in page
    assert "### Most accused by a\n" in page
    assert "### Most accused by b\\_1\n" in page
    assert "### Most accused by c\n" not in page
    (tmp_path / "reading.md").write_text("Larger is better.\n")
    before = (tmp_path / "figures.csv").read_bytes()
    write_page(tmp_path)
    words = "## In words\n\n*This section was written by hand (reading.md).*\n\nLarger is better.\n\n## Runs"
    assert words in (tmp_path / "README.md").read_text()
    assert (tmp_path / "figures.csv").read_bytes() == before
    with (tmp_path / "figures.csv").open(newline="") as file:
        lines = {(line["run"], line["metric"]): line for line in csv.DictReader(file)}
    assert len(lines) == 9
    assert lines["a", "AUROC"]["value"] == f"{auroc:.4f}"
    assert lines["a", "AUROC"]["minus_beside"] == ""
    assert lines["c", "AUROC"]["common_pictures"] == "52"
    gain = roc_auc_score(LABELS, found["b_1"].logits) - auroc
    assert float(lines["b_1", "AUROC"]["minus_beside"]) == pytest.approx(gain, abs=1e-4)


def test_a_page_whose_first_row_is_best(tmp_path: Path) -> None:
    found = {"a": held_out(0, 3.0), "b": held_out(1, 0.1)}
    write_folder(tmp_path, record("a", "b"), found)
    write_page(tmp_path)
    page = (tmp_path / "README.md").read_text()
    assert "No run has a higher AUROC than a, so that it is shown alone." in page
    assert "| generator | real / generated | AUROC of a |\n" in page
    assert "Most accused by b" not in page
    assert "\n| b | nothing | " in page


def test_runs_without_a_common_picture(tmp_path: Path) -> None:
    whole = held_out(0)
    found = {"a": whole.of(np.arange(0, 103, 2)), "b": whole.of(np.arange(1, 103, 2))}
    write_folder(tmp_path, record("a", "b"), found)
    write_page(tmp_path)
    assert "| 0 common pictures, too few |\n" in (tmp_path / "README.md").read_text()


def test_folders_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no runs were compared there, choosing\.json is missing"):
        write_page(tmp_path)
    save_record(tmp_path, record("a", "b"))
    with pytest.raises(DataError, match=r"a\.csv: cannot be read as held-out logits"):
        write_page(tmp_path)
    text = (tmp_path / "choosing.json").read_text()
    for old, new in (('"beside": "a"', '"beside": "z"'), ('"order": [', '"order": ["b",'), ('"a"', '"a/b"')):
        (tmp_path / "choosing.json").write_text(text.replace(old, new))
        with pytest.raises(
            ConfigError, match=r"choosing\.json: cannot be read as a record of vestige choose"
        ):
            write_page(tmp_path)
