"""The control that sees no pixels: blind on matched files, sharp on biased ones."""

from pathlib import Path

import numpy as np
import pytest
from bench_set import write_pictures

from vestige.data.manifest import read_manifest
from vestige.errors import DataError
from vestige.evaluation.control import score_control
from vestige.evaluation.metrics import auroc


def area(train: Path, test: Path) -> float:
    rows = list(score_control(read_manifest(train), read_manifest(test)))
    labels = np.array([row["label"] for row in rows])
    return auroc(labels, np.array([float(str(row["logit"])) for row in rows]))


def test_matched_files_give_nothing_away(tmp_path: Path) -> None:
    biased, matched = write_pictures(tmp_path / "biased", biased=True), write_pictures(tmp_path / "matched")
    assert area(biased, matched) == 0.5
    assert area(matched, matched) == 0.5


def test_a_biased_set_is_found_out(tmp_path: Path) -> None:
    biased = write_pictures(tmp_path / "biased", biased=True)
    assert area(biased, biased) == 1.0


def test_unreadable_file_is_named(tmp_path: Path) -> None:
    manifest = write_pictures(tmp_path, each=2)
    (tmp_path / "camera1.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"camera1\.jpg: "):
        area(manifest, manifest)
