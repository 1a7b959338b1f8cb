"""Parquet manifests, and pictures that are members of Parquet files."""

from pathlib import Path

import layout_trees as trees
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vestige.data.manifest import COLUMNS, read_manifest, read_member, write_manifest
from vestige.errors import DataError

ROW = {
    "path": "data/ä.parquet", "member": "image/1", "label": 1, "group": "sdxl", "split": "test",
    "license": "MIT", "source": "somewhere", "category": "cat", "picture": "7",
    "compare_with": "coco/real;laion/real", "mask": "masks/7.png", "sha256": "ab" * 32,
}  # fmt: skip


@pytest.mark.parametrize("name", ["set.parquet", "set.csv", "SET.PARQUET"])
def test_round_trip(tmp_path: Path, name: str) -> None:
    write_manifest(tmp_path / name, [ROW, {**dict.fromkeys(COLUMNS, ""), "path": "b.png", "label": 0}])
    assert [path.name for path in tmp_path.iterdir()] == [name]
    full, bare = read_manifest(tmp_path / name)
    assert (full.path, full.name) == (tmp_path / "data/ä.parquet", "data/ä.parquet#image/1")
    assert (full.label, full.group, full.split, full.licence) == (1, "sdxl", "test", "MIT")
    assert (full.source, full.category, full.picture) == ("somewhere", "cat", "7")
    assert (full.compare_with, full.mask) == ("coco/real;laion/real", tmp_path / "masks/7.png")
    assert full.sha256 == "ab" * 32
    assert (bare.name, bare.label, bare.group, bare.licence) == ("b.png", 0, "unknown", "none stated")
    assert bare.mask is None


def test_whole_or_not_at_all(tmp_path: Path) -> None:
    def rows():  # type: ignore[no-untyped-def]
        yield ROW
        raise RuntimeError

    for name in ("set.csv", "set.parquet"):
        with pytest.raises(RuntimeError):
            write_manifest(tmp_path / name, rows())
        assert not (tmp_path / name).exists()


def test_nulls_and_foreign_columns(tmp_path: Path) -> None:
    table = pa.table(
        {"label": [0, 1], "path": ["a.png", "b.png"], "group": [None, "x"], "blob": [b"1", b"2"]}
    )
    pq.write_table(table, tmp_path / "set.parquet")
    assert [(row.name, row.group) for row in read_manifest(tmp_path / "set.parquet")] == [
        ("a.png", "unknown"), ("b.png", "x"),
    ]  # fmt: skip


@pytest.mark.parametrize("values", [[True, False], [2, 0], [None, 1], [1.5, 0.0], ["fake", "real"]])
def test_labels_that_are_none(tmp_path: Path, values: list[object]) -> None:
    pq.write_table(pa.table({"path": ["a", "b"], "label": values}), tmp_path / "set.parquet")
    with pytest.raises(
        DataError, match=r"set\.parquet, row \d: label must be 0 \(real\) or 1 \(generated\), got"
    ):
        read_manifest(tmp_path / "set.parquet")


def test_damaged_manifest(tmp_path: Path) -> None:
    (tmp_path / "set.parquet").write_bytes(b"PAR1 this is none PAR1")
    with pytest.raises(DataError, match=r"set\.parquet: cannot be read as Parquet"):
        read_manifest(tmp_path / "set.parquet")
    with pytest.raises(DataError, match=r"absent\.parquet: cannot be read as Parquet"):
        read_manifest(tmp_path / "absent.parquet")


@pytest.mark.parametrize("rows_in_group", [1, 2, 100])
def test_members_across_row_groups(tmp_path: Path, rows_in_group: int) -> None:
    pictures = [trees.picture(n) for n in range(5)]
    columns = {"raw": pictures, "image": [{"bytes": one, "path": None} for one in pictures]}
    file = trees.write_parquet(tmp_path / "a.parquet", columns, rows_in_group=rows_in_group)
    for number in (4, 0, 3, 1, 2):
        assert read_member(file, f"raw/{number}") == pictures[number]
        assert read_member(file, f"image/{number}") == pictures[number]


@pytest.mark.parametrize(
    "member", ["raw/2", "raw/-1", "raw/x", "raw", "absent/0", "text/0", "raw/1", "image/1", ""]
)
def test_members_that_are_not_there(tmp_path: Path, member: str) -> None:
    columns = {"raw": [b"x", None], "image": [{"bytes": b"x"}, {"bytes": None}], "text": ["x", "y"]}
    file = trees.write_parquet(tmp_path / "a.parquet", columns)
    with pytest.raises(DataError, match=r"a\.parquet: member .*(cannot be read|holds no bytes)"):
        read_member(file, member)


def test_member_of_a_damaged_file(tmp_path: Path) -> None:
    file = trees.write_parquet(tmp_path / "a.parquet", {"raw": [b"0123456789" * 1000]})
    data = bytearray(file.read_bytes())
    data[10:200] = b"\xff" * 190
    file.write_bytes(bytes(data))
    with pytest.raises(DataError, match="cannot be read"):
        read_member(file, "raw/0")
    with pytest.raises(DataError, match="cannot be read"):
        read_member(tmp_path / "absent.parquet", "raw/0")


def test_a_file_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    file = trees.write_parquet(tmp_path / "a.parquet", {"raw": [b"old"]})
    assert read_member(file, "raw/0") == b"old"
    trees.write_parquet(file, {"raw": [b"new", b"newer"]})
    assert read_member(file, "raw/1") == b"newer"


def test_columns_come_from_the_file_and_not_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "label=1" / "split=train").mkdir(parents=True)
    path = tmp_path / "label=1" / "split=train" / "set.parquet"
    pq.write_table(pa.table({"path": ["a.png"], "label": [0]}), path)
    (row,) = read_manifest(path)
    assert (row.label, row.split) == (0, "")


def test_a_byte_order_mark_is_no_part_of_a_column(tmp_path: Path) -> None:
    (tmp_path / "excel.csv").write_bytes(b"\xef\xbb\xbfpath,label\r\na.png,1\r\n")
    (row,) = read_manifest(tmp_path / "excel.csv")
    assert (row.name, row.label) == ("a.png", 1)
