"""Rows of Parquet tables as inputs: which column, which names, which bytes, and how often what is read."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from input_reading import JPEG, PNG, content, contents, names

from vestige.bulk import input_parquet
from vestige.bulk.inputs import open_source
from vestige.errors import ConfigError, DataError, ImageError
from vestige.images.limits import Limits

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def write(path: Path, columns: dict[str, Any], group: int = 3, **options: Any) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=group, **options)
    return path


cells = st.none() | st.binary(max_size=300)
texts = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(cells, texts, texts), max_size=200),
    kind=st.sampled_from(["binary", "large_binary", "struct"]),
    group=st.integers(1, 90),
    skip=st.integers(0, 210),
    order=st.randoms(use_true_random=False),
)
def test_each_row_comes_once_in_order(
    rows: list[tuple[bytes | None, str | None, str | None]], kind: str, group: int, skip: int, order: Any
) -> None:
    data = [row[0] for row in rows]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.parquet"
        column: Any = pa.array(data, pa.large_binary() if kind == "large_binary" else pa.binary())
        if kind == "struct":
            inner = [
                None if cell is None and name is None else {"bytes": cell, "path": name}
                for cell, name, _ in rows
            ]
            column = pa.array(inner, IMAGE)
        write(
            path, {"other": pa.array(range(len(rows))), "image": column, "key": [r[2] for r in rows]}, group
        )
        wanted: list[tuple[str, bytes | str]] = []
        for number, (cell, inside, beside) in enumerate(rows):
            name = (inside if kind == "struct" else "") or beside
            wanted.append(
                (f"{path}#{number}" + (f"/{name}" if name else ""), "empty" if cell is None else cell)
            )
        source = open_source([str(path)])
        assert source.count() == len(rows)
        assert source.random_access
        assert contents(source) == wanted
        assert contents(source, skip) == wanted[skip:]
        items = list(enumerate(source.items()))
        order.shuffle(items)
        for number, item in items[:20]:
            assert content(item) == wanted[number][1]


def test_a_column_of_paths_names_files_beside_the_table(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.jpg").write_bytes(JPEG)
    rows = ["deep/a.jpg", None, "gone.png", str(tmp_path / "deep" / "a.jpg"), "https://x.org/a.jpg", ""]
    path = write(tmp_path / "table.parquet", {"file_name": rows, "label": [0] * 6}, 2)
    source = open_source([str(path)])
    wanted = [
        (str(tmp_path / "deep/a.jpg"), JPEG),
        (f"{path}#1", "not_found"),
        (str(tmp_path / "gone.png"), "not_found"),
        (str(tmp_path / "deep/a.jpg"), JPEG),
        ("https://x.org/a.jpg", "not_found"),
        (f"{path}#5", "not_found"),
    ]
    assert contents(source) == wanted
    assert contents(source, 3) == wanted[3:]
    with pytest.raises(ImageError, match="only local files"):
        list(source.items())[4].place.read(Limits())


@pytest.mark.parametrize(
    ("columns", "asked", "chosen"),
    [
        ({"image": [JPEG], "jpg": [PNG]}, None, JPEG),
        ({"jpg": [JPEG], "image": ["no bytes"]}, None, JPEG),
        ({"thumb": [PNG], "content": [JPEG]}, None, JPEG),
        ({"whatever": [JPEG], "path": ["x"]}, None, JPEG),
        ({"a": [JPEG], "b": [PNG]}, "b", PNG),
        ({"image": [JPEG], "b": [PNG]}, "b", PNG),
        ({"image": [JPEG], "photo": ["a.jpg"]}, "photo", PNG),
        ({"a": [JPEG], "b": [PNG], "path": ["a.jpg"]}, None, PNG),
        ({"text": ["x"], "file": ["a.jpg"], "image_path": ["y"]}, None, PNG),
        ({"dotted.name": [JPEG]}, None, JPEG),
        ({"webp": pa.array([JPEG.ljust(99)], pa.binary(99))}, None, JPEG.ljust(99)),
        ({"path": pa.array(["a.jpg"], pa.dictionary(pa.int32(), pa.string()))}, None, PNG),
        ({"image": pa.array([{"path": None, "bytes": JPEG}])}, None, JPEG),
    ],
)
def test_the_column_is_chosen_by_name_and_type(
    tmp_path: Path, columns: dict[str, Any], asked: str | None, chosen: bytes
) -> None:
    (tmp_path / "a.jpg").write_bytes(PNG)
    path = write(tmp_path / "table.parquet", columns)
    assert [got for _, got in contents(open_source([str(path)], asked))] == [chosen]


@pytest.mark.parametrize(
    ("columns", "asked", "told"),
    [
        ({"text": ["x"], "n": [1]}, None, "--column; it has text (string), n (int64)"),
        ({"a": [JPEG], "b": [PNG]}, None, "several columns may hold pictures; name one with --column"),
        ({"image": [JPEG]}, "photo", "no column photo; it has image (binary)"),
        ({"image": [JPEG], "n": [1]}, "n", "column n holds no pictures and no paths"),
        ({"image": pa.array([{"path": "x"}])}, None, "no column is known"),
    ],
)
def test_no_column_that_fits_is_one_sentence(
    tmp_path: Path, columns: dict[str, Any], asked: str | None, told: str
) -> None:
    path = write(tmp_path / "table.parquet", columns)
    with pytest.raises(ConfigError) as caught:
        open_source([str(path)], asked)
    assert str(caught.value).startswith(f"{path}: ")
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("beside", "name"),
    [
        ({"path": ["p"], "id": [7]}, "/p"),
        ({"path": pa.array([None], pa.string()), "id": [7]}, ""),
        ({"__key__": ["k"], "id": [7]}, "/k"),
        ({"id": [7], "other": ["o"]}, "/7"),
        ({"id": [0]}, "/0"),
        ({"id": [1.5]}, ""),
        ({"other": ["o"]}, ""),
    ],
)
def test_rows_are_named_by_number_and_by_what_the_table_says(
    tmp_path: Path, beside: dict[str, Any], name: str
) -> None:
    path = write(tmp_path / "table.parquet", {"image": [JPEG], **beside})
    assert names(open_source([str(path)])) == [f"{path}#0{name}"]


def test_a_row_group_is_opened_once_for_its_neighbours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [JPEG + bytes([number]) for number in range(200)]
    path = write(tmp_path / "table.parquet", {"image": rows}, 100)
    places = [item.place for item in open_source([str(path)]).items()]
    opened = []
    real = pq.ParquetFile
    monkeypatch.setattr(pq, "ParquetFile", lambda *args, **named: opened.append(1) or real(*args, **named))
    monkeypatch.setattr(input_parquet, "_READER", input_parquet._Reader())
    for start in (0, 64, 96, 160):
        for number in range(start, start + 32):
            assert places[number].read(Limits()) == rows[number]
    assert len(opened) == 2
    # A row before those at hand costs opening again, and is right.
    assert places[100].read(Limits()) == rows[100]
    assert len(opened) == 3


def test_a_cell_above_the_limit_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "table.parquet", {"image": [bytes(1001), bytes(1000)]})
    one, two = open_source([str(path)]).items()
    assert content(one, Limits(max_bytes=1000)) == "too_large"
    assert content(two, Limits(max_bytes=1000)) == bytes(1000)


def test_row_groups_that_are_done_are_not_read_again(tmp_path: Path) -> None:
    rows = [os.urandom(500) for _ in range(6)]
    path = write(tmp_path / "table.parquet", {"image": rows, "key": list("abcdef")}, 3, compression="NONE")
    source = open_source([str(path)])
    status = path.stat()
    data = bytearray(path.read_bytes())
    data[4 : 4 + 3 * 500 // 2] = bytes(3 * 500 // 2)
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert contents(source, 3) == [
        (f"{path}#{number}/{'abcdef'[number]}", rows[number]) for number in range(3, 6)
    ]
    # The damage makes error rows of those that it hits, and stops nothing.
    assert [content(item) for item in source.items()][:3] == ["corrupt"] * 3


def test_damage_is_not_gone_over_for_each_row_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "table.parquet", {"image": [JPEG] * 9}, 9)
    places = [item.place for item in open_source([str(path)]).items()]
    tried = []

    class Broken(pq.ParquetFile):  # type: ignore[misc]
        def iter_batches(self, *arguments: Any, **named: Any) -> Any:
            yield next(super().iter_batches(2, **named))
            tried.append(1)
            raise OSError("torn page")

    monkeypatch.setattr(pq, "ParquetFile", Broken)
    monkeypatch.setattr(input_parquet, "_READER", input_parquet._Reader())
    for place in places[:2]:
        assert place.read(Limits()) == JPEG
    for place in places[2:]:
        with pytest.raises(ImageError, match="torn page"):
            place.read(Limits())
    assert len(tried) == 1


def test_what_is_no_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(DataError, match=r"x\.parquet: cannot be read as Parquet"):
        open_source([str(tmp_path / "x.parquet")])
    with pytest.raises(ConfigError, match=r"gone\.parquet: there is no such file"):
        open_source([str(tmp_path / "gone.parquet")])


def test_a_table_that_changes_on_the_way_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "table.parquet", {"image": [JPEG]})
    source = open_source([str(path)])
    write(path, {"image": [JPEG, PNG]})
    with pytest.raises(DataError, match="was changed"):
        list(source.items())


def test_the_column_and_the_state_count_for_the_fingerprint(tmp_path: Path) -> None:
    path = write(tmp_path / "table.parquet", {"image": [JPEG], "other": [PNG]})
    before = open_source([str(path)]).fingerprint()
    assert open_source([str(path)], "image").fingerprint() == before
    assert open_source([str(path)], "other").fingerprint() != before
    os.utime(path, ns=(5, 5))
    assert open_source([str(path)]).fingerprint() != before


def test_without_pyarrow_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "table.parquet", {"image": [JPEG]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for argument in (path, tmp_path):
        with pytest.raises(ConfigError, match=r"needs pyarrow: pip install 'vestige\[bulk\]'"):
            open_source([str(argument)])


@pytest.mark.parametrize("dictionary", [False, True])
def test_paths_that_are_no_utf_8(tmp_path: Path, dictionary: bool) -> None:
    name = b"bad\xff.jpg"
    (tmp_path / os.fsdecode(name)).write_bytes(JPEG)
    size = len(name)
    offsets = pa.py_buffer(b"".join(number.to_bytes(4, "little") for number in (0, size)))
    column = pa.StringArray.from_buffers(1, offsets, pa.py_buffer(name))
    write(tmp_path / "table.parquet", {"path": column.dictionary_encode() if dictionary else column})
    found = contents(open_source([str(tmp_path / "table.parquet")]))
    assert found == [(str(tmp_path / os.fsdecode(name)), JPEG)]
