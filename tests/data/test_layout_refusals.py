"""Trees that are odd: refused with a sentence where the label is in doubt, a finding where it is not."""

import errno
import os
from pathlib import Path

import layout_trees as trees
import pytest

from vestige.data.layouts import read
from vestige.data.layouts.words import label_of
from vestige.errors import DataError


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (
            ["g/ai/a.png", "g/1_fake/b.png"],
            r"set: cannot be used. as folder-pair: g: both 1_fake and ai mean generated",
        ),
        (
            ["g/val/ai/a.png", "g/val/nature/b.png", "g/val/1_fake/c.png"],
            r"g/val/1_fake: stands beside ai, nature, two sets of label words",
        ),
        (
            ["progan/0_real/a.png", "progan/1_fake/b.png", "progan/nature/c.png"],
            r"progan/nature: stands beside 0_real, 1_fake, two sets of label words",
        ),
        (["progan/0_real/a.png"], r"progan: only 0_real; expected real and generated pictures"),
        (
            [*trees.pair("progan/cat/"), "progan/dog/1_fake/a.png"],
            r"progan/dog: only 1_fake; expected real and generated",
        ),
        (
            [*trees.pair("progan/"), "progan/1_fake/0_real/a.png"],
            r"progan/1_fake/0_real: label folder 0_real lies inside 1_fake",
        ),
        (["real/a.png"], r"the folder itself: only real; expected real and generated pictures"),
        ([*trees.pair("mine/"), "other/a.png"], r"other: 1 pictures, but no label folder above them"),
        (["a/1.png", "b/2.png"], r"no layout that Vestige knows.*2 pictures in folders a, b"),
        (["0/1.png", "1/2.png"], r"no layout that Vestige knows"),
        (["not_real/1.png", "not_fake/2.png"], r"no layout that Vestige knows"),
    ],
)
def test_refused(tmp_path: Path, names: list[str], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence) as caught:
        read(trees.write_tree(tmp_path / "set", names))
    assert str(tmp_path / "set") in str(caught.value)


def test_stray_files_are_named_and_empty_classes_found(tmp_path: Path) -> None:
    root = trees.write_tree(
        tmp_path / "set",
        [*trees.pair("test/san/"), "test/crn/0_real/a.png", "test/crn/1_fake/", "teaser.png"],
    )
    for name in (
        "test/Thumbs.db", "test/san/.DS_Store", "test/san/0_real/notes.txt", "test/san/1_fake/._000.png",
        "__MACOSX/test/san/0_real/._000.png", "weights.bin",
    ):  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"junk")
    found = read(root)
    assert len(found.entries) == 5
    assert found.stray == [
        "__MACOSX/", "teaser.png", "test/Thumbs.db", "test/san/.DS_Store", "test/san/0_real/notes.txt",
        "test/san/1_fake/._000.png", "weights.bin",
    ]  # fmt: skip
    assert "test/crn/1_fake: no pictures, an empty class" in found.findings


def test_a_picture_is_known_by_its_content_where_the_name_says_nothing(tmp_path: Path) -> None:
    root = trees.write_tree(tmp_path / "set", trees.pair(""))
    (root / "1_fake" / "n01440764_36").write_bytes(trees.picture(9))
    found = read(root)
    assert sum(entry.file.endswith("n01440764_36") for entry in found.entries) == 1


def test_links_in_circles_end(tmp_path: Path) -> None:
    root = trees.write_tree(tmp_path / "test", [*trees.pair("san/"), "crn/"])
    (root / "san" / "0_real" / "up").symlink_to(root, target_is_directory=True)
    (root / "round").symlink_to(root / "round")
    for word in ("0_real", "1_fake"):
        (root / "crn" / word).symlink_to(root / "san" / word, target_is_directory=True)
    (root / "crn" / "self").symlink_to(root / "crn", target_is_directory=True)
    found = read(root)
    # A link to another folder counts as that folder; only circles are cut.
    assert [trees.short(entry, root)[0] for entry in found.entries] == [
        f"{gen}/{word}/00{n}.png" for gen in ("crn", "san") for word in ("0_real", "1_fake") for n in (0, 1)
    ]
    assert "san/0_real/up: a link that leads back to a folder above it, not followed" in found.findings
    assert "crn/self: a link that leads back to a folder above it, not followed" in found.findings


def test_a_dead_link_to_a_picture_is_still_a_picture(tmp_path: Path) -> None:
    root = trees.write_tree(tmp_path / "set", trees.pair(""))
    (root / "0_real" / "gone.png").symlink_to(root / "nowhere.png")
    assert sum("gone" in entry.file for entry in read(root).entries) == 1


def test_a_folder_that_may_not_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = trees.write_tree(tmp_path / "set", trees.pair(""))
    original = os.scandir

    def refusing(path: str) -> object:
        # As the system does it; root, which tests may run as, is never refused.
        if Path(path).name == "0_real":
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return original(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(DataError, match=r"0_real: the folder cannot be listed \(Permission denied\)"):
        read(root)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes in folders")
def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    root = trees.write_tree(tmp_path / "set", trees.pair(""))
    os.mkfifo(root / "0_real" / "pipe")
    assert any(name.endswith("pipe") for name in read(root).stray)


def test_order_does_not_depend_on_the_file_system(tmp_path: Path) -> None:
    names = trees.forensynths()
    one = trees.write_tree(tmp_path / "one" / "set", names)
    two = trees.write_tree(tmp_path / "two" / "set", reversed(names))
    first = [trees.short(entry, one) for entry in read(one).entries]
    assert first == [trees.short(entry, two) for entry in read(two).entries]
    assert [Path(row[0]).parts for row in first] == sorted(Path(row[0]).parts for row in first)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        *[(text, 0) for text in ("0_real", "Real", "REAL images", "nature", "1_real", "reals")],
        *[(text, 1) for text in ("1_fake", "AI-Generated", "ai", "0_fake", "fakes", " synthetic ")],
        *[(text, None) for text in ("0", "1", "not_real", "unreal", "realistic", "")],
    ],
)
def test_words(text: str, label: int | None) -> None:
    assert label_of(text) == label
