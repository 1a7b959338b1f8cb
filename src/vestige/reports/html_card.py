"""One report as one card of the HTML page. Whatever comes from a file passes through `_text` or `_block`."""

from html import escape
from math import isfinite

from vestige.images.picture import Picture
from vestige.reports.html_evidence import credentials_block, evidence_block
from vestige.reports.overlay import overlay, thumbnail
from vestige.reports.text import shorten, visible
from vestige.reports.wording import (
    TITLES,
    Kind,
    deviation_words,
    does_not_mean,
    kind_of,
    parts_words,
    percents,
    sentence,
    size_words,
    spread_words,
    tension,
    trust_words,
    where_words,
)
from vestige.results import Claim, Evidence, Facts, HeatMap, ImageReport

_INLINE_LIMIT = 90  # longer values fold away
_VALUE_LIMIT = 20_000
_LINE_LIMIT = 2_000

_POINTS_TO = {
    "generated": "If true: generated",
    "camera": "If true: made with a camera",
    "edited": "If true: edited",
}
_ORIGINS = {
    "patches": "Made of the scores of patches: each patch got one for all of it, so the map is coarse and "
    "outlines nothing.",
    "model": "The model's own map: it judged place by place. Smoothed, so its edges are rough.",
}


def card(report: ImageReport, picture: Picture | None, number: int) -> str:
    """The card of one picture.

    Args:
        report: what was found.
        picture: pixels for the preview; without them the card has none.
        number: position in the run, from 1; used for ids and for sorting back.
    """
    kind = kind_of(report)
    label = f"p{number:06d}"
    known = report.evidence is not None and isfinite(report.evidence.probability)
    probability = f"{report.probability:.6f}" if known else ""
    parts = [
        f'<article class="card {kind}" id="{label}" data-kind="{kind}" data-order="{number}" '
        f'data-probability="{probability}"{_lean(report, kind)} '
        f'aria-labelledby="{label}-name">',
        _head(report, kind, label),
    ]
    if kind == "unreadable":
        parts.append(f'<p class="sentence">{_text(sentence(report))}</p>')
        if report.error:
            parts.append(f'<p class="small">Code: <code>{_text(report.error.code)}</code></p>')
    else:
        parts.append(f'<div class="columns">{_figure(report, picture, label)}<div class="findings">')
        if report.evidence:
            parts.append(_pixels(report, report.evidence, kind))
        parts.append(evidence_block(report))
        if report.credentials:
            parts.append(credentials_block(report.credentials))
        parts.append(_claims(report))
        parts.append("</div></div>")
    if kind == "unreadable" and report.claims:
        parts.append(_claims(report))
    parts.append('<div class="folds">')
    if report.facts:
        parts.append(_facts(report.facts))
    meaning = "".join(f"<li>{_text(line)}</li>" for line in does_not_mean(kind))
    parts.append(f"<details><summary>What this verdict does not mean</summary><ul>{meaning}</ul></details>")
    parts.append("</div></article>\n")
    return "\n".join(parts)


def icon(kind: Kind) -> str:
    """The symbol of an outcome; the words always stand beside it, so it is hidden from screen readers."""
    return f'<svg class="icon" aria-hidden="true" focusable="false"><use href="#icon-{kind}"></use></svg>'


def _lean(report: ImageReport, kind: Kind) -> str:
    """For sorting: a partly generated picture stands with the generated ones, whatever its probability."""
    if kind != "partly" or report.evidence is None:
        return ""
    evidence = report.evidence
    values = [value for value in (evidence.probability, evidence.thresholds[1]) if isfinite(value)]
    return f' data-lean="{max(values, default=1.0):.6f}"'


def _head(report: ImageReport, kind: Kind, label: str) -> str:
    path = visible(report.path)
    cut = max(path.rfind("/"), path.rfind("\\")) + 1
    folder = f'<span class="folder">{_text(path[:cut])}</span>' if cut else ""
    return (
        f'<header><h3 id="{label}-name"><bdi>{folder}{_text(path[cut:])}</bdi></h3>'
        f'<p class="verdict">{icon(kind)}{_text(TITLES[kind])}</p></header>'
    )


def _figure(report: ImageReport, picture: Picture | None, label: str) -> str:
    name = visible(report.path).replace("\\", "/").rsplit("/", 1)[-1]
    if picture is not None:
        source, width, height = thumbnail(picture.pixels)
        base = (
            f'<img class="preview" src="{source}" width="{width}" height="{height}" decoding="async" '
            f'alt="Preview of {_text(name)}">'
        )
    else:
        width, height = (report.facts.width, report.facts.height) if report.facts else (4, 3)
        base = '<span class="blank">No preview was kept</span>'
    heat_map = report.evidence.heat_map if report.evidence else None
    layer = overlay(heat_map, width, height) if heat_map else None
    if layer is None or heat_map is None:
        return f'<figure><div class="stack" style="aspect-ratio:{width}/{height}">{base}</div></figure>'
    image = (
        f'<img class="heat" src="{layer}" alt="Heat map. {_text(where_words(heat_map))}" decoding="async">'
    )
    return (
        f'<figure><div class="stack" style="aspect-ratio:{width}/{height}">{base}{image}</div>'
        f"<figcaption>{_legend(heat_map, label)}</figcaption></figure>"
    )


def _legend(heat_map: HeatMap, label: str) -> str:
    return (
        f'<p class="slider" hidden><label for="{label}-heat">Heat map</label>'
        f'<input type="range" id="{label}-heat" min="0" max="100" value="40"></p>'
        '<p class="legend"><span>leans real</span><span class="ramp"></span><span>leans generated</span></p>'
        f'<p class="small">Clear where it leans to neither. {_text(_ORIGINS[heat_map.origin])} '
        f"{_text(where_words(heat_map))}</p>"
    )


def _pixels(report: ImageReport, evidence: Evidence, kind: Kind) -> str:
    reasons = "".join(f"<li>{_text(shorten(reason, _LINE_LIMIT))}</li>" for reason in evidence.reasons)
    deviation, share = evidence.deviation, evidence.generated_share
    what = "pixels say" if evidence.looked_at == "pixels" else "file looks like"
    return (
        f'<section class="pixels"><h4>What the {what}</h4>'
        f"{_scale(evidence, kind)}"
        f'<p class="sentence">{_text(sentence(report))}</p>'
        + (f'<ul class="reasons">{reasons}</ul>' if reasons else "")
        + f'<p class="small">Agreement: {_text(spread_words(evidence))}.</p>'
        + (
            # A partial verdict has it among its reasons.
            f'<p class="small">Parts: {_text(parts_words(share))}.</p>'
            if share is not None and kind != "partly"
            else ""
        )
        + (
            f'<p class="small">Deviation: {_text(deviation_words(deviation))}.</p>'
            if deviation is not None
            else ""
        )
        + "</section>"
    )


def _scale(evidence: Evidence, kind: Kind) -> str:
    of_what = "that the picture as a whole is generated" if kind == "partly" else "of being generated"
    low, probability, high = (_text(words) for words in percents(evidence))
    ends = [100 * min(max(value, 0.0), 1.0) for value in evidence.thresholds]
    place = 100 * min(max(evidence.probability, 0.0), 1.0)
    marker = f'<span class="marker" style="left:{place:.2f}%"></span>' if isfinite(place) else ""
    spoken = f"{probability} on a scale from 0 to 100%; inconclusive between {low} and {high}"
    return (
        f'<p class="number"><strong>{probability}</strong> calibrated probability {of_what}</p>'
        f'<div class="scale" role="img" aria-label="{spoken}">'
        f'<span class="zone zone-real" style="width:{ends[0]:.2f}%"></span>'
        f'<span class="zone zone-unsure" style="width:{ends[1] - ends[0]:.2f}%"></span>'
        '<span class="zone zone-generated"></span>'
        f"{marker}</div>"
        f'<p class="limits" aria-hidden="true"><span>real up to {low}</span><span>inconclusive</span>'
        f"<span>generated from {high}</span></p>"
    )


def _claims(report: ImageReport) -> str:
    note = tension(report) if report.agreement is None else None  # else it stands with the lines of evidence
    signed = any(claim.trust != "unsigned" for claim in report.claims)
    unsigned = "what is not signed" if signed else "this"
    body = "".join(_claim(claim) for claim in report.claims)
    if not body:
        body = '<p class="small">Nothing was found. That proves nothing: most sites remove such data.</p>'
    else:
        body = f"<ul>{body}</ul>"
    return (
        '<section class="claims"><h4>What the file says of itself</h4>'
        f'<p class="small">Anyone can write or remove {unsigned}. It does not change the verdict on the '
        "pixels.</p>" + (f'<p class="tension">{_text(note)}</p>' if note else "") + f"{body}</section>"
    )


def _claim(claim: Claim) -> str:
    statement = shorten(claim.statement, _LINE_LIMIT)
    value = claim.value.strip()
    if not value or value in statement:
        shown = ""
    elif len(value) <= _INLINE_LIMIT and "\n" not in value:
        shown = f'<code class="value">{_text(value)}</code>'
    else:
        shown = (
            f"<details><summary>Text as found ({len(value)} characters)</summary>"
            f"<pre>{_block(shorten(value, _VALUE_LIMIT))}</pre></details>"
        )
    points = f'<strong class="points">{_POINTS_TO[claim.points_to]}</strong>, ' if claim.points_to else ""
    return (
        f'<li><span class="origin">{_text(claim.origin)}</span> <span>{_text(statement)}</span>{shown}'
        f'<p class="trust">{points}{_text(trust_words(claim))}</p></li>'
    )


def _facts(facts: Facts) -> str:
    present = {
        "EXIF": facts.has_exif,
        "XMP": facts.has_xmp,
        "IPTC": facts.has_iptc,
        "colour profile": facts.has_icc,
        "C2PA content credentials": facts.has_c2pa,
    }
    rows = [
        ("Format", f"{facts.format}, {facts.mode}"),
        ("Size", f"{facts.width} × {facts.height} pixels, {size_words(facts.bytes)}"),
    ]
    if facts.jpeg:
        quality = "no standard table near" if facts.jpeg.quality is None else f"about {facts.jpeg.quality}"
        order = "progressive" if facts.jpeg.progressive else "baseline"
        rows.append(("JPEG quality", f"{quality}, {facts.jpeg.subsampling}, {order}"))
    if facts.frames > 1:
        rows.append(("Frames", f"{facts.frames}, only the first was judged"))
    rows.append(("Metadata", ", ".join(name for name, has in present.items() if has) or "none found"))
    rows.append(("Converted", "; ".join(facts.conversions) or "nothing had to be converted"))
    if facts.sha256:
        rows.append(("SHA-256", facts.sha256))
    brief = f"{facts.format}, {facts.width} × {facts.height}, {size_words(facts.bytes)}"
    lines = "".join(
        f"<div{wide}><dt>{term}</dt><dd>{_text(value)}</dd></div>"
        for term, value in rows
        for wide in (' class="wide"' if term in ("Converted", "SHA-256") else "",)
    )
    return (
        f'<details><summary>The file as measured <span class="brief">{_text(brief)}</span></summary>'
        f"<dl>{lines}</dl></details>"
    )


def _text(text: str) -> str:
    return escape(visible(text), quote=True)


def _block(text: str) -> str:
    return escape(visible(text.replace("\r\n", "\n"), keep="\n\t"), quote=True)
