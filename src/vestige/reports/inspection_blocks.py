"""Tables and lists of an inspection's page. Whatever comes from a file passes through `text`."""

from collections.abc import Iterator
from html import escape

from vestige.reports.inspection import GridAxis, InspectionReport, MetadataNode, SpectrumFigures
from vestige.reports.inspection_charts import lean, patch_chart, vote_chart
from vestige.reports.inspection_words import (
    axis_words,
    count_nodes,
    entry_words,
    grid_words,
    has_position,
    spectrum_words,
)
from vestige.reports.signature import ABOUT_PEAKS, SHOWN_PEAKS
from vestige.reports.text import visible
from vestige.reports.wording import size_words

LONG = 160  # characters from which on a value folds away


def text(words: str) -> str:
    """Text for HTML, with nothing hidden in it."""
    return escape(visible(words), quote=True)


def rules(pairs: tuple[tuple[str, str], ...]) -> str:
    """Pairs of a leading sentence and the rest as paragraphs."""
    return "".join(f"<p><strong>{text(lead)}</strong> {text(rest)}</p>" for lead, rest in pairs)


def patches_block(report: InspectionReport, preview: str, name: str) -> str:
    """The picture with the patches on it, and their table."""
    evidence = report.report.evidence
    if evidence is None or not report.patches:
        return "<p>No patch was scored.</p>"
    if evidence.looked_at == "file":
        return "<p>This model looks at the file only: there are no patches to show.</p>"
    facts = report.facts
    chart = patch_chart(preview, (facts.width, facts.height), report.patches, evidence.thresholds, name)
    rows = "".join(
        f"<tr><td>{number}</td><td>{patch.x}</td><td>{patch.y}</td><td>{patch.width} × {patch.height}</td>"
        f'<td>{patch.logit:+.3f}</td><td class="{lean(patch.probability, evidence.thresholds)} tone">'
        f"{100 * patch.probability:.1f} %</td></tr>"
        for number, patch in enumerate(report.patches, 1)
    ).replace("<td>-", "<td>−")
    return (
        f'<div class="pair"><figure>{chart}<figcaption>Where the model looked, each with the probability of '
        "being generated</figcaption></figure><div>"
        + wide(
            "<thead><tr><th>patch</th><th>x</th><th>y</th><th>size</th><th>logit</th><th>probability</th>"
            f"</tr></thead><tbody>{rows}</tbody>",
            "Patches",
        )
        + f'<p class="small">Pooled: logit {evidence.logit:+.3f}, probability {evidence.probability:.4f}; '
        f"band {evidence.thresholds[0]:.4f} to {evidence.thresholds[1]:.4f}; spread {evidence.spread:.2f}."
        "</p></div></div>"
    )


def wide(rows: str, label: str, kind: str = "") -> str:
    """A table in a box that scrolls by itself on a narrow screen, with the keyboard too."""
    table = f'<table class="{kind}">' if kind else "<table>"
    box = f'<div class="wide" role="group" tabindex="0" aria-label="{escape(label)}">'
    return f"{box}{table}{rows}</table></div>"


def peak_block(spectrum: SpectrumFigures) -> str:
    """What stands out of a spectrum, as a sentence and a table."""
    words = f'<p class="found">{text(spectrum_words(spectrum))}</p>'
    if not spectrum.peaks:
        return words
    rows = "".join(
        f"<tr><td>{peak.x:.3f}</td><td>{peak.y:.3f}</td><td>{peak.decibel:.1f} dB</td>"
        f"<td>{f'of {peak.lies_at}' if peak.lies_at else 'none of 1/8'}</td></tr>"
        for peak in spectrum.peaks[:SHOWN_PEAKS]
    ).replace("<td>-", "<td>−")
    table = wide(
        "<thead><tr><th>across</th><th>down</th><th>above its surroundings</th><th>multiple</th></tr></thead>"
        f"<tbody>{rows}</tbody>",
        "Peaks of the spectrum",
    )
    return f'{words}{table}<p class="small">{text(ABOUT_PEAKS)}</p>'


def grid_block(report: InspectionReport) -> str:
    """The block grid: what it means, a chart for each axis, and the strengths."""
    grid = report.grid
    parts = [f'<p class="finding">{text(grid_words(report))}</p><div class="pair">']
    for axis, what in ((grid.across, "columns"), (grid.down, "rows")):
        alternative = f"Strips by the phase of their strongest step between {what}: " + ", ".join(
            f"phase {phase}: {votes}" for phase, votes in enumerate(axis.votes)
        )
        parts.append(
            f"<figure>{vote_chart(axis, alternative)}<figcaption>{text(axis_words(axis, what))}</figcaption>"
            "</figure>"
        )
    head = "".join(f"<th>{phase}</th>" for phase in range(8))
    rows = f"{_strengths(grid.across, 'columns')}{_strengths(grid.down, 'rows')}"
    table = (
        "<caption>Mean step across a boundary beyond the slopes beside it, in grey levels, by phase: phase k "
        f"lies before pixels k, k + 8, k + 16, …</caption><thead><tr><th>phase</th>{head}</tr></thead>"
        f"<tbody>{rows}</tbody>"
    )
    parts.append(f"</div>{wide(table, 'Strength of the grid by phase')}")
    return "".join(parts)


def _strengths(axis: GridAxis, what: str) -> str:
    cells = "".join(
        f"<td{' class=chosen' if axis.found and phase == axis.phase else ''}>"
        f"{'–' if strength is None else f'{strength:.3f}'}</td>"
        for phase, strength in enumerate(axis.strengths)
    )
    return f"<tr><th>between {what}</th>{cells}</tr>"


def jpeg_block(report: InspectionReport) -> str:
    """How the file was compressed as JPEG, if it is one."""
    jpeg = report.facts.jpeg
    if jpeg is None:
        return f"<p>The file is no JPEG but {text(report.facts.format)}.</p>"
    quality = (
        "no standard table is near: tables of the encoder's own"
        if jpeg.quality is None
        else f"about {jpeg.quality} (standard tables)"
    )
    rows = (
        ("Quality", quality),
        ("Chroma subsampling", jpeg.subsampling),
        ("Order", "progressive" if jpeg.progressive else "baseline"),
    )
    uses = (", brightness as a rule", ", colour as a rule", "", "")  # a file has at most four
    tables = "".join(
        wide(f"<caption>Table {number}{use}</caption>{_steps(table)}", f"Table {number}", "steps")
        for (number, table), use in zip(enumerate(jpeg.quantisation), uses, strict=False)
    )
    return f'<dl class="numbers">{_terms(rows)}</dl><div class="tables">{tables}</div>'


def _steps(table: list[int]) -> str:
    rows = (table[start : start + 8] for start in range(0, len(table), 8))
    return "".join("<tr>" + "".join(f"<td>{step}</td>" for step in row) + "</tr>" for row in rows)


def facts_block(report: InspectionReport) -> str:
    """The file as measured: size, hashes, conversions."""
    facts = report.facts
    rows = [
        ("Path", report.report.path),
        ("Format", f"{facts.format}, colour mode {facts.mode}"),
        ("Size", f"{facts.width} × {facts.height} pixels, {size_words(facts.bytes)}"),
        ("Frames", "1" if facts.frames == 1 else f"{facts.frames}, only the first was looked at"),
        ("Converted", "; ".join(facts.conversions) or "nothing had to be converted"),
        *report.hashes.items(),
    ]
    return f'<dl class="numbers">{_terms(rows)}</dl>'


def credits_block(report: InspectionReport) -> str:
    """What made these numbers."""
    rows = [("Detector", report.report.model)]
    if report.signature is not None:
        rows.append(("Extractor", report.signature.model))
    rows += report.report.versions.items()
    return f'<dl class="numbers">{_terms(rows)}</dl>'


def _terms(rows: "list[tuple[str, str]] | tuple[tuple[str, str], ...]") -> str:
    return "".join(f"<div><dt>{text(term)}</dt><dd>{text(value)}</dd></div>" for term, value in rows)


def metadata_block(report: InspectionReport) -> str:
    """All metadata as nested lists, one fold per block of the file."""
    if not report.metadata:
        return "<p>None were found. That proves nothing: most sites remove them.</p>"
    place = (
        '<p class="notice">The metadata say where the picture was taken, and so does this page. Think before '
        "you pass it on.</p>"
        if has_position(report.metadata)
        else ""
    )
    return place + "".join(
        f'<details class="block" open><summary>{text(block.name)} '
        f'<span class="brief">{entry_words(count_nodes([block]))}</span></summary>'
        f"{_value(block)}{_list(block.children)}</details>"
        for block in report.metadata
    )


def _list(nodes: list[MetadataNode]) -> str:
    return f'<ul class="tree">{"".join(_items(nodes))}</ul>' if nodes else ""


def _items(nodes: list[MetadataNode]) -> Iterator[str]:
    for node in nodes:
        yield f'<li><span class="key">{text(node.name)}</span>{_value(node)}{_list(node.children)}</li>'


def _value(node: MetadataNode) -> str:
    value = node.value
    if not value:
        return ""
    if len(value) <= LONG and "\n" not in value:
        return f' <span class="val">{text(value)}</span>'
    shown = escape(visible(value, keep="\n\t"), quote=True)
    return f"<details><summary>text of {len(value):,} characters</summary><pre>{shown}</pre></details>"
