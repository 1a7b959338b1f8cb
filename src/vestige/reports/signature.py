"""What is said of a picture's signature: numbers, and the sentences that belong to them.

Terminal, JSON and page read this one report. A signature is no verdict, and the words must not make it one.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from vestige.images.spectrum import Spectrum, peaks, rings
from vestige.reports.text import visible
from vestige.results import Facts

GAIN = 8  # the signature is drawn so many times as strong
SHOWN_PEAKS = 8
PAGE = "index.html"

ABOUT_PEAKS = (
    "Peaks at multiples of 1/8 are mostly JPEG's, whose blocks have 8 pixels, though upsampling by 8 leaves "
    "them too. Peaks at 1/2 and 1/4 are typical of upsampling by 2 and by 4, but JPEG and cameras' colour "
    "patterns leave some there as well. The absence of peaks proves nothing: many generators leave none, and "
    "scaling or compression wipes them out."
)
NO_VERDICT = (
    "A signature is no verdict: the network draws one for every picture, real ones too. "
    "vestige scan gives verdicts."
)

HOW_TO_READ: tuple[tuple[str, str], ...] = (
    (
        "Grey is nothing.",
        f"The signature is drawn {GAIN} times as strong as it is, about a middle grey, for every picture "
        "alike. Brighter and darker are what the network takes for a trace at that place and in that colour.",
    ),
    (
        "Look for patterns, not for outlines.",
        "Outlines of what the picture shows are found in every signature. A grid, a weave or a checkerboard "
        "that goes on regardless of what is shown is what a spectrum can tell.",
    ),
    (
        "The spectrum sorts by fineness.",
        "Its middle is slow change, its edge the finest pattern, which repeats every two pixels. A regular "
        "pattern becomes a point: its direction is that of the pattern, its distance from the middle how "
        "fine the pattern is. Opposite points are one pattern.",
    ),
    (
        "Known points.",
        "Multiples of 1/8 cycle per pixel are mostly JPEG's, whose blocks have 8 pixels. Upsampling by 2 "
        "leaves points at 1/2, by 4 at 1/4 too, by 8 at 1/8 too, so one point can have several causes.",
    ),
    (
        "The curve is the average over all directions.",
        "It shows a bend or a rise towards the finest patterns better than the plane does. Single points "
        "hardly show in it.",
    ),
)

NOT_PROVEN: tuple[tuple[str, str], ...] = (
    (
        "This page gives no verdict.",
        "It says neither “generated” nor “real”. The network draws a signature for every picture.",
    ),
    (
        "A point is not a proof.",
        "JPEG, cameras' colour patterns, enlarging, sharpening, screens, scanned prints and woven or printed "
        "things in the picture leave points as well.",
    ),
    (
        "Their absence proves nothing.",
        "Many generators leave none, and scaling or strong compression wipes them out.",
    ),
    (
        "A strong signature is not a suspicious one.",
        "Grain, foliage and text make it strong, blur and sky make it weak.",
    ),
)

TARGETS = {
    "residual": "It was trained to say what simulated generators change when they make photographs anew.",
    "noise": "It was trained to say which noise was added to photographs: a denoiser, to compare with.",
    "imprint": "It was trained together with a detector and was not told what a trace is: it shows what that "
    "detector is given to look at. Its strength is relative: only pictures that one extractor has seen can "
    "be compared by it. It works on cells of 2 x 2 pixels, so peaks at 1/2 may be its own.",
}


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SpectralPeak(_Model):
    """A frequency that stands out of the spectrum.

    Attributes:
        x, y: cycles per pixel.
        decibel: above the median of its surroundings.
        lies_at: the largest of 1/2, 1/4 and 1/8 of which x and y are multiples; None: of none of them.
    """

    x: float
    y: float
    decibel: float
    lies_at: Literal["1/2", "1/4", "1/8"] | None


class SignatureReport(_Model):
    """The numbers of `vestige inspect --signature`; its JSON is what `--json` prints.

    Attributes:
        model: title of the extractor.
        target: what the extractor learned to predict, as in its card.
        limits: what its card warns of.
        grey_levels: root mean square of the signature over all colours, in grey levels of 0-255; of an
            imprint, relative to the pictures of its training, which have 2.
        clipped: share of the drawn signature that is stronger than can be shown.
        tiles: in how many pieces the picture was seen.
        blocks: of 256 pixels, averaged in the spectrum.
        chance: dB above the median that noise alone reaches in one of a hundred pictures at most.
        peaks: strongest first.
        rings: (cycles per pixel, dB) from coarse to fine; 0 dB is noise of one grey level.
        folder: where page and pictures are.
    """

    schema_version: Literal[1] = 1
    path: str
    facts: Facts
    model: str
    target: Literal["residual", "noise", "imprint"]
    limits: list[str]
    grey_levels: float
    clipped: float
    tiles: int
    blocks: int
    chance: float
    peaks: list[SpectralPeak]
    rings: list[tuple[float, float]]
    folder: str
    versions: dict[str, str]


def spectral_peaks(spectrum: Spectrum) -> list[SpectralPeak]:
    """The peaks of a spectrum with where each lies, the strongest first."""
    return [
        SpectralPeak(x=peak.x, y=peak.y, decibel=peak.decibel, lies_at=lies_at(peak.x, peak.y))
        for peak in peaks(spectrum)
    ]


def ring_levels(spectrum: Spectrum) -> list[tuple[float, float]]:
    """(cycles per pixel, dB) of a spectrum from coarse to fine, averaged over all directions, rounded."""
    middles, power = rings(spectrum)
    return [
        (round(float(middle), 6), round(float(level), 3))
        for middle, level in zip(middles, 10 * np.log10(np.maximum(power, 1e-10)), strict=True)
    ]


def lies_at(x: float, y: float) -> Literal["1/2", "1/4", "1/8"] | None:
    """The largest of 1/2, 1/4 and 1/8 of which both frequencies are multiples, give or take 1/256."""
    if _multiples(2, x, y):
        return "1/2"
    if _multiples(4, x, y):
        return "1/4"
    return "1/8" if _multiples(8, x, y) else None


def _multiples(parts: int, *frequencies: float) -> bool:
    return all(abs(f * parts - round(f * parts)) <= parts / 256 for f in frequencies)


def cause_words(peak: SpectralPeak) -> str:
    """What commonly leaves a peak there."""
    if peak.lies_at is None:
        return "at no multiple of 1/8: a pattern that the picture shows, or scaling"
    common = {
        "1/2": "upsampling by 2, a camera's colour pattern, JPEG",
        "1/4": "upsampling by 4, JPEG",
        "1/8": "JPEG, upsampling by 8",
    }
    return f"at multiples of {peak.lies_at}: {common[peak.lies_at]}"


def tile_words(report: SignatureReport) -> str:
    """How the picture was seen."""
    if report.tiles == 1:
        return "The picture was seen in one piece."
    tiles = f"The picture was seen in {report.tiles} tiles that fade into each other."
    if report.target == "imprint":
        return tiles  # that network does not normalise
    return (
        f"{tiles} The network normalises over what it is shown, so values differ slightly from those of one "
        "passage over the whole."
    )


def block_words(report: SignatureReport) -> str:
    """What the spectrum was made of."""
    text = "Of the brightness of the signature, "
    text += "in one block" if report.blocks == 1 else f"the average of {report.blocks} blocks"
    if min(report.facts.width, report.facts.height) < 256:
        return f"{text}; the picture is smaller than a block of 256 pixels, and its spectrum is interpolated."
    return f"{text} of 256 pixels under a Hann window."


def found_words(report: SignatureReport) -> str:
    """What of the spectrum stands out, in one sentence."""
    level = f"{report.chance:.1f} dB, which noise alone reaches in one of a hundred pictures at most"
    if not report.peaks:
        return f"No frequency stands out from its surroundings by {level}."
    several = len(report.peaks) > 1
    text = f"{len(report.peaks)} frequenc{'ies stand' if several else 'y stands'} out from "
    text += f"{'their' if several else 'its'} surroundings by more than {level}"
    return f"{text}; the strongest {SHOWN_PEAKS}:" if len(report.peaks) > SHOWN_PEAKS else f"{text}:"


def lines(report: SignatureReport) -> Iterator[str]:
    """The report for a terminal, line by line."""
    facts = report.facts
    yield f"{visible(report.path)}: {facts.width} x {facts.height} {visible(facts.format)}"
    yield f"signature by {visible(report.model)}: {report.grey_levels:.2f} grey levels (root mean square)"
    if report.target == "imprint":
        yield TARGETS[report.target]
    if report.tiles > 1:
        yield tile_words(report)
    yield found_words(report)
    for peak in report.peaks[:SHOWN_PEAKS]:
        yield f"  x {peak.x:.3f}  y {peak.y:+.3f} cycles/pixel  {peak.decibel:5.1f} dB  {cause_words(peak)}"
    yield ABOUT_PEAKS
    yield NO_VERDICT
    yield f"page and pictures: {visible(str(Path(report.folder) / PAGE))}"
