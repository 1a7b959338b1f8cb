"""The page of an ablation: tables made of the scores in its folder alone.

OUT/README.md     the tables
OUT/figures.csv   every figure with its interval
OUT/reading.md    what an author reads in them, written by hand; part of the page if it is there
"""

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from vestige.errors import ConfigError, DataError
from vestige.evaluation import metrics, tables
from vestige.evaluation.ablation_record import (
    PictureScores,
    Record,
    SetRecord,
    read_record,
    read_scores,
)
from vestige.evaluation.metrics import Indices, Interval, Labels, Metric, Values
from vestige.evaluation.metrics.intervals import bounds
from vestige.evaluation.table import Table, escaped

PAGE, FIGURES, READING = "README.md", "figures.csv", "reading.md"
METRICS: dict[str, Metric] = {
    "AUROC": metrics.auroc,
    "AP, generated positive": metrics.average_precision,
    "AP, real positive": metrics.average_precision_real,
    "recall at 5 % FPR": partial(metrics.recall_at_fpr, rate=0.05),
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
MARK = "†"


@dataclass(frozen=True)
class Figure:
    """One metric of a row on a test set.

    Attributes:
        mean: over seeds, and its interval by group.
        seeds: the metric of each seed.
        minus: how much larger it is than the baseline's over the seeds that both have, over all seeds where
            they share none; None for the baseline, and where it was not run.
    """

    mean: Interval
    seeds: list[float]
    minus: Interval | None


Figures = dict[str, dict[str, Figure]]  # row -> metric -> figure


def write_page(out: Path) -> list[Path]:
    """Write README.md and figures.csv of an ablation from the record and the scores in its folder.

    Returns:
        The files.

    Raises:
        ConfigError: no ablation there, or its record is damaged.
        DataError: scores are missing, damaged, or not of the same pictures.
    """
    record = read_record(out)
    if record is None:
        raise ConfigError(f"{out}: no ablation there, ablation.json is missing")
    found = {test: figures(rows_of(out, record, test), record.baseline) for test in record.tests}
    _write_csv(out / FIGURES, record, found)
    reading = out / READING
    text = reading.read_text(encoding="utf-8") if reading.exists() else ""
    (out / PAGE).write_text(markdown(record, found, text), encoding="utf-8")
    return [out / PAGE, out / FIGURES]


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
        for row, own in fits.items():
            mean, drawn = _mean(list(own.values()))
            minus = None
            if baseline in rows and row != baseline:
                others = fits[baseline]
                # Seeds decide starting weights and batches: those of one row alone would weigh on one side.
                shared = [seed for seed in own if seed in others]
                ours, our_draws = _mean([own[seed] for seed in shared or own])
                theirs, their_draws = _mean([others[seed] for seed in shared or others])
                minus = Interval(ours - theirs, *bounds(our_draws - their_draws))
            found[row][name] = Figure(
                Interval(mean, *bounds(drawn)), [value for value, _ in own.values()], minus
            )
    return found


def _fit(metric: Metric, labels: Labels, logits: Values, draws: Sequence[Indices]) -> tuple[float, Values]:
    """A metric of one fit, and on each draw [draws]."""
    drawn = [metric(labels[index], logits[index]) for index in draws]
    return metric(labels, logits), np.array(drawn, dtype=np.float64)


def _mean(fits: list[tuple[float, Values]]) -> tuple[float, Values]:
    return float(np.mean([value for value, _ in fits])), np.mean([drawn for _, drawn in fits], axis=0)


def markdown(record: Record, found: dict[str, Figures], reading: str) -> str:
    """The page.

    Args:
        found: figures of each test set.
        reading: Markdown that an author wrote about them; "" if nobody did.
    """
    lines = [f"# {escaped(record.title)}", "", "Generated by `vestige ablate`; do not edit."]
    lines += ["", "```sh", record.command, "```"]
    for text in _explained(record, found):
        lines += ["", escaped(text)]
    if reading:
        lines += ["", "## In words", "", "*This section was written by hand (reading.md).*"]
        lines += ["", reading.strip()]
    table = _rows_table(record)
    lines += ["", f"## {escaped(table.title)}", "", table.markdown()]
    for test, rows in found.items():
        lines += ["", f"## {escaped(test)}", "", escaped(_about(record.tests[test]))]
        for table in test_tables(record, test, rows):
            lines += ["", f"### {escaped(table.title)}", "", table.markdown()]
    return "\n".join(lines) + "\n"


def test_tables(record: Record, test: str, rows: Figures) -> list[Table]:
    """The tables of a test set: one for each question, and one for the rows that answer none."""
    asked = {row for some in record.questions.values() for row in some}
    rest = [row for row in record.order if row not in asked and row != record.baseline]
    questions = dict(record.questions)
    if not questions:
        questions = {"All rows": [row for row in record.order if row != record.baseline]}
    elif rest:
        questions["Other rows"] = rest
    found = []
    for title, wanted in questions.items():
        ordered = [
            record.baseline,
            *(row for row in record.order if row in wanted and row != record.baseline),
        ]
        missing = [row for row in ordered if row not in rows]
        cells = [_cells(record, test, row, rows[row]) for row in ordered if row in rows]
        note = f"Not run yet: {', '.join(missing)}." if missing else ""
        found.append(Table(title, _columns(record.baseline), cells, note))
    return found


def _columns(baseline: str) -> list[str]:
    return [
        "row",
        "real / generated",
        "seeds",
        "AUROC",
        "lowest-highest seed",
        f"minus {baseline}",
        "AP, generated positive",
        "AP, real positive",
        "recall at 5 % FPR",
    ]


def _cells(record: Record, test: str, row: str, found: dict[str, Figure]) -> list[str]:
    known, auroc = record.tests[test], found["AUROC"]
    return [
        row,
        f"{known.real} / {known.generated}",
        str(len(auroc.seeds)),
        _text(auroc.mean),
        f"{min(auroc.seeds):.3f}-{max(auroc.seeds):.3f}" if len(auroc.seeds) > 1 else tables.NOTHING,
        _difference(auroc.minus),
        _text(found["AP, generated positive"].mean),
        _text(found["AP, real positive"].mean),
        _text(found["recall at 5 % FPR"].mean, 2),
    ]


def _text(interval: Interval, digits: int = 3) -> str:
    if math.isnan(interval.value):
        return tables.NOTHING
    if math.isnan(interval.low):
        return f"{interval.value:.{digits}f} (no interval)"
    return f"{interval.value:.{digits}f} ({interval.low:.{digits}f}-{interval.high:.{digits}f})"


def _difference(minus: Interval | None) -> str:
    if minus is None or math.isnan(minus.value):
        return tables.NOTHING
    if math.isnan(minus.low):
        return f"{minus.value:+.3f} (no interval)"
    mark = f" {MARK}" if excludes_zero(minus) else ""
    return f"{minus.value:+.3f} ({minus.low:+.3f}, {minus.high:+.3f}){mark}"


def excludes_zero(minus: Interval) -> bool:
    """Whether an interval of a difference lies on one side of 0; False where there is no interval."""
    return minus.low > 0 or minus.high < 0


def _explained(record: Record, found: dict[str, Figures]) -> list[str]:
    train = record.train
    split = f"the split {train.split} of {train.manifest}" if train.split else train.manifest
    compared = [figure["AUROC"].minus for rows in found.values() for figure in rows.values()]
    with_interval = [minus for minus in compared if minus is not None and not math.isnan(minus.low)]
    texts = [
        f"Rows of one recipe with one thing changed each, beside the row {record.baseline}; all else, the "
        f"budget included, is the same. Trained on {split} (sha256 of the manifest "
        f"{train.manifest_sha256[:16]}), on all of its groups. Each test picture is scored on at most "
        f"{record.views} native patches that lie evenly, their logits averaged, as vestige scan does it.",
        "Figures are means over seeds of the fit (starting weights and batches). In brackets the 95 % "
        "interval of the mean by group bootstrap: other generators and other sources of this kind, judged "
        "by these same fits. It says nothing of other seeds: the lowest and the highest stand beside it. "
        f"The difference to {record.baseline} is paired, taken on the same resamples and over the seeds that "
        "both rows have (over all where they share none); where one row has more seeds it is thus not the "
        f"difference of the two means in the table. {MARK}: its interval "
        "excludes 0. That proves nothing where seeds lie as far apart as the two rows, and of the "
        f"{len(with_interval)} differences on this page about one in twenty would do so by chance alone, "
        "more where a class has few groups. Recall takes its threshold from these pictures: "
        "it describes the ranking, not a shipped threshold. figures.csv has the intervals of all figures.",
    ]
    if any(row.stages for row in record.rows.values()):
        texts.append(
            "What is trained before the detector is trained once for each configuration, with one seed: the "
            "spread over seeds does not hold its part of chance."
        )
    lacking = sorted({row for rows in found.values() for row in record.order if row not in rows})
    if lacking:
        texts.append(f"Not run yet on all test sets: {', '.join(lacking)}.")
    return texts


def _about(test: SetRecord) -> str:
    split = f"the split {test.split} of {test.manifest}" if test.split else test.manifest
    text = (
        f"{test.real} real and {test.generated} generated pictures: {split} (sha256 of the manifest "
        f"{test.manifest_sha256[:16]}). "
    )
    if not test.seen:
        return text + "None of them comes from a generator or source that was trained on."
    return text + f"{test.seen} of them come from generators or sources that were trained on."


def _rows_table(record: Record) -> Table:
    rows = []
    for row in record.order:
        fits = [fit for fit in record.fits if fit.row == row]
        if row not in record.rows or not fits:
            rows.append([row, "not run yet", *[tables.NOTHING] * 4])
            continue
        changed = (f"{key}: {json.dumps(value)}" for key, value in record.rows[row].changed.items())
        whole = [fit for fit in fits if not fit.continued]
        rows.append(
            [
                row,
                "; ".join(changed) or "nothing",
                f"{fits[0].real} / {fits[0].generated}",
                str(fits[0].views),
                f"{np.mean([fit.seconds for fit in whole]):.0f}" if whole else tables.NOTHING,
                f"{np.mean([fit.images_per_second for fit in whole]):.0f}" if whole else tables.NOTHING,
            ]
        )
    columns = ["row", "changed", "real / generated", "views", "seconds of the fit", "views per second"]
    note = (
        "Pictures that a fit learned from and their views, reconstructions included. Seconds: mean over "
        "seeds, without stages and frozen features, which rows share."
    )
    return Table("Rows", columns, rows, note)


def _write_csv(path: Path, record: Record, found: dict[str, Figures]) -> None:
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
                    writer.writerow([test, row, len(figure.seeds), name, *texts, known.real, known.generated])
    part.replace(path)
