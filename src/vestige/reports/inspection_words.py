"""What is said of an inspection: sentences for numbers, a summary for a terminal, and caveats."""

import math
from collections.abc import Iterator
from pathlib import Path

from vestige.reports.inspection import GridAxis, InspectionReport, MetadataNode, SpectrumFigures
from vestige.reports.signature import PAGE, SHOWN_PEAKS, cause_words
from vestige.reports.text import visible
from vestige.reports.wording import TITLES, kind_of, percents

HOW_TO_READ: tuple[tuple[str, str], ...] = (
    (
        "Only the first block is a verdict.",
        "All others are measurements. They did not enter the verdict, and none of them is a proof.",
    ),
    (
        "Expect ordinary causes first.",
        "Edges, text, sky, grain, sharpening, scaling, screenshots and repeated compression explain nearly "
        "everything that can be seen here.",
    ),
    (
        "Look for what agrees.",
        "One odd measurement means little. Several that point to the same place, and fit what is known of "
        "the picture's history, are a reason to ask further.",
    ),
    (
        "Use the earliest copy.",
        "Each step that a picture takes through a site or a messenger wipes traces out and leaves its own.",
    ),
    (
        "Pictures here are aids for the eye.",
        "Large ones are drawn scaled down. Numbers were measured at native resolution.",
    ),
    (
        "Absence proves nothing.",
        "No peak, no grid and no metadata are what most pictures on the web have, real and generated alike.",
    ),
)

CAVEATS: dict[str, str] = {
    "patches": "A patch's number says what the model would say of a picture that is this patch alone. Single "
    "patches are wrong more often than the whole, and their borders outline nothing.",
    "signature": "The network draws a signature for every picture, real ones too. A strong one is not a "
    "suspicious one: grain, foliage and text make it strong, blur and sky make it weak.",
    "residual": "Every picture has grain or texture that such a filter leaves. Its strength depends on the "
    "camera, on sharpening and on compression far more than on who or what made the picture. The dark cross "
    "and the dark arcs of its spectrum are the filter's own.",
    "spectrum": "The spectrum of a picture is first of all that of what it shows: straight outlines become "
    "rays, regular things become points. The exponent differs widely among real photographs.",
    "grid": "A grid tells of a JPEG compression in the past, not of a forgery and not of a generator. "
    "Decoders that work on cells of 8 pixels can leave one too. Scaling, blur or a very high JPEG quality "
    "leave none.",
    "ela": "It shows mostly edges and contrast, which change most when compressed, in every picture. It is "
    "no evidence by itself, and means nothing for screenshots, PNG files, scaled pictures and pictures that "
    "were saved many times. Bright places are not edited places.",
    "jpeg": "The tables hint at the program or camera that saved the file last. The quality is that of the "
    "nearest standard tables.",
    "metadata": "Anyone can write, copy or remove all of this. It is shown as found and was not checked.",
}


def spectrum_words(spectrum: SpectrumFigures) -> str:
    """What of a spectrum stands out, in one sentence that may end in a colon."""
    bar = f"{spectrum.chance:.1f} dB, which noise alone reaches in one of a hundred pictures at most"
    count = len(spectrum.peaks)
    if not count:
        return f"No frequency stands out from its surroundings by {bar}."
    words = "1 frequency stands out from its" if count == 1 else f"{count} frequencies stand out from their"
    more = f"; the strongest {SHOWN_PEAKS}:" if count > SHOWN_PEAKS else ":"
    return f"{words} surroundings by more than {bar}{more}"


def window_words(report: InspectionReport) -> str:
    """Of which pixels signature, residual, spectra and ELA are."""
    window = report.window
    if window.whole:
        return "Measured on the whole picture at native resolution."
    return (
        f"The picture is large: measured at native resolution on its middle, {window.width} × "
        f"{window.height} pixels from ({window.x}, {window.y}) on. Verdict and block grid are of "
        "the whole picture."
    )


def axis_words(axis: GridAxis, what: str) -> str:
    """What was found along one axis; `what` are its boundaries, such as "columns"."""
    if not axis.strips:
        return f"Between {what} nothing could be measured: too few pixels, or all alike."
    by_chance = f"by chance, {axis.strips / 8:.1f} would"
    votes = (
        f"{axis.votes[axis.phase]} of {axis.strips} strips have their strongest step at phase {axis.phase}"
    )
    if axis.found:
        return (
            f"Between {what}: {votes}; {by_chance}, and so many agree by chance in "
            f"{_odds(axis.log10_chance)}. The step there is {axis.contrast:.2f} times the mean of the other "
            "phases."
        )
    return f"Between {what}: no grid. At most {votes}; {by_chance}, and so few agree by chance easily."


def _odds(log10: float) -> str:
    if log10 > -3:
        return "less than one of a hundred pictures"
    return f"one of 10^{math.floor(-log10)} pictures"


def grid_words(report: InspectionReport) -> str:
    """What the grid means, if there is one."""
    grid, facts = report.grid, report.facts
    own_phase = facts.format == "JPEG"
    if not grid.across.found and not grid.down.found:
        own = ", although the file is a JPEG: its compression was too gentle to show" if own_phase else ""
        return f"No grid of 8 × 8 blocks was found{own}. That does not mean that there never was one."
    if not (grid.across.found and grid.down.found):
        axis, where = (grid.across, "columns") if grid.across.found else (grid.down, "rows")
        own = ", where the file's own compression puts it" if own_phase and axis.phase == 0 else ""
        return (
            f"A grid shows between {where} only, at phase {axis.phase}{own}. Half a grid is weak evidence: "
            "regular things in the picture and scaling along one axis can do the same."
        )
    x, y = grid.across.phase, grid.down.phase
    found = f"The picture shows the grid of a JPEG compression at ({x}, {y})"
    if (x, y) == (0, 0):
        if own_phase:
            return f"{found}, which is where the file's own compression puts it."
        return (
            f"{found}, although the file is {facts.format}: it seems to have been a JPEG before, and what "
            "was cropped at its left and top since, if anything, were multiples of 8 pixels."
        )
    turned = ""
    if any(note.startswith("Turned upright") for note in facts.conversions):
        turned = (
            " The picture was turned upright when it was read, which alone moves the grid where a side is no "
            "multiple of 8."
        )
    return (
        f"{found} and not at (0, 0): it seems to have been cropped after that compression, by {(8 - x) % 8} "
        f"columns at its left and {(8 - y) % 8} rows at its top or by multiples of 8 more, or set into "
        f"another picture.{turned}"
    )


def count_nodes(nodes: list[MetadataNode]) -> int:
    """Entries of a tree that have a value."""
    return sum(bool(node.value) + count_nodes(node.children) for node in nodes)


def entry_words(count: int) -> str:
    """So many entries."""
    return f"{count} entr{'y' if count == 1 else 'ies'}"


def has_position(nodes: list[MetadataNode]) -> bool:
    """Whether the metadata name a place on earth."""
    return any(
        (node.name.rpartition(":")[2] == "GPSLatitude" and any(digit in node.value for digit in "123456789"))
        or has_position(node.children)
        for node in nodes
    )


def lines(report: InspectionReport) -> Iterator[str]:
    """The short summary for a terminal, line by line."""
    facts = report.facts
    yield f"{visible(report.report.path)}: {facts.width} x {facts.height} {visible(facts.format)}"
    yield from _verdict_lines(report)
    if not report.window.whole:
        yield window_words(report).replace("×", "x")
    if report.signature is None:
        yield "signature: not drawn, no extractor came with this installation (--extractor names one)"
    else:
        peaks = _peaks(report.signature.spectrum)
        yield f"signature:  {report.signature.grey_levels:.2f} grey levels (root mean square); {peaks}"
    residual = report.residual
    yield f"residual:   {residual.rms:.2f} grey levels (root mean square); {_peaks(residual.spectrum)}"
    own = report.picture
    if own.exponent is not None:
        yield f"spectrum:   falls off like f^-{own.exponent:.2f}; {_peaks(own.spectrum)}"
    yield f"block grid: {grid_words(report)}".replace("×", "x")
    yield f"ELA:        {report.ela.mean:.2f} grey levels on average at quality {report.ela.quality}"
    blocks = ", ".join(visible(node.name) for node in report.metadata)
    found = f"{entry_words(count_nodes(report.metadata))} in {blocks}" if blocks else "none found"
    yield f"metadata:   {found}"
    if has_position(report.metadata):
        yield "            the metadata, and so the page, say where the picture was taken"
    yield "Only the verdict is a verdict; no measurement is a proof."
    yield f"page: {visible(str(Path(report.folder) / PAGE))}"


def _verdict_lines(report: InspectionReport) -> Iterator[str]:
    evidence = report.report.evidence
    title = TITLES[kind_of(report.report)].lower()
    if evidence is None:
        yield title
        return
    low, probability, high = percents(evidence)
    yield (
        f"verdict:    {title}, probability {probability} (limits {low} and {high}), by {report.report.model}"
    )
    for reason in evidence.reasons:
        yield f"            {visible(reason)}"
    if len(report.patches) > 1:
        values = [patch.probability for patch in report.patches]
        yield f"patches:    {len(values)}, from {min(values):.0%} to {max(values):.0%}"
    agreement = getattr(report.report, "agreement", None)
    if agreement is not None:
        yield f"claims:     {visible(agreement.sentence)}"


def _peaks(spectrum: SpectrumFigures) -> str:
    if not spectrum.peaks:
        return "no peaks"
    first = spectrum.peaks[0]
    count = f"{len(spectrum.peaks)} peak{'' if len(spectrum.peaks) == 1 else 's'}"
    return f"{count}, the strongest at ({first.x:.3f}, {first.y:.3f}), {cause_words(first)}"
