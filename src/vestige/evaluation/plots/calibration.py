"""What the probabilities of one model are worth: how they spread, and how often they come true."""

import numpy as np
import numpy.typing as npt
from matplotlib.ticker import MaxNLocator

from vestige.evaluation.metrics import Values, reliability_table
from vestige.evaluation.metrics.groups import MINIMUM
from vestige.evaluation.plots.sheet import (
    GENERATED,
    INK,
    PERCENT,
    REAL,
    SOFT,
    UNSURE,
    WIDTH,
    counts,
    message,
    sheet,
)
from vestige.evaluation.scores import Scores

_LEFT = 50


def unusable(scores: Scores) -> str:
    """Why the probabilities cannot be drawn, as the end of a sentence; "" if they can."""
    if not len(scores.labels):
        return "no picture was scored"
    unknown = int(np.isnan(scores.probabilities).sum())
    if unknown == len(scores.labels):
        return "this model gives no probabilities"
    return f"{unknown} pictures have no probability" if unknown else ""


def shares(scores: Scores, label: int, edges: Values) -> Values:
    """Share of the pictures of one class between neighbouring edges, float64 [B]; zeros without pictures."""
    inside = scores.probabilities[scores.labels == label]
    found: npt.NDArray[np.float64] = np.histogram(inside, edges)[0] / max(1, len(inside))
    return found


def histogram(scores: Scores, bins: int = 25) -> str:
    """Calibrated probabilities of both classes as outlines, the abstention band shaded, as SVG.

    Args:
        scores: of one model.
        bins: equally wide, from 0 to 1.
    """
    title = f"Probabilities, {scores.model}"
    reason = unusable(scores)
    if reason:
        return message(title, f"Nothing to draw: {reason}.")
    edges = np.linspace(0, 1, bins + 1)
    low, high = scores.thresholds
    with sheet(title, counts(scores), 286) as paper:
        axes = paper.axes(_LEFT, 24, WIDTH - _LEFT - 14, 220)
        axes.set(xlim=(0, 1), xlabel="calibrated probability of being generated", ylabel="share of the class")
        axes.xaxis.set_major_formatter(PERCENT)
        axes.yaxis.set_major_formatter(PERCENT)
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        keys = [("real", REAL, 1.0), ("generated", GENERATED, 1.0)]
        if not (np.isnan(low) or np.isnan(high)):
            keys.append((f"inconclusive: {low:.3g} to {high:.3g}", UNSURE, 0.35))
            axes.axvspan(low, high, color=UNSURE, alpha=0.18, linewidth=0)
            for edge in (low, high):
                axes.axvline(edge, color=SOFT, linewidth=1)
            paper.words.append(f"The inconclusive band goes from {low:.3f} to {high:.3f}")
        for label, color, line in ((0, REAL, "-"), (1, GENERATED, (0, (4, 1.5)))):
            heights = shares(scores, label, edges)
            axes.stairs(heights, edges, color=color, linewidth=2, linestyle=line)
            axes.stairs(heights, edges, color=color, alpha=0.12, fill=True, linewidth=0)
        paper.key(keys)
        axes.set_ylim(bottom=0)
        return paper.svg()


def reliability(scores: Scores, bins: int = 10) -> str:
    """Share of generated pictures against stated probability, Wilson 95 % intervals, counts below, as SVG.

    Args:
        scores: of one model.
        bins: equally wide, from 0 to 1; empty ones have no point.
    """
    title = f"Do the probabilities come true? {scores.model}"
    reason = unusable(scores)
    if reason:
        return message(title, f"Nothing to draw: {reason}.")
    found = reliability_table(scores.labels, scores.probabilities, bins)
    under = f"{counts(scores)}. On the dashed line they do. Crosses: fewer than {MINIMUM}. Below: counts"
    with sheet(title, under, 416) as paper:
        box = WIDTH - _LEFT - 14
        axes = paper.axes(_LEFT, 4, box, 270)
        axes.set(xlim=(0, 1), ylim=(0, 1), ylabel="share that is generated (95 % intervals)")
        axes.tick_params(labelbottom=False)
        axes.yaxis.set_major_formatter(PERCENT)
        axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1, dashes=(4, 3))
        filled = [one for one in found if one.count]
        for one in filled:
            ends = [one.interval_low, one.interval_high]
            axes.plot([one.mean_probability] * 2, ends, color=REAL, linewidth=1.6)
            axes.plot(
                [one.mean_probability],
                [one.share_generated],
                color=REAL,
                marker="o" if one.count >= MINIMUM else "x",
                markersize=7,
                markeredgewidth=1.8,
                clip_on=False,
            )
        below = paper.axes(_LEFT, 296, box, 74)
        below.set(xlim=(0, 1), ylabel="pictures", xlabel="stated probability of being generated")
        below.set_ylim(0, 1.3 * max(one.count for one in found))
        below.xaxis.set_major_formatter(PERCENT)
        below.locator_params(axis="y", nbins=3)
        for one in found:
            middle = (one.low + one.high) / 2
            below.bar(middle, one.count, 0.86 * (one.high - one.low), color=UNSURE, alpha=0.6, linewidth=0)
            below.annotate(
                str(one.count),
                (middle, one.count),
                (0, 2),
                textcoords="offset points",
                ha="center",
                color=INK,
            )
        paper.words += [
            f"{one.low:.1f} to {one.high:.1f}: {one.count} pictures, {one.share_generated:.0%} generated"
            for one in filled
        ]
        return paper.svg()
