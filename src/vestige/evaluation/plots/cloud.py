"""The cloud of simulated generators with the real ones in it, and how coverage grows with the cloud."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from vestige.evaluation.coverage import Kind, Point, Report, Share
from vestige.evaluation.plots.drawing import Drawing, drawing
from vestige.evaluation.plots.sheet import (
    GENERATED,
    INK,
    PERCENT,
    REAL,
    SOFT,
    UNSURE,
    WIDTH,
    Sheet,
    fit,
    sheet,
)

DRAWN = 2000  # dots at most: each is an element of the SVG

_LEFT = 50
_BOX = WIDTH - _LEFT - 14
_CLOUD = 300
_GROWTH = 150
_ROW = 17
_COLORS: dict[Kind, str] = {"generator": GENERATED, "source": REAL, "originals": INK}
_MARKERS: dict[Kind, str] = {"generator": "^", "source": "s", "originals": "*"}


def cloud(report: Report) -> Drawing:
    """The first two components of structures, generators, sources and originals; below, coverage by count.

    Filled markers are covered, hollow ones are not (by all components that are kept, so a hollow one may lie
    among dots here). Generators are numbered in the order of their distance and listed below.
    """
    structures = len(report.structures)
    generators = sorted(
        (one for one in report.points if one.kind == "generator"), key=lambda one: (one.distance, one.name)
    )
    sources = [one for one in report.points if one.kind == "source"]
    shown = min(structures, DRAWN)
    under = (
        f"{structures} structures{'' if shown == structures else f' (the first {shown} are drawn)'}, "
        f"{len(generators)} generators, {len(sources)} real sources; residual: "
        f"{report.settings.get('residual', 'not stated')}. Filled: covered. Star: the reconstructed pictures "
        "as they were"
    )
    listed = _ROW * (len(generators) + 1) + 8
    height = 22 + _CLOUD + 44 + 22 + _GROWTH + 44 + listed
    with sheet("Do simulated generators cover real ones?", under, height) as paper:
        paper.key([("simulated", UNSURE, 0.5), ("generators", GENERATED, 1.0), ("real sources", REAL, 1.0)])
        axes = paper.axes(_LEFT, 22, _BOX, _CLOUD)
        _scatter(axes, report, generators)
        _growth(paper.axes(_LEFT, 22 + _CLOUD + 66, _BOX, _GROWTH), report)
        _list(paper, paper.top + 22 + _CLOUD + 66 + _GROWTH + 56, generators, report)
        paper.words.append(report.conclusion)
        return drawing(paper)


def _scatter(axes: Axes, report: Report, generators: list[Point]) -> None:
    dots = np.array([_plane(row) for row in report.structures[:DRAWN]])
    axes.plot(*dots.T, linestyle="", marker="o", markersize=2, color=UNSURE, alpha=0.5)
    for point in report.points:
        color = _COLORS[point.kind]
        axes.plot(
            *np.array([_plane(point.coordinates)]).T,
            marker=_MARKERS[point.kind],
            markersize=11 if point.kind == "originals" else 5,
            markeredgecolor=color,
            markerfacecolor=color if point.covered else "none",
        )
    for number, point in enumerate(generators, start=1):
        place = _plane(point.coordinates)
        axes.annotate(str(number), place, (4, 2), textcoords="offset points", color=GENERATED)
    names = [f"component {number} (dB)" for number in (1, 2)]
    for number, share in enumerate(report.explained[:2]):
        names[number] += f", {share:.0%} of the variance"
    axes.set(xlabel=names[0], ylabel=names[1])


def _growth(axes: Axes, report: Report) -> None:
    rows = [row for row in report.coverings if row.space == "components" and row.radius_of == "largest"]
    axes.set_xscale("log")
    counts = [row.structures for row in rows]
    axes.set(ylim=(0, 1), xlim=(counts[0] / 1.3, counts[-1] * 1.3))
    axes.set_xlabel("structures; share covered, 95 % intervals")
    axes.xaxis.set_major_locator(FixedLocator(counts))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_major_formatter(PERCENT)
    # A little to both sides, so that intervals do not hide each other.
    _line(axes, {row.structures / 1.02: row.generators for row in rows}, "generator")
    _line(axes, {row.structures * 1.02: row.sources for row in rows}, "source")


def _line(axes: Axes, shares: dict[float, Share], kind: Kind) -> None:
    places, heights = [], []
    for x, one in shares.items():
        if one.share is not None and one.low is not None and one.high is not None:
            places.append(x)
            heights.append(one.share)
            axes.plot([x, x], [one.low, one.high], color=_COLORS[kind], linewidth=1.2)
    axes.plot(
        places,
        heights,
        color=_COLORS[kind],
        marker=_MARKERS[kind],
        dashes=(None, None) if kind == "generator" else (4, 1.5),
        clip_on=False,
    )


def _list(paper: Sheet, y: float, generators: list[Point], report: Report) -> None:
    radius = next(row.radius for row in reversed(report.coverings) if row.space == "components")
    paper.text(0, y, f"Generators by distance (radius {radius:.2f} dB)", color=SOFT)
    paper.text(WIDTH, y, "distance ± noise, dB", color=SOFT, side="right")
    for number, point in enumerate(generators, start=1):
        y += _ROW
        figure = f"{point.distance:.2f} ± {point.noise:.2f}"
        told = "" if point.covered else ", not covered"
        paper.text(22, y, f"{number}", color=GENERATED, side="right")
        paper.text(30, y, f"{fit(point.name, 28)} · {point.pictures}{told}")
        paper.text(WIDTH, y, figure, side="right")
        paper.words.append(f"{number}: {point.name}, {point.pictures} pictures, {figure} dB{told}")


def _plane(coordinates: list[float]) -> tuple[float, float]:
    """The first two coordinates; a cloud of one component lies on a line."""
    return coordinates[0], coordinates[1] if len(coordinates) > 1 else 0.0
