"""Pictures in tar shards: read by offset, written bit by bit, indexed whoever wrote them."""

import csv
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from vestige.apps.data import data_app
from vestige.data import shards
from vestige.data import shards_write as writing
from vestige.data.index import index
from vestige.data.manifest import read_manifest, sha256_of
from vestige.data.shards import Named, Place, place_of, read_shard, split_path
from vestige.data.shards_index import Telling, index_shards, split_member
from vestige.data.shards_record import parse_size
from vestige.data.shards_write import write_shards
from vestige.errors import ConfigError, DataError
from vestige.evaluation.localisation import mask_of
from vestige.training.truth import read_mask

FIELDS = ("path", "label", "group", "split", "license", "picture", "category")


def picture(number: int, kind: str = "PNG", side: int = 24) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (side, side, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def write_tar(path: Path, files: Mapping[str, bytes] | Sequence[tuple[str, bytes]], **options: Any) -> Path:
    members = files.items() if isinstance(files, Mapping) else files
    with tarfile.open(path, "w", **options) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def contents(path: Path) -> dict[str, bytes]:
    """Members of a tar as tarfile reads them."""
    with tarfile.open(path, "r:") as archive:
        return {info.name: archive.extractfile(info).read() for info in archive}  # type: ignore[union-attr]


def write_manifest(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(key for row in rows for key in row)))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_set(folder: Path, count: int = 12) -> Path:
    """Pictures of two splits in three formats, with some of a manifest's columns."""
    folder.mkdir(parents=True)
    rows = []
    for number in range(count):
        kind = ("PNG", "JPEG", "WEBP")[number % 3]
        # The name's ending lies for some, as it does in the wild.
        name = f"ü {number}.{'jpg' if number % 4 == 0 else kind.lower()}"
        (folder / name).write_bytes(picture(number, kind))
        split = "train" if number % 3 else "test"
        rows.append(
            dict(zip(FIELDS, (name, number % 2, f"g{number % 5}", split, "CC0", "", "a, b"), strict=True))
        )
    return write_manifest(folder / "manifest.csv", rows)


# Reading


parts = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="/"), min_size=1)
names = (st.lists(parts, min_size=1, max_size=3).map("/".join).map(lambda name: name.strip())).filter(
    lambda name: name and not name.endswith("/") and not {".", ".."} & set(name.split("/"))
)


@settings(max_examples=40, deadline=None)
@given(
    files=st.dictionaries(names, st.binary(max_size=1500), min_size=1, max_size=6),
    long=st.booleans(),
    form=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    data=st.data(),
)
def test_members_of_any_name_are_read_by_offset(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], long: bool, form: int, data: Any
) -> None:
    if long:
        files = {f"{'long/' * 40}{name}": content for name, content in files.items()}
    path = write_tar(tmp_path_factory.mktemp("tar") / "a.tar", files, format=form)
    wanted = data.draw(st.lists(st.sampled_from(sorted(files))))
    assert read_shard(path, [Named(name) for name in wanted]) == [files[name] for name in wanted]
    placed = [Named(name, place_of(path, name)) for name in wanted]
    assert read_shard(path, placed) == [files[name] for name in wanted]
    whole = path.read_bytes()
    for name in files:
        offset, size = place_of(path, name)
        assert whole[offset : offset + size] == files[name]


@given(names)
def test_a_path_is_taken_apart_at_its_shard(name: str) -> None:
    path = f"some.folder/a-000.tar/{name}"
    assert split_path(path, lambda _: False) == ("some.folder/a-000.tar", name)
    folders = {"some.folder/a-000.tar"}
    inner = split_path(path, folders.__contains__)
    assert inner is None or (f"{inner[0]}/{inner[1]}" == path and inner[0].lower().endswith(".tar"))


@pytest.mark.parametrize(
    "path", ["a.png", "a.tar", "a.tar/", "a.tar.gz/b.png", "tar/b.png", "x.tarball/b.png"]
)
def test_other_paths_name_no_member(path: str) -> None:
    assert split_path(path, lambda _: False) is None


def test_rows_of_a_manifest_are_members(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"x/1.png": b"one", "./2.png": b"two"})
    (tmp_path / "b.tar").mkdir()
    (tmp_path / "b.tar" / "3.png").write_bytes(b"three")
    rows = [
        {"path": "a.tar/x/1.png", "label": 0},
        {"path": "a.tar/2.png", "label": 1},
        {"path": "a.tar/./2.png", "label": 1},
        {"path": "b.tar/3.png", "label": 0},
        {"path": "a.tar", "label": 0, "member": "x/1.png"},
    ]
    read = read_manifest(write_manifest(tmp_path / "m.csv", rows))
    assert [row.name for row in read] == [
        "a.tar/x/1.png", "a.tar/2.png", "a.tar/./2.png", "b.tar/3.png", "a.tar#x/1.png",
    ]  # fmt: skip
    assert [row.content() for row in read] == [b"one", b"two", b"two", tmp_path / "b.tar" / "3.png", b"one"]
    assert sha256_of(tmp_path / "a.tar" / "x" / "1.png") == hashlib.sha256(b"one").hexdigest()


def test_headers_are_read_once_and_not_at_all_where_the_manifest_has_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"{number}.png": bytes([number]) * 700 for number in range(200)}
    path = write_tar(tmp_path / "many.tar", files)
    opened = []
    original = tarfile.open
    monkeypatch.setattr(
        shards.tarfile, "open", lambda *args, **options: (opened.append(1), original(*args, **options))[1]
    )
    rows = [{"path": f"many.tar/{name}", "label": 0} for name in reversed(files)]
    for row in read_manifest(write_manifest(tmp_path / "m.csv", rows)):
        assert row.content() == files[row.member]
    assert len(opened) == 1
    for row in rows:
        offset, size = place_of(path, row["path"].split("/")[1])  # type: ignore[attr-defined]
        row |= {"member_offset": offset, "member_bytes": size}
    opened.clear()
    monkeypatch.setattr(shards, "_built", None)
    for row in read_manifest(write_manifest(tmp_path / "placed.csv", rows)):
        assert row.content() == files[row.member]
    assert not opened


def test_neighbours_are_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {f"{number}.png": bytes([number]) * 5000 for number in range(40)}
    path = write_tar(tmp_path / "a.tar", files)
    wanted = [Named(name, place_of(path, name)) for name in files]
    reads: list[tuple[int, int]] = []

    class Counting(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            reads.append((self.tell(), size or 0))
            return super().read(size)

    whole = path.read_bytes()
    monkeypatch.setattr(Path, "open", lambda *_: Counting(whole))
    assert read_shard(path, wanted) == list(files.values())
    assert len(reads) == 1
    monkeypatch.setattr(shards, "GAP", 3000)
    reads.clear()
    far = [wanted[number] for number in (30, 3, 31, 1, 4)]
    assert read_shard(path, far) == [files[one.member] for one in far]
    assert len(reads) == 3, "1, then 3 and 4, then 30 and 31"
    assert reads == sorted(reads)
    monkeypatch.setattr(shards, "RUN", 12000)
    reads.clear()
    assert read_shard(path, wanted) == list(files.values())
    assert len(reads) == 20
    assert max(size for _, size in reads) <= 12000


def test_what_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_tar(tmp_path / "a.tar", [("1.png", b"x" * 600), ("2.png", b"y"), ("2.png", b"z")])
    with tarfile.open(path, "a") as archive:
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "1.png"
        archive.addfile(link)
    for member, sentence in (
        ("3.png", r"a\.tar: has no file 3\.png"),
        ("link.png", r"has no file link\.png"),
        ("2.png", r"has 2\.png 2 times"),
    ):
        with pytest.raises(DataError, match=sentence):
            read_shard(path, [Named(member)])
    with pytest.raises(DataError, match=r"b\.tar: cannot be read \(No such file"):
        read_shard(tmp_path / "b.tar", [Named("1.png")])
    with pytest.raises(DataError, match=r"b\.tar: cannot be read \(No such file"):
        read_shard(tmp_path / "b.tar", [Named("1.png", Place(512, 3))])
    packed = tmp_path / "packed.tar"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(DataError, match=r"packed\.tar: cannot be read as an uncompressed tar"):
        read_shard(packed, [Named("1.png")])
    monkeypatch.setattr(shards, "PATIENT", shards.PATIENT.__class__(max_bytes=599))
    with pytest.raises(DataError, match=r"a\.tar/1\.png: longer than the limit of 599 bytes"):
        read_shard(path, [Named("1.png")])


@pytest.mark.parametrize("left", [700, 1100, 1600])
def test_a_shard_that_was_cut_off_is_named(tmp_path: Path, left: int) -> None:
    path = write_tar(tmp_path / "a.tar", {"1.png": b"x" * 600, "2.png": b"y" * 600})
    place = place_of(path, "2.png")
    path.write_bytes(path.read_bytes()[: left + 512])
    with pytest.raises(DataError, match=r"a\.tar"):
        read_shard(path, [Named("2.png")])
    with pytest.raises(DataError, match=r"a\.tar/2\.png: the shard ends before it does"):
        read_shard(path, [Named("2.png", place)])


def test_a_shard_that_was_replaced_gives_no_other_pictures(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"1.png": b"x" * 600, "2.png": b"y" * 600})
    first, second = (place_of(path, name) for name in ("1.png", "2.png"))
    write_tar(path, {"2.png": b"y" * 600, "1.png": b"x" * 600})
    assert read_shard(path, [Named("1.png")]) == [b"x" * 600], "without places it is looked up"
    for name, place in (("1.png", first), ("2.png", second), ("1.png", Place(700, 10))):
        with pytest.raises(DataError, match=r"does not lie where the manifest says"):
            read_shard(path, [Named(name, place)])
    with pytest.raises(DataError, match="nothing can lie at 3, 10 bytes"):
        read_shard(path, [Named("1.png", Place(3, 10))])


def test_places_must_be_numbers(tmp_path: Path) -> None:
    row = {"path": "a.tar/1.png", "label": 0, "member_offset": "x", "member_bytes": 3}
    with pytest.raises(DataError, match="line 2: member_offset and member_bytes must be numbers"):
        read_manifest(write_manifest(tmp_path / "m.csv", [row]))
    plain = {"path": "1.png", "label": 0, "member_offset": "x"}
    assert read_manifest(write_manifest(tmp_path / "m.csv", [plain]))[0].place is None


# Writing


def test_shards_hold_the_bytes_and_what_the_manifest_says(tmp_path: Path) -> None:
    source = read_manifest(write_set(tmp_path / "set"))
    done = write_shards(tmp_path / "set" / "manifest.csv", tmp_path / "out", size=15_000)
    rows = read_manifest(tmp_path / "out" / "manifest.parquet")
    assert len(rows) == len(source) == sum(shard.rows for shard in done.shards)
    known = {row.name: row for row in source}
    assert sorted(row.picture for row in rows) == sorted(known)
    for row in rows:
        before = known[row.picture]
        assert row.content() == before.path.read_bytes()
        assert row.sha256 == hashlib.sha256(before.path.read_bytes()).hexdigest()
        for what in ("label", "group", "split", "licence", "category"):
            assert getattr(row, what) == getattr(before, what)
        assert row.path.name.startswith(f"{row.split}-")
    assert {row.split for row in rows} == {"train", "test"}
    for shard in done.shards:
        file = tmp_path / "out" / shard.shard
        assert shard.sha256 == sha256_of(file)
        assert file.stat().st_size == shard.bytes <= 15_000
        members = contents(file)
        assert len(members) == 2 * shard.rows
        for name, content in members.items():
            key, ending = name.split(".")
            row = source[int(key)]
            if ending == "json":
                told = json.loads(content)
                assert (told["path"], told["label"], told["group"]) == (row.name, row.label, row.group)
                assert "mask" not in told
                assert "source" not in told, "what is not known is not said"
            else:
                assert content == row.path.read_bytes()
                assert ending == {b"\x89PNG": "png", b"RIFF": "webp"}.get(content[:4], "jpg")
        with tarfile.open(file, "r:") as archive:
            for info in archive:
                assert (info.mtime, info.uid, info.gid, info.uname, info.mode) == (0, 0, 0, "", 0o644)
                assert info.type == tarfile.REGTYPE
    assert len({shard.shard.split("-")[0] for shard in done.shards}) == 2
    assert len(done.shards) > 2


def test_the_bytes_of_a_shard_are_those_of_the_format(tmp_path: Path) -> None:
    """The header of POSIX.1-1988, put together field by field."""
    data = picture(1)
    (tmp_path / "a.png").write_bytes(data)
    write_manifest(tmp_path / "m.csv", [{"path": "a.png", "label": 1}])
    write_shards(tmp_path / "m.csv", tmp_path / "out")
    said = {
        "group": "unknown", "label": 1, "license": "none stated", "path": "a.png", "picture": "a.png",
        "sha256": hashlib.sha256(data).hexdigest(),
    }  # fmt: skip
    expected = b""
    for name, content in ((b"000000000.png", data), (b"000000000.json", json.dumps(said).encode())):
        header = bytearray(512)
        for start, field in (
            (0, name), (100, b"0000644"), (108, b"0000000"), (116, b"0000000"),
            (124, b"%011o" % len(content)), (136, b"0" * 11), (148, b" " * 8), (156, b"0"),
            (257, b"ustar\x0000"), (329, b"0000000"), (337, b"0000000"),
        ):  # fmt: skip
            header[start : start + len(field)] = field
        header[148:156] = b"%06o\0 " % sum(header)
        expected += bytes(header) + content + bytes(-len(content) % 512)
    expected += bytes(10240 - len(expected) % 10240)
    assert (tmp_path / "out" / "pictures-000000.tar").read_bytes() == expected


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    manifest = write_set(tmp_path / "set")
    shutil.copytree(tmp_path / "set", tmp_path / "moved" / "set")
    os.utime(tmp_path / "moved" / "set" / "ü 0.jpg", (1, 1))

    def bytes_of(manifest: Path, out: Path, **options: Any) -> dict[str, bytes]:
        write_shards(manifest, out, size=15_000, **options)
        return {path.name: path.read_bytes() for path in out.iterdir()}

    first = bytes_of(manifest, tmp_path / "a")
    assert bytes_of(tmp_path / "moved" / "set" / "manifest.csv", tmp_path / "b", workers=1) == first
    other = bytes_of(manifest, tmp_path / "c", seed=1)
    assert other["train-000000.tar"] != first["train-000000.tar"]


def test_the_order_is_mixed_or_kept(tmp_path: Path) -> None:
    manifest = write_set(tmp_path / "set", 30)
    orders = []
    for name, seed in (("mixed", 0), ("kept", None)):
        write_shards(manifest, tmp_path / name, size=15_000, seed=seed)
        rows = read_manifest(tmp_path / name / "manifest.parquet", "train")
        orders.append([int(row.member.split(".")[0]) for row in rows])
    assert orders[1] == [number for number in range(30) if number % 3]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == orders[1]


def test_a_larger_picture_has_a_shard_of_its_own(tmp_path: Path) -> None:
    for number, side in enumerate((20, 90, 20, 20)):
        (tmp_path / f"{number}.png").write_bytes(picture(number, side=side))
    rows = [{"path": f"{number}.png", "label": 0} for number in range(4)]
    done = write_shards(write_manifest(tmp_path / "m.csv", rows), tmp_path / "out", size=11_000, seed=None)
    assert [shard.rows for shard in done.shards] == [1, 1, 2]
    assert done.shards[1].bytes > 11_000


def test_masks_travel_with_their_pictures(tmp_path: Path) -> None:
    mask = np.zeros((24, 24), np.uint8)
    mask[3:9, 4:20] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    Image.fromarray(255 - mask).save(tmp_path / "changed.png")
    (tmp_path / "a.png").write_bytes(picture(0))
    row = {
        "path": "a.png",
        "label": 1,
        "mask": "mask.png",
        "changed": "changed.png",
        "manipulation": "splice",
    }
    write_shards(write_manifest(tmp_path / "m.csv", [row]), tmp_path / "out")
    (found,) = read_manifest(tmp_path / "out" / "manifest.parquet")
    assert found.mask is not None
    assert found.changed is not None
    assert found.manipulation == "splice"
    assert np.array_equal(read_mask(found.mask), mask / np.float32(255))
    assert np.array_equal(read_mask(found.changed), (255 - mask) / np.float32(255))
    assert np.array_equal(mask_of(found, (24, 24)), mask > 0)
    with pytest.raises(DataError, match=r"the mask cannot be read .*has no file x\.png"):
        read_mask(tmp_path / "out" / "pictures-000000.tar" / "x.png")


def test_shards_can_be_written_of_shards(tmp_path: Path) -> None:
    write_shards(write_set(tmp_path / "set"), tmp_path / "a", size=15_000)
    write_shards(tmp_path / "a" / "manifest.parquet", tmp_path / "b", size=40_000)
    one, other = (
        {row.sha256: (row.picture, row.label, row.group, row.split) for row in read_manifest(path)}
        for path in (tmp_path / "a" / "manifest.parquet", tmp_path / "b" / "manifest.parquet")
    )
    assert one == other
    for row in read_manifest(tmp_path / "b" / "manifest.parquet"):
        assert hashlib.sha256(row.content()).hexdigest() == row.sha256  # type: ignore[arg-type]


def test_a_run_that_was_cut_off_goes_on_after_the_last_whole_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = write_set(tmp_path / "set", 30)
    write_shards(manifest, tmp_path / "whole", size=15_000)
    read: list[str] = []
    original = writing._files

    def failing(row: Any) -> Any:
        read.append(row.name)
        if len(read) >= 25:  # read ahead, and again for the next shard
            raise KeyboardInterrupt
        return original(row)

    monkeypatch.setattr(writing, "_files", failing)
    with pytest.raises(KeyboardInterrupt):
        write_shards(manifest, tmp_path / "out", size=15_000, workers=1)
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.tar")}
    assert kept
    assert not (tmp_path / "out" / "manifest.parquet").exists()
    with (tmp_path / "out" / "shards.jsonl").open("a") as file:
        file.write('{"shard": "train-0')  # a line that a kill cut short
    monkeypatch.setattr(writing, "_files", original)
    done = write_shards(manifest, tmp_path / "out", size=15_000)
    assert done.kept == len(kept)
    for name, changed in kept.items():
        assert (tmp_path / "out" / name).stat().st_mtime_ns == changed
    for path in (tmp_path / "whole").iterdir():
        if path.name != "shards.jsonl":
            assert path.read_bytes() == (tmp_path / "out" / path.name).read_bytes()
    lost = tmp_path / "out" / "train-000001.tar"
    lost.unlink()
    again = write_shards(manifest, tmp_path / "out", size=15_000)
    assert again.kept == len(again.shards) - 1
    assert lost.read_bytes() == (tmp_path / "whole" / lost.name).read_bytes()
    assert again.shards == done.shards


SLOWLY = """
import sys, time
from pathlib import Path
from vestige.data import shards_write
original = shards_write._files
shards_write._files = lambda row: (time.sleep(0.03), original(row))[1]
shards_write.write_shards(Path(sys.argv[1]), Path(sys.argv[2]), size=15_000)
"""


def test_a_killed_process_leaves_nothing_torn(tmp_path: Path) -> None:
    manifest = write_set(tmp_path / "set", 60)
    out = tmp_path / "out"
    process = subprocess.Popen([sys.executable, "-c", SLOWLY, str(manifest), str(out)])
    until = time.monotonic() + 30
    while len(list(out.glob("*.tar"))) < 3 and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {path.name: path.read_bytes() for path in out.glob("*.tar")}
    assert kept
    done = write_shards(manifest, out, size=15_000)
    assert len(kept) - 1 <= done.kept < len(done.shards)
    write_shards(manifest, tmp_path / "whole", size=15_000)
    whole = {path.name: path.read_bytes() for path in (tmp_path / "whole").iterdir()}
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.name != ".lock"} == whole
    assert all(whole[name] == content for name, content in kept.items())


def test_what_cannot_be_sharded_is_named(tmp_path: Path) -> None:
    manifest = write_set(tmp_path / "set", 3)
    write_shards(manifest, tmp_path / "out")
    with pytest.raises(DataError, match="holds shards of another manifest, or of another size or order"):
        write_shards(manifest, tmp_path / "out", size=50_000)
    with pytest.raises(DataError, match="not empty, and no folder of shards"):
        write_shards(manifest, tmp_path / "set")
    with pytest.raises(ConfigError, match="shards of 10 bytes are too small"):
        write_shards(manifest, tmp_path / "new", size=10)
    (tmp_path / "set" / "ü 1.jpeg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"ü 1\.jpeg: "):
        write_shards(manifest, tmp_path / "new")
    row = {"path": "ü 0.jpg", "label": 0, "sha256": "0" * 64}
    wrong = write_manifest(tmp_path / "set" / "wrong.csv", [row])
    with pytest.raises(DataError, match=r"ü 0\.jpg: its bytes are not those of the manifest's sha256"):
        write_shards(wrong, tmp_path / "other")


@pytest.mark.parametrize(
    ("text", "size"),
    [("1GB", 10**9), ("500 mb", 5 * 10**8), ("1.5GiB", 3 * 2**29), ("64KiB", 65536), ("12", 12)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@settings(max_examples=50)
@given(st.text().filter(lambda text: not re.match(r"\s*\d", text)))
def test_other_texts_are_no_sizes(text: str) -> None:
    with pytest.raises(ConfigError, match="is no size"):
        parse_size(text)


@pytest.mark.parametrize("text", ["1TBB", "1 2", "1e9", "1.GB", "9" * 400])
def test_numbers_with_something_else_are_no_sizes(text: str) -> None:
    with pytest.raises(ConfigError, match="is no size"):
        parse_size(text)


# Shards of others


@given(names)
def test_key_and_ending_are_those_of_webdataset(name: str) -> None:
    folder, slash, base = name.rpartition("/")
    stem, dot, ending = base.partition(".")
    expected = (folder + slash + stem, ending) if stem and dot and ending else None
    assert split_member(name) == expected


def test_foreign_shards_are_indexed_where_they_lie(tmp_path: Path) -> None:
    """The layouts of three tools: json beside the picture, a class number, words in a text."""
    (tmp_path / "in").mkdir()
    one, two, three = picture(1, "JPEG"), picture(2), picture(3, "WEBP")
    write_tar(
        tmp_path / "in" / "a.tar",
        {
            "0001.jpg": one,
            "0001.txt": b"a caption",
            "0001.json": json.dumps({"is": {"made": "by x"}, "fake": True, "n": 3}).encode(),
            "sub.dir/0002.seg.png": picture(9),
            "sub.dir/0002.json": json.dumps({"is": {"made": "camera"}, "fake": False, "n": 4.5}).encode(),
            "sub.dir/0002.png": two,
            "sub.dir/0002.txt": b"\xef\xbb\xbfsecond\n",
        },
    )
    # Members of a sample need not be neighbours.
    write_tar(
        tmp_path / "in" / "b.tar",
        [
            ("z.WEBP", three),
            ("y.txt", b""),
            ("z.txt", b"z"),
            ("z.json", b'{"fake": false}'),
            ("__note__", b""),
        ],
    )
    telling = Telling(
        {
            "label": "json:fake",
            "group": "json:is.made",
            "category": "txt",
            "split": "=test",
            "kind": "json:n",
        },
        {"true": 1, "false": 0},
    )
    indexed = index_shards([tmp_path / "in"], tmp_path / "m.csv", telling)
    rows = read_manifest(tmp_path / "m.csv")
    assert [(row.name, row.label, row.group, row.split, row.category, row.kind) for row in rows] == [
        ("in/a.tar/0001.jpg", 1, "by x", "test", "a caption", "3"),
        ("in/a.tar/sub.dir/0002.png", 0, "camera", "test", "second", "4.5"),
        ("in/b.tar/z.WEBP", 0, "unknown", "test", "z", ""),
    ]
    assert [row.content() for row in rows] == [one, two, three]
    assert [row.sha256 for row in rows] == [hashlib.sha256(data).hexdigest() for data in (one, two, three)]
    assert all(row.place == place_of(row.path, row.member) for row in rows)
    (problem,) = csv.DictReader((tmp_path / "m.problems.csv").open())
    assert problem == {"path": "in/b.tar/y", "reason": "has no picture, only txt"}
    assert indexed.found.stray == [f"{(tmp_path / 'in' / 'b.tar').resolve()}/__note__"]


def test_labels_come_from_cls_where_nothing_else_tells(tmp_path: Path) -> None:
    files: dict[str, bytes] = {}
    for number, text in enumerate((b"0", b" 1\n", b"fake", b"Real")):
        files |= {f"{number}.png": picture(number), f"{number}.cls": text}
    write_tar(tmp_path / "a.tar", files)
    index_shards([tmp_path / "a.tar"], tmp_path / "m.parquet", Telling())
    assert [row.label for row in read_manifest(tmp_path / "m.parquet")] == [0, 1, 1, 0]
    index_shards([tmp_path / "a.tar"], tmp_path / "n.parquet", Telling(words={"0": 1, "1": 0}))
    assert [row.label for row in read_manifest(tmp_path / "n.parquet")] == [1, 0, 1, 0]


def test_a_manifest_of_our_own_shards_is_found_again(tmp_path: Path) -> None:
    write_shards(write_set(tmp_path / "set"), tmp_path / "out", size=15_000)
    index_shards([tmp_path / "out"], tmp_path / "out" / "again.parquet", Telling())
    rows = {row.name: row for row in read_manifest(tmp_path / "out" / "manifest.parquet")}
    assert {row.name: row for row in read_manifest(tmp_path / "out" / "again.parquet")} == rows


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"json": b"{"}, "its member json cannot be read as JSON"),
        ({"json": b"[1]"}, "its member json holds no JSON object"),
        ({"json": b'{"label": [1]}'}, "json:label is no text and no number"),
        ({"json": b'{"label": 7}'}, "its label '7' is neither 0 nor 1 nor a known word"),
        ({"json": b"{}"}, "nothing tells its label"),
        ({"cls": b"\xff"}, "its member cls is not text in UTF-8"),
        ({"cls": b"1", "jpg": b"x"}, r"has several pictures \(jpg, png\)"),
        ({"json": b'{"label": 1, "group": "a;b"}'}, "names of groups cannot hold a semicolon"),
    ],
)
def test_samples_that_cannot_be_used_are_listed(
    tmp_path: Path, members: dict[str, bytes], reason: str
) -> None:
    files = {"good.png": picture(0), "good.cls": b"0", "bad.png": picture(1)}
    write_tar(tmp_path / "a.tar", files | {f"bad.{ending}": content for ending, content in members.items()})
    indexed = index_shards([tmp_path / "a.tar"], tmp_path / "m.csv", Telling())
    assert [row.member for row in read_manifest(tmp_path / "m.csv")] == ["good.png"]
    ((path, found),) = indexed.problems
    assert path == "a.tar/bad"
    assert re.search(reason, found)


def test_pictures_are_looked_at_as_asked(tmp_path: Path) -> None:
    whole = picture(1, "JPEG", side=64)
    write_tar(
        tmp_path / "a.tar",
        {
            "1.jpg": whole,
            "1.cls": b"0",
            "2.jpg": whole[:-300],
            "2.cls": b"1",
            "3.jpg": b"text",
            "3.cls": b"1",
        },
    )
    for check, rows, looked in (("full", ["1"], 3), ("header", ["1"], 3), (None, ["1", "2", "3"], 0)):
        out = tmp_path / f"{check}.csv"
        indexed = index_shards([tmp_path / "a.tar"], out, Telling(), check=check)  # type: ignore[arg-type]
        assert [row.member[0] for row in read_manifest(out)] == rows
        assert (indexed.looked, len(indexed.problems)) == (looked, 3 - len(rows))
    assert [row.sha256 for row in read_manifest(tmp_path / "None.csv")] == ["", "", ""]


def test_shards_that_cannot_be_taken_are_named(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"1.png": picture(0), "1.cls": b"0"})
    (tmp_path / "b.tar.gz").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    for given_, sentence in (
        ([tmp_path / "b.tar.gz"], r"b\.tar\.gz: a shard is an uncompressed tar"),
        ([tmp_path / "c.tar"], r"c\.tar: no such file"),
        ([tmp_path / "empty"], "no tar shards in this folder"),
        ([path, tmp_path], r"a\.tar: given twice"),
    ):
        with pytest.raises(DataError, match=sentence):
            index_shards(given_, tmp_path / "m.csv", Telling())
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match=r"a\.tar: cannot be read as an uncompressed tar"):
        index_shards([path], tmp_path / "m.csv", Telling())
    with pytest.raises(ConfigError, match="no column is called 'lable'"):
        Telling({"lable": "cls"})


def test_a_table_may_name_members(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"1.png": picture(0), "2.png": picture(1)})
    rows = [{"image": f"a.tar/{number}.png", "label": label} for number, label in ((1, "real"), (2, "fake"))]
    table = write_manifest(tmp_path / "table.csv", rows)
    index(table, tmp_path / "m.csv")
    assert [(row.name, row.label, row.content()) for row in read_manifest(tmp_path / "m.csv")] == [
        ("a.tar/1.png", 0, picture(0)),
        ("a.tar/2.png", 1, picture(1)),
    ]


def test_commands(tmp_path: Path) -> None:
    def run(*arguments: object) -> Any:
        return CliRunner().invoke(data_app, [str(one) for one in arguments])

    manifest = write_set(tmp_path / "set")
    done = run("shard", manifest, tmp_path / "out", "--size", "15kB", "--in-order")
    assert done.exit_code == 0, done.output
    assert "12 pictures in " in done.stdout
    assert "12 of" not in done.stdout
    again = run("shard", manifest, tmp_path / "out", "--size", "15kB", "--in-order")
    assert "from an earlier run" in again.stdout
    done = run("index-shards", tmp_path / "out", "--out", tmp_path / "m.csv", "--column", "split==x")
    assert done.exit_code == 0, done.output
    assert {row.split for row in read_manifest(tmp_path / "m.csv")} == {"x"}
    write_tar(
        tmp_path / "f.tar", {"1.png": picture(0), "1.cls": b"cat", "2.png": picture(1), "2.cls": b"dog"}
    )
    done = run("index-shards", tmp_path / "f.tar", "--out", tmp_path / "f.csv", "--word", "Cat=1")
    assert done.exit_code == 2
    assert [row.label for row in read_manifest(tmp_path / "f.csv")] == [1]
    assert "f.problems.csv: 1 samples that cannot be used" in done.stdout
    for wrong, sentence in (("Cat=2", "stands for 0"), ("Cat", "takes WORD=LABEL")):
        failed = run("index-shards", tmp_path / "f.tar", "--out", tmp_path / "f.csv", "--word", wrong)
        assert isinstance(failed.exception, ConfigError)
        assert sentence in str(failed.exception)
