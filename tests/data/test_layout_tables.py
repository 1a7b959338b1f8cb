"""Any table: columns by their usual names, labels by words, and refusal of what is not known."""

import csv
from pathlib import Path

import layout_trees as trees
import pytest

from vestige.data.layouts import read
from vestige.errors import DataError


def table(folder: Path, rows: list[dict[str, object]], name: str = "set.csv") -> Path:
    path = folder / name
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], delimiter="\t" if name.endswith("tsv") else ",")
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.mark.parametrize(
    ("column", "real", "generated"),
    [
        ("label", "real", "fake"), ("Label", "Real", "AI-generated"), ("target", "0_real", "1_fake"),
        ("class", "nature", "ai"), ("label", 0, 1), ("is_fake", "False", "True"), ("is_real", 1, 0),
        ("is_generated", "no", "yes"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("order", [1, -1])
def test_labels(tmp_path: Path, column: str, real: object, generated: object, order: int) -> None:
    rows = [{"file_name": "a.png", column: real}, {"file_name": "b/c.png", column: generated}][::order]
    found = read(table(tmp_path, rows))
    assert found.benchmark.name == "table"
    assert {(entry.file, entry.label, entry.group) for entry in found.entries} == {
        (str(tmp_path.resolve() / "a.png"), 0, "set/real"),
        (str(tmp_path.resolve() / "b" / "c.png"), 1, "set"),
    }


def test_other_columns_are_taken_over(tmp_path: Path) -> None:
    row = {"path": "x.png", "label": "fake", "generator": "sdxl", "split": "val", "category": "cat",
           "class": "dog", "picture": "7", "compare_with": "coco", "license": "MIT",
           "mask": "m/x.png", "changed": "../c/x.png", "manipulation": "splicing"}  # fmt: skip
    (entry,) = read(table(tmp_path, [row], "set.tsv")).entries
    assert (entry.group, entry.split, entry.category, entry.picture) == ("sdxl", "val", "cat", "7")
    assert (entry.compare_with, entry.licence) == ("coco", "MIT")
    assert entry.mask == str(tmp_path.resolve() / "m" / "x.png")
    assert (entry.changed, entry.manipulation) == (str(tmp_path.resolve().parent / "c" / "x.png"), "splicing")


def test_numbers_are_read_with_a_finding(tmp_path: Path) -> None:
    rows = [{"path": "a.png", "label": 0}, {"path": "b.png", "label": 1}]
    assert "read as 0 real and 1 generated: make sure" in read(table(tmp_path, rows)).findings[0]


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (
            [{"path": "a", "label": "real"}, {"path": "b", "label": "edited"}, {"path": "c", "label": "GAN"}],
            r"column label holds 'GAN', 'edited'; known are words such as real",
        ),
        ([{"path": "a", "class": 0}, {"path": "b", "class": 1}], r"column class holds '0', '1'; known are"),
        ([{"path": "a", "is_fake": "real"}], r"column is_fake holds 'real'"),
        ([{"path": "a", "class": "real", "target": "real"}], r"columns target, class could all be labels"),
        ([{"path": "", "label": "real"}], r"row 1: the path is empty"),
        ([{"where": "a", "label": "real"}], r"no column of paths .*there are where, label"),
        ([{"path": "a", "verdict": "real"}], r"no column of labels .*there are path, verdict"),
    ],
)
def test_refused(tmp_path: Path, rows: list[dict[str, object]], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        read(table(tmp_path, rows))


def test_parquet_table_with_pictures_beside_paths(tmp_path: Path) -> None:
    columns = {"filename": ["a.png", "b.png"], "thumbnail": [b"x", b"y"], "label": [1, 0]}
    found = read(trees.write_parquet(tmp_path / "set.parquet", columns, names=("fake", "real")))
    assert found.benchmark.name == "table"
    # The names of the classes are in the file, and say the opposite of the convention.
    assert [entry.label for entry in found.entries] == [0, 1]


def test_not_a_table(tmp_path: Path) -> None:
    (tmp_path / "set.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"set\.csv: cannot be read as a table"):
        read(tmp_path / "set.csv")
    (tmp_path / "a.png").write_bytes(trees.picture(1))
    with pytest.raises(DataError, match="no layout that Vestige knows"):
        read(tmp_path / "a.png")
