"""Glob patterns over several levels: what Python's own finds, and an end where links lead in circles."""

import glob
import os
from pathlib import Path

import pytest

from vestige.images.walk import expand

PATTERNS = [
    "a/**",
    "a/**/*.jpg",
    "**/*.jpg",
    "**",
    "./a/**/*",
    "a/**/b/**/*.jpg",
    "*/**/y.jpg",
    "**/b/*",
    "[a]/**/b",
]


@pytest.fixture(autouse=True)
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (
        "a/x.jpg",
        "a/b/y.jpg",
        "a/b/b/w.jpg",
        "a/c/notes.txt",
        "a/.hidden/z.jpg",
        "top.jpg",
        ".q.jpg",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(pattern: str) -> set[str]:
    return {os.path.normpath(path) for path, _ in expand(pattern, [])}


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_find_what_they_always_find(tree: Path, pattern: str, absolute: bool) -> None:
    if absolute:
        pattern = os.path.join(glob.escape(str(tree)), pattern)
    wanted: set[str] = set()
    for match in glob.glob(pattern, recursive=True):
        inside = [path for path in Path(match).rglob("*") if path.is_file()]
        wanted |= {os.path.normpath(path) for path in (inside if os.path.isdir(match) else [match])}
    assert files(pattern) == wanted


def test_links_that_lead_in_circles_are_not_followed(tree: Path) -> None:
    """Two of them have 2^40 ways before the system refuses."""
    before = {pattern: files(pattern) for pattern in PATTERNS}
    (tree / "a" / "self").symlink_to(".")
    (tree / "a" / "back").symlink_to("..")
    for pattern, found in before.items():
        if pattern.endswith("/*"):  # matches the links themselves, and what is matched is walked: once
            assert found <= files(pattern)
        else:
            assert files(pattern) - {"a/self", "a/back"} == found
