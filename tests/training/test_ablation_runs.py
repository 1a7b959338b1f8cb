"""An ablation through the command's own function: one recipe, rows with one thing changed, tiny networks."""

import csv
import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file
from tiny_ablation import DATA, SPEC, write_spec
from tiny_workshop import picture, recipe_values, write_set

from vestige.apps.ablate import AblateOptions, parse_test, run
from vestige.data.manifest import read_manifest
from vestige.detector import Detector
from vestige.errors import ConfigError, DataError
from vestige.evaluation import tables
from vestige.evaluation.ablation_record import Record, read_record, read_scores
from vestige.training import ablation, gradient, scoring
from vestige.training.export import export
from vestige.training.run import train


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
        "tests": [f"unseen={home / 'test' / 'manifest.csv'}:dev"],
        "weights": None,
        "cache": home / "cache",
        "only": [],
    }
    return AblateOptions(**(values | changes))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures, a specification, and the finished ablation in `out`."""
    folder = tmp_path_factory.mktemp("ablation")
    write_set(folder / "set", groups=2, each=4)
    write_set(folder / "test", groups=2, each=3, seed=1, split="dev")
    # One larger and one smaller than two patches, so that the field kit's way to cut matters.
    rng = np.random.default_rng(5)
    Image.fromarray(picture(1, rng, side=200)).save(folder / "test" / "generator-0-0.png")
    Image.fromarray(picture(0, rng, side=48)).save(folder / "test" / "camera-1-2.png")
    write_spec(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "DRAWS", 20)
        patch.setattr(gradient, "PREPARING_BATCHES", 2)
        run(options(folder, folder / "out"))
    return folder


def record_of(out: Path) -> Record:
    record = read_record(out)
    assert record is not None
    return record


def copy_of(home: Path, folder: Path) -> Path:
    return shutil.copytree(home / "out", folder / "out", symlinks=True)


def test_a_row_scores_as_its_package_would(home: Path, tmp_path: Path) -> None:
    values = recipe_values("npr", data=DATA)
    values["model"] = values["model"] | {"widths": [12, 16]}
    values["fit"] |= {"seed": 1}
    (tmp_path / "wider.yaml").write_text(yaml.safe_dump(values))
    manifest = home / "set" / "manifest.csv"
    train(tmp_path / "wider.yaml", manifest, None, tmp_path / "run")
    export(tmp_path / "run", manifest, tmp_path / "package")
    ours = load_file(home / "out" / "rows" / "wider" / "seed-1" / "network.safetensors")
    theirs = load_file(tmp_path / "run" / "network.safetensors")
    assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())

    scores = read_scores(home / "out" / "scores" / "unseen" / "wider-seed1.csv")
    detector = Detector.load(tmp_path / "package")
    reports = list(detector.scan_many(home / "test" / name for name in scores.pictures))
    said = [report.logit for report in reports]
    assert len(reports[scores.pictures.index("generator-0-0.png")].evidence.views) == 2
    assert len(reports[scores.pictures.index("camera-1-2.png")].evidence.views) == 1
    assert np.ptp(scores.logits) > 0.01, "else the comparison would show nothing"
    # Cached features are rounded to float16.
    np.testing.assert_allclose(scores.logits, said, atol=2e-3)


def test_what_is_written(home: Path) -> None:
    out, record = home / "out", record_of(home / "out")
    names = ["whole-seed0", "whole-seed1", "wider-seed0", "wider-seed1", "one-seed-seed1"]
    found = sorted(path.stem for path in (out / "scores" / "unseen").iterdir())
    assert found == sorted(names)
    with (out / "scores" / "unseen" / "whole-seed0.csv").open(newline="") as file:
        lines = list(csv.reader(file))
    assert lines[0] == ["picture", "label", "group", "logit"]
    assert lines[1][:3] == ["camera-0-0.png", "0", "camera-0"]
    assert len(lines[1][3].split(".")[1]) == 6
    test = record.tests["unseen"]
    assert (test.real, test.generated, test.split) == (6, 6, "dev")
    assert test.seen == 12, "the groups of both sets have the same names"
    assert record.train.split == "train"
    assert record.rows["wider"].changed == {"model.widths": [12, 16]}
    assert record.rows["wider"].recipe["model"]["blocks"] == [1, 1], "merged, not replaced"
    assert record.rows["one-seed"].recipe["data"]["split"] == "train"
    views = {fit.row: (fit.real, fit.generated, fit.views) for fit in record.fits}
    assert views == {"whole": (8, 8, 32), "wider": (8, 8, 32), "one-seed": (8, 8, 16)}
    for fit in record.fits:
        assert fit.images_per_second > 0
        assert not fit.continued
    text = (out / "ablation.json").read_text() + (out / "README.md").read_text()
    assert str(home) not in text, "what is published says nothing of this computer"
    page = (out / "README.md").read_text()
    assert "vestige ablate spec.yaml --train manifest.csv --split train" in page
    assert "unseen=manifest.csv:dev" in page


def test_seeds_differ_and_rows_with_one_seed_have_one(home: Path) -> None:
    folder = home / "out" / "scores" / "unseen"
    one, other = read_scores(folder / "whole-seed0.csv"), read_scores(folder / "whole-seed1.csv")
    assert not np.array_equal(one.logits, other.logits)
    assert not (folder / "one-seed-seed0.csv").exists()


def test_what_has_scores_is_kept(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = copy_of(home, tmp_path)
    monkeypatch.setattr(ablation, "new_network", lambda *_: pytest.fail("fitted again"))
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    run(options(home, out))
    assert {path: path.read_bytes() for path in before} == before


def test_a_killed_run_ends_with_the_same_scores(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(BaseException):
        pass

    done = []

    def killing(self: Any, row: str, seed: int, *rest: Any) -> list[float]:
        if (row, seed) == ("wider", 0):
            raise Stopped
        done.append((row, seed))
        return score(self, row, seed, *rest)

    score = ablation.Ablation.score
    with monkeypatch.context() as patch:
        patch.setattr(ablation.Ablation, "score", killing)
        with pytest.raises(Stopped):
            run(options(home, tmp_path / "out"))
    assert done == [("whole", 0), ("whole", 1)]
    run(options(home, tmp_path / "out"))
    for path in sorted((home / "out" / "scores").rglob("*.csv")):
        again = tmp_path / "out" / path.relative_to(home / "out")
        assert again.read_bytes() == path.read_bytes(), path.name


def test_a_new_test_set_is_scored_without_fitting(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = copy_of(home, tmp_path)
    monkeypatch.setattr(ablation, "solve", lambda *_: pytest.fail("fitted again"))
    more = [*options(home, out).tests, f"trained-on={home / 'set' / 'manifest.csv'}"]
    run(options(home, out, tests=more))
    record = record_of(out)
    assert list(record.tests) == ["unseen", "trained-on"]
    assert len(record.scores) == 10
    assert "## trained-on" in (out / "README.md").read_text()


def test_only_some_rows(home: Path, tmp_path: Path) -> None:
    run(options(home, tmp_path / "out", only=["one-seed"]))
    assert [score.row for score in record_of(tmp_path / "out").scores] == ["one-seed"]
    page = (tmp_path / "out" / "README.md").read_text()
    assert "Not run yet on all test sets: whole, wider." in page
    with pytest.raises(ConfigError, match=r"--only narrow: no such row in .*spec\.yaml, only whole, wider"):
        run(options(home, tmp_path / "out", only=["narrow"]))


def test_the_page_is_made_again_from_the_scores(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "kept"
    shutil.copytree(home / "out" / "scores", out / "scores")
    shutil.copy(home / "out" / "ablation.json", out)
    nothing = {"spec": None, "train": None, "split": None, "tests": [], "cache": None}
    run(options(home, out, **nothing))
    for name in ("README.md", "figures.csv"):
        assert (out / name).read_bytes() == (home / "out" / name).read_bytes()
    with pytest.raises(ConfigError, match="--test, --only: for a run, which needs --train"):
        run(options(home, out, **(nothing | {"tests": ["a=b.csv"], "only": ["x"]})))
    with pytest.raises(ConfigError, match=r"no ablation there"):
        run(options(home, tmp_path / "empty", **nothing))


def test_tables_are_grouped_anew_by_the_specification(home: Path, tmp_path: Path) -> None:
    out = copy_of(home, tmp_path)
    nothing = {"train": None, "split": None, "tests": [], "cache": None}
    spec = write_spec(tmp_path / "spec", title="Anew", baseline="wider", questions={})
    run(options(home, out, spec=spec, **nothing))
    page = (out / "README.md").read_text()
    assert page.startswith("# Anew\n")
    assert "minus wider" in page
    other = write_spec(tmp_path / "spec", rows=SPEC["rows"] | {"wider": {}})
    with pytest.raises(ConfigError, match="rows wider were run otherwise than"):
        run(options(home, out, spec=other, **nothing))


def test_scores_of_something_else_are_refused(home: Path, tmp_path: Path) -> None:
    out = copy_of(home, tmp_path)
    changed = {"wider": {"set": {"model": {"widths": [12, 20]}}}}
    spec = write_spec(tmp_path / "spec", rows=SPEC["rows"] | changed)
    with pytest.raises(ConfigError, match=r"wider-seed0\.csv: scored by another recipe"):
        run(options(home, out, spec=spec))
    shutil.rmtree(out / "scores")
    with pytest.raises(ConfigError, match=r"wider.seed-0: this fit was begun with another recipe"):
        run(options(home, out, spec=spec, only=["wider"]))
    other = write_set(tmp_path / "set", each=5)
    with pytest.raises(ConfigError, match="begun on other training pictures"):
        run(options(home, out, train=other))
    with pytest.raises(ConfigError, match=r"--test unseen: .* scores of another manifest under this name"):
        run(options(home, out, tests=[f"unseen={other}"]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=b/c.csv", ("a", Path("b/c.csv"), None, "a=c.csv")),
        ("a=b/c.csv:dev", ("a", Path("b/c.csv"), "dev", "a=c.csv:dev")),
        ("a=b/c:d.csv:dev", ("a", Path("b/c:d.csv"), "dev", "a=c:d.csv:dev")),
    ],
)
def test_test_sets(text: str, expected: tuple[Any, ...]) -> None:
    found = parse_test(text)
    assert (found.name, found.manifest, found.split, found.text) == expected


@pytest.mark.parametrize("text", ["b.csv", "=b.csv", "a=", "../a=b.csv", "..=b.csv"])
def test_no_test_sets(text: str) -> None:
    with pytest.raises(ConfigError, match="NAME=MANIFEST"):
        parse_test(text)


def test_unreadable_test_picture_is_named(home: Path, tmp_path: Path) -> None:
    manifest = write_set(tmp_path / "test", each=2, split="dev")
    (tmp_path / "test" / "camera-1-1.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    out = copy_of(home, tmp_path)
    with pytest.raises(DataError, match=r"camera-1-1\.png: "):
        run(options(home, out, tests=[f"broken={manifest}"]))
    (tmp_path / "test" / "camera-1-1.png").unlink()
    with pytest.raises(DataError, match=r"camera-1-1\.png: cannot be read"):
        run(options(home, out, tests=[f"broken={manifest}"]))


def test_patches_are_those_of_the_field_kit() -> None:
    pixels = np.arange(200 * 150 * 3, dtype=np.int64).reshape(150, 200, 3).astype(np.uint8)
    found = scoring.native_patches(pixels, 64, 2)
    # Two views of a wide picture: its left and its right end, in the middle of its height.
    np.testing.assert_array_equal(found[0], pixels[43:107, :64])
    np.testing.assert_array_equal(found[1], pixels[43:107, 136:])
    small = scoring.native_patches(pixels[:40, :50], 64, 2)
    assert small.shape == (1, 64, 64, 3)
    np.testing.assert_array_equal(small[0, :40, :50], pixels[:40, :50])
    np.testing.assert_array_equal(small[0, 40, :50], pixels[38, :50])


def test_identity_is_the_hash_of_the_file(home: Path) -> None:
    row = read_manifest(home / "set" / "manifest.csv")[0]
    assert scoring.identity(row) == hashlib.sha256(row.path.read_bytes()).hexdigest()
