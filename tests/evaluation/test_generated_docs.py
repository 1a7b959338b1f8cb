"""Generated parts of pages replace what stood there, and nothing else."""

import json
from pathlib import Path

import pytest

from vestige.errors import DataError
from vestige.evaluation import docs
from vestige.evaluation.docs import METHODS, STAGES, THROUGHPUT, inserted, stage_tables, throughput_tables


def test_a_block_is_replaced() -> None:
    text = "a\n<!-- begin x -->\nold\nold\n<!-- end x -->\nb\n"
    once = inserted(text, "x", r"new \1")
    assert once == "a\n<!-- begin x -->\nnew \\1\n<!-- end x -->\nb\n"
    assert inserted(once, "x", r"new \1") == once
    with pytest.raises(ValueError, match="no place for y"):
        inserted(text, "y", "new")


def test_readmes_of_methods_are_up_to_date() -> None:
    results = Path(__file__).parents[2] / "docs" / "results"
    tables = stage_tables(results)
    assert METHODS / "gensign" / "README.md" in tables
    for name, blocks in ((STAGES, tables), (THROUGHPUT, throughput_tables(results))):
        for readme, block in blocks.items():
            text = readme.read_text(encoding="utf-8")
            assert inserted(text, name, block) == text, "run make docs-tables"


def results_of(folder: Path, monkeypatch: pytest.MonkeyPatch, begun: str = "") -> tuple[Path, Path]:
    """A folder of results with one of stages, and the README of their method."""
    monkeypatch.setattr(docs, "METHODS", folder / "methods")
    readme = folder / "methods" / "magic" / "README.md"
    readme.parent.mkdir(parents=True)
    readme.write_text(begun)
    (folder / "docs" / "results" / "magic-stages").mkdir(parents=True)
    return folder / "docs" / "results", readme


def record(recipe: str, device: str, threads: int = 2) -> dict[str, object]:
    lines = [
        {"stage": "dair", "what": "training", "images_per_second": 12.34, "waiting": 0.126},
        {"stage": "detector", "what": "features", "images_per_second": 5.0, "waiting": None},
    ]
    return {"recipe": recipe, "device": device, "threads": threads, "torch": "2.9", "lines": lines}


def test_throughput_has_a_table_for_each_computer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = "a\n<!-- begin throughput -->\nold\n<!-- end throughput -->\nb\n"
    results, readme = results_of(tmp_path, monkeypatch, begun)
    assert throughput_tables(results) == {}, "nobody measured"
    assert stage_tables(results) == {}
    records = [record("small.yaml", "CPU"), record("large.yaml", "GPU", 1), record("large.yaml", "CPU")]
    (results / "magic-stages" / "throughput.json").write_text(json.dumps(records))
    docs.write(tmp_path / "docs")
    text = readme.read_text()
    assert text.startswith("a\n<!-- begin throughput -->\n| Recipe | Stage | What | Images per second | Wait")
    assert text.endswith("<!-- end throughput -->\nb\n")
    first, second = text.split("On CPU, 2 threads, PyTorch 2.9.")
    assert first.count("| small.yaml |") == first.count("| large.yaml |") == 2
    assert "| small.yaml | dair | training | 12.3 | 13% |" in first
    assert "| large.yaml | detector | features | 5.0 | - |" in first
    assert "On GPU, 1 thread, PyTorch 2.9." in second


@pytest.mark.parametrize("text", ["{", "3", '[{"recipe": "a"}]', "[1]"])
def test_other_files_are_no_throughput(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    results, _ = results_of(tmp_path, monkeypatch)
    (results / "magic-stages" / "throughput.json").write_text(text)
    with pytest.raises(DataError, match=r"throughput\.json: cannot be read as figures of speed"):
        throughput_tables(results)


def test_what_cannot_be_inserted_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results, readme = results_of(tmp_path, monkeypatch)
    (results / "magic-stages" / "throughput.json").write_text(json.dumps([record("a", "CPU")]))
    with pytest.raises(DataError, match=r"README\.md: no place for throughput"):
        docs.write(tmp_path / "docs")
    readme.unlink()
    for tables in (stage_tables, throughput_tables):
        with pytest.raises(DataError, match=r"magic-stages: results of .* no .*README\.md; write it"):
            tables(results)
