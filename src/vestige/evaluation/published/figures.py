"""Reading the published figures of this package."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources

import yaml

from vestige.errors import DataError
from vestige.evaluation.published.names import (
    generator_name,
    known_benchmark,
    metric_name,
    package_text,
)
from vestige.evaluation.published.schema import AVERAGE, FigureTable, MethodRow, Publication, Source


@dataclass(frozen=True)
class PublishedFigure:
    """One number that a paper prints.

    Attributes:
        benchmark: name of the benchmark, as in `_benchmarks.yaml`.
        method: as the paper calls it.
        generator: as in `_names.yaml`; "average" for a mean over all, "average of ..." for one over some.
        metric: "AP", "Acc", ...
        value: in [0, 1].
        training: what the method was trained on, as far as stated.
        source: the paper, as cited in tables.
        table: number of the table in the paper.
        reported_by: "own method", or that the authors report a method of others.
        notes: orientation, what the number was read in, doubts.
    """

    benchmark: str
    method: str
    generator: str
    metric: str
    value: float
    training: str
    source: str
    table: str
    reported_by: str
    notes: str

    @property
    def own(self) -> bool:
        """The authors of the paper report their own method."""
        return self.reported_by == OWN


OWN = "own method"


def published(benchmark: str | None = None) -> list[PublishedFigure]:
    """All published figures, or those on one benchmark, in the order of the files and their tables.

    Raises:
        DataError: no such benchmark; the message lists the known ones.
    """
    if benchmark is not None:
        known_benchmark(benchmark)
    found = [figure for file in publications() for figure in file_figures(file)]
    return [figure for figure in found if benchmark in (None, figure.benchmark)]


def published_markdown() -> str:
    """Markdown table of the files: source, what was read, benchmarks, number of figures."""
    lines = [
        "| file | source | read in | benchmarks | figures |",
        "|---|---|---|---|---|",
    ]
    total = 0
    for name, publication in publications().items():
        found = file_figures(name)
        total += len(found)
        paper = publication.paper
        used = ", ".join(sorted({figure.benchmark for figure in found}))
        lines.append(
            f"| `{name}` | {paper.citation}: {paper.title} | {paper.read_from} | {used} | {len(found)} |"
        )
    return "\n".join([*lines, "", f"{total} figures in all.", ""])


@cache
def publications() -> dict[str, Publication]:
    """Name of the file -> paper and tables, sorted by name.

    Raises:
        pydantic.ValidationError: a file of this package does not follow the schema.
    """
    folder = resources.files("vestige.evaluation.published")
    names = sorted(entry.name for entry in folder.iterdir())
    return {
        name: Publication.model_validate(yaml.safe_load(package_text(name)))
        for name in names
        if name.endswith(".yaml") and not name.startswith("_")
    }


def file_figures(name: str) -> list[PublishedFigure]:
    """Figures of one file.

    Raises:
        DataError: the file names a benchmark, generator or metric that is in no list.
    """
    publication = publications()[name]
    return [
        figure
        for table in publication.tables
        for row in table.rows
        for figure in _figures(name, publication.paper, table, row)
    ]


def _figures(name: str, paper: Source, table: FigureTable, row: MethodRow) -> Iterator[PublishedFigure]:
    known_benchmark(table.benchmark)
    notes = [table.notes, row.notes]
    if table.orientation != "irrelevant":
        notes.append(f"Positive class: {table.orientation}.")
    notes.append(f"Read in: {paper.read_from}.")
    cells = list(zip(table.columns, row.cells, strict=True)) if row.cells else []
    if row.average is not None:
        cells.append((AVERAGE, row.average))
    for column, printed in cells:
        generator = column if column.startswith(AVERAGE) else generator_name(column)
        if generator is None:
            raise DataError(f"{name}: generator {column!r} is not in _names.yaml; add it there")
        yield PublishedFigure(
            benchmark=table.benchmark,
            method=row.method,
            generator=generator,
            metric=metric_name(table.metric),
            # Rounded to the printed digits: 94.15 / 100 must read 0.9415.
            value=round(printed / 100, table.decimals + 2),
            training=row.training or table.training,
            source=paper.citation,
            table=table.table,
            reported_by=OWN if row.own else f"{paper.authors}, of a method of others",
            notes=" ".join(note.strip() for note in notes if note),
        )
