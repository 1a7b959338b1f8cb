"""From the maps of the scored views to what they say of parts of the picture."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vestige.inference.card import Localisation

_ROWS, _COLUMNS = ("upper", "middle", "lower"), ("left", "centre", "right")
_IN_ROWS = ("in the upper third", "at half height", "in the lower third")
_IN_COLUMNS = ("in the left third", "at half width", "in the right third")


@dataclass(frozen=True)
class Parts:
    """What the cells looked at say together.

    Attributes:
        share: of the cells, those at or above the threshold, in [0, 1].
        rest: mean probability of the other cells; nan if there are none.
        where: where most of the cells at or above the threshold lie: "at the upper left", "in the lower
            third", "at half height"; "" if they are spread further than that.
    """

    share: float
    rest: float
    where: str = ""


def shares(probabilities: npt.ArrayLike, threshold: float) -> tuple[float, float]:
    """Share of cells at or above the threshold, and the mean probability of the others (nan without any).

    Args:
        probabilities: of the cells of one picture, any shape, at least one, in [0, 1].
    """
    cells = np.asarray(probabilities, dtype=np.float64).ravel()
    above = cells >= threshold
    return float(above.mean()), float(cells[~above].mean()) if not above.all() else float("nan")


def find_parts(
    probabilities: npt.NDArray[np.float64],
    corners: Sequence[tuple[int, int]],
    size: int,
    width: int,
    height: int,
    threshold: float,
) -> Parts:
    """Look at the cells of all scored views; those of overlapping views all count.

    Args:
        probabilities: float64 [N, h, w], calibrated maps of the views.
        corners: N times (x, y) of the top left of a view, in pixels of the picture.
        size: side of the views in pixels. Cells that lie beyond the picture, where a small one was filled up
            by reflection, do not count.
        width, height: of the picture in pixels.
        threshold: a cell counts as generated from this probability on.
    """
    rows, columns = probabilities.shape[1:]
    found, at_x, at_y = [], [], []
    for (x, y), cells in zip(corners, probabilities, strict=True):
        left, top = np.meshgrid(x + np.arange(columns) * size / columns, y + np.arange(rows) * size / rows)
        inside = (left < width) & (top < height)
        found.append(cells[inside])
        at_x.append(left[inside] + size / columns / 2)
        at_y.append(top[inside] + size / rows / 2)
    every = np.concatenate(found)
    share, rest = shares(every, threshold)
    above = every >= threshold
    return Parts(
        share, rest, _where(np.concatenate(at_x)[above] / width, np.concatenate(at_y)[above] / height)
    )


def partly_generated(parts: Parts, rule: Localisation) -> bool:
    """Whether the rule of a card calls a picture with these parts partly generated."""
    # A mean that is no number, as where no cell is left over, is above every limit.
    return rule.minimum_share <= parts.share <= rule.maximum_share and parts.rest <= rule.maximum_rest


def part_words(parts: Parts) -> str:
    """One sentence on the part that looks generated, and how much the rest, if there is any, does so, too."""
    share = "more than 99%" if parts.share > 0.99 else f"about {100 * parts.share:.2g}%"
    place = f", most of it {parts.where}" if parts.where else ""
    mean = "below 1%" if parts.rest < 0.01 else f"{100 * parts.rest:.0f}%"
    rest = "" if math.isnan(parts.rest) else f"; in the rest the mean probability is {mean}"
    return f"By the model's own map, {share} of the area looked at resembles generated pictures{place}{rest}."


def _where(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> str:
    """The ninth of the picture with most of the points, else the third with nearly all of them, else ""."""
    if not len(x):
        return ""
    row, column = (np.minimum((3 * place).astype(int), 2) for place in (y, x))
    ninths = np.bincount(3 * row + column, minlength=9) / len(x)
    if ninths.max() > 0.5:
        place = divmod(int(ninths.argmax()), 3)
        return "in the centre" if place == (1, 1) else f"at the {_ROWS[place[0]]} {_COLUMNS[place[1]]}"
    grid = ninths.reshape(3, 3)
    for words, thirds in ((_IN_ROWS, grid.sum(1)), (_IN_COLUMNS, grid.sum(0))):
        if thirds.max() > 0.75:
            return words[int(thirds.argmax())]
    return ""
