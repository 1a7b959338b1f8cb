"""One self-contained page per run: opens from disk, asks the network for nothing, fits a case file."""

import base64
import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timezone
from functools import cache
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import vestige
from vestige.errors import ConfigError, VestigeError
from vestige.images.picture import Picture
from vestige.reports.html_card import card, icon
from vestige.reports.output import Output, resume_json_lines
from vestige.reports.records import json_line
from vestige.reports.sinks import BaseSink
from vestige.reports.text import visible
from vestige.reports.wording import HOW_TO_READ, KINDS, SCORE_IS_NO_PROOF, TITLES, kind_of
from vestige.results import ImageReport

_OURS = b'<meta name="generator" content="Vestige '


class HtmlSink(BaseSink):
    """`folder/index.html`, made of one card per picture.

    Each card is written to `folder/.parts/` at once, with a line in `folder/.parts/index.jsonl`, and `close`
    puts the page together: memory stays flat, a kill loses at most one card, and a run can be resumed at any
    time. `.parts` stays for that; it may be deleted when nothing is to be added. An existing page stays as it
    is until `close` replaces it.

    Args:
        folder: made if missing.
        resume: keep the cards of an earlier run.
        model: see `BaseSink`.

    Raises:
        ConfigError: if the folder cannot be used, or holds an index.html that Vestige did not write.
    """

    def __init__(
        self, folder: str | os.PathLike[str], *, resume: bool = False, model: str | None = None
    ) -> None:
        self._page = Path(folder) / "index.html"
        self._parts = Path(folder) / ".parts"
        super().__init__(str(folder), model)
        self._counts: Counter[str] = Counter()
        self._models: dict[str, None] = {}
        self._versions: dict[str, str] = {}
        _refuse_foreign(self._page)
        try:
            self._parts.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"cannot write {folder}: {error.strerror or error}") from error
        self._index = Output(self._parts / "index.jsonl", resume)
        resume_json_lines(self._index, self._note)

    def _note(self, entry: dict[str, Any]) -> None:
        if self._part(self._total + 1).is_file():
            self._found(entry["path"], entry["model"])
            self._count(entry)
        else:
            raise ConfigError(f"cannot resume {self._name}: {self._part(self._total + 1)} is missing")

    def _count(self, entry: dict[str, Any]) -> None:
        self._counts[entry["kind"]] += 1
        self._models[entry["model"]] = None
        self._versions.update(entry["versions"])

    @property
    def _total(self) -> int:
        return self._counts.total()

    def _part(self, number: int) -> Path:
        return self._parts / f"{number:06d}.html"

    def _append(self, report: ImageReport, picture: Picture | None) -> None:
        number = self._total + 1
        entry = {
            "path": report.path,
            "kind": kind_of(report),
            "model": report.model,
            "versions": report.versions,
        }
        try:
            self._part(number).write_text(card(report, picture, number), encoding="utf-8", newline="\n")
        except OSError as error:
            raise VestigeError(f"cannot write {self._part(number)}: {error.strerror or error}") from error
        self._index.write(json_line(entry) + "\n")  # only now does the card count
        self._count(entry)

    def _finish(self, interrupted: bool) -> None:
        self._index.close()
        draft = self._page.with_name(f"index.html.{os.getpid()}.tmp")
        head, tail = self._frame(interrupted)
        try:
            with open(draft, "w", encoding="utf-8", newline="\n") as page:
                page.write(head)
                for number in range(1, self._total + 1):
                    with open(self._part(number), encoding="utf-8", newline="") as part:
                        shutil.copyfileobj(part, page)
                page.write(tail)
            os.replace(draft, self._page)
        except OSError as error:
            raise VestigeError(f"cannot write {self._page}: {error.strerror or error}") from error
        finally:
            draft.unlink(missing_ok=True)

    def _frame(self, interrupted: bool) -> tuple[str, str]:
        """The page before and after its cards."""
        total, unread = self._total, self._counts["unreadable"]
        heading = f"{total} picture{'' if total == 1 else 's'} examined"
        if unread:
            heading += f", {total - unread} judged"
        notice = "This run was stopped early: the list is not complete. Resume it to add the rest."
        script = _resource("page.js")
        values = {
            "policy": _policy(script),
            "version": vestige.__version__,
            "title": f"Vestige report: {heading}",
            "css": _resource("page.css"),
            "js": script,
            "heading": heading,
            "notice": f'<p class="notice">{notice}</p>' if interrupted else "",
            "bar": "".join(
                f'<span class="{kind}" style="flex:{self._counts[kind]}"></span>'
                for kind in KINDS
                if self._counts[kind]
            ),
            "counts": "".join(
                f'<li class="{kind}">{icon(kind)}<b>{self._counts[kind]}</b> {TITLES[kind].lower()}</li>'
                for kind in KINDS
                if self._counts[kind] or kind not in ("partly", "unreadable")
            ),
            "run": "".join(f"<div><dt>{term}</dt><dd>{value}</dd></div>" for term, value in self._run()),
            "rules": "".join(
                f"<p><strong>{escape(lead)}</strong> {escape(rest)}</p>" for lead, rest in HOW_TO_READ
            ),
            "filters": "".join(self._filters()),
            "proof": escape(SCORE_IS_NO_PROOF),
            "made": "This page is one file. It loads nothing from the network and sends nothing.",
        }
        head, tail = (Template(half).substitute(values) for half in _resource("page.html").split("$cards\n"))
        return head, tail

    def _run(self) -> Iterator[tuple[str, str]]:
        # The moment of writing; a resumed run has several moments of scanning.
        now = datetime.now(timezone.utc)
        yield "Model", escape(visible(", ".join(self._models) or "none used"))
        yield (
            "Written",
            f'<time datetime="{now:%Y-%m-%dT%H:%M:%SZ}">{now.day} {now:%B %Y, %H:%M} UTC</time>',
        )
        yield "Vestige", vestige.__version__
        for name, version in self._versions.items():
            if name != "vestige":
                yield escape(visible(name)), escape(visible(version))

    def _filters(self) -> Iterator[str]:
        yield f'<button type="button" value="all" aria-pressed="true">All {self._total}</button>'
        for kind in KINDS:
            if self._counts[kind]:
                yield (
                    f'<button type="button" class="{kind}" value="{kind}" aria-pressed="false">{icon(kind)}'
                    f"{TITLES[kind]} {self._counts[kind]}</button>"
                )


@cache
def _resource(name: str) -> str:
    text = resources.files("vestige.reports").joinpath("page").joinpath(name).read_text(encoding="utf-8")
    return text.replace("\r\n", "\n")  # browsers hash the script after this replacement


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def _refuse_foreign(page: Path) -> None:
    """A folder given by mistake may hold a web site; its index page is not ours to overwrite."""
    try:
        with open(page, "rb") as file:
            ours = _OURS in file.read(4096)
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError(f"cannot write {page}: {error.strerror or error}") from error
    if not ours:
        raise ConfigError(f"{page} was not written by Vestige and is left alone; choose another folder")
