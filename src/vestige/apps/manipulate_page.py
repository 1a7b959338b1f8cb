"""Some pictures of a labelled set on one page, drawn by seed, to look at before anything learns from them."""

import os
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

import vestige
from vestige.data.draws import name_key
from vestige.data.labelled import Labelled
from vestige.data.manifest import Row
from vestige.errors import DataError, ImageError, VestigeError
from vestige.images import decode
from vestige.images.limits import PATIENT
from vestige.progress import Progress
from vestige.reports.overlay import thumbnail
from vestige.reports.text import visible

PAGE = "index.html"
SHOWN = 6  # of each kind
SIDE = 240  # of the small pictures, in pixels

LABELS = ("real", "generated")


def write(
    folder: Path, found: Sequence[Labelled], rows: Sequence[Row], seed: int, title: str, progress: Progress
) -> Path:
    """Write the page, whole or not at all.

    Args:
        folder: of the set; the page links to its files.
        found: all pictures of the set.
        rows: what the set was made of.
        seed: decides with the kind's name which pictures are shown.
        title: name of the manifest.
        progress: where it is shown.

    Returns:
        The HTML file.

    Raises:
        DataError: a picture or its record cannot be read.
    """
    shown = {
        kind: _drawn([one for one in found if one.kind == kind], seed)
        for kind in dict.fromkeys(one.kind for one in found)
    }
    cards: dict[str, list[str]] = {kind: [] for kind in shown}
    every = [one for some in shown.values() for one in some]
    for one in progress.track(every, "drawing the page"):
        cards[one.kind].append(_card(folder, one, rows))
    text = Template(_resource("vestige.apps", "manipulate_page.html")).substitute(
        version=escape(vestige.__version__),
        css=_resource("vestige.reports", "page", "page.css"),
        title=_shown(title),
        counts=f"{len(found)} manipulated pictures, {len(every)} of them shown",
        sections="".join(_section(kind, cards[kind], found) for kind in cards),
    )
    path = folder / PAGE
    partial = path.with_name(path.name + ".part")
    try:
        partial.write_bytes(text.encode("utf-8"))
        partial.replace(path)
    except OSError as error:
        raise VestigeError(f"cannot write {path}: {error.strerror or error}") from error
    return path


def words(how: Mapping[str, Any]) -> str:
    """What was drawn, in words: names and values, numbers to three digits."""
    return ", ".join(f"{name.replace('_', ' ')} {_value(value)}" for name, value in how.items())


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"({words(value)})"
    if isinstance(value, (list, tuple)):
        return " / ".join(map(_value, value)) or "none"
    if isinstance(value, float):
        return f"{value:.3g}"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _drawn(found: Sequence[Labelled], seed: int) -> list[Labelled]:
    rng = np.random.default_rng([seed, *name_key("page"), *name_key(found[0].kind)])
    return [found[index] for index in rng.permutation(len(found))[:SHOWN]]


def _section(kind: str, cards: Sequence[str], found: Sequence[Labelled]) -> str:
    count = sum(one.kind == kind for one in found)
    return (
        f'<section aria-labelledby="{_shown(kind)}">\n<h2 id="{_shown(kind)}">{_shown(kind)}</h2>\n'
        f'<p class="small">{len(cards)} of {count} pictures</p>\n{"".join(cards)}</section>\n'
    )


def _card(folder: Path, one: Labelled, rows: Sequence[Row]) -> str:
    record, host = one.record(), rows[one.host]
    left, top, width, height = record["crop"]
    before = _pixels(host.content(), host.name)[top : top + height, left : left + width]
    pictures = [
        (before, "before", None),
        (_pixels(one.picture, one.picture.name), "after", one.picture),
        (_mask(one.changed), f"changed: {_share(record['changed'])}", one.changed),
        (_mask(one.generated), f"generated: {_share(record['generated'])}", one.generated),
    ]
    told = [f"Host, {LABELS[host.label]}: {host.name} ({host.group})"]
    if one.donor is not None:
        donor = rows[one.donor]
        told.append(f"Donor, {LABELS[donor.label]}: {donor.name} ({donor.group})")
    told.append(f"Drawn: {words(record['how'])}" if record["how"] else "Nothing else was drawn")
    return (
        '<article class="row">\n<div class="four">\n'
        + "".join(_figure(folder, *picture) for picture in pictures)
        + "</div>\n"
        + f'<p class="what"><b class="{LABELS[one.label]}">label {one.label}, {LABELS[one.label]}</b>'
        + "".join(f"<span>{_shown(line)}</span>" for line in told)
        + "</p>\n</article>\n"
    )


def _figure(folder: Path, pixels: npt.NDArray[np.uint8], caption: str, file: Path | None) -> str:
    uri, width, height = thumbnail(pixels, SIDE)
    image = f'<img src="{uri}" width="{width}" height="{height}" alt="{_shown(caption)}">'
    if file is not None:
        link = escape(os.path.relpath(file, folder).replace(os.sep, "/"))
        image = f'<a href="{link}">{image}</a>'
    return f"<figure>{image}<figcaption>{_shown(caption)}</figcaption></figure>\n"


def _pixels(content: Path | bytes, name: str) -> npt.NDArray[np.uint8]:
    try:
        return decode(content, PATIENT).pixels
    except ImageError as error:
        raise DataError(f"{name}: {error.reason}") from error


def _mask(path: Path) -> npt.NDArray[np.uint8]:
    with Image.open(path) as mask:
        return np.asarray(mask.convert("RGB"))


def _share(share: float) -> str:
    return f"{100 * share:.1f} %"


def _shown(text: str) -> str:
    return escape(visible(text))


def _resource(package: str, *names: str) -> str:
    return resources.files(package).joinpath(*names).read_text(encoding="utf-8")
