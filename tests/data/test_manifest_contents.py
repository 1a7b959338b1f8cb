"""What a manifest must not hold, and what is made of loose types."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vestige.data.layouts import read
from vestige.data.manifest import read_manifest
from vestige.errors import DataError


def test_a_picture_with_both_labels_is_refused(tmp_path: Path) -> None:
    (tmp_path / "set.csv").write_text("path,label\na.png,0\nb.png,1\na.png,1\n")
    with pytest.raises(DataError, match=r"a\.png is listed as real and as generated"):
        read_manifest(tmp_path / "set.csv")


def test_numbers_where_names_belong_become_text(tmp_path: Path) -> None:
    pq.write_table(pa.table({"path": ["a.png"], "label": [1], "group": [7]}), tmp_path / "set.parquet")
    (row,) = read_manifest(tmp_path / "set.parquet")
    assert (row.group, row.label) == ("7", 1)
    pq.write_table(pa.table({"path": [3], "label": [1]}), tmp_path / "odd.parquet")
    with pytest.raises(DataError, match="row 0: the path is no text, got 3"):
        read_manifest(tmp_path / "odd.parquet")


def test_columns_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    (tmp_path / "set.csv").write_text("path,label,is_fake\na.png,0,0\nb.png,0,1\n")
    with pytest.raises(DataError, match="row 2: label is '0' and is_fake is '1'"):
        read(tmp_path / "set.csv", "table")


def test_groups_cannot_hold_the_separator_of_pairings(tmp_path: Path) -> None:
    (tmp_path / "set.csv").write_text("path,label,group\na.png,0,a;b\nb.png,1,c\n")
    with pytest.raises(DataError, match="'a;b': names of groups cannot hold a semicolon"):
        read(tmp_path / "set.csv", "table")
