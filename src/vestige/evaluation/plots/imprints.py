"""Imprints of generators on a plane, without and with those that a simulator draws; and their spectra."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from vestige.evaluation.imprint_record import Generator, Report
from vestige.evaluation.imprints import Spectra
from vestige.evaluation.plots.drawing import Drawing, drawing
from vestige.evaluation.plots.sheet import INK, SERIES, SOFT, UNSURE, WIDTH, Stroke, fit, sheet, stroke
from vestige.reports.signature_pictures import coloured

DRAWN = 60  # pictures at most, of each generator: each dot is an element of the SVG

_LEFT, _BOX, _PLANE = 58, WIDTH - 58 - 14, 240
_BELOW = 58  # an axis' numbers and label, and the title of what follows

_TILE, _GAP = 76, 6  # of a row of spectra
_CURVE_LEFT = 3 * (_TILE + _GAP) + 34
_ROW = _TILE + 42
_KINDS = ("differences", "sampled", "white")
_LOOKS = {
    "differences": (SERIES[0], ()),
    "sampled": (SERIES[1], (4, 1.5)),
    "white": (UNSURE, (1.5, 1.5)),
}
_WORDS = {
    "differences": "in differences",
    "sampled": "in imprints drawn per band",
    "white": "in imprints drawn per pixel",
}
_TITLES = {"differences": "differences", "sampled": "per band", "white": "per pixel"}


def places(report: Report) -> Drawing:
    """The first two components: (a) of differences alone, (b) with sampled imprints of each generator and of
    the fused distribution.
    """
    shown = min(report.pictures, DRAWN)
    under = (
        f"{report.pictures} real pictures of {len(report.sources)} sources"
        f"{'' if shown == report.pictures else f', {shown} of them drawn'}; components of the differences. "
        "Each mark is an imprint: how strong its frequency bands are"
    )
    height = 2 * (_PLANE + _BELOW) + 17 * (len(report.generators) + 3) + 24
    with sheet("Imprints of generators, and imprints drawn from fits to them", under, height) as paper:
        first, second = (paper.axes(_LEFT, 18 + turn * (_PLANE + _BELOW), _BOX, _PLANE) for turn in (0, 1))
        paper.text(0, paper.top + 10, "(a) reconstruction minus picture", color=SOFT)
        paper.text(
            0,
            paper.top + 10 + _PLANE + _BELOW,
            "(b) the same, faint, and imprints drawn from the fits",
            color=SOFT,
        )
        chosen = np.linspace(0, report.pictures - 1, shown).round().astype(int)
        fused = np.array(report.fused)[chosen]
        for number, one in enumerate(report.generators):
            look, found = stroke(number), np.array(one.differences)[chosen]
            _dots(first, found, look, 0.8, filled=True)
            _dots(second, found, look, 0.16, filled=True)
        second.plot(*fused.T, linestyle="", marker="+", markersize=6, color=INK, markeredgewidth=1)
        for number, one in enumerate(report.generators):
            _dots(second, np.array(one.sampled)[chosen], stroke(number), 1.0, filled=False)
        for axes in (first, second):
            _label(axes, report)
        _share_limits(first, second)
        rows: list[tuple[Stroke | None, str, str]] = [
            (stroke(number), one.name, f"{one.distance:.2f}") for number, one in enumerate(report.generators)
        ]
        rows.append((None, "+  fused: a new mixture for each imprint", ""))
        rows.append((None, "hollow in (b): drawn from the fit to this generator", ""))
        paper.legend(
            18 + 2 * (_PLANE + _BELOW) - 16, ("generator", "spreads from differences to drawn ones"), rows
        )
        paper.words += [*report.conclusion]
        return drawing(paper)


def spectra(report: Report, found: Mapping[str, Spectra]) -> Drawing:
    """For each generator the spectra of differences, of imprints per band and per pixel, and their curves.

    Args:
        found: spectra of each generator by its name.
    """
    under = (
        f"Mean log spectra over {report.pictures} pictures, frequency 0 at the top left, 1/2 cycle per pixel "
        "at the other edges, one scale in a row. Curves: means at equal distances from frequency 0. dB: how "
        "far the multiple of 1/8 stands out that does so most in differences"
    )
    with sheet(
        "Do drawn imprints have the spectra of differences?", under, _ROW * len(report.generators) + 52
    ) as paper:
        for place, kind in enumerate(_KINDS):
            paper.text(place * (_TILE + _GAP), paper.top + 10, _TITLES[kind], color=_LOOKS[kind][0])
        paper.text(_CURVE_LEFT, paper.top + 10, "mean, dB", color=SOFT)
        for number, one in enumerate(report.generators):
            top = 20 + number * _ROW
            paper.text(0, paper.top + top + 12, fit(one.name, 56), weight="bold")
            # Windows spread a frequency over more than two values: every second one shows all there is.
            planes = {kind: getattr(found[one.name], kind)[::2, ::2] for kind in _KINDS}
            low = float(np.quantile(planes["differences"], 0.02)) - 3
            high = float(np.quantile(planes["differences"], 0.999)) + 1
            for place, kind in enumerate(_KINDS):
                left = place * (_TILE + _GAP)
                axes = paper.axes(left, top + 18, _TILE, _TILE)
                axes.imshow(
                    coloured((planes[kind] - low) / (high - low)), interpolation="none", aspect="auto"
                )
                axes.set_axis_off()
                peaks = getattr(one.curves, f"peaks_{kind}")
                paper.text(
                    left + _TILE,
                    paper.top + top + 18 + _TILE + 12,
                    f"{peaks.strongest:+.1f} dB",
                    side="right",
                )
            last = number == len(report.generators) - 1
            _curves(
                paper.axes(_CURVE_LEFT, top + 18, WIDTH - _CURVE_LEFT - 8, _TILE),
                one,
                report.frequencies,
                last,
            )
            paper.words.append(f"{one.name}: {_told(one)}")
        return drawing(paper)


def _dots(axes: Axes, rows: np.ndarray, look: Stroke, alpha: float, filled: bool) -> None:
    axes.plot(
        *rows.T,
        linestyle="",
        marker=look.marker,
        markersize=3.5 if filled else 4.5,
        markeredgecolor=look.color,
        markerfacecolor=look.color if filled else "none",
        markeredgewidth=0 if filled else 0.9,
        alpha=alpha,
    )


def _label(axes: Axes, report: Report) -> None:
    names = [f"component {number} (dB)" for number in (1, 2)]
    for number, share in enumerate(report.explained[:2]):
        names[number] += f", {share:.0%} of the variance"
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1], labelpad=1)  # ticks such as -10.0 leave little room


def _share_limits(first: Axes, second: Axes) -> None:
    """Both planes show the same part."""
    for which in ("x", "y"):
        ends = [getattr(axes, f"get_{which}lim")() for axes in (first, second)]
        for axes in (first, second):
            getattr(axes, f"set_{which}lim")(min(low for low, _ in ends), max(high for _, high in ends))


def _curves(axes: Axes, one: Generator, frequencies: list[float], last: bool) -> None:
    for kind in _KINDS:
        color, dashes = _LOOKS[kind]
        axes.plot(
            frequencies, getattr(one.curves, kind), color=color, dashes=dashes or (None, None), linewidth=1.4
        )
    axes.set_xlim(0, 0.71)
    axes.xaxis.set_major_locator(FixedLocator([0, 0.25, 0.5]))
    axes.xaxis.set_minor_locator(NullLocator())
    if last:
        axes.set_xticks([0, 0.25, 0.5], ["0", "1/4", "1/2"])
        axes.set_xlabel("cycles per pixel")
    else:
        axes.xaxis.set_major_formatter(NullFormatter())
    axes.locator_params(axis="y", nbins=4)


def _told(one: Generator) -> str:
    curves = one.curves
    figures = [
        f"{getattr(curves, f'peaks_{kind}').strongest:.1f} dB {words}" for kind, words in _WORDS.items()
    ]
    return f"at {curves.x:g} across and {curves.y:g} down, {', '.join(figures)}"
