"""The navigation: what `mkdocs.yml` lists, filled with the pages that are made."""

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from docs_site.made import MadePage

DECISIONS = "Decisions"


def filled(nav: Any, made: Iterable[MadePage], docs: Path) -> list[Any]:
    """The navigation with each made page at the end of its section, and with all decisions.

    Args:
        nav: of `mkdocs.yml`: titles and pages, or titles and lists of them.
        made: pages; each names a section that is in `nav` as a list.
        docs: the folder of the hand-written pages.

    Raises:
        ValueError: a section is not there.
    """
    whole: list[Any] = copy.deepcopy(nav)
    sections = _sections(whole)
    for page in made:
        _section(sections, page.section).append({page.title: page.path})
    for path in sorted((docs / "decisions").glob("*.md")):
        _section(sections, DECISIONS).append(path.relative_to(docs).as_posix())
    for path in sorted((docs / "results").glob("*/README.md")):
        _section(sections, "Results").append({path.parent.name: path.relative_to(docs).as_posix()})
    return whole


def paths(nav: list[Any]) -> list[str]:
    """All pages of a navigation, in order."""
    found: list[str] = []
    for entry in nav:
        value = next(iter(entry.values())) if isinstance(entry, dict) else entry
        found += paths(value) if isinstance(value, list) else [str(value)]
    return found


def _sections(nav: list[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for entry in nav:
        if isinstance(entry, dict):
            for title, value in entry.items():
                if isinstance(value, list):
                    found |= {title: value, **_sections(value)}
    return found


def _section(sections: dict[str, list[Any]], title: str) -> list[Any]:
    if title not in sections:
        raise ValueError(f"mkdocs.yml: nav has no section {title!r}")
    return sections[title]
