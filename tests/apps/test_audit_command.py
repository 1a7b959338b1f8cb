"""`vestige data audit` as a user types it."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from vestige.apps.cli import app


@pytest.fixture
def biased(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    with (tmp_path / "set.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "group"])
        for label, ending in ((0, "jpg"), (1, "png")):
            for number in range(24):
                name = f"{label}-{number}.{ending}"
                coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
                Image.fromarray(coarse).resize((80, 64), Image.Resampling.BICUBIC).save(tmp_path / name)
                writer.writerow([name, label, f"group-{label}-{number % 6}"])
    return tmp_path / "set.csv"


def test_issues_are_told_and_set_the_exit_code(biased: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["data", "audit", str(biased), "--markdown", str(tmp_path / "audit.md")])
    assert done.exit_code == 1
    assert "VA101 File format" in done.stdout
    assert "PNG: 0 % of real, 100 % of generated" in " ".join(done.stdout.split())
    assert "VA101" in (tmp_path / "audit.md").read_text()


def test_json_holds_the_findings(biased: Path) -> None:
    done = CliRunner().invoke(app, ["data", "audit", str(biased), "--json"])
    findings = {finding["code"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert findings["VA101"]["section"] == "issue"
    assert findings["VA101"]["figure"]["value"] > 0.95


def test_a_missing_manifest_is_one_sentence(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["data", "audit", str(tmp_path / "none.csv")])
    assert "none.csv: cannot be read as CSV" in str(done.exception)
