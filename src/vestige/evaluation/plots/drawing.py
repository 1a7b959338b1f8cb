"""A sheet in two forms: for pages that adapt to the reader, and for places that show pictures only."""

import io
import warnings
from dataclasses import dataclass

from matplotlib.backends.backend_agg import FigureCanvasAgg

from vestige.evaluation.plots.sheet import Sheet

SHARP = 2  # pixels of the PNG to a CSS pixel


@dataclass(frozen=True)
class Drawing:
    """One plot in two forms: SVG text, and the bytes of a PNG on white."""

    svg: str
    png: bytes


def drawing(paper: Sheet) -> Drawing:
    """Both forms of a sheet that is drawn to the end; the same sheet gives the same bytes."""
    return Drawing(paper.svg(), _png(paper))


def _png(paper: Sheet) -> bytes:
    buffer = io.BytesIO()
    paper.figure.patch.set(visible=True, facecolor="white")
    paper.figure.set_dpi(72 * SHARP)
    with warnings.catch_warnings():
        # matplotlib's own font has no letters of East Asia.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        FigureCanvasAgg(paper.figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()
