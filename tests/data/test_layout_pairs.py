"""Any pair of folders: words decide, whatever the order and the names around them."""

import tempfile
from pathlib import Path

import layout_trees as trees
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vestige.data.layouts import read
from vestige.data.layouts.words import WORDS, label_of
from vestige.errors import DataError

REAL_WORDS = sorted(word for word, label in WORDS.items() if not label)
GENERATED_WORDS = sorted(word for word, label in WORDS.items() if label)


def folder_name(text: str) -> bool:
    return label_of(text) is None and text.lower() not in {
        "train",
        "training",
        "val",
        "valid",
        "validation",
        "test",
    }


names = st.text("abcXYZ019_- ", min_size=1, max_size=6).map(str.strip).filter(bool).filter(folder_name)
cases = st.sampled_from([str.lower, str.upper, str.title, lambda word: f"0_{word}", lambda word: f"1_{word}"])


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(REAL_WORDS), st.sampled_from(GENERATED_WORDS), cases, cases,
    st.lists(names, min_size=0, max_size=2), st.sampled_from(["", "train", "val", "test"]), st.booleans(),
)  # fmt: skip
def test_words_decide(real, generated, one, two, above, split, generated_first) -> None:  # type: ignore[no-untyped-def]
    real, generated = one(real), two(generated)
    place = "".join(f"{part}/" for part in ([split] if split else []) + above)
    files = trees.pair(place, real=real, generated=generated)
    with tempfile.TemporaryDirectory() as folder:
        root = trees.write_tree(Path(folder) / "set", reversed(files) if generated_first else files)
        found = read(root, "folder-pair")
        group, category = (above[0], "/".join(above[1:])) if above else ("set", "")
        expected = {
            (
                name,
                label,
                group if label else f"{group}/real",
                split,
                category,
                f"{group}/real" if label else "",
            )
            for word, label in ((real, 0), (generated, 1))
            for name in (f"{place}{word}/000.png", f"{place}{word}/001.png")
        }
        assert {trees.short(entry, root) for entry in found.entries} == expected


@pytest.mark.parametrize(
    ("real", "generated"),
    [("nature", "ai"), ("0_real", "1_fake"), ("zreal", None), ("Real Images", "AI images")],
)
def test_pairs_without_a_benchmark(tmp_path: Path, real: str, generated: str | None) -> None:
    root = trees.write_tree(tmp_path / "mine", trees.pair("", real=real, generated=generated or "fake"))
    if generated is None:
        with pytest.raises(DataError, match="only fake; expected real and generated"):
            read(root)
        return
    found = read(root)
    assert found.benchmark.name == "folder-pair"
    assert {(Path(entry.file).parent.name, entry.label) for entry in found.entries} == {
        (real, 0),
        (generated, 1),
    }


def test_split_above_or_below_the_group(tmp_path: Path) -> None:
    above = trees.write_tree(tmp_path / "one", [*trees.pair("train/a/"), *trees.pair("validation/a/")])
    below = trees.write_tree(tmp_path / "two", [*trees.pair("a/train/"), *trees.pair("a/valid/")])
    for root in (above, below):
        assert {(entry.group, entry.split) for entry in read(root).entries} == {
            (group, split) for group in ("a", "a/real") for split in ("train", "val")
        }


def test_a_class_called_train_is_no_split(tmp_path: Path) -> None:
    root = trees.write_tree(tmp_path / "progan", [*trees.pair("car/"), *trees.pair("train/")])
    assert {(entry.group, entry.split) for entry in read(root).entries} == {
        (group, "") for group in ("car", "car/real", "train", "train/real")
    }


def test_folders_inside_a_lone_pair_are_generators_and_sources(tmp_path: Path) -> None:
    root = trees.write_tree(
        tmp_path / "mine", ["real/coco/a.png", "real/b.png", "fake/sdxl/c.png", "fake/flux/v1/d.png"]
    )
    assert {trees.short(entry, root)[:3] + trees.short(entry, root)[4:] for entry in read(root).entries} == {
        ("real/coco/a.png", 0, "coco/real", "", ""),
        ("real/b.png", 0, "mine/real", "", ""),
        ("fake/sdxl/c.png", 1, "sdxl", "", ""),
        ("fake/flux/v1/d.png", 1, "flux", "v1", ""),
    }
