"""`vestige deviations` on a tiny, untrained attribution network, and the pages that it leaves."""

import csv
import json
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
import yaml
from PIL import Image
from safetensors.torch import save_model
from typer.testing import CliRunner

from vestige.apps import workshop_cli
from vestige.apps.deviations import DeviationsOptions, parse_test, run
from vestige.errors import ConfigError, DataError
from vestige.evaluation import docs, tables
from vestige.evaluation.deviations import write_page
from vestige.evaluation.deviations_record import Record, read_pictures, read_record
from vestige.evaluation.metrics import auroc
from vestige.evaluation.separability import separation
from vestige.images.views import patch_grid
from vestige.methods.attribution.model import Attribution, AttributionConfig, build

TOWER = {
    "width": 16,
    "layers": 1,
    "heads": 2,
    "feed_forward": 32,
    "patch": 16,
    "image": 64,
    "projection": 12,
}
MODEL = {"features": [{"kind": "clip", "tower": TOWER}], "widths": [8, 4]}
PACKAGE = {"name": "tiny", "version": "0.1.0", "summary": "For tests.", "failure_modes": ["It guesses."]}
SIDES = (64, 96, 150, 40)


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "DRAWS", 20)


def write_recipe(folder: Path, method: str = "attribution", **model: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    values = {"method": method, "model": model, "data": {"patch": 64}, "package": PACKAGE}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(values))


def write_network(folder: Path, seed: int, **model: Any) -> Attribution:
    """A network at random, its standardisation fitted to nothing in particular."""
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = build(AttributionConfig.model_validate(model), None)
        network.standardise.mean.uniform_(-1, 1)
        network.standardise.deviation.uniform_(0.5, 1)
    save_model(network, str(folder / "network.safetensors"))
    return network.eval()


def write_pictures(folder: Path, groups: int = 2, each: int = 6) -> Path:
    """Noise, coarser in generated pictures, of several sizes; returns the manifest."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "group", "split"])
        for label, kind in ((0, "camera"), (1, "generator")):
            for number in range(groups * each):
                side = SIDES[number % len(SIDES)]
                small = rng.integers(0, 256, (side // (1 + label), side // (1 + label), 3), dtype=np.uint8)
                name = f"{kind}-{number}.png"
                Image.fromarray(small).resize((side, side)).save(folder / name)
                writer.writerow([name, label, f"{kind}-{number % groups}", "dev" if number < 10 else "rest"])
    return folder / "manifest.csv"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a module of real pictures, a row with one of generated ones, and `out`."""
    folder = tmp_path_factory.mktemp("deviations")
    write_recipe(folder / "run", **MODEL)
    write_network(folder / "run", 0, **MODEL)
    other = MODEL | {"source": {"label": "generated", "groups": ["generator-0"]}}
    write_recipe(folder / "rows" / "generated", **other)
    write_network(folder / "rows" / "generated" / "seed-1", 1, **other)
    write_pictures(folder / "set")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "DRAWS", 20)
        run(options(folder))
    return folder


def options(home: Path, **changes: Any) -> DeviationsOptions:
    values: dict[str, Any] = {
        "runs": [home / "run", home / "rows" / "generated" / "seed-1"],
        "tests": [f"tiny={home / 'set' / 'manifest.csv'}:dev"],
        "out": home / "out",
        "cache": home / "cache",
    }
    return DeviationsOptions(**(values | changes))


def record_of(out: Path) -> Record:
    record = read_record(out)
    assert record is not None
    return record


def test_figures_are_those_of_the_network(home: Path) -> None:
    network = write_network(home / "again", 0, **MODEL)
    pictures = read_pictures(home / "out" / "pictures-tiny-run.csv")
    record = record_of(home / "out")
    assert len(pictures.names) == 20
    before, after = [], []
    patches = 0
    for number, name in enumerate(pictures.names):
        pixels = np.asarray(Image.open(home / "set" / name))
        grid = patch_grid(len(pixels), len(pixels), 64, 2)
        edge = max(0, 64 - len(pixels))
        pixels = np.pad(pixels, ((0, edge), (0, edge), (0, 0)), "reflect")
        views = [pixels[y : y + 64, x : x + 64] for x, y in grid]
        patches += len(views)
        images = torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2).float() / 255
        with torch.inference_mode():
            features = network.standardised(*network.frozen(images))
            deviations = (features - network.module.reconstruct(features)).abs()
            said = network(images)
        # Cached features are rounded to float16.
        assert pictures.logits[number] == pytest.approx(said.logit.mean().item(), abs=5e-3)
        assert pictures.magnitudes[number] == pytest.approx(said.deviation.mean().item(), rel=5e-3)
        before.append(features.mean(0).numpy())
        after.append(deviations.mean(0).numpy())
    measured = record.measured[0]
    assert measured.patches == patches
    assert 20 < patches < 40, "else it would not matter how many a picture has"
    for space, figures in ((before, measured.before), (after, measured.after)):
        found = separation(np.array(space), pictures.labels).measures()
        for name, figure in figures.items():
            assert figure.value == pytest.approx(found[name][0], rel=0.02), name
    assert measured.change["fisher"].value == pytest.approx(
        measured.after["fisher"].value / measured.before["fisher"].value, rel=1e-4
    )


def test_the_record_says_what_was_measured(home: Path) -> None:
    record = record_of(home / "out")
    assert record.command == (
        "vestige deviations run generated/seed-1 --test tiny=manifest.csv:dev --cache CACHE --out OUT"
    )
    assert str(home) not in (home / "out" / "deviations.json").read_text()
    assert (record.views, record.precision) == (2, "float32")
    assert list(record.runs) == ["run", "generated-seed-1"]
    first, second = record.runs.values()
    assert (first.source, first.source_groups, first.width) == ("real", None, 12)
    assert (second.source, second.source_groups) == ("generated", ["generator-0"])
    assert first.network_sha256 != second.network_sha256
    test = record.tests["tiny"]
    assert (test.manifest, test.split, test.real, test.generated) == ("manifest.csv", "dev", 10, 10)
    assert [(one.run, one.test, one.draws) for one in record.measured] == [
        ("run", "tiny", 20),
        ("generated-seed-1", "tiny", 20),
    ]


def test_a_module_of_generated_pictures_is_read_the_other_way_round(home: Path) -> None:
    record = record_of(home / "out")
    for one, sign in zip(record.measured, (1, -1), strict=True):
        pictures = read_pictures(home / "out" / f"pictures-tiny-{one.run}.csv")
        expected = auroc(pictures.labels, sign * pictures.magnitudes)
        assert one.magnitude_auroc.value == pytest.approx(expected, abs=1e-6)
        assert one.logit_auroc.value == pytest.approx(auroc(pictures.labels, pictures.logits), abs=1e-6)
    page = (home / "out" / "README.md").read_text()
    assert "AUROC of the magnitude, larger = generated" in page
    assert "AUROC of the magnitude, smaller = generated" in page
    assert "module fitted to generated pictures of generator-0" in page


def test_who_is_set_aside(home: Path) -> None:
    one = record_of(home / "out").measured[0]
    pictures = read_pictures(home / "out" / "pictures-tiny-run.csv")
    assert [(known.share, known.rule) for known in one.aside[:4]] == [
        (0, "deviation"),
        (0, "logit"),
        (0.05, "deviation"),
        (0.05, "logit"),
    ]
    half = next(known for known in one.aside if (known.share, known.rule) == (0.5, "deviation"))
    inside = np.argsort(pictures.magnitudes)[:10]
    assert half.generated == pictures.labels[inside].sum()
    right = (pictures.logits[inside] >= 0) == pictures.labels[inside]
    assert half.figures["accuracy"].value == pytest.approx(right.mean())
    everyone = one.aside[0].figures["accuracy"].value
    assert half.minus_all["accuracy"].value == pytest.approx(right.mean() - everyone)


def test_the_page_is_made_of_what_is_there(home: Path, tmp_path: Path) -> None:
    names = ["deviations.json", "README.md"]
    for one in ("run", "generated-seed-1"):
        names += [f"pictures-tiny-{one}.csv", f"violin-tiny-{one}.svg", f"set-aside-tiny-{one}.svg"]
    assert sorted(path.name for path in (home / "out").iterdir()) == sorted(names)
    page = (home / "out" / "README.md").read_text()
    for name in names[3:5]:
        assert f"](<{name}>)" in page
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in names:
        if name.endswith((".json", ".csv")):
            shutil.copyfile(home / "out" / name, copy / name)
    run(DeviationsOptions([], [], copy))
    for name in names:
        assert (copy / name).read_bytes() == (home / "out" / name).read_bytes(), name
    (copy / "reading.md").write_text("It *holds*.\n")
    write_page(copy)
    assert "## In words" in (copy / "README.md").read_text()
    assert "It *holds*." in (copy / "README.md").read_text()


def test_drawings_say_in_words_what_they_show(home: Path) -> None:
    violin = ET.parse(home / "out" / "violin-tiny-run.svg").getroot()
    words = violin.attrib["aria-label"]
    pictures = read_pictures(home / "out" / "pictures-tiny-run.csv")
    median = np.median(pictures.magnitudes[pictures.labels == 0])
    assert f"real, 10 pictures: median {median:.3g}" in words
    assert "Not drawn, fewer than 10 pictures: camera-0, camera-1, generator-0, generator-1" in words
    aside = ET.parse(home / "out" / "set-aside-tiny-run.svg").getroot()
    assert "accuracy, set aside by largest deviation: at 0% " in aside.attrib["aria-label"]
    assert "at random" in "".join(aside.itertext())


def test_features_are_kept_and_files_of_other_calls_removed(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = shutil.copytree(home / "out", tmp_path / "out")
    moved = shutil.copytree(home / "cache", tmp_path / "cache")
    shutil.copytree(home / "set", tmp_path / "set")
    monkeypatch.setattr("vestige.training.deviations.read_pixels", None)  # nothing is decoded again
    test = f"other={tmp_path / 'set' / 'manifest.csv'}:dev"
    run(options(home, out=out, cache=moved, runs=[home / "run"], tests=[test], title="Mine"))
    assert sorted(path.name for path in out.iterdir()) == [
        "README.md",
        "deviations.json",
        "pictures-other-run.csv",
        "set-aside-other-run.svg",
        "violin-other-run.svg",
    ]
    assert (out / "README.md").read_text().startswith("# Mine\n")
    before, after = (home / "out" / "pictures-tiny-run.csv"), (out / "pictures-other-run.csv")
    assert before.read_bytes() == after.read_bytes()


def test_one_group_of_a_class_gives_no_intervals(home: Path, tmp_path: Path) -> None:
    manifest = write_pictures(tmp_path / "set", groups=1, each=4)
    run(options(home, runs=[home / "run"], tests=[f"small={manifest}"], out=tmp_path / "out"))
    record = record_of(tmp_path / "out")
    assert record.measured[0].draws == 0
    assert record.measured[0].before["fisher"].low is None
    page = (tmp_path / "out" / "README.md").read_text()
    assert "(no interval)" in page
    assert "No intervals: a class has fewer than two groups." in page


def test_what_is_no_such_run(home: Path, tmp_path: Path) -> None:
    write_recipe(tmp_path / "probe", "feature-probe", features=MODEL["features"])
    (tmp_path / "probe" / "network.safetensors").write_bytes(b"")
    wrong = shutil.copytree(home / "run", tmp_path / "wrong")
    write_recipe(wrong, **(MODEL | {"widths": [6, 4]}))
    for folder, words in (
        (tmp_path / "probe", r"probe: a run of feature-probe, which has no attribution module; give one of"),
        (home / "rows" / "generated", r"generated: no finished run, network\.safetensors is missing"),
        (home / "set", r"set: no finished run, recipe\.yaml is missing"),
        (wrong, r"network\.safetensors: cannot be read as the network of .*recipe\.yaml"),
    ):
        with pytest.raises(ConfigError, match=words):
            run(options(home, runs=[folder], out=tmp_path / "out"))
    assert not (tmp_path / "out" / "deviations.json").exists()


def test_options_that_do_not_go_together(home: Path, tmp_path: Path) -> None:
    manifest = home / "set" / "manifest.csv"
    for changes, words in (
        ({"runs": []}, r"--test, --cache: to measure runs, which must be named"),
        ({"tests": []}, "give at least one --test"),
        ({"tests": ["manifest.csv"]}, r"--test manifest\.csv: NAME=MANIFEST or NAME=MANIFEST:SPLIT"),
        ({"tests": [f"a={manifest}", f"a={manifest}:dev"]}, "--test: a is named twice"),
        ({"runs": [home / "run", home / "run"]}, "RUN: run is named twice"),
    ):
        with pytest.raises(ConfigError, match=words):
            run(options(home, out=tmp_path, **changes))
    with pytest.raises(ConfigError, match=r"nothing was measured there, deviations\.json is missing"):
        run(DeviationsOptions([], [], tmp_path))
    assert parse_test(f"a={manifest}:dev").text == "a=manifest.csv:dev"


def test_names_that_would_share_a_file(home: Path, tmp_path: Path) -> None:
    for name in ("b", "a-b"):
        shutil.copytree(home / "run", tmp_path / name)
    manifest = home / "set" / "manifest.csv"
    with pytest.raises(ConfigError, match="b on x-a and a-b on x would have the same file"):
        run(
            options(
                home,
                runs=[tmp_path / "b", tmp_path / "a-b"],
                tests=[f"x={manifest}", f"x-a={manifest}"],
                out=tmp_path / "out",
            )
        )


def test_one_class_is_refused(home: Path, tmp_path: Path) -> None:
    lines = (home / "set" / "manifest.csv").read_text().splitlines()
    real = [line for line in lines if not line.startswith("generator")]
    (home / "set" / "real.csv").write_text("\n".join(real) + "\n")
    with pytest.raises(DataError, match="both classes are needed, there are 12 real and 0 generated ones"):
        run(options(home, tests=[f"a={home / 'set' / 'real.csv'}"], out=tmp_path))


def test_a_folder_that_was_changed_is_refused(home: Path, tmp_path: Path) -> None:
    out = shutil.copytree(home / "out", tmp_path / "out")
    path = out / "pictures-tiny-run.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))
    with pytest.raises(DataError, match=r"10 real and 9 generated pictures, but deviations\.json was"):
        write_page(out)
    path.write_text("picture,label\n")
    with pytest.raises(DataError, match=r"pictures-tiny-run\.csv: not a file of pictures"):
        write_page(out)
    values = json.loads((out / "deviations.json").read_text())
    for broken in (values | {"runs": {}}, values | {"views": "many"}, []):
        (out / "deviations.json").write_text(json.dumps(broken))
        with pytest.raises(ConfigError, match=r"deviations\.json"):
            write_page(out)


def test_the_command_line(home: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    workshop_cli.register(app)
    arguments = ["deviations", str(home / "run"), "--test", f"tiny={home / 'set' / 'manifest.csv'}:dev"]
    arguments += ["--views", "1", "--precision", "bfloat16", "--out", str(tmp_path)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert str(tmp_path / "README.md") in done.stdout
    record = record_of(tmp_path)
    assert (record.views, record.precision, record.measured[0].patches) == (1, "bfloat16", 20)
    assert (tmp_path / "cache").is_dir()
    assert CliRunner().invoke(app, ["deviations", "--out", str(tmp_path)]).exit_code == 0


def test_readme_of_the_method_has_the_first_table(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docs, "METHODS", tmp_path / "methods")
    readme = tmp_path / "methods" / "magic" / "README.md"
    readme.parent.mkdir(parents=True)
    readme.write_text("a\n<!-- begin deviations -->\nold\n<!-- end deviations -->\nb\n")
    shutil.copytree(home / "out", tmp_path / "docs" / "results" / "magic-deviations")
    docs.write(tmp_path / "docs")
    text = readme.read_text()
    assert text.startswith("a\n<!-- begin deviations -->\n| run | module of |")
    assert "| generated-seed-1 | generated pictures of generator-0 | tiny | 10 / 10 |" in text
    readme.unlink()
    with pytest.raises(DataError, match=r"magic-deviations: results of the deviations of a method"):
        docs.deviation_tables(tmp_path / "docs" / "results")
