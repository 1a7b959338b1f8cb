"""The tables in the documentation are what the scores kept beside them give."""

import shutil
from pathlib import Path

import pytest

from vestige.evaluation import ablation, choosing_page, deviations
from vestige.evaluation.docs import pages
from vestige.evaluation.report import render

RESULTS = Path(__file__).parents[2] / "docs" / "results"
PAGES = sorted(path.parent for path in RESULTS.glob("**/bench.json"))
DEVIATIONS = sorted(path.parent for path in RESULTS.glob("*/deviations.json"))
CHOSEN = sorted(path.parent for path in RESULTS.glob("*/choosing.json"))
# Intervals of a hundred fits take a minute; the short pages come from the same code.
ABLATIONS = sorted(
    path.parent for path in RESULTS.glob("*/ablation.json") if len([*path.parent.glob("scores/*/*")]) < 50
)


def test_there_are_results() -> None:
    assert PAGES
    assert DEVIATIONS
    assert ABLATIONS
    assert CHOSEN


@pytest.mark.parametrize("folder", PAGES, ids=lambda folder: folder.name)
def test_no_table_was_typed(folder: Path) -> None:
    assert (folder / "README.md").read_text(encoding="utf-8") == render(folder)


@pytest.mark.parametrize("folder", [*ABLATIONS, *DEVIATIONS, *CHOSEN], ids=lambda folder: folder.name)
def test_no_table_of_a_method_was_typed(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / folder.name)
    if folder in CHOSEN:
        made = choosing_page.write_page(copy)
    else:
        made = (deviations if folder in DEVIATIONS else ablation).write_page(copy)
    assert copy / "README.md" in made
    for path in made:
        if path.suffix != ".svg":  # their bytes are those of one version of Matplotlib
            assert path.read_bytes() == (folder / path.name).read_bytes(), path.name


@pytest.mark.parametrize("name", sorted(pages()))
def test_no_list_was_typed(name: str) -> None:
    assert (RESULTS.parent / name).read_text(encoding="utf-8") == pages()[name]
