"""Figures of an ablation's page that its specification asks for: rows along an axis, and pairs of rows."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vestige.evaluation import metrics, tables
from vestige.evaluation.ablation_figures import Figures, figure_text
from vestige.evaluation.ablation_record import CurveRecord, PictureScores, Record
from vestige.evaluation.basis import slug
from vestige.evaluation.metrics import Values
from vestige.evaluation.plots.lines import Series, auroc_along
from vestige.evaluation.plots.pair import pair
from vestige.evaluation.table import Table, escaped

_CLASSES = ("real", "generated")
BANDS = "Shaded: 95 % by group bootstrap"


@dataclass(frozen=True)
class Chart:
    """A figure with what stands below it.

    Attributes:
        file: name beside the page.
        alt: for who cannot see it.
        words: a sentence below it; "" for none.
    """

    title: str
    file: str
    svg: str
    alt: str
    table: Table | None = None
    words: str = ""

    def markdown(self) -> list[str]:
        """Lines of the page, from the heading on."""
        lines = [f"### {escaped(self.title)}", "", f"![{escaped(self.alt)}]({self.file})"]
        lines += ["", escaped(self.words)] if self.words else []
        return lines + (["", self.table.markdown()] if self.table else [])


def curves(record: Record, test: str, rows: Figures) -> list[Chart]:
    """AUROC on one test set along each axis that the specification names."""
    return [_curve(record, test, title, curve, rows) for title, curve in record.curves.items()]


def scatters(record: Record, test: str, rows: dict[str, dict[int, PictureScores]]) -> list[Chart]:
    """Each pair of rows that the specification names, where both have scores on this test set.

    Args:
        rows: row -> seed -> scores.
    """
    return [
        _scatter(record, test, title, (first, second), rows)
        for title, (first, second) in record.scatter.items()
        if first in rows and second in rows
    ]


def counted(record: Record, tests: list[str]) -> str:
    """How many pictures of each class, as a range where test sets differ."""
    real, generated = (sorted({getattr(record.tests[test], name) for test in tests}) for name in _CLASSES)
    return f"{_span(real)} real / {_span(generated)} generated pictures"


def spearman(x: Values, y: Values) -> float:
    """Rank correlation, ties at their mean rank; nan where one of them is constant or of one picture."""
    ranks = _ranks(x), _ranks(y)
    if any(np.ptp(one) == 0 for one in ranks):
        return float("nan")
    return float(np.corrcoef(*ranks)[0, 1])


def _curve(record: Record, test: str, title: str, curve: CurveRecord, rows: Figures) -> Chart:
    series = [
        Series(name, {x: rows[row]["AUROC"].mean for x, row in line.items() if row in rows})
        for name, line in curve.lines.items()
    ]
    under = f"{test}: {counted(record, [test])}. {BANDS}"
    every = sorted({x for line in curve.lines.values() for x in line})
    cells = [
        [f"{x:g}", *(figure_text(one.points[x]) if x in one.points else tables.NOTHING for one in series)]
        for x in every
    ]
    wanted = dict.fromkeys(row for line in curve.lines.values() for row in line.values())
    missing = [row for row in wanted if row not in rows]
    note = f"Not run yet: {', '.join(missing)}." if missing else ""
    return Chart(
        title=title,
        file=f"curve-{slug(title)}--{slug(test)}.svg",
        svg=auroc_along(title, under, curve.axis, series, log=curve.log),
        alt=f"AUROC of {', '.join(curve.lines)} by {curve.axis} on {test}; figures in the table below.",
        table=Table(title, [curve.axis, *curve.lines], cells, note),
    )


def _scatter(
    record: Record, test: str, title: str, names: tuple[str, str], rows: dict[str, dict[int, PictureScores]]
) -> Chart:
    known = next(iter(rows[names[0]].values()))
    x, y = (np.mean([one.logits for one in rows[name].values()], axis=0) for name in names)
    several = max(len(rows[name]) for name in names) > 1
    averaged = "; logits averaged over seeds" if several else ""
    return Chart(
        title=title,
        file=f"scatter-{slug(title)}--{slug(test)}.svg",
        svg=pair(title, f"{test}: {counted(record, [test])}{averaged}", names, x, y, known.labels),
        alt=f"Each picture of {test} at its logit by {names[0]} and by {names[1]}.",
        words=_compared(names, x, y, known.labels, several),
    )


def _compared(names: tuple[str, str], x: Values, y: Values, labels: metrics.Labels, several: bool) -> str:
    first, second = names
    areas = (
        f"AUROC {metrics.auroc(labels, x):.3f} for {first} and {metrics.auroc(labels, y):.3f} for {second}"
    )
    if several:
        areas += " (of the logits averaged over seeds; the tables average the AUROC of the seeds)"
    inside = (
        f"{_correlation(x[labels == label], y[labels == label])} among {name} pictures"
        for label, name in enumerate(_CLASSES)
    )
    related = f"Spearman correlation of the logits {_correlation(x, y)}, {', '.join(inside)}"
    wrong_x, wrong_y = ((logits > 0) != (labels == 1) for logits in (x, y))
    return (
        f"{areas}. {related}. At logit 0, {first} is wrong and {second} right on "
        f"{_by_class(wrong_x & ~wrong_y, labels)}; {second} is wrong and {first} right on "
        f"{_by_class(wrong_y & ~wrong_x, labels)}; both are wrong on {_by_class(wrong_x & wrong_y, labels)}."
    )


def _by_class(members: npt.NDArray[np.bool_], labels: metrics.Labels) -> str:
    real, generated = (int((members & (labels == label)).sum()) for label in (0, 1))
    pictures = "picture" if real + generated == 1 else "pictures"
    return f"{real + generated} {pictures} ({real} real, {generated} generated)"


def _correlation(x: Values, y: Values) -> str:
    value = spearman(x, y) if len(x) else math.nan
    return "not defined" if math.isnan(value) else f"{value:.3f}"


def _ranks(values: Values) -> Values:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    found: Values = (last - (counts - 1) / 2)[places]
    return found


def _span(counts: list[int]) -> str:
    return f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
