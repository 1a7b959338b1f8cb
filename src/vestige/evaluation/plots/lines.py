"""AUROC of several rows along one axis: a number such as how many pictures were seen, or named steps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from vestige.evaluation.metrics import Interval
from vestige.evaluation.plots.sheet import SMALL, WIDTH, Stroke, columns, message, sheet, stroke

_LEFT, _BOX, _HEIGHT = 36, WIDTH - 36 - 14, 190
_LETTER = 0.6 * SMALL  # pixels of a digit, roughly
_CROWD = 4  # more bands than these hide each other unless they are faint


@dataclass(frozen=True)
class Series:
    """One line: x -> AUROC with its interval; nan is not drawn."""

    name: str
    points: dict[float, Interval]


def auroc_along(
    title: str,
    under: str,
    axis: str,
    series: Sequence[Series],
    steps: Sequence[str] | None = None,
    log: bool = False,
) -> str:
    """AUROC against x as SVG, one line for each series with its interval as a band.

    Args:
        under: second part of the title: how many pictures, of what.
        axis: what x is.
        steps: names of x = 0, 1, 2, ... where x has no unit of its own.
        log: whether the axis is logarithmic; every x is then above 0.
    """
    found = [point for one in series for point in one.points.values() if not np.isnan(point.value)]
    if not found:
        return message(title, "Nothing to draw: no row was scored on both real and generated pictures.")
    ends = [end for point in found for end in (point.value, point.low) if not np.isnan(end)]
    places = sorted({x for one in series for x in one.points})
    with sheet(title, under, _HEIGHT + 62 + 17 * len(series)) as paper:
        axes = paper.axes(_LEFT, 8, _BOX, _HEIGHT)
        axes.set(ylim=(min(0.9, np.floor(min(ends) * 10) / 10), 1.01))
        if log:
            axes.set_xscale("log")
        if steps is None:
            _number_axis(axes, places, log)
        else:
            axes.set_xticks(range(len(steps)), list(steps))
            axes.set_xlim(-0.3, max(1, len(steps)) - 0.7)
        axes.set_xlabel(axis)
        alpha = 0.16 if len(series) <= _CROWD else 0.07
        for number, one in reversed(list(enumerate(series))):
            _draw(axes, one, _look(number), alpha)
        paper.words += [f"{one.name}: {_told(one, steps)}" for one in series]
        rows = [(_look(number), one.name, "") for number, one in enumerate(series)]
        paper.legend(8 + _HEIGHT + 36, ("AUROC", ""), rows)
        return paper.svg()


def _draw(axes: Axes, one: Series, look: Stroke, alpha: float) -> None:
    places = sorted(one.points)
    values, low, high = ([getattr(one.points[x], end) for x in places] for end in ("value", "low", "high"))
    if len(places) == 1:
        # A band of no width would not be seen.
        axes.plot(places * 2, [low[0], high[0]], color=look.color, linewidth=1.2)
    else:
        axes.fill_between(places, low, high, color=look.color, alpha=alpha, linewidth=0)
    axes.plot(places, values, color=look.color, marker=look.marker, dashes=look.dashes or (None, None))


def _number_axis(axes: Axes, places: list[float], log: bool) -> None:
    """The x that there are as ticks, as far as their labels have room."""
    across = np.log(places) if log else np.array(places)
    first, span = across[0], across[-1] - across[0]
    # A little room at both ends, and some where there is one x only.
    edge = 0.04 * span if span else (0.7 if log else 0.5)
    limits = np.array([first - edge, across[-1] + edge])
    axes.set_xlim(*(np.exp(limits) if log else limits))
    pixels = (across - limits[0]) / (limits[1] - limits[0]) * _BOX
    ticks: list[float] = []
    free = -np.inf
    for x, pixel in zip(places, pixels, strict=True):
        half = columns(f"{x:g}") * _LETTER / 2
        if pixel - half >= free:
            ticks.append(x)
            free = pixel + half + _LETTER
    axes.set_xticks(ticks, [f"{x:g}" for x in ticks])
    axes.xaxis.set_minor_locator(NullLocator())


def _look(number: int) -> Stroke:
    """The first colours are drawn without dashes: markers and colours tell them apart."""
    look = stroke(number)
    return replace(look, dashes=()) if number < _CROWD else look


def _told(one: Series, steps: Sequence[str] | None) -> str:
    names = {x: f"{x:g}" if steps is None else steps[int(x)] for x in sorted(one.points)}
    known = [(names[x], one.points[x].value) for x in names if not np.isnan(one.points[x].value)]
    return ", ".join(f"at {name} {value:.3f}" for name, value in known) or "nothing scored"
