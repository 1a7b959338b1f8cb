"""`vestige inspect`: everything measurable about one picture, as a page, a summary and numbers."""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from vestige.detector import Detector
from vestige.errors import ImageError, ImageErrorCode
from vestige.images import Limits, Picture
from vestige.images.block_grid import Axis, block_grid
from vestige.images.decode import read_file
from vestige.images.ela import QUALITY, error_level, levels
from vestige.images.limits import DEFAULT
from vestige.images.residual import luma, srm_residual, statistics
from vestige.images.spectrum import Spectrum, chance, power_spectrum, rings
from vestige.inference.package import (
    DEFAULT_EXTRACTOR,
    DEFAULT_MODEL,
    load_extractor_package,
    shipped_extractors,
)
from vestige.inference.signature import ExtractorSession, Signature
from vestige.inference.verdict import calibrate
from vestige.progress import Progress
from vestige.provenance.tree import metadata_tree
from vestige.provenance.tree_file import read_embedded
from vestige.reports.inspection import (
    ElaFigures,
    GridAxis,
    GridFigures,
    InspectionReport,
    MetadataNode,
    Patch,
    PictureFigures,
    ResidualFigures,
    SignatureFigures,
    SpectrumFigures,
    Window,
)
from vestige.reports.inspection_page import Drawings, write
from vestige.reports.inspection_words import lines
from vestige.reports.signature import GAIN, ring_levels, spectral_peaks
from vestige.reports.signature_page import require_own
from vestige.results import ImageReport

WINDOW = 2048  # longest side of what signature, residual, spectra and ELA are of; bounds time and memory
ALIGNED = 16  # windows begin there, so that a second compression has the same blocks as of the whole picture
ELA_GAIN = 16
FITTED = (1 / 32, 1 / 4)  # cycles per pixel between which the power law is fitted

Plane = npt.NDArray[np.float32]


@dataclass(frozen=True)
class FullOptions:
    """What the user asked for; see `vestige inspect --help`."""

    model: str | None = None
    extractor: str | None = None
    out: Path | None = None
    json: bool = False
    threads: int | None = None
    quality: int = QUALITY
    limits: Limits = DEFAULT


def run(image: str, options: FullOptions) -> InspectionReport:
    """Inspect a picture, write its page and print what was found.

    Raises:
        ConfigError: the folder holds something else.
        ImageError: the picture cannot be read.
        ModelPackageError: detector or extractor cannot be used.
    """
    folder = options.out if options.out is not None else Path(f"{Path(image).stem or 'picture'}-inspection")
    require_own(folder)
    detector = Detector.load(options.model or DEFAULT_MODEL, limits=options.limits, threads=options.threads)
    session = None
    if options.extractor is not None or DEFAULT_EXTRACTOR in shipped_extractors():
        package = load_extractor_package(options.extractor or DEFAULT_EXTRACTOR)
        session = ExtractorSession(package, options.threads)
    try:
        data = read_file(image, options.limits)
    except ImageError as error:
        raise ImageError(error.code, f"{image}: {error.reason}") from error
    scanned, picture = next(detector.stream([data], heat_map=True, keep_pictures=True))
    if scanned.error is not None:
        raise ImageError(cast(ImageErrorCode, scanned.error.code), f"{image}: {scanned.error.reason}")
    assert picture is not None  # it was to be kept
    scanned = scanned.model_copy(update={"path": image})
    report, drawings = measure(scanned, picture, data, detector, session, options.quality, str(folder))
    write(report, drawings)
    print(report.model_dump_json(indent=2) if options.json else "\n".join(lines(report)))
    return report


def measure(
    scanned: ImageReport,
    picture: Picture,
    data: bytes,
    detector: Detector,
    session: ExtractorSession | None,
    quality: int,
    folder: str,
) -> tuple[InspectionReport, Drawings]:
    """Everything about a picture that was scanned, as numbers and as what the page draws.

    Args:
        scanned: the detector's report, with evidence.
        data: the file.
        session: without one, no signature is drawn.
        quality: of the recompression for the error level.
        folder: where the page will be.
    """
    window = middle(picture.facts.width, picture.facts.height)
    pixels = picture.pixels[window.y : window.y + window.height, window.x : window.x + window.width]
    plane = luma(pixels)
    residual = srm_residual(plane)
    error = error_level(pixels, quality)
    own, own_spectrum = _spectrum(plane - plane.mean(dtype=np.float64).astype(np.float32))
    left, left_spectrum = _spectrum(residual)
    spectra = {"picture": own_spectrum.decibel, "residual": left_spectrum.decibel}
    found = None
    signature = None
    if session is not None:
        found = session.extract(pixels, Progress().track)
        shown, spectrum = _spectrum(found.residual @ (np.array([0.299, 0.587, 0.114], np.float32) * 127.5))
        spectra["signature"] = spectrum.decibel
        signature = _signature(found, session, shown)
    grid = block_grid(picture.pixels)
    assert scanned.evidence is not None
    probabilities = calibrate([view.logit for view in scanned.evidence.views], detector.card.calibration)
    report = InspectionReport(
        report=scanned,
        patches=[
            Patch(**view.model_dump(), probability=float(probability))
            for view, probability in zip(scanned.evidence.views, probabilities, strict=True)
        ],
        window=window,
        signature=signature,
        residual=ResidualFigures(
            **statistics(residual)._asdict(),
            clipped=float((np.abs(residual) * GAIN > 127.5).mean()),
            spectrum=left,
        ),
        picture=PictureFigures(spectrum=own, exponent=exponent(own_spectrum)),
        grid=GridFigures(across=_axis(grid.across), down=_axis(grid.down)),
        ela=ElaFigures(
            quality=quality,
            **levels(error)._asdict(),
            gain=ELA_GAIN,
            clipped=float((error > 255 // ELA_GAIN).mean()),
        ),
        hashes={
            "SHA-256": hashlib.sha256(data).hexdigest(),
            "SHA-1": hashlib.sha1(data, usedforsecurity=False).hexdigest(),
            "MD5": hashlib.md5(data, usedforsecurity=False).hexdigest(),
            "SHA-256 of the pixels": hashlib.sha256(np.ascontiguousarray(picture.pixels).data).hexdigest(),
        },
        metadata=[
            MetadataNode.model_validate(node)
            for node in metadata_tree(picture.metadata, read_embedded(data, picture.facts.format))
        ],
        folder=folder,
    )
    return report, Drawings(picture, found.residual if found else None, residual, error, spectra)


def middle(width: int, height: int) -> Window:
    """The middle of a picture, at most `WINDOW` pixels along a side, beginning at multiples of `ALIGNED`."""
    wide, tall = min(width, WINDOW), min(height, WINDOW)
    x, y = (width - wide) // 2 // ALIGNED * ALIGNED, (height - tall) // 2 // ALIGNED * ALIGNED
    return Window(x=x, y=y, width=wide, height=tall, whole=(wide, tall) == (width, height))


def exponent(spectrum: Spectrum) -> float | None:
    """a of the power law f^-a nearest to a spectrum's rings (least squares of logarithms).

    None of a plane without power.
    """
    middles, power = rings(spectrum)
    fitted = (middles >= FITTED[0]) & (middles <= FITTED[1]) & (power > 1e-10)
    if fitted.sum() < 3:
        return None
    slope, _ = np.polyfit(np.log(middles[fitted]), np.log(power[fitted]), 1)
    return float(-slope)


def _spectrum(plane: Plane) -> tuple[SpectrumFigures, Spectrum]:
    spectrum = power_spectrum(plane)
    figures = SpectrumFigures(
        blocks=spectrum.blocks,
        chance=chance(spectrum),
        peaks=spectral_peaks(spectrum),
        rings=ring_levels(spectrum),
    )
    return figures, spectrum


def _signature(found: Signature, session: ExtractorSession, spectrum: SpectrumFigures) -> SignatureFigures:
    strongest = 127.5 / (127.5 * GAIN)  # what is drawn white or black
    return SignatureFigures(
        model=session.card.title,
        target=session.card.target,
        limits=session.card.failure_modes,
        grey_levels=found.grey_levels,
        clipped=float((np.abs(found.residual) > strongest).mean()),
        tiles=found.tiles,
        spectrum=spectrum,
    )


def _axis(axis: Axis) -> GridAxis:
    return GridAxis(
        strengths=[None if math.isnan(value) else value for value in axis.strengths],
        votes=list(axis.votes),
        strips=axis.strips,
        phase=axis.phase,
        log10_chance=axis.log10_chance,
        contrast=axis.contrast,
        found=axis.found,
    )
