"""The pages of measured heat maps: tables for reading on, and a page of overlays chosen by their scores.

OUT/README.md     the tables
OUT/figures.csv   every figure with its interval
OUT/index.html    tables and overlays
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

import vestige
from vestige.data.manifest import Row
from vestige.errors import DataError, ImageError
from vestige.evaluation import metrics
from vestige.evaluation.localisation import mask_of
from vestige.evaluation.overlay_figures import figure_tables, figures, write_csv
from vestige.evaluation.overlays import Measured, place_of, threshold_of
from vestige.evaluation.page import Figure, Part, Section, write_page
from vestige.evaluation.table import Table, escaped
from vestige.images import decode
from vestige.images.limits import PATIENT
from vestige.inference.card import ModelCard
from vestige.reports.overlay import overlay, thumbnail
from vestige.results import Verdict

KICKER = "Vestige overlays"
PAGE, FIGURES, HTML = "README.md", "figures.csv", "index.html"
SIDE = 400  # longest side of a picture on the page, in pixels
OUTLINE_SIDE = 200
GAP = 8


@dataclass(frozen=True)
class Told:
    """What the pages say of their making.

    Attributes:
        data: the manifest and its split, without folders.
        manifest_sha256: of the manifest file.
        command: as it was called, without folders.
        count: pictures of each kind on the page.
        pictures: whether the page may show pictures; without, maps and borders alone.
    """

    data: str
    manifest_sha256: str
    command: str
    count: int
    pictures: bool


def write_pages(
    out: Path, card: ModelCard, rows: Sequence[Row], measured: Sequence[Measured], told: Told
) -> list[Path]:
    """Write README.md, figures.csv and index.html.

    Args:
        rows: the pictures, in the order of `measured`.

    Returns:
        The files.

    Raises:
        DataError: a picture or mask that is to be shown cannot be read any more.
    """
    found = figures(measured)
    shown = figure_tables(found, threshold_of(card))
    title = f"Where {card.title} sees generated pixels: {told.data}"
    intro = _intro(card, measured, told)
    write_csv(out / FIGURES, found)
    (out / PAGE).write_text(_markdown(title, intro, shown, told), encoding="utf-8")
    by_name = {row.name: row for row in rows}
    sections = [Section("Figures", shown)]
    for heading, text, chosen in choose(measured, told.count):
        parts: list[Part] = [text if chosen else "There are none."]
        parts += [_tile(by_name[one.picture], one, told.pictures) for one in chosen]
        sections.append(Section(heading, parts))
    versions = {
        card.title: "the model",
        "vestige": vestige.__version__,
        told.data: f"sha256 of the manifest {told.manifest_sha256[:16]}",
    }
    write_page(
        out / HTML,
        title=title,
        intro=[*intro, _legend(told)],
        sections=sections,
        versions=versions,
        kicker=KICKER,
        closing=_closing(told),
    )
    return [out / PAGE, out / FIGURES, out / HTML]


def choose(measured: Sequence[Measured], count: int) -> list[tuple[str, str, list[Measured]]]:
    """The pictures of the page, by score and never by hand: heading, how they were chosen, pictures.

    Of partly generated pictures the best, those around the median and the worst by gain over noise: by
    pixel AP itself the best would be those of which most is generated. Of untouched real ones those with the
    largest flagged area, and others by the hash of their names. None comes twice.
    """
    partly = sorted((one for one in measured if one.gain is not None), key=_by_gain)
    best, rest = partly[:count], partly[count:]
    worst, middle = rest[::-1][:count], rest[: max(0, len(rest) - count)]
    # The median of all of them lies in what is left, as far as something is left.
    start = max(0, min(len(partly) // 2 - len(best) - count // 2, len(middle) - count))
    real = [one for one in measured if one.untouched_real and one.flagged is not None]
    alarmed = sorted(real, key=lambda one: (-_number(one.flagged), one.picture))
    others = sorted(alarmed[count:], key=lambda one: place_of(one.picture))
    of = f"of {len(partly)} partly generated pictures"
    return [
        ("Best", f"The largest gain in pixel AP over a map of noise, {of}.", best),
        ("Around the median", f"The gain around its median, {of}.", middle[start : start + count]),
        ("Worst", f"The smallest gain, {of}, the worst first.", worst),
        (
            "Untouched real pictures: largest flagged area",
            f"Of {len(real)} untouched real pictures those of which the map flags most: all false alarm.",
            alarmed[:count],
        ),
        (
            "Untouched real pictures: drawn",
            "By the hash of their names, from those that are not shown above.",
            others[:count],
        ),
    ]


def picture_svg(measured: Measured, mask: npt.NDArray[np.bool_], pixels: npt.NDArray[np.uint8] | None) -> str:
    """A picture, and the same with the map and the border of what is really generated, as SVG.

    Args:
        mask: [H, W], true where generated.
        pixels: uint8 [H, W, 3]; None: only the map and the border, on grey.
    """
    if pixels is None:
        scale = SIDE / max(mask.shape)
        width, height = (max(1, round(side * scale)) for side in mask.shape[::-1])
        under = f'<rect width="{width}" height="{height}" fill="#8a8a8a"/>'
    else:
        uri, width, height = thumbnail(pixels, SIDE)
        under = f'<image id="picture" href="{uri}" width="{width}" height="{height}"/>'
    places = "" if measured.heat_map is None else overlay(measured.heat_map, width, height) or ""
    over = ""
    if places:
        over = f'<image href="{places}" width="{width}" height="{height}" preserveAspectRatio="none"/>'
    line = _outline(mask, width, height)
    if pixels is None:
        whole, inner = (width, height), under + over + line
    else:
        # Beside each other, or below each other where that leaves more of both to see.
        right, down = (0, height + GAP) if width > 1.3 * height else (width + GAP, 0)
        whole = (width + right, height + down)
        inner = f'{under}<g transform="translate({right} {down})"><use href="#picture"/>{over}{line}</g>'
    name = escape(f"{measured.kind}: {measured.picture}, with the map of the model laid over it")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole[0]} {whole[1]}" role="img" '
        f'aria-label="{name}">{inner}</svg>'
    )


def _tile(row: Row, measured: Measured, pictures: bool) -> Figure:
    try:
        pixels = decode(row.content(), PATIENT).pixels
    except ImageError as error:
        raise DataError(f"{row.name}: {error.reason}") from error
    mask = mask_of(row, pixels.shape[:2])
    return Figure(picture_svg(measured, mask, pixels if pictures else None), _caption(measured))


def _caption(measured: Measured) -> str:
    assert measured.verdict is not None
    said = f"{measured.verdict.words.capitalize()}, probability {measured.probability:.0%}"
    if measured.share is not None:
        said += f"; by its own count {measured.share:.0%} generated"
    figures = f"{measured.area:.0%} of it is generated"
    if measured.ap is not None:
        figures += (
            f"; pixel AP {measured.ap:.2f}, gain over noise {_number(measured.gain):+.2f}, "
            f"F1 {_number(measured.f1):.2f}, IoU {_number(measured.iou):.2f}"
        )
    else:
        figures += f"; {_number(measured.flagged):.0%} of it is flagged"
    return f"{measured.kind.capitalize()}, {measured.group}. {said}. {figures}. {measured.picture}"


def _outline(mask: npt.NDArray[np.bool_], width: int, height: int) -> str:
    """The border of a mask as SVG, dark with a bright core; nothing where there is no border."""
    scale = min(1.0, OUTLINE_SIDE / max(mask.shape))
    rows, columns = (max(1, round(side * scale)) for side in mask.shape)
    share = Image.fromarray(mask.astype(np.uint8) * 255).resize((columns, rows), Image.Resampling.BOX)
    inside = np.asarray(share) >= 128
    steps = []
    for y, x in np.argwhere(inside[1:] != inside[:-1]).tolist():
        steps.append(f"M{x} {y + 1}h1")
    for y, x in np.argwhere(inside[:, 1:] != inside[:, :-1]).tolist():
        steps.append(f"M{x + 1} {y}v1")
    if not steps:
        return ""
    style = 'fill="none" vector-effect="non-scaling-stroke" stroke-linecap="square"'
    place = f'transform="scale({width / columns:.5f} {height / rows:.5f})"'
    path = "".join(steps)
    return "".join(
        f'<path d="{path}" {place} {style} stroke="{colour}" stroke-width="{thick}"/>'
        for colour, thick in (("#000", 3.5), ("#fff", 1.5))
    )


def _intro(card: ModelCard, measured: Sequence[Measured], told: Told) -> list[str]:
    readable = [one for one in measured if not one.error]
    real = [one for one in readable if one.untouched_real]
    accused = sum(one.verdict is Verdict.PARTLY_GENERATED for one in real)
    low, high = metrics.wilson(accused, len(real))
    partly = sum(one.partly for one in readable)
    origins = sorted({one.heat_map.origin for one in readable if one.heat_map is not None})
    texts = [
        f"{len(readable)} pictures of {told.data} (sha256 of the manifest {told.manifest_sha256[:16]}), "
        f"{partly} of them generated in part and {len(real)} real and untouched, scanned as vestige scan "
        "does it, with a heat map. Probabilities are calibrated; a map is measured at its picture's size."
    ]
    if "patches" in origins:
        texts.append(
            f"{card.title} has no map of its own: its heat map is made of the scores of whole patches, and "
            "cannot be finer than these."
        )
    among = f"{accused} of {len(real)} untouched real pictures"
    within = f" (95 % {low:.1%}-{high:.1%} by Wilson's interval, pictures as if independent)" if real else ""
    if card.localisation is None:
        texts.append("Its card has no rule for parts: it calls no picture partly generated.")
    else:
        texts.append(f"It calls {among} likely partly generated{within}.")
    errors = [one for one in measured if one.error]
    if errors:
        first = errors[0]
        texts.append(f"{len(errors)} pictures could not be read, such as {first.picture}: {first.error}")
    return texts


def _legend(told: Told) -> str:
    shown = "Each picture below stands beside itself with the map laid over it as in the page of vestige scan"
    if not told.pictures:
        shown = "Pictures are not shown, only the map that the page of vestige scan lays over each of them"
    return (
        f"{shown}: orange leans to generated, blue to real, and what is near one half is left clear. The "
        "white line is the border of what really is generated. Nobody chose these pictures: their scores did."
    )


def _closing(told: Told) -> str:
    made = "The tables were made from what was measured of each picture, and the overlays were chosen by it."
    if not told.pictures:
        return f"{made} No picture is on this page, only maps and borders."
    return f"{made} The page holds small copies of pictures: publish it only where you may publish those."


def _markdown(title: str, intro: Sequence[str], shown: Sequence[Table], told: Told) -> str:
    lines = [f"# {escaped(title)}", "", "Generated by `vestige overlays`; do not edit."]
    lines += ["", "```sh", told.command, "```"]
    for text in intro:
        lines += ["", escaped(text)]
    for table in shown:
        lines += ["", f"## {escaped(table.title)}", "", table.markdown()]
    return "\n".join(lines) + "\n"


def _by_gain(one: Measured) -> tuple[float, str]:
    return -_number(one.gain), one.picture


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
