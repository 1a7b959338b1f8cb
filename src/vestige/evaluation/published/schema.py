"""What the YAML files of published figures may hold."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

AVERAGE = (
    "average"  # generator of a figure that is a mean over generators; also the first word of partial means
)

Text = Annotated[str, Field(min_length=1)]
Printed = Annotated[float, Field(ge=0, le=100)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Strict):
    """Where the figures of a file come from.

    Attributes:
        authors: short form, as cited in tables.
        venue: conference or journal, or "preprint".
        arxiv: identifier without version; None if there is none or it is not known.
        read_from: what the numbers were read in: the paper, its abstract, a summary by others.
        notes: what was left out and why.
    """

    title: Text
    authors: Text
    venue: Text
    arxiv: Annotated[str, Field(pattern=r"^\d{4}\.\d{4,5}$")] | None = None
    year: int = Field(ge=2014, le=2100)
    read_from: Text
    notes: str = ""

    @property
    def citation(self) -> str:
        """As in "He et al., CVPR 2026 Findings, arXiv 2603.00717"."""
        where = self.venue if str(self.year) in self.venue else f"{self.venue} {self.year}"
        return f"{self.authors}, {where}" + (f", arXiv {self.arxiv}" if self.arxiv else "")


class MethodRow(_Strict):
    """The figures of one method in one table.

    Attributes:
        own: the authors of the paper report their own method; otherwise they report one of others.
        cells: one number per column of the table, as printed; empty if left out.
        average: mean over generators as printed; None if there is none.
        training: training data of this row where they are not those of the table.
    """

    method: Text
    own: bool = False
    cells: list[Printed] = []
    average: Printed | None = None
    training: Text | None = None
    notes: str = ""


class FigureTable(_Strict):
    """One table of a paper, or one metric of it, on one benchmark.

    Attributes:
        table: as the paper numbers it, or what is known of its place.
        decimals: digits printed after the point.
        training: what the methods were trained on.
        orientation: class that a metric such as AP takes as positive; "irrelevant" for accuracy.
        columns: generators as printed, or partial means whose names begin with "average".
        weights: number of generators behind each column of partial means.
        complete: the printed average is the (weighted) mean of the columns.
    """

    table: Text
    benchmark: Text
    metric: Text
    unit: Literal["percent"]
    decimals: int = Field(ge=0, le=4)
    training: Text
    orientation: Literal["generated", "real", "not stated", "irrelevant"]
    columns: list[Text] = []
    weights: list[int] | None = None
    complete: bool = True
    notes: str = ""
    rows: list[MethodRow] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits(self) -> "FigureTable":
        for row in self.rows:
            if row.cells and len(row.cells) != len(self.columns):
                raise ValueError(f"{row.method}: {len(row.cells)} cells for {len(self.columns)} columns")
            if not row.cells and row.average is None:
                raise ValueError(f"{row.method}: neither cells nor an average")
        partial = [name.startswith(AVERAGE) for name in self.columns]
        if self.weights is None and any(partial):
            raise ValueError("columns of partial means need weights")
        if self.weights is not None and (len(self.weights) != len(self.columns) or not all(partial)):
            raise ValueError("weights need as many columns, all of them partial means")
        return self


class Publication(_Strict):
    """One file: a paper and its tables."""

    paper: Source
    tables: list[FigureTable] = Field(min_length=1)


class Benchmark(_Strict):
    """A benchmark that figures may belong to.

    Attributes:
        parts: for a test made of other benchmarks' generators, generator -> benchmark it was taken from.
    """

    title: Text
    parts: dict[str, str] = {}


class Names(_Strict):
    """Other spellings of each generator and each metric."""

    generators: dict[str, list[str]]
    metrics: dict[str, list[str]]
