"""Per-picture scores: written while scoring, kept, and the only thing that tables are made of."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vestige.data.manifest import Row
from vestige.detector import Detector
from vestige.errors import DataError
from vestige.evaluation.metrics import Labels, Values

FIELDS = (
    "model",
    "path",
    "label",
    "group",
    "kind",
    "logit",
    "probability",
    "verdict",
    "spread",
    "error_code",
)


@dataclass(frozen=True)
class Scores:
    """Scores of one model on one data set; arrays with one entry per readable picture."""

    model: str
    paths: list[str]
    labels: Labels
    groups: list[str]
    logits: Values
    probabilities: Values
    verdicts: list[str]
    unreadable: list[str]


def score(detector: Detector, rows: list[Row]) -> Iterator[dict[str, object]]:
    """Score the pictures of a manifest as a user would, one row of `FIELDS` each, in order."""
    reports = detector.scan_many([row.path for row in rows])
    for row, report in zip(rows, reports, strict=True):
        yield {
            "model": detector.card.title,
            "path": row.name,
            "label": row.label,
            "group": row.group,
            "kind": "detector",
            "logit": _short(report.logit),
            "probability": _short(report.probability),
            "verdict": report.verdict.value if report.verdict else "",
            "spread": _short(report.spread),
            "error_code": report.error.code if report.error else "",
        }


def write_scores(path: Path, rows: Iterator[dict[str, object]]) -> None:
    """Write rows of `FIELDS` as CSV; the file appears when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(row)
    partial.replace(path)


def read_scores(path: Path) -> Scores:
    """Read one model's scores.

    Raises:
        DataError: unreadable, or not such a file.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        good = [row for row in rows if not row["error_code"]]
        return Scores(
            model=rows[0]["model"],
            paths=[row["path"] for row in good],
            labels=np.array([int(row["label"]) for row in good], dtype=np.int64),
            groups=[row["group"] for row in good],
            logits=np.array([float(row["logit"]) for row in good]),
            probabilities=np.array([float(row["probability"] or "nan") for row in good]),
            verdicts=[row["verdict"] for row in good],
            unreadable=[row["path"] for row in rows if row["error_code"]],
        )
    except (OSError, KeyError, IndexError, ValueError) as error:
        raise DataError(f"{path}: not a file of scores ({error!r})") from error


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"
