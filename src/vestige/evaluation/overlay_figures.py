"""Figures of measured heat maps, with intervals by group, and their tables."""

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vestige.evaluation import metrics, tables
from vestige.evaluation.ablation_figures import figure_text
from vestige.evaluation.ablation_pixels import mean_of_defined
from vestige.evaluation.metrics import Interval, Values
from vestige.evaluation.overlays import UNTOUCHED, Measured
from vestige.evaluation.table import Table
from vestige.results import Verdict

TOGETHER = "all together"
AP, F1, IOU, AREA = "pixel AP", "pixel F1", "pixel IoU", "area generated"
GAIN = "gain over noise"
FLAGGED = "area flagged"
AUROC, SHARE_AUROC = "AUROC of the logit", "AUROC of the generated share"
COLUMNS = (
    "pictures_are",
    "manipulation",
    "metric",
    "value",
    "low_by_group",
    "high_by_group",
    "pictures",
    "untouched_real",
)
PARTLY, REAL, GENERATED = "partly generated", "real", "generated"
VERDICTS = (
    Verdict.PARTLY_GENERATED,
    Verdict.LIKELY_GENERATED,
    Verdict.INCONCLUSIVE,
    Verdict.LIKELY_REAL,
)


@dataclass(frozen=True)
class Kind:
    """Pictures of which the same is true.

    Attributes:
        are: what of them is generated: PARTLY, REAL or GENERATED (the last two: wholly).
        manipulation: what was done to them.
    """

    are: str
    manipulation: str
    pictures: list[Measured]


@dataclass(frozen=True)
class Figure:
    """One figure; `against`: how many untouched real pictures it compares with, None if it does not."""

    kind: Kind
    metric: str
    interval: Interval
    against: int | None = None


def kinds(measured: Sequence[Measured]) -> list[Kind]:
    """Readable pictures by what of them is generated and what was done to them; `TOGETHER` after several."""
    found = []
    for are, belongs in _ARE:
        inside = [one for one in measured if not one.error and belongs(one)]
        names = sorted({one.kind for one in inside}, key=lambda name: (name != UNTOUCHED, name))
        found += [Kind(are, name, [one for one in inside if one.kind == name]) for name in names]
        if are == PARTLY and len(names) > 1:
            found.append(Kind(are, TOGETHER, inside))
    return found


_ARE: tuple[tuple[str, Callable[[Measured], bool]], ...] = (
    (PARTLY, lambda one: one.partly),
    (REAL, lambda one: one.area == 0),
    (GENERATED, lambda one: one.area == 1),
)


def figures(measured: Sequence[Measured]) -> list[Figure]:
    """All figures, kind by kind."""
    real = [one for one in measured if not one.error and one.untouched_real]
    found = []
    for kind in kinds(measured):
        draws = _draws(kind.pictures)
        places = ((AP, "ap"), (GAIN, "gain"), (F1, "f1"), (IOU, "iou"), (AREA, "area"))
        for name, attribute in places if kind.are == PARTLY else ((FLAGGED, "flagged"),):
            values = _values(kind.pictures, attribute)
            found.append(Figure(kind, name, _mean(values, draws)))
        for verdict in VERDICTS:
            given = np.array([one.verdict is verdict for one in kind.pictures], dtype=np.float64)
            found.append(Figure(kind, f"called {verdict.words}", _mean(given, draws)))
        if kind.are == PARTLY:
            found += _against(kind, real)
    return found


def write_csv(path: Path, found: Sequence[Figure]) -> None:
    """Write all figures, one line each; the file is whole or absent."""
    part = path.with_name(path.name + ".part")
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for one in found:
            values = (one.interval.value, one.interval.low, one.interval.high)
            texts = ("" if math.isnan(value) else f"{value:.4f}" for value in values)
            against = "" if one.against is None else one.against
            count = len(one.kind.pictures)
            writer.writerow([one.kind.are, one.kind.manipulation, one.metric, *texts, count, against])
    part.replace(path)


def figure_tables(found: Sequence[Figure], threshold: float) -> list[Table]:
    """The figures as tables: where, false alarms, ranking, verdicts."""
    by_kind: dict[tuple[str, str], dict[str, Figure]] = {}
    for one in found:
        by_kind.setdefault((one.kind.are, one.kind.manipulation), {})[one.metric] = one
    partly = [rows for (are, _), rows in by_kind.items() if are == PARTLY]
    whole = [rows for (are, _), rows in by_kind.items() if are != PARTLY]
    return [
        _where(partly, threshold),
        _flagged(whole, threshold),
        _ranking(partly),
        _verdicts(list(by_kind.values())),
    ]


def _where(kinds: Sequence[dict[str, Figure]], threshold: float) -> Table:
    columns = (AREA, AP, GAIN, F1, IOU)
    rows = []
    for figures in kinds:
        texts = {name: figure_text(figures[name].interval) for name in columns}
        texts[GAIN] = _signed(figures[GAIN].interval)
        rows.append([*_named(figures), *texts.values()])
    note = (
        "Means over pictures of which a part, and not all, is generated, each measured over all of its "
        "pixels; in brackets 95 % by group bootstrap. A map of noise gets the area generated as its pixel "
        "AP; the gain of a picture is (AP - area) / (1 - area): 0 for noise, 1 for a perfect map. Maps are "
        "taken as they are, never turned around. F1 and IoU: generated from a probability of "
        f"{threshold:.3g} on, for all pictures."
    )
    return Table(
        "Where partly generated pictures are generated",
        ["manipulation", "pictures", "groups", *columns],
        rows,
        note,
    )


def _flagged(kinds: Sequence[dict[str, Figure]], threshold: float) -> Table:
    rows = []
    for figures in kinds:
        figure = figures[FLAGGED]
        name, *counts = _named(figures)
        rows.append([f"{figure.kind.are}, {name}", *counts, figure_text(figure.interval)])
    note = (
        f"Share of the picture at a probability of {threshold:.3g} or more, mean over pictures. Of pictures "
        "of which nothing is generated all of it is false alarm."
    )
    columns = ["pictures are", "pictures", "groups", FLAGGED]
    return Table("Area flagged where there is no border to find", columns, rows, note)


def _ranking(kinds: Sequence[dict[str, Figure]]) -> Table:
    shares = any(SHARE_AUROC in figures for figures in kinds)
    names = [AUROC, *([SHARE_AUROC] if shares else [])]
    rows = []
    for figures in kinds:
        name, count, _ = _named(figures)
        compared = [figures.get(metric) for metric in names]
        against = figures[AUROC].against
        texts = [tables.NOTHING if one is None else figure_text(one.interval) for one in compared]
        rows.append([name, f"{count} / {against}", *texts])
    note = "Whole pictures: does a partly generated one score higher than an untouched real one?"
    if shares:
        note += " The generated share is the model's own: of the places looked at, how many it flags."
    return Table(
        "Which pictures are generated in part",
        ["manipulation", "partly generated / untouched real", *names],
        rows,
        note,
    )


def _verdicts(kinds: Sequence[dict[str, Figure]]) -> Table:
    rows = []
    for figures in kinds:
        kind = figures[f"called {VERDICTS[0].words}"].kind
        name, *counts = _named(figures)
        cells = []
        for verdict in VERDICTS:
            figure = figures[f"called {verdict.words}"]
            number = sum(one.verdict is verdict for one in kind.pictures)
            cells.append(f"{number} ({_percent(figure.interval)})")
        rows.append([f"{kind.are}, {name}", *counts, *cells])
    columns = ["pictures are", "pictures", "groups", *(verdict.words for verdict in VERDICTS)]
    note = (
        "Counts, shares, and 95 % of the shares by group bootstrap, where there are groups enough and "
        "groups differ."
    )
    return Table("Verdicts as users get them", columns, rows, note)


def _named(figures: dict[str, Figure]) -> list[str]:
    """Manipulation, pictures and groups of the kind that figures are of."""
    kind = next(iter(figures.values())).kind
    groups = len({one.group for one in kind.pictures})
    return [kind.manipulation, str(len(kind.pictures)), str(groups)]


def _against(kind: Kind, real: Sequence[Measured]) -> list[Figure]:
    """How well pictures of a kind are told from untouched real ones."""
    every = [*real, *kind.pictures]
    labels = np.repeat([0, 1], [len(real), len(kind.pictures)]).astype(np.int64)
    draws = metrics.draws(labels, [one.group for one in every], tables.DRAWS)
    wanted = {AUROC: _values(every, "logit")}
    if all(one.share is not None for one in every):
        wanted[SHARE_AUROC] = _values(every, "share")
    return [
        Figure(kind, name, metrics.interval(metrics.auroc, labels, values, draws), len(real))
        for name, values in wanted.items()
    ]


def _draws(pictures: Sequence[Measured]) -> list[metrics.Indices]:
    # Of one class: groups are drawn among themselves.
    labels = np.ones(len(pictures), dtype=np.int64)
    return metrics.draws(labels, [one.group for one in pictures], tables.DRAWS)


def _mean(values: Values, draws: Sequence[metrics.Indices]) -> Interval:
    return metrics.interval(mean_of_defined, np.ones(len(values), dtype=np.int64), values, draws)


def _values(pictures: Sequence[Measured], attribute: str) -> Values:
    found = [getattr(one, attribute) for one in pictures]
    return np.array([math.nan if value is None else value for value in found], dtype=np.float64)


def _signed(interval: Interval) -> str:
    if math.isnan(interval.value) or math.isnan(interval.low):
        return figure_text(interval)
    return f"{interval.value:+.3f} ({interval.low:+.3f}, {interval.high:+.3f})"


def _percent(interval: Interval) -> str:
    # All draws alike: a bootstrap has nothing to say of what was never seen.
    if math.isnan(interval.low) or interval.low == interval.high:
        return f"{interval.value:.0%}"
    return f"{interval.value:.0%}, {interval.low:.0%}-{interval.high:.0%}"
