"""Two detectors on the same pictures: each picture a point at the two logits."""

import numpy as np
import numpy.typing as npt

from vestige.evaluation.metrics import Labels, Values
from vestige.evaluation.plots.sheet import GENERATED, INK, REAL, WIDTH, fit, sheet

DRAWN = 1500  # points at most: each is an element of the SVG

_LEFT, _SIDE = 44, WIDTH - 44 - 14
_KINDS = ((0, "real", REAL, "s"), (1, "generated", GENERATED, "^"))


def pair(title: str, under: str, names: tuple[str, str], x: Values, y: Values, labels: Labels) -> str:
    """A scatter of logits as SVG; dashed lines at logit 0, where each detector decides.

    Where there are more than `DRAWN` pictures, so many are drawn, each with the same chance, and the title
    says so.

    Args:
        names: of the detectors, for x and y.
        x, y: logits, float64 [N], positive = generated.
        labels: int64 [N], 0 real, 1 generated.
    """
    shown = _shown(len(labels))
    if len(shown) < len(labels):
        under += f"; {len(shown)} of them are drawn"
    with sheet(title, under, 22 + _SIDE + 44) as paper:
        paper.key([(f"{kind} ({mark})", color, 1.0) for _, kind, color, mark in _words()])
        axes = paper.axes(_LEFT, 22, _SIDE, _SIDE)
        for label, _, color, marker in _KINDS:
            inside = shown[labels[shown] == label]
            axes.plot(
                x[inside],
                y[inside],
                linestyle="",
                marker=marker,
                markersize=4,
                markerfacecolor="none",
                markeredgecolor=color,
                markeredgewidth=0.9,
                alpha=0.6,
            )
        axes.axvline(0, color=INK, linewidth=1, dashes=(4, 3))
        axes.axhline(0, color=INK, linewidth=1, dashes=(4, 3))
        axes.set_xlabel(f"logit of {fit(names[0], 40)}")
        axes.set_ylabel(f"logit of {fit(names[1], 40)}")
        return paper.svg()


def _words() -> list[tuple[int, str, str, str]]:
    signs = {"s": "squares", "^": "triangles"}
    return [(label, kind, color, signs[marker]) for label, kind, color, marker in _KINDS]


def _shown(count: int) -> npt.NDArray[np.int64]:
    """Positions of the pictures that are drawn, ascending."""
    if count <= DRAWN:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).permutation(count)[:DRAWN])
