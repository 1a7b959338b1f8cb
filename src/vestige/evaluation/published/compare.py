"""Our figures beside published ones on the same benchmark."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vestige.errors import DataError
from vestige.evaluation.published.figures import published
from vestige.evaluation.published.names import generator_name, known_benchmark, metric_name, spelling
from vestige.evaluation.published.schema import AVERAGE
from vestige.evaluation.table import Table

MISSING = "-"


@dataclass(frozen=True)
class BesideTable(Table):
    """A table with some rows in bold.

    Attributes:
        ours: indices of the rows in bold.
    """

    ours: frozenset[int] = frozenset()

    def markdown(self) -> str:
        """As `Table.markdown`, our rows in bold."""
        head, rule, *lines = super().markdown().split("\n")
        # A bar inside a cell has a backslash before it, so this splits between cells only.
        for index in self.ours:
            cells = lines[index][2:-2].split(" | ")
            lines[index] = "| " + " | ".join(c if c == MISSING else f"**{c}**" for c in cells) + " |"
        return "\n".join([head, rule, *lines])

    def html(self) -> str:
        """As `Table.html`, our rows in bold."""
        before, rest = super().html().split("<tbody>\n", 1)
        body, after = rest.split("\n</tbody>", 1)
        lines = body.split("\n")
        for index in self.ours:
            lines[index] = re.sub(r">([^<>]+)<", r"><strong>\1</strong><", lines[index])
        return before + "<tbody>\n" + "\n".join(lines) + "\n</tbody>" + after


@dataclass
class _Line:
    """One method: its values by generator, and its average over a set of its own."""

    name: str
    cells: dict[str, float] = field(default_factory=dict)
    average: str = MISSING


@dataclass
class _Published:
    lines: list[_Line]
    references: list[str]
    generators: list[str]
    borrowed: list[str]  # benchmarks that cells were borrowed from


def beside(benchmark: str, ours: Mapping[str, Mapping[str, float]], metric: str) -> Table:
    """One row per method, published ones first, one column per generator, values in percent.

    Figures of a mixed test (`parts` in `_benchmarks.yaml`) also stand in the tables of the benchmarks that it
    is made of, without its average. The mean is taken over the generators that every row with figures for
    single published generators has. The last column holds averages as printed, and for ours the mean over all
    their generators.

    Args:
        benchmark: as in `_benchmarks.yaml`.
        ours: model -> generator -> value in [0, 1]; nan where undefined. Any spelling in
            `_names.yaml` will do.
        metric: "AP", "Acc", ..., any spelling in `_names.yaml`.

    Raises:
        DataError: no such benchmark or metric, a value outside [0, 1], or two names of a model's generators
            that mean the same one.
    """
    title, metric = known_benchmark(benchmark).title, metric_name(metric)
    theirs = _published_lines(benchmark, metric)
    headings: dict[str, str] = {}
    own = [_our_line(model, values, headings) for model, values in ours.items()]
    columns = theirs.generators + [name for name in headings if name not in theirs.generators]
    lines = theirs.lines + own
    common = _common(lines, theirs.generators)
    rows = [
        [
            line.name,
            *(_percent(line.cells.get(name)) for name in columns),
            _percent(_mean([line.cells[name] for name in common]))
            if common <= line.cells.keys()
            else MISSING,
            line.average,
        ]
        for line in lines
    ]
    return BesideTable(
        title=f"{metric} in percent on {title}: published figures and ours",
        columns=[
            "method",
            *(headings.get(name, name) for name in columns),
            f"mean of {len(common)}",
            "average of all",
        ],
        rows=rows,
        note=" ".join(_note(benchmark, metric, theirs, ours, own, headings, common)),
        ours=frozenset(range(len(theirs.lines), len(lines))),
    )


def _published_lines(benchmark: str, metric: str) -> _Published:
    found = _Published([], [], [], [])
    lines: dict[tuple[str, ...], _Line] = {}
    references: dict[tuple[str, ...], int] = {}
    for figure in published():
        borrowed = figure.benchmark != benchmark
        if figure.metric != metric:
            continue
        if borrowed and known_benchmark(figure.benchmark).parts.get(figure.generator) != benchmark:
            continue
        about = (figure.source, figure.table, figure.benchmark, figure.training, figure.notes)
        number = references.setdefault(about, len(references) + 1)
        key = (figure.benchmark, figure.method, figure.source, figure.training)
        mark = f"{number}, own method" if figure.own else f"{number}"
        line = lines.setdefault(key, _Line(f"{figure.method} [{mark}]"))
        if figure.generator == AVERAGE:
            line.average = _percent(figure.value)
        elif not figure.generator.startswith(AVERAGE):
            line.cells[figure.generator] = figure.value
            if figure.generator not in found.generators:
                found.generators.append(figure.generator)
        if borrowed and figure.benchmark not in found.borrowed:
            found.borrowed.append(figure.benchmark)
    found.lines = list(lines.values())
    for (source, table, _, training, notes), number in references.items():
        found.references.append(f"[{number}] {source}, {table}; training data: {training}. {notes}")
    return found


def _our_line(model: str, values: Mapping[str, float], headings: dict[str, str]) -> _Line:
    line = _Line(" ".join(model.split()))
    written: dict[str, str] = {}
    for name, value in values.items():
        if not math.isnan(value) and not 0 <= value <= 1:
            raise DataError(f"{model}: {value} for {name} is outside [0, 1]; pass shares, not percent")
        known = generator_name(name)
        key = known or spelling(name)
        if key in written:
            raise DataError(f"{model}: {written[key]!r} and {name!r} are one generator; pass it once")
        written[key] = name
        headings.setdefault(key, known or name)
        if not math.isnan(value):
            line.cells[key] = value
    if line.cells:
        line.average = f"{_percent(_mean(list(line.cells.values())))} ({len(line.cells)})"
    return line


def _common(lines: Sequence[_Line], generators: Sequence[str]) -> set[str]:
    held = [set(generators) & line.cells.keys() for line in lines]
    held = [some for some in held if some]
    return set.intersection(*held) if held else set()


def _note(
    benchmark: str,
    metric: str,
    theirs: _Published,
    ours: Mapping[str, Mapping[str, float]],
    own: Sequence[_Line],
    headings: Mapping[str, str],
    common: set[str],
) -> list[str]:
    ours_have = {name for line in own for name in line.cells}
    unknown = sorted({name for values in ours.values() for name in values if generator_name(name) is None})
    undefined = [
        f"{model} on {name}" for model, values in ours.items() for name in values if math.isnan(values[name])
    ]
    sentences = ["Ours are in bold."]
    if not theirs.lines:
        sentences.append(f"No published {metric} on {benchmark} is on record.")
    else:
        sentences.append(
            "Training data differ: those of each published method stand with its reference, ours are in the "
            'model cards; differences are not due to the methods alone. Methods without "own method" were '
            "measured by the authors of the reference, not by their own."
        )
    for name in theirs.borrowed:
        sentences.append(
            f"Figures of {name} are on generators that it took from {benchmark}; whether on exactly the same "
            "pictures is not known."
        )
    only_theirs = [name for name in theirs.generators if name not in ours_have]
    only_ours = [headings[name] for name in headings if name in ours_have - set(theirs.generators)]
    outside = [name for name in theirs.generators if name not in common]
    if theirs.generators:
        mean = f"The mean is over the {len(common)} generators that all rows with figures have"
        sentences.append(f"{mean}; left out: {', '.join(outside)}." if outside else f"{mean}.")
    sentences.append(
        "The last column holds published averages as printed and, for ours, the mean over all generators "
        "that we have, their number in parentheses; these sets may differ."
    )
    for label, names in (
        ("Only published", only_theirs),
        ("Only ours", only_ours),
        ("Names of ours that are not in the list of generators", unknown),
        ("Undefined", undefined),
    ):
        if names:
            sentences.append(f"{label}: {', '.join(names)}.")
    return sentences + theirs.references


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _percent(value: float | None) -> str:
    return MISSING if value is None else f"{100 * value:.2f}"
