"""`vestige scan` as a user meets it: in a process of its own, by exit code and output."""

import csv
import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from conftest import brightness_graph, grey_picture
from vestige.results import ROW_FIELDS

COMMAND = [sys.executable, "-c", "from vestige.apps.cli import main; main()"]


def vestige(*arguments: object, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*COMMAND, *map(str, arguments)], input=stdin, capture_output=True, timeout=120)


def scan(package: Path, *arguments: object, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    return vestige("scan", "--model", package, *arguments, stdin=stdin)


def rows(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, object]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_folder_is_judged_and_what_fails_is_named(package: Path, pictures: Path) -> None:
    done = scan(package, "--jsonl", pictures)
    found = {Path(str(row["path"])).name: row for row in rows(done)}
    assert done.returncode == 2
    assert set(found) == {"bright.png", "dark.png", "middle.png", "broken.jpg"}
    assert found["bright.png"]["verdict"] == "likely_generated"
    assert found["dark.png"]["verdict"] == "likely_real"
    assert found["middle.png"]["verdict"] == "inconclusive"
    assert found["broken.jpg"]["verdict"] is None
    assert found["broken.jpg"]["error_code"] in {"truncated", "corrupt"}
    assert found["broken.jpg"]["error"]
    for row in found.values():
        assert set(ROW_FIELDS) <= set(row)
    assert b"left out: 1 file that is no picture" in done.stderr
    assert b"notes.txt" in done.stderr


def test_the_table_is_for_people(package: Path, pictures: Path) -> None:
    done = scan(package, pictures)
    text = done.stdout.decode()
    assert "likely generated" in text
    assert "broken.jpg" in text
    assert "4 pictures" in text


@pytest.mark.parametrize(
    ("names", "options", "code"),
    [
        (["dark.png"], [], 0),
        (["bright.png"], [], 0),
        (["bright.png"], ["--fail-on", "generated"], 1),
        (["dark.png"], ["--fail-on", "generated"], 0),
        (["bright.png", "broken.jpg"], ["--fail-on", "generated"], 1),
        (["dark.png", "broken.jpg"], ["--fail-on", "generated"], 2),
        (["dark.png", "missing.png"], [], 2),
        (["broken.jpg"], [], 3),
        (["missing*.png"], [], 3),
        (["bright.png"], ["--fail-on", "generated", "--threshold", "0.999"], 0),
    ],
)
def test_exit_codes(package: Path, pictures: Path, names: list[str], options: list[str], code: int) -> None:
    assert scan(package, "--quiet", *options, *(pictures / name for name in names)).returncode == code


@pytest.fixture
def split(make_package: Callable[..., Path], tmp_path: Path) -> tuple[Path, Path]:
    """A package that says where, and a picture of which it calls a quarter generated."""
    localisation = {
        "calibration": {"slope": 1.0, "intercept": 0.0, "data": "none", "real": 0, "generated": 0},
        "threshold": 0.7,
        "minimum_share": 0.1,
        "maximum_share": 0.6,
        "maximum_rest": 0.3,
        "fpr": 0.01,
    }
    outputs = {"logit": "logit", "map": "map"}
    package = make_package(brightness_graph(with_map=True), outputs=outputs, localisation=localisation)
    pixels = np.full((128, 128, 3), 20, np.uint8)
    pixels[:, :32] = 240
    Image.fromarray(pixels).save(tmp_path / "split.png")
    return package, tmp_path / "split.png"


@pytest.mark.parametrize(("options", "code"), [([], 0), (["generated"], 1), (["inconclusive"], 0)])
def test_a_generated_part_counts_as_generated(
    split: tuple[Path, Path], options: list[str], code: int
) -> None:
    package, picture = split
    done = scan(package, "--jsonl", *(f"--fail-on={name}" for name in options), picture)
    assert done.returncode == code
    (row,) = rows(done)
    assert (row["verdict"], row["generated_share"]) == ("likely_partly_generated", 0.25)


def test_a_generated_part_in_all_formats(split: tuple[Path, Path], tmp_path: Path) -> None:
    package, picture = split
    out = tmp_path / "out"
    done = scan(package, "--html", out / "page", "--parquet", out / "out.parquet", picture)
    text = " ".join(done.stdout.decode().split())
    assert "1 picture: 1 likely partly generated" in text
    assert "25% of the area looked at" in text
    (row,) = pyarrow.parquet.read_table(out / "out.parquet").to_pylist()
    assert (row["verdict"], row["generated_share"]) == ("likely_partly_generated", 0.25)
    page = (out / "page" / "index.html").read_text()
    assert 'data-kind="partly"' in page
    assert "The model&#x27;s own map" in page
    (cells,) = csv.DictReader(io.StringIO(scan(package, "--csv", picture).stdout.decode()))
    assert (cells["verdict"], cells["generated_share"]) == ("likely_partly_generated", "0.25")


def test_an_empty_folder_has_nothing_usable(package: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = scan(package, tmp_path / "empty")
    assert done.returncode == 3
    assert b"no pictures found" in done.stderr


def test_globs_are_expanded_and_nothing_is_judged_twice(package: Path, pictures: Path) -> None:
    done = scan(package, "--jsonl", f"{pictures}/**/*.png", pictures / "dark.png")
    assert sorted(Path(str(row["path"])).name for row in rows(done)) == [
        "bright.png",
        "dark.png",
        "middle.png",
    ]


def test_a_picture_on_standard_input(package: Path, pictures: Path) -> None:
    done = scan(package, "--jsonl", "-", stdin=(pictures / "bright.png").read_bytes())
    assert done.returncode == 0
    assert rows(done)[0]["path"] == "<stdin>"
    assert rows(done)[0]["verdict"] == "likely_generated"


def test_all_formats_say_the_same(package: Path, pictures: Path, tmp_path: Path) -> None:
    lines = {str(row["path"]): row for row in rows(scan(package, "--jsonl", pictures))}
    array = {row["path"]: row for row in json.loads(scan(package, "--json", pictures).stdout)}
    table = {
        row["path"]: row
        for row in csv.DictReader(io.StringIO(scan(package, "--csv", pictures).stdout.decode()))
    }
    scan(package, "-q", "--parquet", tmp_path / "out.parquet", pictures)
    parquet = {row["path"]: row for row in pyarrow.parquet.read_table(tmp_path / "out.parquet").to_pylist()}
    assert lines == array
    assert set(lines) == set(table) == set(parquet)
    for path, row in lines.items():
        assert (table[path]["verdict"] or None) == row["verdict"] == parquet[path]["verdict"]
        if row["logit"] is not None:
            assert float(table[path]["logit"]) == pytest.approx(row["logit"])
            assert parquet[path]["logit"] == pytest.approx(row["logit"])


def test_the_html_report_is_one_file_for_all(package: Path, pictures: Path, tmp_path: Path) -> None:
    done = scan(package, "--html", tmp_path / "report", pictures)
    assert done.returncode == 2
    assert [file.name for file in (tmp_path / "report").iterdir() if file.is_file()] == ["index.html"]
    page = (tmp_path / "report" / "index.html").read_text()
    for name in ("bright.png", "dark.png", "middle.png", "broken.jpg"):
        assert name in page
    assert str(tmp_path / "report" / "index.html").encode() in done.stderr


def test_resume_adds_only_what_is_missing(package: Path, pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    scan(package, "-q", "--jsonl", "-o", out, pictures / "dark.png")
    first = out.read_text()
    out.write_text(first + '{"path": "torn')
    done = scan(package, "-q", "--resume", "--jsonl", "-o", out, pictures)
    text = out.read_text()
    assert done.returncode == 2
    assert text.startswith(first)
    names = [Path(json.loads(line)["path"]).name for line in text.splitlines()]
    assert sorted(names) == ["bright.png", "broken.jpg", "dark.png", "middle.png"]
    again = scan(package, "-q", "--resume", "--jsonl", "-o", out, pictures)
    assert again.returncode == 0
    assert out.read_text() == text


@pytest.mark.skipif(sys.platform == "win32", reason="sends an interrupt")
def test_an_interrupt_leaves_a_valid_partial_file_that_can_be_resumed(package: Path, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(150):
        grey_picture(folder / f"{number:04d}.png", 20 + number, (200, 200))
    out = tmp_path / "out.json"
    arguments = ["scan", "--model", str(package), "-q", "--json", "-o", str(out), str(folder)]
    process = subprocess.Popen([*COMMAND, *arguments], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (out.exists() and out.stat().st_size > 2000):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    partial = json.loads(out.read_text())
    assert process.returncode == 130
    assert errors.decode().strip() == "vestige: stopped"
    assert 0 < len(partial) < 150
    assert vestige(*arguments, "--resume").returncode == 0
    whole = json.loads(out.read_text())
    assert [Path(row["path"]).name for row in whole] == [f"{number:04d}.png" for number in range(150)]
    assert whole[: len(partial)] == partial


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "no-such-model"], "no-such-model: neither a shipped model"),
        (["--json", "--csv"], "choose one of"),
        (["--resume", "--jsonl"], "--resume"),
        (["-o", "x.json"], "needs a format"),
        (["--threshold", "2"], "between 0 and 1"),
        (["--fpr", "0.5"], "no operating point"),
    ],
)
def test_options_that_make_no_sense_are_one_sentence(
    package: Path, pictures: Path, arguments: list[str], words: str
) -> None:
    if "--model" not in arguments:
        arguments = ["--model", str(package), *arguments]
    done = vestige("scan", *arguments, pictures / "dark.png")
    assert done.returncode == 2
    assert words in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()
    assert len(done.stderr.decode().strip().splitlines()) == 1


def test_limits_can_be_set(package: Path, pictures: Path) -> None:
    done = scan(package, "--jsonl", "--max-megapixels", "0.001", pictures / "dark.png")
    assert done.returncode == 3
    assert rows(done)[0]["error_code"] == "too_large"


def test_help_and_version() -> None:
    assert b"scan" in vestige("--help").stdout
    assert vestige("--version").stdout.startswith(b"vestige ")
    assert b"likely generated" in vestige("scan", "--help").stdout
    assert vestige("scan").returncode == 2
