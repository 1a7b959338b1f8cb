"""`vestige data` as a user meets it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from conftest import grey_picture
from vestige.apps.data import data_app
from vestige.data.manifest import read_manifest
from vestige.errors import ConfigError, DataError


def run(*arguments: object):  # type: ignore[no-untyped-def]
    return CliRunner().invoke(data_app, [str(one) for one in arguments])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two generators in the layout of GenImage, with a stray file."""
    for gen in ("Midjourney", "ADM"):
        for level, word in enumerate(("nature", "ai")):
            folder = tmp_path / "GenImage" / gen / "val" / word
            folder.mkdir(parents=True)
            grey_picture(folder / "a.png", 60 + 90 * level, (40, 30))
            grey_picture(folder / "b.png", 70 + 90 * level, (50, 30))
    (tmp_path / "GenImage" / "ADM" / "Thumbs.db").write_bytes(b"junk")
    return tmp_path / "GenImage"


def test_list() -> None:
    done = run("list")
    assert done.exit_code == 0
    for word in (
        "universal-fake-detect",
        "GenImage",
        "CC BY-NC-SA 4.0",
        "2025",
        "by e-mail to the authors only",
    ):
        assert word in done.stdout
    names = [one["name"] for one in json.loads(run("list", "--json").stdout)]
    assert names[0] == "aigcdetect-benchmark"
    assert names[-1] == "table"


def test_inspect(root: Path) -> None:
    before = sorted(root.parent.rglob("*"))
    done = run("inspect", root)
    assert done.exit_code == 0
    assert done.stdout.startswith("GenImage: GenImage (genimage), formats and sizes from 8 headers")
    table = {line.split()[1]: line for line in done.stdout.splitlines() if line.startswith("val ")}
    assert set(table) == {"ADM", "Midjourney"}
    assert table["ADM"].split()[2:4] == ["2", "2"]
    assert "PNG 2; 30-50 px" in table["ADM"]
    assert "in all 4 real and 4 generated pictures" in done.stdout
    assert "finding: fewer pictures than published: " in done.stdout
    assert "left out, no part of the set: 1\n  ADM/Thumbs.db" in done.stdout
    assert sorted(root.parent.rglob("*")) == before


def test_inspect_says_what_else_it_could_be(tmp_path: Path) -> None:
    for word in ("0_real", "1_fake"):
        (tmp_path / "biggan" / word).mkdir(parents=True)
        grey_picture(tmp_path / "biggan" / word / "a.png", 90, (40, 30))
    done = run("inspect", tmp_path)
    assert isinstance(done.exception, DataError)
    assert "could be aigcdetect-benchmark, forensynths; say which with --as" in str(done.exception)
    assert "(forensynths)" in run("inspect", tmp_path, "--as", "forensynths").stdout
    assert isinstance(run("inspect", tmp_path, "--as", "x").exception, ConfigError)


def test_index(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "val.csv"
    done = run("index", root, "--out", out)
    assert done.exit_code == 0
    assert done.stdout.rstrip().endswith(f"{out}: 8 rows")
    rows = read_manifest(out)
    assert {(row.label, row.path.parent.name) for row in rows} == {(0, "nature"), (1, "ai")}
    assert all(row.sha256 for row in rows)


def test_index_with_unreadable_pictures(root: Path, tmp_path: Path) -> None:
    (root / "ADM" / "val" / "ai" / "c.png").write_bytes(b"")
    out = tmp_path / "lists" / "val.parquet"
    done = run(
        "index", root, "--out", out, "--no-hash", "--workers", 1, "--check", "header", "--name", "mine"
    )
    assert done.exit_code == 2
    assert "cannot be read: 1\n  ../GenImage/ADM/val/ai/c.png: The file is empty (0 bytes)." in done.stdout
    assert f"{tmp_path / 'lists' / 'val.problems.csv'}: 1 pictures that cannot be read" in done.stdout
    assert len(read_manifest(out)) == 8
    assert isinstance(run("index", root, "--out", out, "--check", "none").exception, ConfigError)


@pytest.mark.skipif(sys.platform != "linux", reason="file names are any bytes on Linux alone")
def test_names_that_are_no_text(root: Path, tmp_path: Path) -> None:
    (root / "ADM" / "val" / "ai" / os.fsdecode(b"\xff.png")).write_bytes(b"x")
    (root / "ADM" / os.fsdecode(b"\xfe.txt")).write_bytes(b"x")
    done = run("index", root, "--out", tmp_path / "val.csv")
    assert done.exit_code == 2
    assert "\\udcff.png: The file's name is not Unicode text; rename it." in done.stdout
    assert "ADM/\\udcfe.txt" in done.stdout
    assert "\\udcff.png" in (tmp_path / "val.problems.csv").read_text(encoding="utf-8")


def test_the_command_is_light() -> None:
    script = "import sys, vestige.apps.data; print(' '.join(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    heavy = {"torch", "numpy", "PIL", "onnxruntime", "pydantic", "pyarrow", "yaml"}
    assert not {name.split(".")[0] for name in done.stdout.split()} & heavy
