"""How large deviations are: a violin for each class, and one for each group, as SVG."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from vestige.evaluation.metrics import Labels, Values
from vestige.evaluation.metrics.groups import MINIMUM
from vestige.evaluation.plots.sheet import GENERATED, REAL, SOFT, WIDTH, Sheet, fit, message, sheet

POINTS = 64  # of an outline
_LEFT = 164
_BOX = WIDTH - _LEFT - 12
_CLASS, _GROUP = 40, 20  # rows
_COLORS, _MARKERS = (REAL, GENERATED), "s^"
CLASSES = ("real", "generated")


@dataclass(frozen=True)
class Violin:
    """Magnitudes of one class or group, float64 [n], n >= 1."""

    name: str
    label: int
    values: Values

    @property
    def median(self) -> float:
        """Half of the magnitudes are not larger."""
        return float(np.median(self.values))

    @property
    def middle(self) -> tuple[float, float]:
        """The quartiles."""
        low, high = np.quantile(self.values, [0.25, 0.75])
        return float(low), float(high)


def by_class(labels: Labels, magnitudes: Values) -> list[Violin]:
    """Real and generated pictures, as far as there are any."""
    return [
        Violin(CLASSES[label], label, magnitudes[labels == label])
        for label in (0, 1)
        if (labels == label).any()
    ]


def by_group(labels: Labels, groups: list[str], magnitudes: Values) -> tuple[list[Violin], list[Violin]]:
    """Generators and sources, the smallest median first; and those with too few pictures, by name."""
    names = np.array(groups, dtype=np.str_)
    found = []
    for label in (0, 1):
        for name in sorted(set(names[labels == label].tolist())):
            found.append(Violin(name, label, magnitudes[(labels == label) & (names == name)]))
    enough = [one for one in found if len(one.values) >= MINIMUM]
    few = sorted((one for one in found if len(one.values) < MINIMUM), key=lambda one: one.name)
    return sorted(enough, key=lambda one: (one.median, one.label, one.name)), few


def density(values: Values, points: int = POINTS) -> tuple[Values, Values]:
    """Where and how densely values lie, from the smallest to the largest; the largest density is 1.

    Gaussian kernels of Scott's width (standard deviation * n^(-1/5)).

    Returns:
        Places and densities, float64 [points] each; both empty where all values are the same.
    """
    width = float(values.std()) * len(values) ** -0.2
    if not width > 0:
        return np.empty(0), np.empty(0)
    grid = np.linspace(values.min(), values.max(), points)
    heights = np.exp(-0.5 * ((grid[:, None] - values[None]) / width) ** 2).sum(1)
    return grid, heights / heights.max()


def violins(title: str, under: str, labels: Labels, groups: list[str], magnitudes: Values) -> str:
    """Magnitudes by class above, by group below, as SVG.

    Args:
        under: second part of the title: whose deviation from what.
        labels: int64 [N].
        groups: N names; those with fewer than ten pictures are not drawn.
        magnitudes: float64 [N].
    """
    classes = by_class(labels, magnitudes)
    if not classes:
        return message(title, "Nothing to draw: there is no picture.")
    drawn, few = by_group(labels, groups, magnitudes)
    told = (
        f"{under}. Marker: median (square real, triangle generated); bar: middle half. Each violin has the "
        "same height. Dashed: medians of the classes"
    )
    if few:
        told += f". Not drawn, fewer than {MINIMUM} pictures: {', '.join(one.name for one in few)}"
    low, high = float(magnitudes.min()), float(magnitudes.max())
    edge = 0.03 * (high - low) or 0.05 * abs(high) or 1.0
    tall = _CLASS * len(classes)
    height = tall + 30 + (_GROUP * len(drawn) + 44 if drawn else 24)
    with sheet(title, told, height) as paper:
        axes = _panel(paper, 0, _CLASS, classes, (low - edge, high + edge))
        if drawn:
            axes = _panel(paper, tall + 30, _GROUP, drawn, (low - edge, high + edge))
            for one in classes:
                axes.axvline(one.median, color=_COLORS[one.label], linewidth=1, dashes=(4, 3))
        axes.set_xlabel("magnitude of the deviation")
        return paper.svg()


def _panel(paper: Sheet, top: float, row: int, rows: list[Violin], limits: tuple[float, float]) -> Axes:
    axes = paper.axes(_LEFT, top, _BOX, row * len(rows))
    axes.set(xlim=limits, ylim=(len(rows) - 0.5, -0.5), yticks=[])
    axes.spines["left"].set_visible(False)
    for number, one in enumerate(rows):
        color = _COLORS[one.label]
        grid, heights = density(one.values)
        axes.fill_between(
            grid, number - 0.42 * heights, number + 0.42 * heights, color=color, alpha=0.35, linewidth=0
        )
        axes.plot(one.middle, [number] * 2, color=color, linewidth=3)
        axes.plot(
            [one.median],
            [number],
            color=color,
            marker=_MARKERS[one.label],
            markersize=6,
            markeredgecolor="white",
            markeredgewidth=0.8,
        )
        count = str(len(one.values))
        y = paper.top + top + row * (number + 0.5) + 4
        paper.text(0, y, fit(one.name, 24 - len(count)), color=color)
        paper.text(_LEFT - 8, y, count, color=SOFT, side="right")
        kind = "" if one.name == CLASSES[one.label] else f" ({CLASSES[one.label]})"
        paper.words.append(f"{one.name}{kind}, {count} pictures: median {one.median:.3g}")
    return axes
