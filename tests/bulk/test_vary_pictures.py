"""Pictures made for measuring: the same for the same number, of several formats, some of them broken."""

import importlib.util
import io
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image, UnidentifiedImageError

ROOT = Path(__file__).parents[2]
FORMATS = {".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP"}
SEED = 3


@pytest.fixture(scope="module")
def vary() -> ModuleType:
    """`benchmarks/vary_pictures.py`."""
    spec = importlib.util.spec_from_file_location("vary", ROOT / "benchmarks" / "vary_pictures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def sources(vary: ModuleType) -> list[str]:
    found: list[str] = vary.sources_in(ROOT / "examples")
    assert len(found) >= 2
    return found


def test_pictures_are_whole_different_and_of_all_formats(
    vary: ModuleType, sources: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vary, "BROKEN", 0.0)
    made = [vary.vary(sources, SEED, number) for number in range(60)]
    assert len({data for _, data in made}) == 60
    seen: Counter[str] = Counter()
    for ending, data in made:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            assert image.format == FORMATS[ending]
            assert 64 <= min(image.size) <= max(image.size) <= 1024
            seen[ending] += 1
    assert set(seen) == set(FORMATS)


def test_a_number_always_gives_the_same_picture(vary: ModuleType, sources: list[str]) -> None:
    first = [vary.vary(sources, SEED, number) for number in range(8)]
    vary._loaded.cache_clear()
    assert [vary.vary(sources, SEED, number) for number in reversed(range(8))] == first[::-1]
    assert [vary.vary(sources, SEED + 1, number) for number in range(8)] != first


def test_broken_files_are_of_several_kinds(
    vary: ModuleType, sources: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vary, "BROKEN", 0.0)
    whole = [vary.vary(sources, SEED, number)[1] for number in range(40)]
    monkeypatch.setattr(vary, "BROKEN", 1.0)
    broken = [vary.vary(sources, SEED, number)[1] for number in range(40)]
    assert all(one != other for one, other in zip(whole, broken, strict=True))
    assert b"" in broken
    assert any(data.startswith(b"<html>") for data in broken)
    assert any(data and one.startswith(data) for one, data in zip(whole, broken, strict=True))  # cut off
    unknown = 0
    for data in broken:
        try:
            Image.open(io.BytesIO(data)).close()
        except (UnidentifiedImageError, OSError, SyntaxError):
            unknown += 1
    assert unknown >= 10


def test_a_thousand_is_written_once_and_goes_on_after_an_interruption(
    vary: ModuleType, tmp_path: Path
) -> None:
    folder = ROOT / "examples"
    draft = tmp_path / "00001.part"
    draft.mkdir()
    (draft / "0001000.jpg").write_bytes(b"left by a run that was killed")
    written = [vary.write_thousand(folder, tmp_path, SEED, first, first + 6) for first in (0, 1000)]
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert len(files) == 12
    assert sum(written) == sum(path.stat().st_size for path in files)
    numbers = [*range(6), *range(1000, 1006)]
    assert [int(path.stem) for path in files] == numbers
    before = {path: path.stat().st_mtime_ns for path in files}
    assert vary.write_thousand(folder, tmp_path, SEED, 0, 6) == 0
    assert {path: path.stat().st_mtime_ns for path in files} == before
    known = vary.sources_in(folder)
    for path, number in zip(files, numbers, strict=True):
        assert vary.vary(known, SEED, number) == (path.suffix, path.read_bytes())
