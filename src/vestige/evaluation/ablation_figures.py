"""Figures of an ablation from the scores in its folder: metrics of rows, their intervals and differences."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from vestige.errors import DataError
from vestige.evaluation import metrics, tables
from vestige.evaluation.ablation_pixels import mean_of_defined
from vestige.evaluation.ablation_record import PictureScores, Record, read_scores
from vestige.evaluation.metrics import Indices, Interval, Labels, Metric, Values
from vestige.evaluation.metrics.intervals import bounds


def balanced_accuracy(labels: Labels, logits: Values) -> float:
    """Mean accuracy of both classes, generated from logit 0 on."""
    return metrics.balanced_accuracy(labels, (logits >= 0).astype(np.float64), 0.5)


BALANCED = "balanced accuracy at logit 0"
METRICS: dict[str, Metric] = {
    "AUROC": metrics.auroc,
    "AP, generated positive": metrics.average_precision,
    "AP, real positive": metrics.average_precision_real,
    "recall at 5 % FPR": partial(metrics.recall_at_fpr, rate=0.05),
    BALANCED: balanced_accuracy,
}
FIGURE_COLUMNS = (
    "test",
    "row",
    "seeds",
    "metric",
    "value",
    "low_by_group",
    "high_by_group",
    "lowest_seed",
    "highest_seed",
    "minus_baseline",
    "minus_low_by_group",
    "minus_high_by_group",
    "real",
    "generated",
)


@dataclass(frozen=True)
class Figure:
    """One metric of a row on a test set.

    Attributes:
        mean: over seeds, and its interval by group.
        seeds: the metric of each seed.
        minus: how much larger it is than the baseline's over the seeds that both have, over all seeds where
            they share none; None for the baseline, and where it was not run or has no such figure.
        pictures: of each class that have the figure, where it is a mean over pictures; None: all of them.
    """

    mean: Interval
    seeds: list[float]
    minus: Interval | None
    pictures: tuple[int, int] | None = None


Figures = dict[str, dict[str, Figure]]  # row -> metric -> figure


def rows_of(out: Path, record: Record, test: str) -> dict[str, dict[int, PictureScores]]:
    """Scores on a test set: row -> seed -> scores, rows in the order of the specification.

    Raises:
        DataError: scores are missing or damaged, or two files are not of the same pictures.
    """
    found: dict[str, dict[int, PictureScores]] = {}
    first: tuple[str, PictureScores] | None = None
    for row in record.order:
        entries = sorted((e for e in record.scores if (e.test, e.row) == (test, row)), key=lambda e: e.seed)
        for entry in entries:
            scores = read_scores(out / entry.file)
            first = first or (entry.file, scores)
            known = first[1]
            same = (scores.pictures, scores.groups) == (known.pictures, known.groups)
            if not same or not np.array_equal(scores.labels, known.labels):
                raise DataError(
                    f"{out / entry.file}: not of the same pictures as {first[0]}, so that rows cannot be "
                    "compared; remove the folder of this test set and run the ablation again"
                )
            found.setdefault(row, {})[entry.seed] = scores
    return found


def figures(rows: dict[str, dict[int, PictureScores]], baseline: str) -> Figures:
    """All metrics of all rows on one test set, over the same resamples.

    Rows with pixel figures have their means as well: over the pictures that have the figure, and in each
    resample over those of them that were drawn. A figure that no picture has is left out.

    Args:
        rows: row -> seed -> scores, all of the same pictures.
        baseline: the row that the others are compared with; it may be missing.
    """
    if not rows:
        return {}
    known = next(iter(next(iter(rows.values())).values()))
    count = max(200, min(tables.DRAWS, tables.MOST // max(1, len(known.pictures))))
    draws = metrics.draws(known.labels, known.groups, min(tables.DRAWS, count))
    found: Figures = {row: {} for row in rows}
    for name, metric in METRICS.items():
        fits = {
            row: {seed: _fit(metric, known.labels, one.logits, draws) for seed, one in several.items()}
            for row, several in rows.items()
        }
        for row, figure in _compared(fits, baseline).items():
            found[row][name] = figure
    values = {row: {seed: _pixels(one) for seed, one in several.items()} for row, several in rows.items()}
    for name in dict.fromkeys(
        name for several in values.values() for one in several.values() for name in one
    ):
        fits = {
            row: {
                seed: _fit(mean_of_defined, known.labels, one[name], draws) for seed, one in several.items()
            }
            for row, several in values.items()
            if all(name in one for one in several.values())
        }
        for row, figure in _compared(fits, baseline).items():
            defined = known.labels[~np.isnan(next(iter(values[row].values()))[name])]
            counts = int((defined == 0).sum()), int((defined == 1).sum())
            found[row][name] = replace(figure, pictures=counts)
    return found


def _pixels(scores: PictureScores) -> dict[str, Values]:
    """Pixel figures of each picture that there are, by name."""
    every = {} if scores.pixels is None else scores.pixels.metrics()
    return {name: values for name, values in every.items() if not np.isnan(values).all()}


def _compared(fits: dict[str, dict[int, tuple[float, Values]]], baseline: str) -> dict[str, Figure]:
    """Figures of rows from those of their fits: row -> seed -> a metric, and on each draw."""
    found = {}
    for row, own in fits.items():
        mean, drawn = _mean(list(own.values()))
        minus = None
        if baseline in fits and row != baseline:
            others = fits[baseline]
            # Seeds decide starting weights and batches: those of one row alone would weigh on one side.
            shared = [seed for seed in own if seed in others]
            ours, our_draws = _mean([own[seed] for seed in shared or own])
            theirs, their_draws = _mean([others[seed] for seed in shared or others])
            minus = Interval(ours - theirs, *bounds(our_draws - their_draws))
        found[row] = Figure(Interval(mean, *bounds(drawn)), [value for value, _ in own.values()], minus)
    return found


def _fit(metric: Metric, labels: Labels, logits: Values, draws: Sequence[Indices]) -> tuple[float, Values]:
    """A metric of one fit, and on each draw [draws]."""
    return metric(labels, logits), metrics.over_draws(metric, labels, logits, draws)


def _mean(fits: list[tuple[float, Values]]) -> tuple[float, Values]:
    return float(np.mean([value for value, _ in fits])), np.mean([drawn for _, drawn in fits], axis=0)


def write_csv(path: Path, record: Record, found: dict[str, Figures]) -> None:
    """Write the figures of all test sets, one line each; the file is whole or absent.

    Real and generated pictures are those that have the figure.
    """
    part = path.with_name(path.name + ".part")
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(FIGURE_COLUMNS)
        for test, rows in found.items():
            known = record.tests[test]
            for row, by_metric in rows.items():
                for name, figure in by_metric.items():
                    values = [figure.mean.value, figure.mean.low, figure.mean.high]
                    values += [min(figure.seeds), max(figure.seeds)]
                    minus = figure.minus
                    values += [math.nan] * 3 if minus is None else [minus.value, minus.low, minus.high]
                    texts = ("" if math.isnan(value) else f"{value:.4f}" for value in values)
                    counts = figure.pictures or (known.real, known.generated)
                    writer.writerow([test, row, len(figure.seeds), name, *texts, *counts])
    part.replace(path)


def excludes_zero(minus: Interval) -> bool:
    """Whether an interval of a difference lies on one side of 0; False where there is no interval."""
    return minus.low > 0 or minus.high < 0


def figure_text(interval: Interval, digits: int = 3) -> str:
    """A figure with its interval, as tables have it."""
    if math.isnan(interval.value):
        return tables.NOTHING
    if math.isnan(interval.low):
        return f"{interval.value:.{digits}f} (no interval)"
    return f"{interval.value:.{digits}f} ({interval.low:.{digits}f}-{interval.high:.{digits}f})"
