"""Leave-one-generator-out and training on fractions, through the command's own function."""

from pathlib import Path
from typing import Any

import pytest
from tiny_workshop import write_recipe, write_set

from vestige.apps.bench import BenchOptions, run
from vestige.errors import ConfigError
from vestige.evaluation import tables
from vestige.evaluation.bench import read_bench
from vestige.evaluation.scores import read_scores

NOTHING: dict[str, Any] = {
    "data": [],
    "models": [],
    "protocols": ["as-found"],
    "title": "",
    "sample": None,
    "split": None,
    "benchmark": "",
    "workers": 1,
    "redo": False,
    "audit": False,
    "thumbnails": False,
    "recipes": [],
    "train": None,
    "weights": None,
    "leave_one_out": False,
    "fractions": [],
    "card": None,
    "twin": None,
}


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "DRAWS", 20)


def options(out: Path, **changes: Any) -> BenchOptions:
    return BenchOptions(out=out, **(NOTHING | changes))


def test_every_generator_meets_a_model_that_never_saw_it(tmp_path: Path) -> None:
    train = write_set(tmp_path / "set", groups=4, each=3)
    recipe = write_recipe(tmp_path / "srm.yaml", "srm-statistics")
    wanted = options(tmp_path / "out", recipes=[recipe], train=train, leave_one_out=True)
    run(wanted)
    (entry,) = read_bench(wanted.out).entries
    scores = read_scores(wanted.out / "scores" / entry.file)
    generated = {group for group, label in zip(scores.groups, scores.labels, strict=True) if label == 1}
    assert generated == {f"generator-{number}" for number in range(4)}
    for number in range(4):
        name = f"without-generator-{number}"
        card = (wanted.out / "training" / "srm" / "packages" / name / "card.json").read_text()
        assert f'"generator-{number}"' not in card
        # The real pictures beside a generator were scored by its own model, which did not see them either.
        (beside,) = {
            other
            for other, group in zip(scores.compare_with, scores.groups, strict=True)
            if group == f"generator-{number}"
        }
        for real in beside.split(";"):
            assert real.endswith(f"({name})")
            assert real in scores.groups
            assert f'"{real.split(" (")[0]}"' not in card
    page = (wanted.out / "README.md").read_text()
    assert "a model that saw neither it nor the real pictures beside it" in page
    assert "Ranking" not in page, "scores of different models are not ranked together"
    before = {
        path: path.stat().st_mtime_ns for path in wanted.out.rglob("*.parquet") if "folds" in path.parts
    }
    run(wanted)
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_training_on_fractions(tmp_path: Path) -> None:
    train, test = write_set(tmp_path / "set", groups=3, each=6), write_set(tmp_path / "test", seed=1)
    recipe = write_recipe(tmp_path / "srm.yaml", "srm-statistics")
    wanted = options(tmp_path / "out", recipes=[recipe], train=train, data=[test], fractions=[1.0, 0.5])
    run(wanted)
    assert read_bench(wanted.out).models == [
        "tiny-srm-statistics 0.1.0+50pct",
        "tiny-srm-statistics 0.1.0+100pct",
    ]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"leave_one_out": True}, "need --recipe and --train"),
        ({"recipes": [Path("a.yaml")]}, "--recipe needs --leave-one-out or --fraction"),
        (
            {"recipes": [Path("a.yaml")], "train": Path("t.csv"), "fractions": [0.1]},
            "--fraction needs --data",
        ),
        (
            {
                "recipes": [Path("a.yaml")],
                "train": Path("t.csv"),
                "data": [Path("d.csv")],
                "fractions": [10.0],
            },
            "share above 0 and at most 1",
        ),
    ],
)
def test_options_that_do_not_go_together(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        run(options(tmp_path, **changes))
