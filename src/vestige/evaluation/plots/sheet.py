"""The paper that plots are drawn on: size in CSS pixels, house colours for light and dark, SVG out.

A plot is SVG text that needs nothing else: no fonts, no network. Colours are drawn for a light background;
a style sheet inside the SVG replaces them where the reader's screen is dark. The same input gives the same
bytes.
"""

import io
import re
import textwrap
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter

from vestige.evaluation.scores import Scores
from vestige.reports.text import visible

WIDTH = 400  # of every plot: two stand side by side on a desk, one fills a phone and stays readable
SMALL = 11  # text; on a phone of 390 px this is shown at 9 px or more

# (on light, on dark) of what is drawn.
INK = "#1f1e1b"
SOFT = "#5f5b54"
LINE = "#d9d4ca"
GENERATED = "#a33c04"
REAL = "#0a5798"
UNSURE = "#777389"
ON_DARK = {
    INK: "#e9e6df",
    SOFT: "#b3afa6",
    LINE: "#3b3d46",
    GENERATED: "#ff9e6e",
    REAL: "#85c0f5",
    UNSURE: "#a09cb0",
    "#0b5fa5": "#7fbdf8",
    "#b8460e": "#ff9d66",
    "#00775d": "#4fd1ae",
    "#8c3f88": "#e39bdd",
    "#776000": "#d9bf4f",
    "#35788f": "#8ed3f0",
    "#a32a4e": "#f58aa9",
    "#4d4a44": "#c9c4b9",
}
SERIES = tuple(ON_DARK)[6:]
_DASHES: tuple[tuple[float, ...], ...] = ((), (5, 2), (2, 1.5), (7, 2, 1.5, 2))
_MARKERS = "os^DvPX*"

PERCENT = FuncFormatter(lambda share, _: f"{100 * share:.6g} %")

_SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "vestige",
    # Names of models and groups may hold dollar signs.
    "text.parse_math": False,
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": SMALL,
    "axes.labelsize": SMALL,
    "axes.titlesize": SMALL,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": SOFT,
    "xtick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.color": SOFT,
    "ytick.labelcolor": INK,
    "axes.grid": True,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 1.0,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "hatch.linewidth": 1.0,
    "axes.unicode_minus": False,
}


@dataclass(frozen=True)
class Stroke:
    """How one model is drawn everywhere: colour, dashes and marker all tell it apart."""

    color: str
    dashes: tuple[float, ...]
    marker: str
    place: int


def stroke(number: int) -> Stroke:
    """The stroke of the model at this place in the list, from 0; the first 32 differ."""
    turn, place = divmod(number, len(SERIES))
    return Stroke(SERIES[place], _DASHES[(place + turn) % len(_DASHES)], _MARKERS[place], place)


class Sheet:
    """One figure with a title; coordinates in CSS pixels from the top left corner.

    Args:
        title: what is shown, wrapped into lines.
        under: second part of the title in soft ink: how many, of what.
        height: of what stands below the titles.

    Attributes:
        top: where the titles end.
        words: what a screen reader says of it, in place of the drawing.
    """

    def __init__(self, title: str, under: str, height: float) -> None:
        self.words = [title, under] if under else [title]
        head = textwrap.wrap(plain(title), 49) or [""]
        below = textwrap.wrap(plain(under).replace(" %", "\N{NO-BREAK SPACE}%"), 65)
        self.top = 18 * len(head) + 15 * len(below) + 8
        self.height = self.top + height
        self.figure = Figure(figsize=(WIDTH / 72, self.height / 72), dpi=72)
        self.figure.patch.set_visible(False)
        for number, line in enumerate(head):
            self.text(0, 14 + 18 * number, line, size=13.5, weight="bold")
        for number, line in enumerate(below):
            self.text(0, 18 * len(head) + 11 + 15 * number, line, color=SOFT)

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Axes whose inner box lies `top` pixels below the titles."""
        bottom = self.height - self.top - top - height
        box = (left / WIDTH, bottom / self.height, width / WIDTH, height / self.height)
        axes = self.figure.add_axes(box)
        axes.patch.set_visible(False)
        return axes

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = SMALL,
        color: str = INK,
        side: str = "left",
        weight: str = "normal",
    ) -> None:
        """Text with its baseline at `y` from the top of the sheet; `side` as matplotlib's alignment."""
        self.figure.text(
            x / WIDTH,
            1 - y / self.height,
            plain(text),
            size=size,
            color=color,
            ha=side,
            va="baseline",
            weight=weight,
        )

    def key(self, entries: Sequence[tuple[str, str, float]]) -> None:
        """One line below the titles, 22 px high, that says what fills mean: (words, colour, opacity) each."""
        x = 8.0
        for words, color, opacity in entries:
            corner = (x / WIDTH, 1 - (self.top + 11) / self.height)
            size = (11 / WIDTH, 11 / self.height)
            self.figure.add_artist(Rectangle(corner, *size, color=color, alpha=opacity, linewidth=0))
            self.text(x + 16, self.top + 10, words)
            x += 40 + 7 * columns(words)

    def legend(
        self, top: float, heading: tuple[str, str], rows: Sequence[tuple[Stroke | None, str, str]]
    ) -> None:
        """A heading and rows of sample, name and figure, 17 px each; no sample for what is not drawn."""
        y = self.top + top + 12
        self.text(0, y, heading[0], color=SOFT)
        self.text(WIDTH, y, heading[1], color=SOFT, side="right")
        for sample, name, figure in rows:
            y += 17
            if sample:
                self._sample(sample, y - 4)
            self.text(40, y, fit(name, 54 - columns(figure)))
            self.text(WIDTH, y, figure, side="right")

    def _sample(self, sample: Stroke, y: float) -> None:
        self.figure.add_artist(
            Line2D(
                [1 / WIDTH, 16 / WIDTH, 31 / WIDTH],
                [1 - y / self.height] * 3,
                color=sample.color,
                dashes=sample.dashes or (None, None),
                marker=sample.marker,
                markevery=[1],
            )
        )

    def svg(self) -> str:
        """The drawing as SVG text with `words` as its accessible name."""
        buffer = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        with warnings.catch_warnings():
            # A browser writes the text, with fonts of its own.
            warnings.filterwarnings("ignore", message="Glyph .* missing")
            FigureCanvasSVG(self.figure).print_figure(buffer, format="svg", metadata=nothing)
        drawing = buffer.getvalue()
        start = drawing.index("<svg")
        inside = drawing[drawing.index(">", start) + 1 :]
        size = f"{WIDTH} {self.height:g}"
        words = ". ".join(part.rstrip(".") for part in self.words) + "."
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'class="vestige-plot" viewBox="0 0 {size}" width="{WIDTH}" height="{self.height:g}" '
            f'role="img" aria-label="{escape(plain(words))}">\n<style>{_style()}</style>'
            + re.sub(r"[ \t]+\n", "\n", inside)
        )


@contextmanager
def sheet(title: str, under: str, height: float) -> Iterator[Sheet]:
    """A `Sheet` to draw on inside the block, whatever the reader's own matplotlib settings are."""
    with matplotlib.style.context(["default", _SETTINGS]):
        yield Sheet(title, under, height)


def message(title: str, sentence: str) -> str:
    """A sheet with a sentence in place of a plot that cannot be drawn."""
    lines = textwrap.wrap(plain(sentence), 60)
    with sheet(title, "", 17 * len(lines) + 10) as paper:
        for number, line in enumerate(lines):
            paper.text(0, paper.top + 12 + 17 * number, line)
        paper.words.append(sentence)
        return paper.svg()


def counts(scores: Scores) -> str:
    """How many pictures of which data, for the second part of a title."""
    return f"{scores.data}, {scores.condition}: {scores.real} real / {scores.generated} generated pictures"


def plain(text: str) -> str:
    """Text that XML can hold, with nothing hidden in it; names of groups and models come from files."""
    return re.sub("[\ufffe\uffff]", "\ufffd", visible(text))


def columns(text: str) -> int:
    """Columns that text takes: wide characters count two."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def fit(text: str, limit: int) -> str:
    """Text cut in its middle to at most `limit` columns: names of one family differ at both ends."""
    text = plain(text)
    if columns(text) <= limit:
        return text
    tail = (limit - 1) // 2
    return f"{_start(text, limit - 1 - tail)}…{_start(text[::-1], tail)[::-1]}"


def _start(text: str, limit: int) -> str:
    while columns(text) > limit:
        text = text[:-1]
    return text


def _style() -> str:
    # Not below `.vestige-plot`: what `use` shows is matched without its ancestors.
    rules = "".join(
        f'[style*="{what}: {light}"]{{{what}:{dark}!important}}'
        for light, dark in ON_DARK.items()
        for what in ("fill", "stroke")
    )
    return (
        '.vestige-plot text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",'
        '"Helvetica Neue",sans-serif!important}'
        f"@media screen and (prefers-color-scheme:dark){{{rules}}}"
    )
