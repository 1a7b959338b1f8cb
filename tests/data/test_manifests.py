"""Reading manifests: what is right, and one sentence for each thing that is wrong."""

from pathlib import Path

import pytest

from vestige.data.manifest import read_manifest, sha256_of
from vestige.errors import DataError


def write(folder: Path, text: str) -> Path:
    path = folder / "set.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_rows_in_order(tmp_path: Path) -> None:
    path = write(
        tmp_path, "path,label,split,group,license,extra\nb.png,1,train,gen,MIT,x\na/ü.png,0,dev,cam,,y\n"
    )
    first, second = read_manifest(path)
    assert (first.path, first.name, first.label, first.group) == (tmp_path / "b.png", "b.png", 1, "gen")
    assert (first.split, first.licence) == ("train", "MIT")
    assert (second.name, second.label, second.licence) == ("a/ü.png", 0, "none stated")
    assert [row.name for row in read_manifest(path, "dev")] == ["a/ü.png"]


def test_two_columns_suffice(tmp_path: Path) -> None:
    (row,) = read_manifest(write(tmp_path, "label,path\n0,a.png\n"))
    assert (row.group, row.split, row.licence) == ("unknown", "", "none stated")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("path,group\na.png,x\n", r"columns path and label; \['label'\] missing"),
        ("", r"columns path and label; \['label', 'path'\] missing"),
        (
            "path,label\na.png,1\nb.png,fake\n",
            r"line 3: label must be 0 \(real\) or 1 \(generated\), got 'fake'",
        ),
        ("path,label\na.png\n", r"line 2: label must be .* got None"),
        ("path,label\n,1\n", r"line 2: the path is empty"),
        ("path,label\n", r"no rows$"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence) as caught:
        read_manifest(write(tmp_path, text))
    assert "set.csv" in str(caught.value)


def test_unknown_split_names_the_known_ones(tmp_path: Path) -> None:
    path = write(tmp_path, "path,label,split\na.png,1,train\nb.png,0,dev\n")
    with pytest.raises(DataError, match=r"no rows of split 'test', only \['dev', 'train'\]"):
        read_manifest(path, "test")


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.csv: cannot be read as CSV"):
        read_manifest(tmp_path / "absent.csv")
    (tmp_path / "latin.csv").write_bytes(b"path,label\n\xff.png,1\n")
    with pytest.raises(DataError, match=r"latin\.csv: cannot be read as CSV"):
        read_manifest(tmp_path / "latin.csv")


def test_hash(tmp_path: Path) -> None:
    assert sha256_of(write(tmp_path, "")).startswith("e3b0c44298fc1c149afbf4c8996fb924")
    for name in ("absent.csv", "."):
        with pytest.raises(DataError, match=r": cannot be read \("):
            sha256_of(tmp_path / name)
