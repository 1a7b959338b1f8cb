"""The tables in the documentation are what the scores kept beside them give."""

from pathlib import Path

import pytest

from vestige.evaluation.docs import pages
from vestige.evaluation.report import render

RESULTS = Path(__file__).parents[2] / "docs" / "results"
PAGES = sorted(path.parent for path in RESULTS.glob("**/bench.json"))


def test_there_are_results() -> None:
    assert PAGES


@pytest.mark.parametrize("folder", PAGES, ids=lambda folder: folder.name)
def test_no_table_was_typed(folder: Path) -> None:
    assert (folder / "README.md").read_text(encoding="utf-8") == render(folder)


@pytest.mark.parametrize("name", sorted(pages()))
def test_no_list_was_typed(name: str) -> None:
    assert (RESULTS.parent / name).read_text(encoding="utf-8") == pages()[name]
