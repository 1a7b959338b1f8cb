"""Pages that stand elsewhere in the repository, and the list of decisions."""

from pathlib import Path

from docs_site.made import MadePage
from docs_site.sidebar import DECISIONS

_REPEATED = {
    "CONTRIBUTING.md": ("contributing.md", "Contributing"),
    "CHANGELOG.md": ("changelog.md", "Changelog"),
}


def repeated_pages(root: Path) -> list[MadePage]:
    """Pages from the root of the repository."""
    return [
        MadePage(path, title, (root / name).read_text(encoding="utf-8"), "Project", origin=name)
        for name, (path, title) in _REPEATED.items()
    ]


def decision_pages(root: Path) -> list[MadePage]:
    """The list of decisions; they themselves are files in `docs/decisions`."""
    lines = [
        f"- [{heading(path)}]({path.name})" for path in sorted((root / "docs" / "decisions").glob("*.md"))
    ]
    text = "# Decisions\n\nWhat was chosen, why, and what was tried.\n\n" + "\n".join(lines) + "\n"
    return [MadePage("decisions/index.md", "All decisions", text, DECISIONS)]


def heading(path: Path) -> str:
    """The first heading of a page, or the file's name."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            return line[2:].strip()
    return path.stem
