"""Tables of an ablation's page that say how well maps show where pictures are generated."""

import math

import numpy as np

from vestige.evaluation import tables
from vestige.evaluation.ablation_figures import Figure, Figures, excludes_zero, figure_text
from vestige.evaluation.ablation_pixels import PixelTable, together
from vestige.evaluation.ablation_record import PictureScores, Record
from vestige.evaluation.metrics import Interval, Values
from vestige.evaluation.table import Table

MARK = "†"
AP, F1, IOU = "pixel AP", "pixel F1 at logit 0", "pixel IoU at logit 0"
FALSE_ALARM, FOUND = "area flagged, wholly real", "area flagged, wholly generated"
NO_MAP = "no map"
UNTOUCHED = "untouched, or not told"


def pixel_tables(record: Record, found: Figures, rows: dict[str, dict[int, PictureScores]]) -> list[Table]:
    """A line for each row, and one for each manipulation; nothing where no row has pixel figures.

    Args:
        found: figures of all rows on one test set.
        rows: row -> seed -> scores on it.
    """
    # A map in some fits only would be a mean over other seeds than it says.
    with_map = [row for row, several in rows.items() if all(one.pixels for one in several.values())]
    if not with_map:
        return []
    shown = record.baseline if record.baseline in with_map else with_map[0]
    pixels = together([one.pixels for one in rows[shown].values() if one.pixels is not None])
    return [_by_row(record, found, with_map, pixels), _by_manipulation(shown, pixels)]


def difference(minus: Interval | None) -> str:
    """A difference to the baseline as tables have it, marked where its interval excludes 0."""
    if minus is None or math.isnan(minus.value):
        return tables.NOTHING
    if math.isnan(minus.low):
        return f"{minus.value:+.3f} (no interval)"
    mark = f" {MARK}" if excludes_zero(minus) else ""
    return f"{minus.value:+.3f} ({minus.low:+.3f}, {minus.high:+.3f}){mark}"


def _by_row(record: Record, found: Figures, with_map: list[str], pixels: PixelTable) -> Table:
    columns = [
        "row",
        "partly generated",
        "seeds",
        AP,
        "lowest-highest seed",
        f"minus {record.baseline}",
        F1,
        IOU,
        FALSE_ALARM,
        FOUND,
    ]
    cells = []
    for row in (row for row in record.order if row in found):
        if row not in with_map:
            cells.append([row, NO_MAP, *[tables.NOTHING] * (len(columns) - 2)])
            continue
        figures = found[row]
        ap = figures.get(AP)
        some = next(figures[name] for name in (AP, FALSE_ALARM, FOUND) if name in figures)
        wide = ap is not None and len(ap.seeds) > 1
        cells.append(
            [
                row,
                str(sum(ap.pictures)) if ap is not None and ap.pictures else "0",
                str(len(some.seeds)),
                _text(ap),
                f"{min(ap.seeds):.3f}-{max(ap.seeds):.3f}" if ap is not None and wide else tables.NOTHING,
                difference(None if ap is None else ap.minus),
                *(_text(figures.get(name)) for name in (F1, IOU, FALSE_ALARM, FOUND)),
            ]
        )
    area = pixels.column("generated_area")[~np.isnan(pixels.column("pixel_ap"))]
    note = (
        "Each figure is measured picture by picture, inside the patches that the picture was scored on, and "
        "averaged: pixel AP, F1 and IoU over the pictures of which a part, and not all, is generated there"
    )
    note += f" (on average {area.mean():.1%} of it: what pixel AP a map of noise gets)" if len(area) else ""
    note += (
        "; the area that is flagged, at or above logit 0, over the others. Maps are taken as they are, never "
        "turned around, with one threshold for all pictures. 95 % intervals by group, over the same "
        "resamples as the figures of whole pictures."
    )
    return Table("Where is a picture generated?", columns, cells, note)


def _by_manipulation(row: str, pixels: PixelTable) -> Table:
    named = np.array(pixels.manipulations)
    partly, area = ~np.isnan(pixels.column("pixel_ap")), pixels.column("generated_area")
    cells = []
    for kind in sorted(set(pixels.manipulations)):
        inside = named == kind
        some, real = inside & partly, inside & (area == 0)
        cells.append(
            [
                kind or UNTOUCHED,
                str(int(some.sum())),
                *(_mean(pixels.column(name)[some]) for name in _MEANS),
                str(int(real.sum())),
                _mean(pixels.column("flagged")[real]),
            ]
        )
    columns = [
        "manipulation",
        "partly generated",
        "area generated",
        AP,
        F1,
        IOU,
        "wholly real",
        "area flagged",
    ]
    return Table(f"By manipulation: {row}", columns, cells, "Means over pictures, and over seeds.")


_MEANS = ("generated_area", "pixel_ap", "pixel_f1", "pixel_iou")


def _text(figure: Figure | None) -> str:
    return tables.NOTHING if figure is None else figure_text(figure.mean)


def _mean(values: Values) -> str:
    return f"{values.mean():.3f}" if len(values) else tables.NOTHING
