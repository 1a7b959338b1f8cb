"""Evidence side by side and content credentials, as parts of a card. All that a file says passes `_text`."""

import re
from collections.abc import Iterator
from html import escape

from vestige.reports.text import shorten, visible
from vestige.reports.wording import credentials_words, signer_words, trust_words
from vestige.results import (
    CredentialAction,
    CredentialIngredient,
    Credentials,
    EvidenceLine,
    ImageReport,
)

_LINE_LIMIT = 2_000
_POINTS_TO = {
    "generated": "Points to: generated",
    "camera": "Points to: a camera",
    "edited": "Points to: edited",
    "real": "Points to: real",
    None: "Points neither way",
}
_RELATIONS = {"parentOf": "made from", "componentOf": "includes", "inputTo": "used by a step"}
_STATES = {
    "trusted": "its credentials hold, signer on the trust list",
    "valid": "its credentials hold, signer not on the trust list",
    "invalid": "its credentials do not hold",
    "unsigned": "without credentials",
    "unchecked": "its credentials were not checked",
}
# A report may come back from a file that anyone wrote: nothing else is put into an address.
_PICTURE = re.compile(r"data:image/jpeg;base64,[A-Za-z0-9+/]+={0,2}")


def evidence_block(report: ImageReport) -> str:
    """Lines of evidence side by side, and whether they agree; empty for a report that has none."""
    if not report.lines and report.agreement is None:
        return ""
    lines = "".join(_line(line) for line in report.lines)
    state = report.agreement.state if report.agreement else "nothing"
    sentence = report.agreement.sentence if report.agreement else ""
    return (
        f'<section class="side-by-side {state}"><h4>Evidence side by side</h4><ul>{lines}</ul>'
        f'<p class="agreement">{_text(sentence)}</p></section>'
    )


def _line(line: EvidenceLine) -> str:
    return (
        f'<li><span class="origin">{_text(line.origin)}</span> {_text(line.says)}'
        f'<p class="trust"><strong class="points">{_POINTS_TO[line.points_to]}</strong>, '
        f"{_text(trust_words(line))}</p></li>"
    )


def credentials_block(credentials: Credentials) -> str:
    """What a manifest store says and what checking it gave."""
    rows = "".join(f"<div><dt>{term}</dt><dd>{_text(value)}</dd></div>" for term, value in _rows(credentials))
    problems = "".join(f"<li>{_text(problem)}</li>" for problem in credentials.problems)
    return (
        f'<section class="credentials {credentials.state}"><h4>Content credentials (C2PA)</h4>'
        f"{_thumbnail(credentials.thumbnail)}"
        f'<p class="state">{_text(credentials_words(credentials))}</p>'
        + (f'<ul class="problems">{problems}</ul>' if problems else "")
        + (f"<dl>{rows}</dl>" if rows else "")
        + _fold("Steps", len(credentials.actions), "".join(map(_action, credentials.actions)))
        + _fold(
            "Ingredients", len(credentials.ingredients), "".join(map(_ingredient, credentials.ingredients))
        )
        + "</section>"
    )


def _rows(credentials: Credentials) -> Iterator[tuple[str, str]]:
    if signer := signer_words(credentials):
        yield "Signer" if credentials.state == "trusted" else "Signer, as the file says", signer
    if credentials.state in ("trusted", "valid"):
        yield "Time stamp", credentials.signed_at or "none"
    for term, value in (
        ("Written by", credentials.claim_generator),
        ("Title", credentials.title),
        ("Source types", ", ".join(credentials.source_types)),
        ("Manifest elsewhere, not fetched", credentials.remote or ""),
        ("Trust list", credentials.trust_list),
    ):
        if value:
            yield term, value


def _thumbnail(source: str | None) -> str:
    if source is None or not _PICTURE.fullmatch(source):
        return ""
    return (
        f'<img class="manifest-preview" src="{source}" alt="Preview kept in the manifest" decoding="async">'
    )


def _fold(name: str, count: int, items: str) -> str:
    return f"<details><summary>{name} ({count})</summary><ol>{items}</ol></details>" if count else ""


def _action(action: CredentialAction) -> str:
    rest = (action.software, action.source_type, action.when, action.description)
    return f"<li><code>{_text(action.action)}</code> {_text(', '.join(filter(None, rest)))}</li>"


def _ingredient(ingredient: CredentialIngredient) -> str:
    relation = _RELATIONS.get(ingredient.relationship, ingredient.relationship)
    rest = (
        ingredient.format,
        _STATES[ingredient.state],
        f"written by {ingredient.claim_generator}" if ingredient.claim_generator else "",
        ", ".join(ingredient.source_types),
    )
    title = ingredient.title or "a picture without a name"
    return f"<li>{_text(relation)} <bdi>{_text(title)}</bdi>: {_text('; '.join(filter(None, rest)))}</li>"


def _text(text: str) -> str:
    return escape(visible(shorten(text, _LINE_LIMIT)), quote=True)
