"""What a page is made of, and how each part is written. Every text passes through `escaped`."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import TypeAlias

from vestige.evaluation.table import Table
from vestige.reports.text import visible
from vestige.results import Verdict

_ID = re.compile(r'(\bid="|url\(#|href="#)')
_NAME = re.compile(r' aria-label="[^"]*"')
_VERDICTS = {
    Verdict.LIKELY_GENERATED.value: ("generated", "called generated"),
    Verdict.PARTLY_GENERATED.value: ("partly", "called partly generated"),
    Verdict.INCONCLUSIVE.value: ("inconclusive", "inconclusive"),
    Verdict.LIKELY_REAL.value: ("real", "called real"),
}


@dataclass(frozen=True)
class Figure:
    """A plot.

    Attributes:
        svg: from `vestige.evaluation.plots`.
        caption: how to read it; may be "".
        alt: for screen readers; "" keeps what the plot says of itself: its title and its figures.
    """

    svg: str
    caption: str = ""
    alt: str = ""


@dataclass(frozen=True)
class Tile:
    """A picture in a gallery.

    Attributes:
        image: a JPEG, from `vestige.evaluation.thumbnails.thumbnail`.
        path: as the manifest has it.
        group: generator or source.
        score: as text, with what it is: "0.93" or "logit 4.1".
        verdict: as in `Scores.verdicts`; "" for none.
    """

    image: bytes
    path: str
    group: str
    score: str
    verdict: str = ""


@dataclass(frozen=True)
class Gallery:
    """Small pictures side by side, under a title of their own."""

    title: str
    tiles: Sequence[Tile]
    note: str = ""


Part: TypeAlias = str | Table | Figure | Gallery


@dataclass(frozen=True)
class Section:
    """One chapter of the page.

    Attributes:
        heading: also stands in the table of contents.
        parts: in the order of the page. A text is a paragraph; figures in a row stand side by side where
            there is room.
    """

    heading: str
    parts: Sequence[Part]


def escaped(text: str) -> str:
    """Text for HTML, with control and reordering characters made visible."""
    return escape(visible(text))


def section(part: Section, name: str) -> str:
    """A section as HTML.

    Args:
        name: id of its heading, unique on the page.
    """
    body = []
    number = 0
    for is_figure, run in groupby(part.parts, lambda one: isinstance(one, Figure)):
        found = []
        for one in run:
            number += 1
            found.append(_part(one, f"{name}-{number}"))
        body.append(f'<div class="figures">\n{"".join(found)}</div>\n' if is_figure else "".join(found))
    return (
        f'<section aria-labelledby="{name}">\n<h2 id="{name}">{escaped(part.heading)}</h2>\n'
        f"{''.join(body)}</section>\n"
    )


def paragraph(text: str) -> str:
    """A paragraph as HTML."""
    return f"<p>{escaped(text)}</p>\n"


def _part(part: Part, name: str) -> str:
    if isinstance(part, str):
        return paragraph(part)
    if isinstance(part, Table):
        # A box that scrolls must be reachable from the keyboard.
        return (
            f'<div class="table" role="region" tabindex="0" aria-label="{escaped(part.title)}">\n'
            f"{part.html()}\n</div>\n"
        )
    return _figure(part, name) if isinstance(part, Figure) else _gallery(part, name)


def _figure(figure: Figure, name: str) -> str:
    # Each drawing counts its parts from the start; ids must differ within the page.
    drawing = _ID.sub(rf"\g<1>{name}-", figure.svg)
    if figure.alt:
        drawing = _NAME.sub(lambda _: f' aria-label="{escaped(figure.alt)}"', drawing, count=1)
    caption = f"<figcaption>{escaped(figure.caption)}</figcaption>\n" if figure.caption else ""
    return f"<figure>\n{drawing.strip()}\n{caption}</figure>\n"


def _gallery(gallery: Gallery, name: str) -> str:
    tiles = "".join(_tile(tile) for tile in gallery.tiles)
    note = f'<p class="note">{escaped(gallery.note)}</p>\n' if gallery.note else ""
    shown = f'<ul class="tiles">\n{tiles}</ul>\n' if tiles else '<p class="note">There are none.</p>\n'
    return (
        f'<div class="gallery" role="group" aria-labelledby="{name}">\n'
        f'<h3 id="{name}">{escaped(gallery.title)}</h3>\n{note}{shown}</div>\n'
    )


def _tile(tile: Tile) -> str:
    data = base64.b64encode(tile.image).decode("ascii")
    kind, words = _VERDICTS.get(tile.verdict, ("none", tile.verdict))
    verdict = f'<span class="verdict {kind}">{escaped(words)}</span>' if words else ""
    group = escaped(tile.group)
    return (
        f'<li><img src="data:image/jpeg;base64,{data}" alt="Picture of {group}" decoding="async">'
        f'<p class="tile"><b>{group}</b><span class="score">{escaped(tile.score)}</span>{verdict}'
        f"<code>{escaped(tile.path)}</code></p></li>\n"
    )
