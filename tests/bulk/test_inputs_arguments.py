"""What arguments of a bulk run lead to: folders, globs, shards inside, and nothing twice."""

import os
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from input_reading import JPEG, PNG, contents, names, write_tar

from vestige.apps.inputs import collect
from vestige.bulk.inputs import open_source
from vestige.errors import ConfigError, DataError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Pictures by name and by content, shards, tables and other files, in two levels."""
    root = tmp_path / "tree"
    (root / "b" / "deep").mkdir(parents=True)
    (root / "A").mkdir()
    for name in ("z.jpg", "b/2.png", "b/10.png", "b/deep/x.JPEG", "A/y.webp", "broken.gif"):
        (root / name).write_bytes(JPEG + name.encode())
    (root / "broken.gif").write_bytes(b"no picture")
    (root / "b" / "by content").write_bytes(PNG)
    (root / "notes.txt").write_text("z.jpg\n")
    (root / "b" / "labels.csv").write_text("path\n2.png\n")
    (root / "empty").write_bytes(b"")
    write_tar(root / "b" / "4.tar", [("in/1.jpg", JPEG), ("in/1.json", b"{}"), ("in/2.jpg", PNG)])
    write_tar(root / "w.tar", [("only.json", b"{}")])
    pq.write_table(pa.table({"image": [JPEG, PNG], "path": ["p", "q"]}), root / "b" / "5.parquet")
    pq.write_table(pa.table({"path": ["z.jpg"], "verdict": ["x"]}), root / "results.parquet")
    return root


def test_a_folder_gives_pictures_and_shards_in_the_order_of_scan(tree: Path) -> None:
    source = open_source([str(tree)])
    wanted: list[tuple[str, bytes | str]] = [
        ("broken.gif", b"no picture"),
        ("z.jpg", JPEG + b"z.jpg"),
        ("A/y.webp", JPEG + b"A/y.webp"),
        ("b/10.png", JPEG + b"b/10.png"),
        ("b/2.png", JPEG + b"b/2.png"),
        ("b/4.tar/in/1.jpg", JPEG),
        ("b/4.tar/in/2.jpg", PNG),
        ("b/5.parquet#0/p", JPEG),
        ("b/5.parquet#1/q", PNG),
        ("b/by content", PNG),
        ("b/deep/x.JPEG", JPEG + b"b/deep/x.JPEG"),
    ]
    assert contents(source) == [(f"{tree}/{name}", data) for name, data in wanted]
    assert source.count() == len(wanted)
    assert [os.path.relpath(path, tree) for path in source.left_out] == [
        "empty",
        "notes.txt",
        "results.parquet",
        "b/labels.csv",
    ]
    assert source.random_access
    for skip in range(len(wanted) + 2):
        assert list(source.items(skip)) == list(source.items())[skip:]


def test_files_of_a_folder_are_those_of_scan(tree: Path) -> None:
    for shard in ("b/4.tar", "w.tar", "b/5.parquet"):
        (tree / shard).unlink()
    scanned = collect([str(tree), f"{tree}/*/*", "gone.jpg"])
    source = open_source([str(tree), f"{tree}/*/*", "gone.jpg"])
    # The glob names a list; for scan it is a file like others.
    listed = [path.replace("labels.csv", "2.png") for path in scanned.paths]
    assert listed != scanned.paths
    assert names(source) == listed
    assert source.left_out == scanned.left_out


def test_nothing_is_read_twice_and_the_first_place_counts(tree: Path) -> None:
    source = open_source(
        [
            f"{tree}/b/deep/x.JPEG",
            f"{tree}/b/4.tar",
            str(tree),
            f"{tree}/z.jpg",
            f"{tree}/b/[!l]*",
            f"{tree}/b",
        ]
    )
    found = names(source)
    assert found[:3] == [f"{tree}/b/deep/x.JPEG", f"{tree}/b/4.tar/in/1.jpg", f"{tree}/b/4.tar/in/2.jpg"]
    assert sorted(found) == sorted(names(open_source([str(tree)])))


def test_rows_of_lists_are_inputs_of_their_own(tree: Path) -> None:
    (tree / "list.txt").write_text("z.jpg\nz.jpg\n")
    assert (
        names(open_source([f"{tree}/z.jpg", f"{tree}/list.txt", f"{tree}/list.txt"])) == [f"{tree}/z.jpg"] * 3
    )


def test_lists_and_tables_that_a_folder_leaves_out_may_be_named(tree: Path) -> None:
    found = names(open_source([str(tree), f"{tree}/notes.txt", f"{tree}/results.parquet"]))
    assert found[-2:] == [f"{tree}/z.jpg"] * 2


def test_a_glob_is_expanded_in_order(tree: Path) -> None:
    assert names(open_source([f"{tree}/**/*.png", f"{tree}/b/*.tar"])) == [
        f"{tree}/b/10.png",
        f"{tree}/b/2.png",
        f"{tree}/b/4.tar/in/1.jpg",
        f"{tree}/b/4.tar/in/2.jpg",
    ]


def test_names_and_not_ages_make_the_fingerprint_of_a_folder(tmp_path: Path) -> None:
    order = [f"{number}.jpg" for number in range(12)]
    prints = set()
    for age in (1, 2, 3):
        random.Random(age).shuffle(order)
        for name in order:
            (tmp_path / name).write_bytes(JPEG)
            os.utime(tmp_path / name, ns=(age, age))
        prints.add(open_source([str(tmp_path)]).fingerprint())
        for name in order:
            (tmp_path / name).unlink()
    assert len(prints) == 1
    (tmp_path / "0.jpg").write_bytes(JPEG)
    assert open_source([str(tmp_path)]).fingerprint() not in prints


def test_order_and_names_make_the_fingerprint(tree: Path) -> None:
    one, two = f"{tree}/z.jpg", f"{tree}/b/2.png"
    prints = [
        open_source(paths).fingerprint()
        for paths in ([one, two], [two, one], [one], [one + "file" + two], [])
    ]
    assert len(set(prints)) == 5
    (tree / "list.txt").write_text("z.jpg\nb/2.png\n")
    assert open_source([f"{tree}/list.txt"]).fingerprint() == prints[0]


@pytest.mark.parametrize(
    "name", ["a.tar", "a.tgz", "a.tar.xz", "a.parquet", "a.txt", "a.lst", "a.csv", "*.tar"]
)
def test_a_container_that_is_not_there_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_source([str(tmp_path / name)])
    assert str(caught.value) == f"{tmp_path / name}: there is no such file"


@pytest.mark.parametrize("name", ["a.jpg", "a", "*.jpg", "a.tar/in.jpg"])
def test_a_picture_that_is_not_there_is_an_input(tmp_path: Path, name: str) -> None:
    assert contents(open_source([str(tmp_path / name)])) == [(str(tmp_path / name), "not_found")]


def test_folders_without_pictures_have_no_items(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("x")
    source = open_source([str(tmp_path)])
    assert source.count() == 0
    assert list(source.left_out) == [str(tmp_path / "notes.md")]
    assert open_source([]).count() == 0


def test_a_column_is_for_tables(tree: Path) -> None:
    # Asked for, paths are taken from tables in folders, too.
    found = names(open_source([str(tree)], "path"))
    assert [name for name in found if found.count(name) > 1] == [f"{tree}/z.jpg"] * 2
    assert {f"{tree}/b/p", f"{tree}/b/q"} < set(found)
    assert f"{tree}/z.jpg" in names(open_source([f"{tree}/results.parquet"]))
    with pytest.raises(ConfigError, match="--column image: no Parquet file among the inputs"):
        open_source([f"{tree}/A"], "image")
    with pytest.raises(ConfigError, match="--column nothing: no Parquet file among the inputs"):
        open_source([str(tree)], "nothing")


def test_what_only_looks_like_a_shard_by_name_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tar")
    os.symlink(tmp_path / "nowhere", tmp_path / "dead.parquet")
    (tmp_path / "folder.tar").mkdir()
    (tmp_path / "folder.tar" / "a.jpg").write_bytes(JPEG)
    source = open_source([str(tmp_path)])
    assert names(source) == [f"{tmp_path}/folder.tar/a.jpg"]
    assert sorted(source.left_out) == [f"{tmp_path}/dead.parquet", f"{tmp_path}/pipe.tar"]
    with pytest.raises(ConfigError, match="is not a regular file"):
        open_source([f"{tmp_path}/pipe.tar"])


def test_a_damaged_shard_in_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"no archive" * 100)
    with pytest.raises(DataError, match=r"x\.tar: is no tar archive"):
        open_source([str(tmp_path)]).count()


def test_a_folder_that_may_not_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").mkdir()
    list_folder = os.scandir

    def refuse(path: str) -> object:
        if path == f"{tmp_path}/secret":
            raise PermissionError(13, "Permission denied", path)
        return list_folder(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert list(open_source([str(tmp_path)]).left_out) == [f"{tmp_path}/secret"]
    assert collect([str(tmp_path)]).left_out == [f"{tmp_path}/secret"]


def test_a_compressed_shard_among_others_is_counted_through(tmp_path: Path) -> None:
    write_tar(tmp_path / "1.tar.gz", [("a.jpg", JPEG), ("b.jpg", PNG)], "w:gz")
    write_tar(tmp_path / "2.tar", [("c.jpg", JPEG), ("d.jpg", PNG)])
    (tmp_path / "0.jpg").write_bytes(PNG)
    source = open_source([str(tmp_path)])
    assert (source.count(), source.random_access) == (None, False)
    whole = contents(source)
    assert [Path(name).name for name, _ in whole] == ["0.jpg", "a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    for skip in range(7):
        assert contents(source, skip) == whole[skip:]


def test_an_earlier_result_is_no_input(tmp_path: Path) -> None:
    """Neither is what lies beside it while a run is under way."""
    (tmp_path / "a.jpg").write_bytes(JPEG)
    output = tmp_path / "out.parquet"
    pq.write_table(pa.table({"path": ["b"]}).replace_schema_metadata({"vestige.run": "{}"}), output)
    (tmp_path / "out.parquet.parts").mkdir()
    part = tmp_path / "out.parquet.parts" / "part-000000000000.parquet"
    pq.write_table(pa.table({"path": ["b"]}), part)
    for arguments in ([str(tmp_path)], [str(tmp_path / "*.parquet"), str(tmp_path)]):
        source = open_source([*arguments], None, output)
        assert names(source) == [str(tmp_path / "a.jpg")]
        assert set(source.left_out) == {str(output), str(part)}


def test_a_table_of_pictures_is_not_input_and_output_at_once(tmp_path: Path) -> None:
    table = tmp_path / "pictures.parquet"
    pq.write_table(pa.table({"image": [JPEG]}), table)
    with pytest.raises(ConfigError, match=r"pictures.parquet: is the output, and so cannot be an input"):
        open_source([str(table)], None, table)


def test_spellings_of_one_path_are_one_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "few").mkdir()
    (tmp_path / "few" / "a.jpg").write_bytes(JPEG)
    assert names(open_source(["few", "./few", str(tmp_path / "few"), "few/../few/a.jpg"])) == ["few/a.jpg"]
