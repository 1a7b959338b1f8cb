"""Sections -> one HTML file."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from string import Template

from vestige.errors import VestigeError
from vestige.evaluation.page.parts import Section, escaped, paragraph, section

BENCHMARK = "Vestige benchmark"
SCORES_ALONE = "Everything here was made from per-picture scores alone."


def write_page(
    path: Path,
    *,
    title: str,
    intro: Sequence[str],
    sections: Sequence[Section],
    versions: Mapping[str, str],
    kicker: str = BENCHMARK,
    closing: str = SCORES_ALONE,
) -> None:
    """Write the page, whole or not at all. It holds no date: the same input gives the same bytes.

    Args:
        path: the HTML file; its folder is made if missing.
        title: heading of the page.
        intro: paragraphs below it.
        sections: at least one; they make the table of contents.
        versions: of programs, models and data, shown at the end: name to version.
        kicker: above the title: what kind of page this is.
        closing: below the versions: what the page was made from, in whole sentences.

    Raises:
        VestigeError: the file cannot be written.
    """
    names = _names([one.heading for one in sections])
    script = _resource("page.js")
    values = {
        "policy": _policy(script),
        "title": escaped(title),
        "kicker": escaped(kicker),
        "closing": escaped(closing),
        "css": _resource("page.css"),
        "js": script,
        "intro": "".join(paragraph(text) for text in intro),
        "contents": "".join(
            f'<li><a href="#{name}">{escaped(one.heading)}</a></li>\n'
            for one, name in zip(sections, names, strict=True)
        ),
        "sections": "".join(section(one, name) for one, name in zip(sections, names, strict=True)),
        "versions": "".join(
            f"<div><dt>{escaped(name)}</dt><dd>{escaped(version)}</dd></div>\n"
            for name, version in versions.items()
        ),
    }
    text = Template(_resource("page.html")).substitute(values)
    partial = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(text.encode("utf-8"))
        partial.replace(path)
    except OSError as error:
        raise VestigeError(f"cannot write {path}: {error.strerror or error}") from error


def _names(headings: Sequence[str]) -> list[str]:
    """An id for each heading, unique, and stable as long as the heading is."""
    found: list[str] = []
    for heading in headings:
        stem = re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-") or "section"
        name, number = f"s-{stem}", 2
        while name in found:
            name, number = f"s-{stem}-{number}", number + 1
        found.append(name)
    return found


@cache
def _resource(name: str) -> str:
    text = resources.files("vestige.evaluation").joinpath("page").joinpath(name).read_text(encoding="utf-8")
    return text.replace("\r\n", "\n")  # browsers hash the script after this replacement


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
