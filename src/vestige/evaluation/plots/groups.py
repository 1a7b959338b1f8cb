"""One model group by group: generators told apart, sources of real pictures accused."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from vestige.evaluation import metrics
from vestige.evaluation.metrics import Interval, auroc, over_generators, pairings
from vestige.evaluation.metrics.groups import MINIMUM
from vestige.evaluation.plots.curves import missing
from vestige.evaluation.plots.sheet import (
    GENERATED,
    INK,
    PERCENT,
    REAL,
    SOFT,
    UNSURE,
    WIDTH,
    counts,
    fit,
    message,
    sheet,
)
from vestige.evaluation.scores import Scores

VERDICTS = ("likely_generated", "inconclusive", "likely_real")
_COLORS = (GENERATED, UNSURE, REAL)
_WORDS = ("called generated", "inconclusive", "called real")
_ROW = 34


@dataclass(frozen=True)
class Generator:
    """One generator against its real pictures.

    Attributes:
        name: the group.
        generated: its pictures.
        real: the real pictures it is compared with.
        auroc: nan with fewer than `MINIMUM` on either side.
    """

    name: str
    generated: int
    real: int
    auroc: Interval


@dataclass(frozen=True)
class Source:
    """One source of real pictures.

    Attributes:
        name: the group.
        pictures: how many.
        shares: called generated, inconclusive, called real, in [0, 1].
    """

    name: str
    pictures: int
    shares: tuple[float, float, float]


def generators(scores: Scores, draws: int = 1000, seed: int = 0) -> list[Generator]:
    """Every generator of one model's scores, the hardest first, those without a figure last.

    Raises:
        DataError: pictures of one generator name different real groups in `compare_with`.
    """
    every = pairings(scores.labels, scores.groups, scores.compare_with)
    resamples = metrics.draws(scores.labels, scores.pictures, draws, seed)
    figures = over_generators(
        auroc, scores.labels, scores.logits, scores.groups, scores.compare_with, resamples, seed
    ).values
    nothing = Interval(float("nan"), float("nan"), float("nan"))
    found = [
        Generator(one.generator, one.generated, one.real, figures.get(one.generator, nothing))
        for one in every
    ]
    return sorted(found, key=lambda one: (np.isnan(one.auroc.value), one.auroc.value, one.name))


def sources(scores: Scores) -> list[Source]:
    """Every source of real pictures with its shares of verdicts, the most accused first.

    Called partly generated counts as called generated.
    """
    groups, verdicts = np.array(scores.groups, dtype=np.str_), scores.calls
    found = []
    for name in sorted(set(groups[scores.labels == 0].tolist())):
        inside = (groups == name) & (scores.labels == 0)
        generated, unsure, real = (float((verdicts[inside] == verdict).mean()) for verdict in VERDICTS)
        found.append(Source(name, int(inside.sum()), (generated, unsure, real)))
    return sorted(found, key=lambda one: (-one.shares[0], -one.shares[1], one.name))


def generator_bars(scores: Scores, draws: int = 1000, seed: int = 0) -> str:
    """AUROC of each generator with its 95 % interval as bars from chance (0.5), as SVG.

    Args:
        scores: of one model. A generator is set against the real groups in `compare_with`, or against all.
        draws: resamples of source pictures behind an interval.
        seed: of the resampling.
    """
    title = f"AUROC by generator, {scores.model}"
    reason = missing(scores)
    if reason:
        return message(title, f"Nothing to draw: {reason}.")
    rows = generators(scores, draws, seed)
    known = [row for row in rows if not np.isnan(row.auroc.value)]
    ends = [end for row in known for end in (row.auroc.value, row.auroc.low) if not np.isnan(end)]
    under = (
        f"{counts(scores)}, {len(rows)} generators, each with its generated / real pictures. "
        "Bars start at chance; 95 % intervals over source pictures"
    )
    with sheet(title, under, _ROW * len(rows) + 42) as paper:
        axes = paper.axes(8, 0, WIDTH - 24, _ROW * len(rows))
        axes.set(xlim=(np.floor(min([0.5, *ends]) * 10) / 10, 1), ylim=(len(rows), 0), yticks=[])
        axes.set_xlabel("AUROC (0.5 is chance, 1 is perfect)")
        axes.spines["left"].set_visible(False)
        axes.axvline(0.5, color=SOFT, linewidth=1)
        for number, row in enumerate(rows):
            _bar(axes, number + 0.68, row.auroc)
            y, told, figure = paper.top + _ROW * number + 13, f"{row.generated} / {row.real}", _figure(row)
            paper.text(8, y, f"{fit(row.name, 54 - len(figure) - len(told))}  ·  {told}")
            paper.text(WIDTH - 16, y, figure, side="right")
            paper.words.append(f"{row.name}, {told} pictures: {figure}")
        return paper.svg()


def source_bars(scores: Scores) -> str:
    """For each source of real pictures the shares of the three verdicts, stacked, as SVG.

    Args:
        scores: of one model that gives verdicts.
    """
    title = f"Verdicts on real pictures by source, {scores.model}"
    rows = sources(scores)
    if not rows:
        return message(title, "Nothing to draw: there is no real picture.")
    if not any(any(row.shares) for row in rows):
        return message(title, "Nothing to draw: this model gives no verdicts.")
    total = sum(row.pictures for row in rows)
    under = f"{scores.data}, {scores.condition}: {total} real pictures from {len(rows)} sources"
    with sheet(title, under, _ROW * len(rows) + 66) as paper:
        paper.key([(words, color, 1.0) for words, color in zip(_WORDS, _COLORS, strict=True)])
        axes = paper.axes(8, 22, WIDTH - 24, _ROW * len(rows))
        axes.set(xlim=(0, 1), ylim=(len(rows), 0), yticks=[], xlabel="share of the source's pictures")
        axes.xaxis.set_major_formatter(PERCENT)
        axes.spines["left"].set_visible(False)
        for number, row in enumerate(rows):
            left = 0.0
            for share, color in zip(row.shares, _COLORS, strict=True):
                axes.barh(number + 0.68, share, 0.4, left=left, color=color, linewidth=0)
                left += share
            told = " / ".join(_percent(share) for share in row.shares)
            paper.text(8, paper.top + 22 + _ROW * number + 13, f"{fit(row.name, 36)}  ·  {row.pictures}")
            paper.text(WIDTH - 16, paper.top + 22 + _ROW * number + 13, told, side="right")
            paper.words.append(f"{row.name}, {row.pictures} pictures: {told}")
        return paper.svg()


def _bar(axes: Axes, y: float, figure: Interval) -> None:
    if not np.isnan(figure.value):
        axes.barh(y, figure.value - 0.5, 0.34, left=0.5, color=GENERATED, alpha=0.55, linewidth=0)
        axes.plot([figure.value], [y], color=INK, marker="o", markersize=4)
    if not np.isnan(figure.low):
        axes.plot([figure.low, figure.high], [y, y], color=INK, linewidth=1.6)


def _figure(row: Generator) -> str:
    if np.isnan(row.auroc.value):
        return f"fewer than {MINIMUM} pictures"
    if np.isnan(row.auroc.low):
        return f"{row.auroc.value:.3f} (no interval)"
    return f"{row.auroc.value:.3f} ({row.auroc.low:.3f}-{row.auroc.high:.3f})"


def _percent(share: float) -> str:
    """A few false accusations among many pictures must not read as none."""
    return f"{share:.1%}" if 0 < share < 0.01 or 0.99 < share < 1 else f"{share:.0%}"
