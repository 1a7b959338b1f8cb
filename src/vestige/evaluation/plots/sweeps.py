"""What is left of the ranking when pictures are recompressed, resized or otherwise changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes

from vestige.evaluation import metrics
from vestige.evaluation.metrics import Interval, auroc
from vestige.evaluation.plots.curves import DRAWS, missing
from vestige.evaluation.plots.sheet import WIDTH, Stroke, message, sheet, stroke
from vestige.evaluation.scores import Scores

Found = Mapping[str, Sequence[tuple[float, Sequence[Scores]]]]

_PANEL, _STEP = 118, 176


@dataclass(frozen=True)
class Line:
    """One model under one family of changes.

    Attributes:
        levels: in the order given, without level 0.
        intervals: AUROC for each level; nan where it is not defined.
        reference: AUROC at level 0; nan if there is none.
    """

    levels: list[float]
    intervals: list[Interval]
    reference: float


def lines(
    steps: Sequence[tuple[float, Sequence[Scores]]], draws: int = DRAWS, seed: int = 0
) -> dict[str, Line]:
    """AUROC of each model at each level of one family, models in order of appearance.

    Args:
        steps: level and the scores of all models at this level; level 0 is the unchanged picture.
        draws: resamples of source pictures behind an interval.
        seed: of the resampling; the same for all levels, so that they are compared on the same resamples.
    """
    found: dict[str, Line] = {}
    for level, models in steps:
        for scores in models:
            line = found.setdefault(scores.model, Line([], [], float("nan")))
            if level == 0:
                value = float("nan") if missing(scores) else auroc(scores.labels, scores.logits)
                found[scores.model] = Line(line.levels, line.intervals, value)
            else:
                line.levels.append(level)
                line.intervals.append(_interval(scores, draws, seed))
    return found


def with_reference(found: Found) -> dict[str, list[tuple[float, Sequence[Scores]]]]:
    """Families with changed pictures, each starting with its own level 0 or else the one that all share."""
    shared = [step for steps in found.values() if all(level == 0 for level, _ in steps) for step in steps]
    changed = {
        family: list(steps) for family, steps in found.items() if any(level != 0 for level, _ in steps)
    }
    return {
        family: steps if any(level == 0 for level, _ in steps) else shared + steps
        for family, steps in changed.items()
    }


def robustness(found: Found, draws: int = DRAWS, seed: int = 0) -> str:
    """AUROC against level, one panel per family of changes, one line per model, as SVG.

    Args:
        found: per family the levels, in the order in which they are drawn, with the scores of all models.
            Level 0 is the unchanged picture and becomes the dashed line; a family that has no other level
            gets no panel and gives this line to families without a level 0.
        draws: resamples of source pictures behind an interval.
        seed: of the resampling.
    """
    title = "AUROC after changes to the pictures"
    panels = {family: lines(steps, draws, seed) for family, steps in with_reference(found).items()}
    ends = [
        value
        for panel in panels.values()
        for line in panel.values()
        for value in (line.reference, *(end for one in line.intervals for end in (one.value, one.low)))
        if not np.isnan(value)
    ]
    if not ends:
        return message(title, "Nothing to draw: no change was scored on both real and generated pictures.")
    names = list(dict.fromkeys(name for panel in panels.values() for name in panel))
    under = f"{_data(found)}. Shaded: 95 % over source pictures. Dashed: unchanged pictures"
    down = -(-len(panels) // 2)
    bottom = min(0.9, np.floor(min(ends) * 10) / 10)
    with sheet(title, under, _STEP * down + 28 + 17 * len(names)) as paper:
        wide = (WIDTH - 36 - 56) / 2
        for number, (family, panel) in enumerate(panels.items()):
            row, column = divmod(number, 2)
            left, top = 36 + column * (wide + 46), 20 + row * _STEP
            paper.text(left, paper.top + top - 6, family, weight="bold")
            axes = paper.axes(left, top, wide, _PANEL)
            axes.set(ylim=(bottom, 1.01))
            levels = list(dict.fromkeys(level for line in panel.values() for level in line.levels))
            for name, line in reversed(panel.items()):
                _draw(axes, line, levels, names.index(name))
            paper.words += [f"{family}, {name}: {_told(line)}" for name, line in panel.items()]
            axes.set_xticks(range(len(levels)), [f"{level:g}" for level in levels])
            axes.set_xlim(-0.3, max(1, len(levels)) - 0.7)
        paper.legend(_STEP * down, ("model", ""), [(_look(n), name, "") for n, name in enumerate(names)])
        return paper.svg()


def _draw(axes: Axes, line: Line, levels: list[float], number: int) -> None:
    look = _look(number)
    if not np.isnan(line.reference):
        axes.axhline(line.reference, color=look.color, linewidth=1, dashes=(4, 3))
    across = [levels.index(level) for level in line.levels]
    low, high = ([getattr(one, end) for one in line.intervals] for end in ("low", "high"))
    axes.fill_between(across, low, high, color=look.color, alpha=0.16, linewidth=0)
    values = [one.value for one in line.intervals]
    axes.plot(across, values, color=look.color, marker=look.marker)


def _look(number: int) -> Stroke:
    """The model's stroke without its dashes: dashed lines are the unchanged pictures here."""
    return replace(stroke(number), dashes=())


def _interval(scores: Scores, draws: int, seed: int) -> Interval:
    if missing(scores):
        return Interval(float("nan"), float("nan"), float("nan"))
    resamples = metrics.draws(scores.labels, scores.pictures, draws, seed)
    return metrics.interval(auroc, scores.labels, scores.logits, resamples)


def _told(line: Line) -> str:
    known = [] if np.isnan(line.reference) else [f"unchanged {line.reference:.3f}"]
    steps = zip(line.levels, line.intervals, strict=True)
    return ", ".join(known + [f"at {level:g} {one.value:.3f}" for level, one in steps])


def _data(found: Found) -> str:
    """Data set and counts: levels may leave different pictures out."""
    every = [scores for steps in found.values() for _, models in steps for scores in models]
    names = ", ".join(dict.fromkeys(scores.data for scores in every))
    real, generated = ({getattr(one, name) for one in every} for name in ("real", "generated"))
    return f"{names}: {_span(real)} real / {_span(generated)} generated pictures"


def _span(counts: set[int]) -> str:
    return f"{min(counts)}" if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
