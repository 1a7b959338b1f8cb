"""The index: what is written, what is left out and said, and going on after a kill."""

import csv
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import layout_trees as trees
import pytest

from vestige.data import check
from vestige.data.index import index, inspect
from vestige.data.manifest import COLUMNS, read_manifest
from vestige.errors import DataError
from vestige.images import decode


@pytest.fixture
def san(tmp_path: Path) -> Path:
    """A set of eight pictures, one of them broken and one of them no picture."""
    root = trees.write_tree(tmp_path / "data" / "test", trees.pair("san/", count=4))
    (root / "san" / "1_fake" / "001.png").write_bytes(trees.picture(5)[:60])
    (root / "san" / "0_real" / "002.png").write_text("<html>not found</html>")
    return root


class KilledError(Exception):
    pass


def killing(after: int):  # type: ignore[no-untyped-def]
    """Progress that ends the run in the middle, as a kill would."""

    def track(items: Sequence[int], what: str) -> Iterator[int]:
        for number, item in enumerate(items):
            if number == after:
                raise KilledError
            yield item

    return track


def problems(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_manifest_and_problems(san: Path, tmp_path: Path, ending: str) -> None:
    out = tmp_path / "lists" / f"san.{ending}"
    indexed = index(san, out, "forensynths")
    rows = read_manifest(out)
    place = "../data/test/san"
    assert [row.name for row in rows] == [
        *(f"{place}/0_real/00{n}.png" for n in (0, 1, 3)),
        *(f"{place}/1_fake/00{n}.png" for n in (0, 2, 3)),
    ]
    for row in rows:
        assert row.sha256 == hashlib.sha256(row.path.read_bytes()).hexdigest()
        assert decode(row.path).facts.sha256 == row.sha256
    assert [row.label for row in rows] == [0, 0, 0, 1, 1, 1]
    assert {row.compare_with for row in rows if row.label} == {"san/real"}
    header, *found = problems(tmp_path / "lists" / "san.problems.csv")
    assert header == ["path", "reason"]
    assert [path for path, _ in found] == [
        "../data/test/san/0_real/002.png",
        "../data/test/san/1_fake/001.png",
    ]
    assert found[0][1].startswith("The file looks like a web page")
    assert indexed.problems == [tuple(one) for one in found]
    assert sorted(os.listdir(out.parent)) == [f"san.{ending}", "san.problems.csv"]
    (line,) = indexed.lines
    assert (line.real, line.generated, line.unreadable) == (4, 4, 2)
    assert line.formats[1] == {"PNG": 3}


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("after", [0, 1, 5, 7])
def test_a_killed_run_goes_on_with_the_same_result(
    san: Path, tmp_path: Path, after: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "whole.csv"
    index(san, whole, "forensynths", workers=workers)
    out = tmp_path / "parts.csv"
    with pytest.raises(KilledError):
        index(san, out, "forensynths", workers=workers, track=killing(after))
    assert not out.exists()
    journal = tmp_path / "parts.csv.part.jsonl"
    with journal.open("a", encoding="utf-8") as file:
        file.write('{"n": 7, "stamp": [1, ')  # a kill can cut a line short
    read: list[str] = []
    look = check.look
    monkeypatch.setattr(check, "look", lambda entry, *rest: read.append(entry.file) or look(entry, *rest))
    indexed = index(san, out, "forensynths", workers=workers)
    assert indexed.resumed == after
    assert len(read) == 8 - after
    assert out.read_bytes() == whole.read_bytes()
    assert (tmp_path / "parts.problems.csv").read_bytes() == (tmp_path / "whole.problems.csv").read_bytes()
    assert not journal.exists()


def test_a_picture_that_changed_since_is_read_again(san: Path, tmp_path: Path) -> None:
    out = tmp_path / "set.csv"
    with pytest.raises(KilledError):
        index(san, out, "forensynths", track=killing(6))
    (san / "san" / "0_real" / "002.png").write_bytes(trees.picture(42))
    indexed = index(san, out, "forensynths")
    assert indexed.resumed == 5
    assert [path for path, _ in indexed.problems] == ["data/test/san/1_fake/001.png"]


def test_the_journal_of_another_run_is_not_used(san: Path, tmp_path: Path) -> None:
    out = tmp_path / "set.csv"
    with pytest.raises(KilledError):
        index(san, out, "forensynths", track=killing(6))
    assert index(san, out, "forensynths", check="header").resumed == 0
    with pytest.raises(KilledError):
        index(san, out, "forensynths", track=killing(6))
    (san / "san" / "0_real" / "000b.png").write_bytes(trees.picture(43))
    assert index(san, out, "forensynths").resumed == 0


def test_problems_of_an_earlier_run_do_not_stay(san: Path, tmp_path: Path) -> None:
    out = tmp_path / "set.csv"
    index(san, out, "forensynths")
    (san / "san" / "0_real" / "002.png").write_bytes(trees.picture(42))
    (san / "san" / "1_fake" / "001.png").write_bytes(trees.picture(43))
    assert not index(san, out, "forensynths").problems
    assert not (tmp_path / "set.problems.csv").exists()
    assert len(read_manifest(out)) == 8


def test_a_header_check_does_not_see_damage_inside(tmp_path: Path) -> None:
    root = trees.write_tree(tmp_path / "mine", trees.pair(""))
    whole = trees.picture(3)
    at = whole.index(b"IDAT") + 8
    (root / "1_fake" / "001.png").write_bytes(whole[:at] + b"\0\0\0\0" + whole[at + 4 :])
    assert not index(root, tmp_path / "header.csv", check="header").problems
    ((path, reason),) = index(root, tmp_path / "full.csv").problems
    assert path == "mine/1_fake/001.png"
    assert reason


def test_rows_of_parquet_files(tmp_path: Path) -> None:
    file = trees.community_file(tmp_path / "data" / "CompEval-0.parquet")
    indexed = index(tmp_path / "data", tmp_path / "set.parquet", workers=3)
    rows = read_manifest(tmp_path / "set.parquet")
    assert [row.name for row in rows] == [f"data/CompEval-0.parquet#image_data/{n}" for n in range(4)]
    assert [row.content() for row in rows] == [trees.picture(300 + n) for n in range(4)]
    assert [row.sha256 for row in rows] == [
        hashlib.sha256(trees.picture(300 + n)).hexdigest() for n in range(4)
    ]
    assert not indexed.problems
    trees.write_parquet(
        file,
        {"image_data": [trees.picture(1), b"junk", None], "model_name": ["m"] * 3, "label": [1, 1, 1],
         "real_source": ["COCO"] * 3},
    )  # fmt: skip
    indexed = index(tmp_path / "data", tmp_path / "set.parquet")
    assert [path for path, _ in indexed.problems] == [
        "data/CompEval-0.parquet#image_data/1", "data/CompEval-0.parquet#image_data/2",
    ]  # fmt: skip
    assert "holds no bytes" in indexed.problems[1][1]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_what_a_labelled_manifest_says_of_pixels_is_kept(tmp_path: Path, ending: str) -> None:
    folder = trees.write_tree(tmp_path / "set", ["a.png", "b.png", "masks/m.png", "masks/c.png"])
    (folder / "manifest.csv").write_text(
        "path,label,group,mask,changed,manipulation\n"
        "a.png,1,camera,masks/m.png,masks/c.png,copy-move\n"
        "b.png,0,camera,,,\n"
    )
    out = tmp_path / "lists" / f"again.{ending}"
    index(folder / "manifest.csv", out)
    manipulated, untouched = read_manifest(out)
    assert manipulated.mask is not None
    assert manipulated.changed is not None
    assert manipulated.mask.resolve() == (folder / "masks" / "m.png").resolve()
    assert manipulated.changed.resolve() == (folder / "masks" / "c.png").resolve()
    assert manipulated.manipulation == "copy-move"
    assert (untouched.mask, untouched.changed, untouched.manipulation) == (None, None, "")


def test_hashes_may_be_left_out(tmp_path: Path) -> None:
    root = trees.write_tree(tmp_path / "mine", trees.pair(""))
    index(root, tmp_path / "set.csv", hashes=False)
    with (tmp_path / "set.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert {row["sha256"] for row in rows} == {""}


def test_manifest_beside_linked_folders(tmp_path: Path) -> None:
    trees.write_tree(tmp_path / "disk" / "deep" / "san", trees.pair(""))
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "test").symlink_to(tmp_path / "disk" / "deep", target_is_directory=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "lists").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    out = tmp_path / "lists" / "set.csv"
    index(tmp_path / "sets" / "test", out, "forensynths")
    assert all(row.path.exists() for row in read_manifest(out))


def test_nothing_readable(tmp_path: Path) -> None:
    root = tmp_path / "mine"
    for name in trees.pair(""):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    with pytest.raises(DataError, match=r"none of 4 pictures can be read, first The file is empty"):
        index(root, tmp_path / "set.csv")
    assert len(problems(tmp_path / "set.problems.csv")) == 5


def test_manifest_must_have_a_known_ending(san: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"set\.txt: a manifest ends in \.csv or \.parquet"):
        index(san, tmp_path / "set.txt")


def test_inspect_writes_nothing_and_samples(san: Path, tmp_path: Path) -> None:
    before = sorted(path for path in tmp_path.rglob("*"))
    indexed = inspect(san, most=2)
    assert sorted(path for path in tmp_path.rglob("*")) == before
    assert indexed.looked == 4
    assert not indexed.rows
    (line,) = indexed.lines
    assert (line.real, line.generated) == (4, 4)
    assert inspect(san, most=0).looked == 8
    assert len(inspect(san, most=0).problems) == 2


def test_a_sample_is_spread_over_each_class() -> None:
    entries = [check.Entry(file=f"{n}", label=n % 2, group=f"g{n % 2}") for n in range(20)]
    assert [entry.file for entry in check.sample(entries, 3)] == ["0", "6", "12", "1", "7", "13"]
    assert check.sample(entries, 0) == entries
    assert len(check.sample(entries, 50)) == 20
