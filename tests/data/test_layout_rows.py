"""Parquet layouts: rows stay where they are, and labels come from words where the file has them."""

from pathlib import Path

import layout_trees as trees
import pytest

from vestige.data.layouts import read
from vestige.data.manifest import read_member
from vestige.errors import DataError


def test_opensdi(tmp_path: Path) -> None:
    root = tmp_path / "OpenSDI_test"
    trees.opensdi_file(root / "data" / "sd15-00000-of-00002.parquet", "sd15")
    trees.opensdi_file(root / "data" / "sd15-00001-of-00002.parquet", "sd15", first=10)
    trees.opensdi_file(root / "data" / "flux-00000-of-00001.parquet", "flux", first=20)
    (root / "README.md").write_text("card")
    found = read(root)
    assert found.benchmark.name == "opensdi"
    assert found.stray == ["README.md"]
    assert [
        (entry.group, entry.label, entry.member, entry.picture, entry.split) for entry in found.entries[:4]
    ] == [
        ("flux/real", 0, "image/0", "000020", "test"),
        ("flux/real", 0, "image/1", "000021", "test"),
        ("flux", 1, "image/2", "000020", "test"),
        ("flux", 1, "image/3", "000022", "test"),
    ]
    assert {(entry.group, entry.compare_with) for entry in found.entries if entry.label} == {
        ("sd15", "sd15/real"), ("flux", "flux/real"),
    }  # fmt: skip
    last = found.entries[-1]
    assert last.file.endswith("sd15-00001-of-00002.parquet")
    assert read_member(Path(last.file), last.member) == trees.picture(100 + 10 + 3)


def test_class_names_in_the_file_decide_over_numbers(tmp_path: Path) -> None:
    file = trees.opensdi_file(tmp_path / "flux-0.parquet", "flux", names=("fake", "real"))
    assert [entry.label for entry in read(file).entries] == [0, 0, 1, 1]


def test_label_that_the_key_contradicts_is_a_finding(tmp_path: Path) -> None:
    file = trees.write_parquet(
        tmp_path / "sd3-0.parquet",
        {"key": ["a/real/1.jpg", "a/fake/2.jpg"], "image": [b"", b""], "mask": [None, None], "label": [1, 0]},
    )
    assert (
        "2 rows have a label that their key contradicts; the column label was believed" in read(file).findings
    )


def test_opensdi_without_a_generator(tmp_path: Path) -> None:
    file = trees.opensdi_file(tmp_path / "renamed.parquet", "unheard-of")
    with pytest.raises(
        DataError, match=r"neither the file's name nor key .* names a generator; expected one of sd15"
    ):
        read(file)


def test_community_forensics_pairs_by_real_source(tmp_path: Path) -> None:
    root = tmp_path / "set"
    trees.community_file(root / "data" / "CompEval-0.parquet")
    found = read(root)
    assert found.benchmark.name == "community-forensics"
    assert [(e.group, e.label, e.split, e.member, e.compare_with) for e in found.entries] == [
        # LAION, which one of the rows names, is not part of this set: the generator is compared with all real
        # pictures, which is said.
        ("author/model-a", 1, "train", "image_data/0", ""),
        ("author/model-a", 1, "train", "image_data/1", ""),
        ("COCO/real", 0, "train", "image_data/2", ""),
        ("FFHQ/real", 0, "test", "image_data/3", ""),
    ]
    assert any("paired with LAION/real, which are not here; 1 rows" in finding for finding in found.findings)


def test_community_forensics_base_has_no_reals(tmp_path: Path) -> None:
    found = read(trees.community_file(tmp_path / "Systematic-0.parquet", labels=(1, 1)))
    assert any(finding.startswith("no real pictures") for finding in found.findings)
    assert {entry.compare_with for entry in found.entries} == {""}


def test_unknown_labels_are_listed(tmp_path: Path) -> None:
    file = trees.community_file(tmp_path / "a.parquet", labels=(1, 2, 7, 0))
    with pytest.raises(DataError, match=r"column label holds '2', '7'|column label holds 2, 7; known are"):
        read(file)


def test_damaged_and_foreign_files(tmp_path: Path) -> None:
    root = tmp_path / "set"
    trees.community_file(root / "a.parquet")
    (root / "b.parquet").write_bytes(b"PAR1 no table")
    with pytest.raises(DataError, match=r"b\.parquet: cannot be read as Parquet"):
        read(root)
    trees.write_parquet(root / "b.parquet", {"x": [1]})
    with pytest.raises(
        DataError, match=r"b\.parquet: columns image_data, .* are missing; there are x, unlike"
    ):
        read(root)
    with pytest.raises(DataError, match=r"no layout that Vestige knows.*columns .* are missing; there are x"):
        read(root / "b.parquet")
