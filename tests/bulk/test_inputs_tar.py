"""Members of tar archives as inputs: which ones, in what order, with which bytes, and what damage says."""

import gzip
import io
import os
import tarfile
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from input_reading import JPEG, PNG, content, contents, contents_until_told, names, write_tar

from vestige.bulk.input_tar import SlicePlace
from vestige.bulk.inputs import open_source
from vestige.errors import DataError, ImageError
from vestige.images.limits import Limits

COMPRESSED = [("w:gz", ".tar.gz"), ("w:gz", ".tgz"), ("w:bz2", ".tar.bz2"), ("w:xz", ".tar.xz")]

# Nothing that ends like a picture, so that endings alone decide below.
stems = st.text(st.characters(exclude_characters="\0/.", exclude_categories=["Cs"]), min_size=1, max_size=130)
shard_members = st.lists(
    st.tuples(
        st.builds(
            "{}{}{}".format,
            st.sampled_from(["", "a/", "./", "deep/er/"]),
            stems,
            st.sampled_from([".jpg", ".PNG", ".seg.webp", ".json", ".cls", ".txt", ""]),
        ),
        st.sampled_from([b"", b"7", JPEG, PNG]).flatmap(
            lambda head: st.binary(max_size=1500).map(lambda rest: head + rest)
        ),
    ),
    max_size=8,
)


def expected(shard: Path, files: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    return [
        (f"{shard}/{name}", data)
        for name, data in files
        if name.endswith((".jpg", ".PNG", ".webp")) or data.startswith((JPEG, PNG))
    ]


@settings(max_examples=60, deadline=None)
@given(
    files=shard_members,
    kind=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    mode=st.sampled_from(["w", "w:gz", "w:bz2", "w:xz"]),
    skip=st.integers(0, 9),
)
def test_each_picture_comes_once_in_order(
    files: list[tuple[str, bytes]], kind: int, mode: str, skip: int
) -> None:
    # Contents drawn at random may begin like a picture of a kind that is not looked for here.
    files = [(name, data if data.startswith((JPEG, PNG)) else b"7" + data) for name, data in files]
    with tempfile.TemporaryDirectory() as folder:
        shard = write_tar(Path(folder) / "shard.tar", files, mode, kind)
        source = open_source([str(shard)])
        assert source.random_access == (mode == "w")
        assert source.count() == (len(expected(shard, files)) if mode == "w" else None)
        assert contents(source) == expected(shard, files)
        assert contents(source, skip) == expected(shard, files)[skip:]


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_come_whole(tmp_path: Path, kind: int) -> None:
    name = "/".join(["folder" * 10] * 3) + "/picture.jpg"
    shard = write_tar(tmp_path / "shard.tar", [(name, JPEG), ("after.jpg", PNG)], kind=kind)
    assert contents(open_source([str(shard)])) == [(f"{shard}/{name}", JPEG), (f"{shard}/after.jpg", PNG)]


def test_names_that_are_no_utf8_are_kept(tmp_path: Path) -> None:
    name = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
    shard = write_tar(tmp_path / "shard.tar", [(name, JPEG)])
    source = open_source([str(shard)])
    assert contents(source) == [(f"{shard}/{name}", JPEG)]
    assert source.fingerprint()


def test_a_webdataset_shard_gives_its_pictures_alone(
    tmp_path: Path, bytes_of_pictures: dict[str, bytes]
) -> None:
    samples = [(f"{number:06d}", data) for number, data in enumerate(bytes_of_pictures.values())]
    files = [
        file
        for key, data in samples
        for file in ((f"{key}.jpg", data), (f"{key}.json", b"{}"), (f"{key}.cls", b"1"), (f"{key}.txt", b"a"))
    ]
    shard = write_tar(tmp_path / "000.tar", files)
    source = open_source([str(shard)])
    assert contents(source) == [(f"{shard}/{key}.jpg", data) for key, data in samples]
    assert source.left_out == []


@pytest.mark.parametrize(("mode", "ending"), COMPRESSED)
def test_compressed_archives_are_known_by_their_names(tmp_path: Path, mode: str, ending: str) -> None:
    shard = write_tar(tmp_path / f"shard{ending}", [("a.jpg", JPEG), ("b.json", b"{}"), ("c", PNG)], mode)
    source = open_source([str(shard)])
    assert (source.count(), source.random_access) == (None, False)
    assert contents(source) == [(f"{shard}/a.jpg", JPEG), (f"{shard}/c", PNG)]


def test_content_and_not_the_name_tells_the_compression(tmp_path: Path) -> None:
    plain = write_tar(tmp_path / "plain.tar.gz", [("a.jpg", JPEG)])
    packed = write_tar(tmp_path / "packed.tar", [("a.jpg", JPEG)], "w:xz")
    assert open_source([str(plain)]).random_access
    assert not open_source([str(packed)]).random_access
    assert contents(open_source([str(plain), str(packed)])) == [
        (f"{plain}/a.jpg", JPEG),
        (f"{packed}/a.jpg", JPEG),
    ]


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_members_without_content_of_their_own_are_named(tmp_path: Path, mode: str) -> None:
    shard = tmp_path / "shard.tar"
    with tarfile.open(shard, mode) as tar:
        tar.addfile(special("folder.jpg", tarfile.DIRTYPE))
        first = tarfile.TarInfo("first.jpg")
        first.size = len(JPEG)
        tar.addfile(first, io.BytesIO(JPEG))
        tar.addfile(special("again.jpg", tarfile.LNKTYPE, "first.jpg"))
        tar.addfile(special("again.jpg/../third.jpg", tarfile.LNKTYPE, "first.jpg"))
        tar.addfile(special("lost.jpg", tarfile.LNKTYPE, "nowhere.jpg"))
        tar.addfile(special("soft.jpg", tarfile.SYMTYPE, "first.jpg"))
        tar.addfile(special("pipe.png", tarfile.FIFOTYPE))
        tar.addfile(special("soft.txt", tarfile.SYMTYPE, "first.jpg"))
    found = {name.removeprefix(f"{shard}/"): got for name, got in contents(open_source([str(shard)]))}
    # Backwards there is no reading in a compressed archive.
    linked = JPEG if mode == "w" else "not_found"
    assert found == {
        "first.jpg": JPEG,
        "again.jpg": linked,
        "again.jpg/../third.jpg": linked,
        "lost.jpg": "not_found",
        "soft.jpg": "not_found",
        "pipe.png": "not_found",
    }


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_sparse_members_are_refused_and_what_follows_is_read(tmp_path: Path, mode: str) -> None:
    member = tarfile.TarInfo("holes.jpg")
    member.type, member.size = tarfile.GNUTYPE_SPARSE, 512
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    # The old GNU layout: one piece of 512 bytes at 1024 of a file of 1536 bytes.
    header[386:410] = b"00000002000\x0000000001000\0"
    header[483:495] = b"00000003000\0"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        after = tarfile.TarInfo("after.png")
        after.size = len(PNG)
        tar.addfile(after, io.BytesIO(PNG))
    shard = tmp_path / "shard.tar"
    packed = bytes(header) + bytes(512) + whole.getvalue()
    if mode == "w":
        shard.write_bytes(packed)
    else:
        shard.write_bytes(gzip.compress(packed))
    assert contents(open_source([str(shard)])) == [
        (f"{shard}/holes.jpg", "unsupported"),
        (f"{shard}/after.png", PNG),
    ]


FILES = [
    ("a.jpg", JPEG + bytes(600)),
    ("a.json", b"{}" * 300),
    ("long" * 60 + ".png", PNG),
    ("b.webp", JPEG + bytes(1011)),
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_tar(tmp_path_factory.mktemp("whole") / "shard.tar", FILES).read_bytes()


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_an_archive_that_is_cut_off_says_so(whole: bytes, data: st.DataObject) -> None:
    end = len(whole.rstrip(b"\0")) // 512 * 512 + 512
    length = data.draw(
        st.integers(0, len(whole) - 1) | st.integers(0, end // 512).map(lambda block: block * 512)
    )
    with tempfile.TemporaryDirectory() as folder:
        shard = Path(folder) / "shard.tar"
        shard.write_bytes(whole[:length])
        right: list[tuple[str, bytes | str]] = list(expected(shard, FILES))
        found, told = contents_until_told(shard)
        if found and found[-1][1] == "truncated":
            assert not told
            told = f"{shard}, and so does the row of {found.pop()[0]}"
        assert found == right[: len(found)]
        assert told.startswith(str(shard)) or found == right


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, 6000), value=st.integers(1, 255))
def test_a_changed_byte_loses_nothing_in_silence(whole: bytes, at: int, value: int) -> None:
    changed = bytearray(whole)
    at %= len(changed)
    changed[at] ^= value
    with tempfile.TemporaryDirectory() as folder:
        shard = Path(folder) / "shard.tar"
        shard.write_bytes(changed)
        found, told = contents_until_told(shard)
        assert told.startswith(str(shard)) or len(found) == len(expected(shard, FILES))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "empty file"),
        (b"this is no archive" * 100, "is no tar archive, or damaged"),
        (b"\x1f\x8b\x08\x00", "is no tar archive, or damaged"),
    ],
)
def test_what_is_no_archive_is_named(tmp_path: Path, data: bytes, told: str) -> None:
    (tmp_path / "shard.tar").write_bytes(data)
    with pytest.raises(DataError, match=r"shard\.tar: ") as caught:
        list(open_source([str(tmp_path / "shard.tar")]).items())
    assert told in str(caught.value)


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path: Path) -> None:
    shard = write_tar(tmp_path / "shard.tar", [("a.jpg", JPEG), ("empty.jpg", b"")])
    data = bytearray(shard.read_bytes())
    data[2 * 512 + 150] ^= 1  # the checksum of the last header, behind which there are zeros only
    shard.write_bytes(data)
    with pytest.raises(DataError, match="no valid header at byte 1024"):
        open_source([str(shard)]).count()


def test_archives_put_one_behind_the_other_are_not_read_in_part(tmp_path: Path) -> None:
    one = write_tar(tmp_path / "one.tar", [("a.jpg", JPEG)]).read_bytes()
    (tmp_path / "two.tar").write_bytes(one + one)
    with pytest.raises(DataError, match="behind its end"):
        open_source([str(tmp_path / "two.tar")]).count()


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_compressed_archive_that_is_cut_off_says_so(tmp_path: Path, share: float) -> None:
    files = [(f"{number}.jpg", JPEG + os.urandom(3000)) for number in range(5)]
    shard = write_tar(tmp_path / "shard.tar.gz", files, "w:gz")
    packed = shard.read_bytes()
    shard.write_bytes(packed[: int(share * len(packed))])
    found, told = contents_until_told(shard)
    if found[-1][1] == "truncated":
        assert not told
        told = f"{shard}, and so does the row of {found.pop()[0]}"
    assert told.startswith(str(shard))
    assert 0 < len(found) < 5
    assert found == expected(shard, files)[: len(found)]


def test_a_header_that_leads_back_ends(tmp_path: Path) -> None:
    member = tarfile.TarInfo("a.jpg")
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    header[124:136] = (-1024).to_bytes(12, "big", signed=True)  # the length, as GNU tar writes large ones
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "shard.tar").write_bytes(bytes(header) * 3)
    with pytest.raises(DataError, match="contradicts itself"):
        open_source([str(tmp_path / "shard.tar")]).count()


def test_a_picture_above_the_limit_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(ImageError) as caught:
        SlicePlace(str(tmp_path / "gone.tar"), 512, 1001).read(Limits(max_bytes=1000))
    assert caught.value.code == "too_large"


def test_an_archive_that_is_gone_makes_error_rows(tmp_path: Path) -> None:
    shard = write_tar(tmp_path / "shard.tar", [("a.jpg", JPEG)])
    (item,) = open_source([str(shard)]).items()
    shard.unlink()
    assert content(item) == "not_found"


def test_an_archive_that_changes_on_the_way_is_named(tmp_path: Path) -> None:
    shard = write_tar(tmp_path / "shard.tar", [("a.jpg", JPEG)])
    source = open_source([str(shard)])
    assert source.count() == 1
    write_tar(shard, [("a.jpg", JPEG), ("b.jpg", JPEG), *((f"{number}.json", b"") for number in range(40))])
    with pytest.raises(DataError, match="was changed"):
        list(source.items())


def test_members_are_not_kept_in_memory(tmp_path: Path) -> None:
    shard = write_tar(tmp_path / "shard.tar", ((f"{number:06d}.jpg", b"") for number in range(3000)))
    source = open_source([str(shard)])
    tracemalloc.start()
    assert source.count() == 3000
    assert sum(1 for _ in source.items()) == 3000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000  # tarfile keeps more than 1 kB of each


def test_shards_that_are_done_are_not_opened_again(tmp_path: Path) -> None:
    one = write_tar(tmp_path / "1.tar", [("a.jpg", JPEG), ("b.jpg", PNG)])
    two = write_tar(tmp_path / "2.tar", [("c.jpg", JPEG), ("d.jpg", PNG)])
    source = open_source([str(one), str(two)])
    assert source.count() == 4
    one.unlink()
    assert contents(source, 2) == [(f"{two}/c.jpg", JPEG), (f"{two}/d.jpg", PNG)]
    assert contents(source, 3) == [(f"{two}/d.jpg", PNG)]
    assert contents(source, 4) == []


def test_the_state_of_a_shard_counts_for_the_fingerprint(tmp_path: Path) -> None:
    shard = write_tar(tmp_path / "shard.tar", [("a.jpg", JPEG)])
    os.utime(shard, ns=(1, 1))
    before = open_source([str(shard)]).fingerprint()
    assert open_source([str(shard)]).fingerprint() == before
    os.utime(shard, ns=(1, 2))
    assert open_source([str(shard)]).fingerprint() != before
    assert names(open_source([str(shard)])) == [f"{shard}/a.jpg"]


def test_what_is_too_large_is_not_even_held(tmp_path: Path) -> None:
    shard = write_tar(
        tmp_path / "s.tar.gz", [("a.jpg", JPEG), ("b.jpg", JPEG + bytes(20 * 2**20)), ("c.jpg", PNG)], "w:gz"
    )
    source = open_source([str(shard)], limits=Limits(max_bytes=2**20))
    tracemalloc.start()
    found = contents(source)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [what for _, what in found] == [JPEG, "too_large", PNG]
    assert most < 10 * 2**20


def test_hard_links_in_compressed_archives_are_told_as_such(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "s.tar.gz", "w:gz") as tar:
        member = tarfile.TarInfo("a.jpg")
        member.size = len(JPEG)
        tar.addfile(member, io.BytesIO(JPEG))
        link = tarfile.TarInfo("b.jpg")
        link.type, link.linkname = tarfile.LNKTYPE, "a.jpg"
        tar.addfile(link)
    _, linked = open_source([str(tmp_path / "s.tar.gz")]).items()
    with pytest.raises(ImageError, match="Hard links in compressed archives are not followed"):
        linked.place.read(Limits())
