"""How well models rank: ROC, its end where few real pictures are accused, precision and recall."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from vestige.evaluation import metrics
from vestige.evaluation.metrics import Metric, Values, auroc, average_precision
from vestige.evaluation.plots import curves
from vestige.evaluation.plots.sheet import PERCENT, SOFT, WIDTH, Stroke, counts, message, sheet, stroke
from vestige.evaluation.scores import Scores

# With more models than this only the first and the best other one get a band.
ALL_BANDS = 4
_LOG_TICKS = np.array([1e-5, 1e-4, 1e-3, 0.01, 0.05, 0.2, 1.0])
_LEFT, _HEIGHT = 50, 270


@dataclass(frozen=True)
class _Kind:
    """What sets one kind of curve apart."""

    title: str
    figure: str
    metric: Metric
    points: curves.Points
    read: curves.Reading
    across: str
    up: str


def roc(found: Sequence[Scores], draws: int = curves.DRAWS, seed: int = 0) -> str:
    """ROC curves with 95 % bands as SVG; the dashed line is chance.

    Args:
        found: models, on the same data under the same condition.
        draws: resamples of source pictures behind a band.
        seed: of the resampling.

    Raises:
        ValueError: scores of several data sets or conditions.
    """
    kind = _Kind(
        "ROC: generated found against real accused",
        "AUROC",
        auroc,
        metrics.roc_curve,
        curves.along,
        "share of real pictures accused (false positive rate)",
        "share of generated pictures found",
    )

    def chance(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1, dashes=(4, 3))

    return _plot(found, kind, np.linspace(0, 1, 201), chance, draws, seed)


def roc_low(found: Sequence[Scores], draws: int = curves.DRAWS, seed: int = 0) -> str:
    """The ROC curves where few real pictures are accused, on a logarithmic scale, as SVG.

    The axis starts at one real picture, below which nothing was measured. The curves are steps and agree with
    `vestige.evaluation.metrics.recall_at_fpr`.

    Args:
        found: models, on the same data under the same condition.
        draws: resamples of source pictures behind a band.
        seed: of the resampling.

    Raises:
        ValueError: scores of several data sets or conditions.
    """
    real = max((scores.real for scores in found), default=0)
    kind = _Kind(
        "ROC where false accusations are rare",
        "AUROC",
        auroc,
        metrics.roc_curve,
        curves.within,
        f"share of real pictures accused, log scale from 1 in {real}",
        "share of generated pictures found",
    )
    lowest = 1 / max(real, 2)
    steps = np.arange(1, min(real, 100) + 1) / max(real, 2)
    grid = np.unique(np.concatenate([np.geomspace(lowest, 1, 161), steps]))

    def scale(axes: Axes) -> None:
        axes.plot(grid, grid, color=SOFT, linewidth=1, dashes=(4, 3))
        axes.set_xscale("log")
        axes.set_xlim(lowest, 1)
        ticks = _LOG_TICKS[lowest <= _LOG_TICKS]
        axes.set_xticks(ticks, [f"{100 * tick:g} %" for tick in ticks])
        axes.xaxis.set_minor_locator(NullLocator())

    return _plot(found, kind, grid, scale, draws, seed)


def precision_recall(found: Sequence[Scores], draws: int = curves.DRAWS, seed: int = 0) -> str:
    """Precision against recall with 95 % bands as SVG; the dashed line is the share of generated pictures.

    Args:
        found: models, on the same data under the same condition.
        draws: resamples of source pictures behind a band.
        seed: of the resampling.

    Raises:
        ValueError: scores of several data sets or conditions.
    """
    kind = _Kind(
        "Precision and recall: how many calls are right",
        "AP",
        average_precision,
        metrics.pr_curve,
        curves.reaching,
        "share of generated pictures found (recall)",
        "share of calls that are right (precision)",
    )

    def chance(axes: Axes) -> None:
        share = next(float(scores.labels.mean()) for scores in found if not curves.missing(scores))
        axes.axhline(share, color=SOFT, linewidth=1, dashes=(4, 3))

    # Precision at recall 0 is that of nothing found.
    return _plot(found, kind, np.linspace(0.005, 1, 200), chance, draws, seed)


def banded(values: Sequence[float]) -> set[int]:
    """Which models get a band: all of a few, else the first and the best other one; none without a value."""
    known = [number for number, value in enumerate(values) if not np.isnan(value)]
    if len(known) <= ALL_BANDS:
        return set(known)
    best = max((number for number in known if number != 0), key=lambda number: values[number])
    return {0, best} & set(known)


def _plot(
    found: Sequence[Scores],
    kind: _Kind,
    grid: Values,
    decorate: Callable[[Axes], None],
    draws: int,
    seed: int,
) -> str:
    if len({(scores.data, scores.condition) for scores in found}) > 1:
        raise ValueError("one plot takes scores of one data set under one condition")
    reasons = [curves.missing(scores) for scores in found]
    if all(reasons):
        told = "; ".join(f"{scores.model}: {reason}" for scores, reason in zip(found, reasons, strict=True))
        return message(kind.title, f"Nothing to draw. {told or 'No model was given'}.")
    drawn = [number for number, reason in enumerate(reasons) if not reason]
    values = [
        float("nan") if reason else kind.metric(scores.labels, scores.logits)
        for scores, reason in zip(found, reasons, strict=True)
    ]
    under = counts(found[drawn[0]])
    if len(banded(values)) < len(drawn):
        under += ". Bands (95 %) for the first model and the best other one"
    else:
        under += ". Bands: 95 % over resampled source pictures"
    with sheet(kind.title, under, _HEIGHT + 72 + 17 * len(found)) as paper:
        axes = paper.axes(_LEFT, 4, WIDTH - _LEFT - 14, _HEIGHT)
        axes.set(xlabel=kind.across, ylabel=kind.up, xlim=(0, 1), ylim=(0, 1.01))
        axes.xaxis.set_major_formatter(PERCENT)
        axes.yaxis.set_major_formatter(PERCENT)
        decorate(axes)
        for number in reversed(drawn):  # the first model on top
            scores = found[number]
            drawn_again = (
                metrics.draws(scores.labels, scores.pictures, draws, seed) if number in banded(values) else []
            )
            _draw(axes, scores, kind, grid, stroke(number), drawn_again)
        rows = []
        for number, (scores, reason) in enumerate(zip(found, reasons, strict=True)):
            figure = reason or f"{values[number]:.3f} ({scores.real} / {scores.generated})"
            rows.append((None if reason else stroke(number), scores.model, figure))
            paper.words.append(f"{scores.model}: {kind.figure} {figure}")
        paper.legend(_HEIGHT + 50, ("model", f"{kind.figure} (real / generated)"), rows)
        return paper.svg()


def _draw(
    axes: Axes,
    scores: Scores,
    kind: _Kind,
    grid: Values,
    look: Stroke,
    draws: Sequence[metrics.Indices],
) -> None:
    steps = kind.read is curves.within
    axes.plot(
        grid,
        kind.read(*kind.points(scores.labels, scores.logits), grid),
        color=look.color,
        dashes=look.dashes or (None, None),
        marker=look.marker,
        # At places that differ between models.
        markevery=(len(grid) // 12 + look.place * (len(grid) // 40), len(grid) // 4),
        drawstyle="steps-post" if steps else "default",
    )
    band = curves.band(scores, kind.points, kind.read, grid, draws)
    if band:
        step: Literal["post"] | None = "post" if steps else None
        axes.fill_between(grid, band.low, band.high, color=look.color, alpha=0.14, linewidth=0, step=step)
