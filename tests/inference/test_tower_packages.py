"""Packages without their frozen tower: where it is looked for, what is checked, and what comes out."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import grey_picture
from tower_samples import MAP, expected, write_package, write_tower
from vestige.detector import Detector
from vestige.errors import ModelPackageError
from vestige.inference import tower as towers
from vestige.inference.card import Tower
from vestige.inference.package import load_package, read_card
from vestige.inference.session import Session
from vestige.inference.tower_weights import opened


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of kept towers, empty; nothing of the user's own is seen."""
    monkeypatch.setenv("VESTIGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("VESTIGE_TOWERS", raising=False)
    return tmp_path / "cache" / "towers"


@pytest.fixture
def tower(tmp_path: Path) -> Path:
    return write_tower(tmp_path / "mine" / "weights.safetensors")


@pytest.fixture
def head(tmp_path: Path, tower: Path) -> Path:
    return write_package(tmp_path / "head", tower)


def patches() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (5, 1, 1, 3), dtype=np.uint8).repeat(64, 1).repeat(64, 2)


def refusal(*arguments: Any) -> str:
    with pytest.raises(ModelPackageError) as caught:
        Session(load_package(*arguments))
    return str(caught.value)


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16"])
def test_logits_are_those_of_the_whole_network(tmp_path: Path, kind: str) -> None:
    tower = write_tower(tmp_path / "tower.safetensors", kind)
    head = write_package(tmp_path / "head", tower)
    session = Session(load_package(head, tower))
    np.testing.assert_allclose(session.run(patches()).logit, expected(patches()), atol=1e-4)


def test_values_stay_after_the_file_is_gone(head: Path, tower: Path) -> None:
    session = Session(load_package(head, tower))
    tower.unlink()
    for _ in range(3):
        np.ones((3, 400), np.float32)  # would take freed memory
        np.testing.assert_allclose(session.run(patches()).logit, expected(patches()), atol=1e-4)


def test_a_missing_tower_says_all_that_is_needed(head: Path, tower: Path, cache: Path) -> None:
    sentence = refusal(head)
    card = read_card(head).tower
    assert card is not None
    for part in (
        "head 1.0",
        "nothing was downloaded",
        "model.safetensors of someone/tower",
        f"{tower.stat().st_size / 1e6:.3g} MB",
        f"vestige fetch {head}",
        "--fetch",
        "--from FILE",
        str(cache / f"{card.sha256}.safetensors"),
    ):
        assert part in sentence
    assert not cache.exists()


def test_it_is_found_in_the_cache_folder(head: Path, tower: Path, cache: Path) -> None:
    card = read_card(head).tower
    assert card is not None
    kept = towers.take(card, tower)
    assert kept.parent == cache
    assert [path.name for path in cache.iterdir()] == [f"{card.sha256}.safetensors"]
    package = load_package(head)
    assert package.tower is not None
    assert package.tower.path == kept


def test_it_is_found_in_the_named_folder_under_any_name(
    head: Path, tower: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tower(tower.parent / "another.safetensors", seed=1)  # of the same size
    monkeypatch.setenv("VESTIGE_TOWERS", str(tower.parent))
    package = load_package(head)
    assert package.tower is not None
    assert package.tower.path == tower


def test_a_named_folder_that_is_none_is_not_passed_over(head: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VESTIGE_TOWERS", str(head / "nowhere"))
    assert "there is no such folder" in refusal(head)


def test_a_detector_takes_a_file(head: Path, tower: Path, tmp_path: Path) -> None:
    picture = grey_picture(tmp_path / "grey.png", 100)
    found = Detector.load(head, tower=tower).scan(picture)
    assert found.evidence is not None
    with pytest.raises(ModelPackageError, match="vestige fetch"):
        Detector.load(head)


def test_another_file_of_the_same_size_is_refused(head: Path, tmp_path: Path) -> None:
    other = write_tower(tmp_path / "other.safetensors", seed=1)
    assert "other.safetensors: not the tower" in refusal(head, other)
    assert "cannot be read" in refusal(head, tmp_path / "nowhere.safetensors")


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_damaged_kept_file_is_refused(head: Path, tower: Path, cache: Path, damage: str) -> None:
    card = read_card(head).tower
    assert card is not None
    kept = towers.take(card, tower)
    content = bytearray(kept.read_bytes())
    content[-1] ^= 1
    kept.write_bytes(bytes(content[:-1] if damage == "cut" else content))
    assert f"{kept}: altered or damaged" in refusal(head)
    assert towers.locate(card, strict=False) is None


def test_an_altered_map_is_refused(head: Path, tower: Path) -> None:
    swapped = {"first": MAP["second"], "second": MAP["first"]}
    (head / "tower.json").write_text(json.dumps(swapped))
    assert "tower.json: altered or damaged" in refusal(head, tower)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "tower.json: does not say which tensors"),
        (b"{}", "tower.json: does not say which tensors"),
        (b'{"first": {"tensor": 3}}', "first.tensor"),
        (b'{"first": {"tensor": "tower.in", "colour": 3}}', "first.colour"),
        ({**MAP, "first": {"tensor": "tower.gone"}}, "has no tensor tower.gone"),
        ({**MAP, "first": {"tensor": "tower.spare", "transpose": True}}, "tower.spare has no two axes"),
        ({**MAP, "first": {"tensor": "tower.out"}}, "cannot load the graph"),  # another shape
        ({**MAP, "third": {"tensor": "tower.out"}}, "cannot load the graph"),  # the graph has no such name
        ({"first": MAP["first"]}, "cannot load the graph"),  # the graph misses one
    ],
)
def test_a_map_that_does_not_fit_is_refused(tmp_path: Path, tower: Path, content: Any, words: str) -> None:
    assert words in refusal(write_package(tmp_path / "wrong", tower, map=content), tower)


def test_a_file_that_is_no_tower_is_refused(tmp_path: Path) -> None:
    whole = write_tower(tmp_path / "whole.safetensors", "I64")
    assert "of the type I64" in refusal(write_package(tmp_path / "integers", whole), whole)
    whole.write_bytes(b"no safetensors, whatever the card says")
    assert "cannot be read as weights" in refusal(write_package(tmp_path / "text", whole), whole)


def test_a_whole_package_takes_no_tower(package: Path, tower: Path) -> None:
    assert "needs no tower" in refusal(package, tower)


@pytest.mark.parametrize(
    "changes",
    [
        {"hub": "no-owner"},
        {"hub": "../../etc/passwd"},
        {"hub": "https://elsewhere.example/tower"},
        {"file": "../model.safetensors"},
        {"file": "model.bin"},
        {"file": "/model.safetensors"},
        {"revision": "../main"},
        {"sha256": "0"},
        {"bytes": 0},
        {"colour": "blue"},
    ],
)
def test_a_card_names_a_file_of_a_repository_and_nothing_else(changes: dict[str, Any]) -> None:
    good = {"hub": "some-one/tower.v2", "file": "a/model.safetensors", "sha256": "0" * 64, "bytes": 9}
    assert Tower.model_validate(good).revision == "main"
    with pytest.raises(ValueError, match=next(iter(changes))):
        Tower.model_validate(good | changes)


def test_tower_and_map_belong_together(tmp_path: Path, tower: Path) -> None:
    head = write_package(tmp_path / "head", tower, tower=None)
    assert "belong together" in refusal(head, tower)


@pytest.mark.parametrize(
    ("platform", "variables", "place"),
    [
        ("linux", {}, ".cache/vestige"),
        ("linux", {"XDG_CACHE_HOME": "/elsewhere"}, "/elsewhere/vestige"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, ".cache/vestige"),
        ("darwin", {}, "Library/Caches/vestige"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/vestige"),
        ("win32", {}, "AppData/Local/vestige"),
        ("linux", {"VESTIGE_CACHE": "/own"}, "/own"),
    ],
)
def test_the_cache_folder_is_where_the_platform_has_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: str, variables: dict[str, str], place: str
) -> None:
    for name in ("VESTIGE_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(sys, "platform", platform)
    assert towers.cache_folder() == tmp_path / place / "towers"


def test_transposed_tensors_are_contiguous(tower: Path) -> None:
    with opened(tower) as weights:
        found = weights.read("tower.out", transpose=True)
    assert found.flags.c_contiguous
    assert found.shape == (400, 5)
