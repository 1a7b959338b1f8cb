"""One table, written as Markdown for the documentation and as HTML for the page."""

import re
from dataclasses import dataclass
from html import escape

from vestige.reports.text import visible

# Figures, shares, counts, intervals and the like stand flush right in HTML.
_FIGURE = re.compile(r"(?=.*\d)[-+−–.,\d%()\[\]/ ]+|nan|–|-|")
_MARKDOWN = re.compile(r"([\\`*_\[\]<>|~&$])")


@dataclass(frozen=True)
class Table:
    """Cells of text with a title.

    Attributes:
        title: what the table shows, one line.
        columns: headings, one per column.
        rows: cells; the first of each row names the row.
        note: what must be known to read it; shown below.
    """

    title: str
    columns: list[str]
    rows: list[list[str]]
    note: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"table {self.title!r}: {len(self.columns)} columns, but a row has {len(row)}"
                )

    def markdown(self) -> str:
        """A pipe table without a heading of its own, and the note below; both are escaped."""
        lines = [_line(self.columns), "|" + "---|" * len(self.columns), *map(_line, self.rows)]
        return "\n".join(lines + (["", escaped(self.note)] if self.note else []))

    def html(self) -> str:
        """A `table` with caption and scopes, and the note as a paragraph below; everything is escaped."""
        right = [
            bool(self.rows) and all(_FIGURE.fullmatch(row[number]) for row in self.rows)
            for number in range(len(self.columns))
        ]
        head = "".join(
            f'<th scope="col"{_side(is_right)}>{_text(name)}</th>'
            for name, is_right in zip(self.columns, right, strict=True)
        )
        body = "\n".join(
            "<tr>"
            + "".join(
                f'<th scope="row">{_text(cell)}</th>'
                if number == 0
                else f"<td{_side(right[number])}>{_text(cell)}</td>"
                for number, cell in enumerate(row)
            )
            + "</tr>"
            for row in self.rows
        )
        note = f'\n<p class="note">{_text(self.note)}</p>' if self.note else ""
        return (
            f"<table>\n<caption><span>{_text(self.title)}</span></caption>\n<thead><tr>{head}</tr></thead>\n"
            f"<tbody>\n{body}\n</tbody>\n</table>{note}"
        )


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(escaped(cell) for cell in cells) + " |"


def escaped(text: str) -> str:
    """Text for Markdown. It may come from file names and group names; figures pass unchanged."""
    return text if _FIGURE.fullmatch(text) else _MARKDOWN.sub(r"\\\1", visible(" ".join(text.split())))


def _text(text: str) -> str:
    return escape(visible(text))


def _side(right: bool) -> str:
    return ' class="figure"' if right else ""
