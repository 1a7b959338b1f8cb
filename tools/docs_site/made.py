"""A page that is no file in `docs/`."""

import re
from dataclasses import dataclass, field


@dataclass(frozen=True)
class MadePage:
    """One page of the site that is made while the site is built.

    Attributes:
        path: where it lies, relative to `docs/`; ends with .md.
        title: in the navigation.
        text: Markdown.
        section: of the navigation.
        origin: file of the repository that it repeats, relative to the root; its links are relative to that
            file. "": it is put together here, and its links are those of the site.
        stands_for: files of the repository that it describes; links to them lead here.
        attachments: other files that come with it, path -> text.
        left_out: why it says less than it could; "" where it does not.
    """

    path: str
    title: str
    text: str
    section: str
    origin: str = ""
    stands_for: tuple[str, ...] = ()
    attachments: dict[str, str] = field(default_factory=dict)
    left_out: str = ""


def table(columns: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown; bars and line ends in cells are made harmless."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    # Not at every blank: those that keep a figure on one line stay.
    return " ".join(part for part in re.split(r"[ \n\t]+", text.replace("|", "\\|")) if part)
