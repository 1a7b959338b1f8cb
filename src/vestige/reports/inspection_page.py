"""`vestige inspect` as a file: one page that opens from disk and holds all its pictures."""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template

import numpy as np
import numpy.typing as npt
from PIL import Image

import vestige
from vestige.errors import VestigeError
from vestige.images.picture import Picture
from vestige.reports.html_card import card
from vestige.reports.inspection import InspectionReport
from vestige.reports.inspection_blocks import (
    credits_block,
    facts_block,
    grid_block,
    jpeg_block,
    metadata_block,
    patches_block,
    peak_block,
    rules,
    text,
)
from vestige.reports.inspection_words import CAVEATS, HOW_TO_READ, window_words
from vestige.reports.overlay import thumbnail
from vestige.reports.signature import GAIN, PAGE, TARGETS
from vestige.reports.signature_charts import plane_chart, ring_chart
from vestige.reports.signature_page import require_own
from vestige.reports.signature_pictures import amplified, data_uri, spectrum_picture, strength

DETAIL = 200  # pixels along a side of the piece that is shown enlarged
DRAWN = 720  # pixels along the longer side of the drawn error level
SHOWN_RINGS = "Mean power from coarse to fine patterns"

Pixels = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Drawings:
    """What the page shows; all but the picture are of the report's window.

    Attributes:
        picture: the whole picture.
        signature: float32 [h, w, 3] in units of pictures in [-1, 1]; None without an extractor.
        residual: float32 [h, w] in grey levels.
        error: uint8 [h, w, 3], the error level.
        spectra: dB, [256, 256], of "signature", "residual" and "picture".
    """

    picture: Picture
    signature: npt.NDArray[np.float32] | None
    residual: npt.NDArray[np.float32]
    error: Pixels
    spectra: dict[str, Values]


def write(report: InspectionReport, drawings: Drawings) -> None:
    """Write the page to the report's folder, which is made if missing.

    Raises:
        ConfigError: the folder holds something else.
        VestigeError: the system refuses.
    """
    folder = Path(report.folder)
    require_own(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / PAGE).write_text(page(report, drawings), encoding="utf-8", newline="\n")
    except OSError as error:
        raise VestigeError(f"cannot write {folder}: {error.strerror or error}") from error


def page(report: InspectionReport, drawings: Drawings) -> str:
    """The whole page as HTML."""
    path = report.report.path.replace("\\", "/").rsplit("/", 1)[-1]
    name = text(path)
    window = report.window
    pixels = drawings.picture.pixels[window.y : window.y + window.height, window.x : window.x + window.width]
    values = {
        "version": vestige.__version__,
        "css": _resource("page.css") + _resource("signature.css") + _resource("inspection.css"),
        "icons": _icons(),
        "title": f"Inspection of {name}",
        "name": name,
        "read": rules(HOW_TO_READ),
        "card": card(report.report, drawings.picture, 1),
        "patches": patches_block(report, thumbnail(drawings.picture.pixels, 960)[0], name),
        "window": text(window_words(report)),
        "signature": _signature(report, drawings, pixels),
        "residual": _residual(report, drawings, pixels),
        "picture": _picture(report, drawings),
        "grid": grid_block(report),
        "ela": _ela(report, drawings, pixels),
        "jpeg": jpeg_block(report),
        "metadata": metadata_block(report),
        "facts": facts_block(report),
        "credits": credits_block(report),
        **{f"{key}_caveat": f'<p class="caveat">{text(words)}</p>' for key, words in CAVEATS.items()},
    }
    return Template(_resource("inspection.html")).substitute(values)


def _signature(report: InspectionReport, drawings: Drawings, pixels: Pixels) -> str:
    found, residual = report.signature, drawings.signature
    if found is None or residual is None:
        return "<p>Not drawn: no extractor came with this installation, and none was named.</p>"
    middle = _middle(residual.shape)
    where, top = strength(residual)
    drawn, _ = amplified(np.ascontiguousarray(residual[middle]))
    limits = "".join(f"<li>{text(line)}</li>" for line in found.limits)
    share = _clipped(found.clipped)
    return (
        f"<p>Of {found.grey_levels:.2f} grey levels (root mean square), by {text(found.model)}. "
        f"{text(TARGETS[found.target])}</p>"
        f"{_three(where, top, pixels[middle], drawn, 'signature', f'{GAIN} times as strong. {share}')}"
        f"{_spectrum(report, drawings, 'signature')}"
        f"<details><summary>What the extractor's card warns of</summary><ul>{limits}</ul></details>"
    )


def _residual(report: InspectionReport, drawings: Drawings, pixels: Pixels) -> str:
    found = report.residual
    plane = drawings.residual[..., None] / np.float32(127.5)
    middle = _middle(plane.shape)
    where, top = strength(plane)
    drawn, _ = amplified(plane[middle].repeat(3, 2))
    numbers = (
        ("Root mean square", f"{found.rms:.2f} grey levels"),
        ("Mean of the absolute values", f"{found.mean_absolute:.2f} grey levels"),
        ("99 % stay below", f"{found.quantile_99:.1f} grey levels"),
        ("Excess kurtosis", f"{found.kurtosis:.1f} (0: like Gaussian noise; large: few strong places)"),
        ("Flat or clipped", f"{100 * found.silent:.1f} % of the pixels leave nothing at all"),
    )
    table = "".join(f"<div><dt>{term}</dt><dd>{value}</dd></div>" for term, value in numbers)
    share = _clipped(found.clipped)
    return (
        f'<dl class="numbers">{table}</dl>'
        f"{_three(where, top, pixels[middle], drawn, 'residual', f'{GAIN} times as strong. {share}')}"
        f"{_spectrum(report, drawings, 'residual')}"
    )


def _picture(report: InspectionReport, drawings: Drawings) -> str:
    exponent = report.picture.exponent
    words = (
        "The picture is the same all over and has no spectrum to speak of."
        if exponent is None
        else f"From 1/32 to 1/4 cycle per pixel its power falls off like f<sup>−{exponent:.2f}</sup>; of "
        "many photographs the exponent is near 2 (Field, 1987), with a wide spread."
    )
    return f"<p>{words}</p>{_spectrum(report, drawings, 'picture')}"


def _ela(report: InspectionReport, drawings: Drawings, pixels: Pixels) -> str:
    found = report.ela
    # Strengthened at native resolution, so that scaling down averages what is shown and not what is not.
    drawn = np.minimum(drawings.error, 255 // found.gain) * np.uint8(found.gain)
    reduced = Image.fromarray(drawn)
    reduced.thumbnail((DRAWN, DRAWN), Image.Resampling.BOX)
    scaled = "" if max(drawn.shape[:2]) <= DRAWN else " Drawn scaled down."
    preview, width, height = thumbnail(pixels, DRAWN)
    return (
        f"<p>The picture was compressed once more at JPEG quality {found.quality} (4:2:0), and the "
        f"difference drawn {found.gain} times as strong. It is {found.mean:.2f} grey levels on average, "
        f"99 % of it at most {found.quantile_99:.0f}, the largest {found.largest}.</p>"
        f'<div class="pair"><figure><img src="{preview}" width="{width}" height="{height}" '
        f'alt="The picture, to compare with"><figcaption>The picture</figcaption></figure>'
        f'<figure><img src="{data_uri(np.asarray(reduced))}" width="{reduced.width}" '
        f'height="{reduced.height}" alt="Error level: mostly edges and contrast are bright">'
        f"<figcaption>Its error level. {_clipped(found.clipped)}{scaled}</figcaption></figure></div>"
    )


def _three(where: Pixels, top: float, detail: Pixels, drawn: Pixels, what: str, how: str) -> str:
    """Where something is strong, the middle of the picture, and the same place of it."""
    height, width = where.shape[:2]
    return (
        f'<div class="three"><figure><img class="cells" src="{data_uri(where)}" width="{2 * width}" '
        f'height="{2 * height}" alt="Map of the strength of the {what}"><figcaption>Where it is strong: '
        f"black nothing, pale {top:.1f} grey levels and more</figcaption></figure>"
        f'<figure><img class="cells" src="{data_uri(detail)}" width="480" '
        'alt="Middle of the picture, enlarged">'
        "<figcaption>The middle of the picture, enlarged</figcaption></figure>"
        f'<figure><img class="cells" src="{data_uri(drawn)}" width="480" alt="The same place of the {what}, '
        f'amplified"><figcaption>The {what} there, about a middle grey, {how}</figcaption></figure></div>'
    )


def _spectrum(report: InspectionReport, drawings: Drawings, what: str) -> str:
    """Plane, rings and peaks of a spectrum."""
    spectrum = {
        "residual": report.residual.spectrum,
        "picture": report.picture.spectrum,
        **({"signature": report.signature.spectrum} if report.signature else {}),
    }[what]
    drawn = data_uri(spectrum_picture(drawings.spectra[what])[::2, ::2])
    plane = plane_chart(drawn, spectrum.peaks[:8], f"Power spectrum of the {what}")
    rings = ring_chart(spectrum.rings, f"{SHOWN_RINGS} of the {what}")
    return (
        f'<div class="pair"><figure>{plane}<figcaption>Its power spectrum: black 20 dB below the median, '
        "pale 30 dB above; circles mark the peaks listed</figcaption></figure>"
        f"<div><figure>{rings}<figcaption>The same, averaged over all directions (azimuthal mean); 0 dB is "
        f"noise of one grey level</figcaption></figure>{peak_block(spectrum)}</div></div>"
    )


def _middle(shape: tuple[int, ...]) -> tuple[slice, slice]:
    side = min(DETAIL, *shape[:2])
    top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
    return slice(top, top + side), slice(left, left + side)


def _clipped(share: float) -> str:
    if not share:
        return ""
    words = "Less than 0.1" if share < 0.001 else f"{100 * share:.1f}"
    return f"{words} % of it is stronger than can be shown."


def _icons() -> str:
    """The symbols that cards refer to, as the scan's page has them."""
    before, _, rest = _resource("page.html").partition('<svg class="icons"')
    inside, _, _ = rest.partition("</svg>\n<header")
    return f'<svg class="icons"{inside}</svg>' if before and inside else ""


def _resource(name: str) -> str:
    return resources.files("vestige.reports").joinpath("page").joinpath(name).read_text(encoding="utf-8")
