"""Every figure of a bench with both of its intervals, one row each: what the tables are a selection of."""

import csv
import math
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from vestige.evaluation import metrics, tables
from vestige.evaluation.metrics import Metric
from vestige.evaluation.scores import Scores

COLUMNS = (
    "data",
    "condition",
    "model",
    "metric",
    "value",
    "low_by_picture",
    "high_by_picture",
    "low_by_group",
    "high_by_group",
    "real",
    "generated",
)

RANKING: dict[str, Metric] = {
    "AUROC": metrics.auroc,
    "AP, generated positive": metrics.average_precision,
    "AP, real positive": metrics.average_precision_real,
    "recall at 1 % FPR": partial(metrics.recall_at_fpr, rate=0.01),
    "recall at 5 % FPR": partial(metrics.recall_at_fpr, rate=0.05),
}


def figures(scores: Scores) -> Iterator[dict[str, object]]:
    """Rows with the keys of `COLUMNS` for one model on one data set under one condition."""
    both = tables.draws_of(scores)
    high = scores.thresholds[1]
    decided: dict[str, Metric] = {
        "accuracy": partial(metrics.accuracy, threshold=high),
        "balanced accuracy": partial(metrics.balanced_accuracy, threshold=high),
        "real accuracy": partial(metrics.real_accuracy, threshold=high),
        "generated accuracy": partial(metrics.generated_accuracy, threshold=high),
        "F1": partial(metrics.f1, threshold=high),
    }
    calibrated: dict[str, Metric] = {
        "ECE": metrics.expected_calibration_error,
        "Brier": metrics.brier,
    }
    if not len(scores.logits):
        return
    every = [(RANKING, scores.logits)]
    if not np.isnan(scores.probabilities).any():
        every += [(decided, scores.decisive), (calibrated, scores.probabilities)]
    for wanted, values in every:
        for name, metric in wanted.items():
            found = metrics.both_intervals(metric, scores.labels, values, both)
            yield {
                "data": scores.data,
                "condition": scores.condition,
                "model": scores.model,
                "metric": name,
                "value": _short(found.value),
                "low_by_picture": _short(found.by_picture.low),
                "high_by_picture": _short(found.by_picture.high),
                "low_by_group": _short(found.by_group.low),
                "high_by_group": _short(found.by_group.high),
                "real": scores.real,
                "generated": scores.generated,
            }


def write_figures(path: Path, found: Sequence[Scores]) -> None:
    """Write the rows of all scores as CSV, whole or not at all."""
    partial_file = path.with_name(path.name + ".part")
    with partial_file.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for scores in found:
            writer.writerows(figures(scores))
    partial_file.replace(path)


def _short(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4f}"
