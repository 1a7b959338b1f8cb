"""Lists of paths as inputs: each row is one, whatever it names."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from input_reading import JPEG, PNG, contents, names

from vestige.bulk.inputs import open_source
from vestige.errors import ConfigError, DataError

lines = st.lists(
    st.text(st.characters(exclude_characters="\0\n\r\ufeff", exclude_categories=["Cs"]), max_size=20),
    max_size=30,
)


@settings(max_examples=80, deadline=None)
@given(rows=lines, end=st.sampled_from(["\n", "\r\n"]), last=st.booleans(), skip=st.integers(0, 31))
def test_each_line_is_one_input(rows: list[str], end: str, last: bool, skip: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list.txt"
        path.write_bytes((end.join(rows) + (end if last else "")).encode())
        wanted = [
            row if "://" in row or row.startswith("/") else f"{folder}/{row}" for row in rows if row.strip()
        ]
        source = open_source([str(path)])
        assert source.count() == len(wanted)
        assert names(source) == wanted
        assert [item.name for item in source.items(skip)] == wanted[skip:]


@pytest.mark.parametrize("ending", [".txt", ".lst", ".TXT"])
def test_paths_are_relative_to_the_list(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "a.jpg").write_bytes(JPEG)
    (tmp_path / "b.png").write_bytes(PNG)
    path = tmp_path / "lists" / f"list{ending}"
    path.write_text(f"a.jpg\n\n../b.png\n{tmp_path}/b.png\na.jpg\ngone.jpg\n.\nhttp://x.org/a.jpg\na.jpg\n")
    monkeypatch.chdir(tmp_path)
    assert contents(open_source([f"lists/list{ending}"])) == [
        ("lists/a.jpg", JPEG),
        ("lists/../b.png", PNG),
        (f"{tmp_path}/b.png", PNG),
        ("lists/a.jpg", JPEG),
        ("lists/gone.jpg", "not_found"),
        ("lists/.", "not_found"),
        ("http://x.org/a.jpg", "not_found"),
        ("lists/a.jpg", JPEG),
    ]


def test_names_that_are_no_utf8_are_found(tmp_path: Path) -> None:
    name = b"caf\xe9.jpg"
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(JPEG)
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbf" + name + b"\n")
    source = open_source([str(tmp_path / "list.txt")])
    assert contents(source) == [(f"{tmp_path}/caf\udce9.jpg", JPEG)]
    assert source.fingerprint()


def test_a_csv_gives_its_column_path(tmp_path: Path) -> None:
    (tmp_path / "a, b.jpg").write_bytes(JPEG)
    path = tmp_path / "list.csv"
    path.write_text('\ufefflabel,path,note\n0,"a, b.jpg",x\n1,,no path\n\n1\n0,gone.jpg,"two\nlines"\n')
    wanted = [
        (f"{tmp_path}/a, b.jpg", JPEG),
        (f"{path}#1", "not_found"),
        (f"{path}#2", "not_found"),
        (f"{tmp_path}/gone.jpg", "not_found"),
    ]
    source = open_source([str(path)])
    assert source.count() == 4
    assert contents(source) == wanted
    assert contents(source, 2) == wanted[2:]


def test_what_is_wrong_with_a_list_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "wrong.csv").write_text("file,label\na.jpg,0\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "huge.csv").write_text("path\n" + "x" * 200_000 + "\n")
    os.mkfifo(tmp_path / "pipe.txt")
    for name, kind, told in [
        ("wrong.csv", ConfigError, "has no column path, only file, label"),
        ("empty.csv", ConfigError, "has no column path, only none"),
        ("gone.txt", ConfigError, "there is no such file"),
        ("gone.csv", ConfigError, "there is no such file"),
        ("pipe.txt", ConfigError, "is not a regular file"),
        ("huge.csv", DataError, "behind line 1: cannot be read as CSV"),
    ]:
        with pytest.raises(kind) as caught:
            open_source([str(tmp_path / name)]).count()
        assert str(caught.value).startswith(str(tmp_path / name))
        assert told in str(caught.value)


def test_an_empty_list_has_no_items(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("\n \n")
    source = open_source([str(tmp_path / "list.txt")])
    assert source.count() == 0
    assert names(source) == []


def test_what_a_list_says_and_not_its_age_makes_the_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("a.jpg\nb.jpg\n")
    before = open_source([str(path)]).fingerprint()
    path.write_text("a.jpg\r\n\r\nb.jpg")
    os.utime(path, ns=(5, 5))
    assert open_source([str(path)]).fingerprint() == before
    path.write_text("b.jpg\na.jpg\n")
    assert open_source([str(path)]).fingerprint() != before


def test_a_quote_does_not_swallow_the_lines_behind_it(tmp_path: Path) -> None:
    listed = tmp_path / "list.csv"
    listed.write_text('path,label\na.jpg,1\n"b.jpg,0\nc.jpg,1\n')
    with pytest.raises(DataError, match=r"list.csv.*cannot be read as CSV"):
        names(open_source([str(listed)]))
