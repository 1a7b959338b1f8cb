"""`vestige inspect --signature` as files: a page that opens from disk, and the pictures beside it."""

from collections.abc import Iterator
from html import escape
from importlib import resources
from pathlib import Path
from string import Template

import numpy as np
import numpy.typing as npt

import vestige
from vestige.errors import ConfigError, VestigeError
from vestige.reports.overlay import thumbnail
from vestige.reports.signature import (
    HOW_TO_READ,
    NOT_PROVEN,
    PAGE,
    SHOWN_PEAKS,
    TARGETS,
    SignatureReport,
    block_words,
    cause_words,
    found_words,
    tile_words,
)
from vestige.reports.signature_charts import plane_chart, ring_chart
from vestige.reports.signature_pictures import data_uri, png, spectrum_picture, strength
from vestige.reports.text import visible

SIGNATURE = "signature.png"
SPECTRUM = "spectrum.png"
ARRAY = "signature.npy"
DETAIL = 240  # pixels along a side of the piece that is shown enlarged

_OURS = b'<meta name="generator" content="vestige inspect '
Pixels = npt.NDArray[np.uint8]


def require_own(folder: Path) -> None:
    """Make sure that a folder may be written to: it is missing, empty, or was written by an inspection.

    Raises:
        ConfigError: it holds something else.
    """
    try:
        if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
            return
        with open(folder / PAGE, "rb") as file:
            ours = _OURS in file.read(4096)
    except OSError:
        ours = False
    if not ours:
        raise ConfigError(
            f"{folder}: not empty and not written by vestige inspect, it is left alone; name another folder "
            "with --out"
        )


def write(
    report: SignatureReport,
    pixels: Pixels,
    drawn: Pixels,
    residual: npt.NDArray[np.float32],
    decibel: npt.NDArray[np.float64],
    array: bool = False,
) -> None:
    """Write page and pictures to the report's folder, which is made if missing.

    Args:
        pixels: the picture, uint8 [H, W, 3].
        drawn: its amplified signature, uint8 [H, W, 3].
        residual: its signature, float32 [H, W, 3] in units of pictures in [-1, 1].
        decibel: the spectrum, [256, 256].
        array: also write the signature as numbers, float16 [H, W, 3].

    Raises:
        ConfigError: the folder holds something else.
        VestigeError: the system refuses.
    """
    folder = Path(report.folder)
    require_own(folder)
    spectrum = spectrum_picture(decibel)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # The page first: it marks the folder as ours, whatever happens next.
        (folder / PAGE).write_text(
            _page(report, pixels, drawn, residual, spectrum), encoding="utf-8", newline="\n"
        )
        (folder / SIGNATURE).write_bytes(png(drawn))
        (folder / SPECTRUM).write_bytes(png(spectrum))
        if array:
            np.save(folder / ARRAY, residual.astype(np.float16))
        else:
            (folder / ARRAY).unlink(missing_ok=True)  # of an earlier picture
    except OSError as error:
        raise VestigeError(f"cannot write {folder}: {error.strerror or error}") from error


def _page(
    report: SignatureReport,
    pixels: Pixels,
    drawn: Pixels,
    residual: npt.NDArray[np.float32],
    spectrum: Pixels,
) -> str:
    name = visible(report.path).replace("\\", "/").rsplit("/", 1)[-1]
    preview, width, height = thumbnail(pixels)
    where, top = strength(residual)
    middle = _middle(pixels)
    shown = report.peaks[:SHOWN_PEAKS]
    values = {
        "version": vestige.__version__,
        "css": _resource("page.css") + _resource("signature.css"),
        "title": escape(f"Signature of {name}"),
        "heading": f"Signature of <bdi>{escape(name)}</bdi>",
        "facts": "".join(f"<div><dt>{term}</dt><dd>{value}</dd></div>" for term, value in _facts(report)),
        "target": escape(TARGETS[report.target]),
        "preview": f'<img src="{preview}" width="{width}" height="{height}" alt="Preview of {escape(name)}">',
        "strength": f'<img class="cells" src="{data_uri(where)}" width="{width}" height="{height}" '
        'alt="Map of the strength of the signature">',
        "top": f"{top:.1f}",
        "detail": f'<img class="cells" src="{data_uri(pixels[middle])}" width="480" '
        'alt="Middle of the picture, enlarged">',
        "traces": f'<img class="cells" src="{data_uri(drawn[middle])}" width="480" '
        'alt="The same place in the signature, amplified">',
        "clipped": _clipped(report),
        "plane": plane_chart(data_uri(spectrum[::2, ::2]), shown, "Power spectrum of the signature"),
        "rings": ring_chart(report.rings, "Mean power of the spectrum from coarse to fine patterns"),
        "found": escape(found_words(report)),
        "peaks": _table(report),
        "read": _rules(HOW_TO_READ),
        "proof": _rules(NOT_PROVEN),
        "limits": "".join(f"<li>{escape(visible(line))}</li>" for line in report.limits),
        "tiles": escape(tile_words(report)),
        "blocks": escape(block_words(report)),
    }
    return Template(_resource("signature.html")).substitute(values)


def _middle(pixels: Pixels) -> tuple[slice, slice]:
    height, width = pixels.shape[:2]
    side = min(DETAIL, height, width)
    return tuple(slice((length - side) // 2, (length - side) // 2 + side) for length in (height, width))  # type: ignore[return-value]


def _facts(report: SignatureReport) -> Iterator[tuple[str, str]]:
    facts = report.facts
    yield "Picture", f"{facts.width} × {facts.height}, {escape(visible(facts.format))}"
    yield "Strength", f"{report.grey_levels:.2f} grey levels (root mean square)"
    yield "Extractor", escape(visible(report.model))
    for name, version in report.versions.items():
        yield escape(visible(name)), escape(visible(version))
    if facts.sha256:
        yield "SHA-256", f"<code>{facts.sha256}</code>"


def _clipped(report: SignatureReport) -> str:
    if not report.clipped:
        return ""
    share = "less than 0.1" if report.clipped < 0.001 else f"{100 * report.clipped:.1f}"
    return f"{share} % of its values are stronger than can be shown."


def _table(report: SignatureReport) -> str:
    if not report.peaks:
        return ""
    rows = "".join(
        f"<tr><td>{peak.x:.3f}</td><td>{peak.y:.3f}</td><td>{peak.decibel:.1f} dB</td>"
        f"<td>{escape(cause_words(peak))}</td></tr>"
        for peak in report.peaks[:SHOWN_PEAKS]
    ).replace("<td>-", "<td>−")
    return (
        "<table><thead><tr><th>across</th><th>down</th><th>above its surroundings</th>"
        f"<th>what commonly lies there</th></tr></thead><tbody>{rows}</tbody></table>"
    )


def _rules(rules: tuple[tuple[str, str], ...]) -> str:
    return "".join(f"<p><strong>{escape(lead)}</strong> {escape(rest)}</p>" for lead, rest in rules)


def _resource(name: str) -> str:
    return resources.files("vestige.reports").joinpath("page").joinpath(name).read_text(encoding="utf-8")
