"""`vestige inspect --signature`: what an extractor finds in one picture, as numbers, pictures and a page."""

import platform
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

import vestige
from vestige.errors import ConfigError, ImageError
from vestige.images import Limits, Picture, decode
from vestige.images.limits import DEFAULT
from vestige.images.spectrum import chance, power_spectrum
from vestige.inference.card import ExtractorCard
from vestige.inference.package import DEFAULT_EXTRACTOR, load_extractor_package, shipped_extractors
from vestige.inference.signature import ExtractorSession, Signature
from vestige.progress import Progress
from vestige.reports.signature import SignatureReport, lines, ring_levels, spectral_peaks
from vestige.reports.signature_page import require_own, write
from vestige.reports.signature_pictures import amplified

LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class InspectOptions:
    """What the user asked for; see `vestige inspect --help`."""

    model: str | None = None
    out: Path | None = None
    array: bool = False
    json: bool = False
    threads: int | None = None
    limits: Limits = DEFAULT


def run(image: str, options: InspectOptions) -> SignatureReport:
    """Inspect a picture, write its folder and print what was found.

    Raises:
        ConfigError: no extractor is at hand, or the folder holds something else.
        ImageError: the picture cannot be read.
        ModelPackageError: the extractor cannot be used.
    """
    if options.model is None and DEFAULT_EXTRACTOR not in shipped_extractors():
        raise ConfigError(
            "no extractor came with this installation: give the folder of one with --model, such as "
            "vestige export RUN --stage extractor writes"
        )
    folder = options.out if options.out is not None else Path(f"{Path(image).stem or 'picture'}-signature")
    require_own(folder)
    session = ExtractorSession(load_extractor_package(options.model or DEFAULT_EXTRACTOR), options.threads)
    try:
        picture = decode(image, options.limits)
    except ImageError as error:
        raise ImageError(error.code, f"{image}: {error.reason}") from error
    found = session.extract(picture.pixels, Progress().track)
    report = _report(image, picture, found, session.card, folder, options)
    print(report.model_dump_json(indent=2) if options.json else "\n".join(lines(report)))
    return report


def _report(
    image: str,
    picture: Picture,
    found: Signature,
    card: ExtractorCard,
    folder: Path,
    options: InspectOptions,
) -> SignatureReport:
    """Measure the signature, and write its page and pictures."""
    spectrum = power_spectrum(_luma(found.residual))
    drawn, clipped = amplified(found.residual)
    report = SignatureReport(
        path=image,
        facts=picture.facts,
        model=card.title,
        target=card.target,
        limits=card.failure_modes,
        grey_levels=found.grey_levels,
        clipped=clipped,
        tiles=found.tiles,
        blocks=spectrum.blocks,
        chance=chance(spectrum),
        peaks=spectral_peaks(spectrum),
        rings=ring_levels(spectrum),
        folder=str(folder),
        versions=_versions(),
    )
    write(report, picture.pixels, drawn, found.residual, spectrum.decibel, options.array)
    return report


def _luma(residual: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Brightness of the signature in grey levels: float32 [H, W]."""
    weights = np.array(LUMA, np.float32) * np.float32(127.5)
    luma: npt.NDArray[np.float32] = residual @ weights
    return luma


def _versions() -> dict[str, str]:
    import onnxruntime
    import PIL

    return {
        "vestige": vestige.__version__,
        "onnxruntime": onnxruntime.__version__,
        "pillow": PIL.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
