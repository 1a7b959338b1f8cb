"""`vestige choose` on made-up runs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
import yaml
from typer.testing import CliRunner

from vestige.apps import workshop_cli
from vestige.apps.choose import ChooseOptions, run
from vestige.errors import ConfigError, DataError
from vestige.evaluation import tables
from vestige.evaluation.choosing_record import Record, read_record

PACKAGE = {
    "name": "tiny",
    "version": "0.1.0",
    "summary": "Noise and a line.",
    "failure_modes": ["It guesses."],
}


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "DRAWS", 20)


def write_run(folder: Path, manifest: str = "ab", number: int = 20, **recipe: Any) -> Path:
    """A run as `vestige train` leaves it, without its network."""
    folder.mkdir(parents=True)
    values = {"method": "srm-statistics", "package": PACKAGE, **recipe}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(values))
    (folder / "run.json").write_text(json.dumps({"manifest": "m.csv", "manifest_sha256": manifest * 32}))
    rng = np.random.default_rng(len(folder.name))
    lines = ["path,label,group,logit,deviation"]
    for label, kind in ((0, "camera"), (1, "gan")):
        lines += [
            f"{kind}/{i:02}.png,{label},{kind}-{i % 2},{rng.normal() + label:.6f},1" for i in range(number)
        ]
    (folder / "held-out.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    return [
        write_run(tmp_path / "a"),
        write_run(tmp_path / "bb", fit={"inverse_penalty": 0.5}, seed=3),
        write_run(tmp_path / "ccc", fit={"inverse_penalty": 0.01}),
    ]


def record_of(out: Path) -> Record:
    record = read_record(out)
    assert record is not None
    return record


def test_runs_are_kept_and_compared(runs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(ChooseOptions(runs, out))
    assert sorted(path.name for path in out.iterdir()) == [
        "README.md",
        "choosing.json",
        "figures.csv",
        "runs",
    ]
    assert sorted(path.name for path in (out / "runs").iterdir()) == ["a.csv", "bb.csv", "ccc.csv"]
    lines = (out / "runs" / "bb.csv").read_text().splitlines()
    # The column of deviations is not kept; all else as it was.
    wanted = [line.rpartition(",")[0] for line in (runs[1] / "held-out.csv").read_text().splitlines()]
    assert lines == wanted
    record = record_of(out)
    assert (record.order, record.beside) == (["a", "bb", "ccc"], "a")
    kept = record.runs["bb"]
    assert (kept.summary, kept.seed, kept.manifest) == ("Noise and a line.", 3, "m.csv")
    assert kept.manifest_sha256 == "ab" * 32
    assert kept.recipe["fit"]["inverse_penalty"] == 0.5
    page = (out / "README.md").read_text()
    assert "\n| bb | seed: 3; fit.inverse\\_penalty: 0.5 | 20 / 20 | " in page
    assert "\n| ccc | nothing | " in page, "what is the default is no difference"
    assert str(tmp_path) not in page + (out / "choosing.json").read_text()


def test_the_page_is_made_again_without_runs(runs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(ChooseOptions(runs, out, "Mine", "bb"))
    for folder in runs:
        (folder / "held-out.csv").unlink()
    before = (out / "README.md").read_text()
    assert before.startswith("# Mine\n")
    assert "vestige choose a bb ccc --beside bb --title Mine --out OUT" in before
    (out / "README.md").unlink()
    run(ChooseOptions([], out))
    assert (out / "README.md").read_text() == before
    run(ChooseOptions([], out, beside="ccc"))
    assert (record_of(out).title, record_of(out).beside) == ("Mine", "ccc")
    assert "what differs from ccc" in (out / "README.md").read_text()
    with pytest.raises(ConfigError, match="--beside d: no such run, only a, bb, ccc"):
        run(ChooseOptions([], out, beside="d"))
    for options in (
        ChooseOptions([], tmp_path / "empty"),
        ChooseOptions([], tmp_path / "empty", title="New"),
    ):
        with pytest.raises(ConfigError, match=r"empty: no runs were compared there, choosing\.json"):
            run(options)


def test_runs_that_are_no_longer_named_are_removed(runs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(ChooseOptions(runs, out))
    run(ChooseOptions(runs[:2], out))
    assert sorted(path.name for path in (out / "runs").iterdir()) == ["a.csv", "bb.csv"]
    assert "ccc" not in (out / "README.md").read_text()


def test_runs_that_cannot_be_taken(runs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    (runs[2] / "held-out.csv").unlink()
    with pytest.raises(ConfigError, match=r"ccc: no finished run, held-out\.csv is missing; give the folder"):
        run(ChooseOptions(runs, out))
    other = write_run(tmp_path / "other" / "a")
    with pytest.raises(ConfigError, match="RUN: a is named twice"):
        run(ChooseOptions([runs[0], other], out))
    with pytest.raises(ConfigError, match="--beside z: no such run, only a, bb"):
        run(ChooseOptions(runs[:2], out, beside="z"))
    fewer = write_run(tmp_path / "fewer", "cd", number=18)
    with pytest.raises(ConfigError, match="fewer and a were trained on different manifests, and 4 held-out"):
        run(ChooseOptions([runs[0], fewer], out))
    (runs[1] / "held-out.csv").write_text("path,label\n")
    with pytest.raises(DataError, match=r"bb/held-out\.csv: cannot be read as held-out logits"):
        run(ChooseOptions(runs[:2], out))
    assert not (out / "choosing.json").exists()
    assert not (out / "runs").exists()


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"manifest": "m.csv"}', '{"manifest": 1, "manifest_sha256": 2}']
)
def test_a_damaged_record_of_a_run(runs: list[Path], tmp_path: Path, text: str) -> None:
    (runs[0] / "run.json").write_text(text)
    with pytest.raises(ConfigError, match=r"a/run\.json: cannot be read as the record of a run"):
        run(ChooseOptions(runs, tmp_path / "out"))


def test_part_of_the_pictures_is_a_difference(runs: list[Path], tmp_path: Path) -> None:
    facts = json.loads((runs[2] / "run.json").read_text())
    facts["variant"] = {"name": "30pct", "fraction": 0.3}
    (runs[2] / "run.json").write_text(json.dumps(facts))
    run(ChooseOptions(runs, tmp_path / "out"))
    assert "\n| ccc | variant.fraction: 0.3 | " in (tmp_path / "out" / "README.md").read_text()


def test_the_command_line(runs: list[Path], tmp_path: Path) -> None:
    app = typer.Typer()
    workshop_cli.register(app)
    arguments = [
        "choose",
        *map(str, runs),
        "--beside",
        "bb",
        "--title",
        "A B",
        "--out",
        str(tmp_path / "out"),
    ]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert str(tmp_path / "out" / "README.md") in done.stdout
    assert record_of(tmp_path / "out").beside == "bb"
    assert CliRunner().invoke(app, ["choose", "--out", str(tmp_path / "out")]).exit_code == 0
