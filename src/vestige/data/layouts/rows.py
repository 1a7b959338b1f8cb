"""Pictures inside Parquet files, as Hugging Face distributes them. The bytes stay where they are."""

import os
import re
from collections import Counter
from dataclasses import replace
from typing import Any

from vestige.data.catalogue import Benchmark, Rows
from vestige.data.layouts.found import Entry, Found, NotThisLayoutError, some
from vestige.data.layouts.places import SPLITS
from vestige.data.layouts.words import class_names, label_of
from vestige.errors import DataError

_SPLIT_AT_END = re.compile(r"(?:^|[_\-])(train|val|test)$", re.IGNORECASE)


def read(root: str, files: list[str], benchmark: Benchmark, name: str) -> Found:
    """Label the rows of Parquet files by their label column.

    Args:
        root: folder, or the one file; absolute.
        files: Parquet files, absolute, in order.
        name: of the data set.

    Raises:
        NotThisLayoutError: no Parquet file, or the first one lacks columns of this benchmark.
        DataError: a damaged file, one with other columns than the first, or a label that is not known.
    """
    layout = benchmark.layout
    assert isinstance(layout, Rows)
    if not files:
        raise NotThisLayoutError("no Parquet files")
    found = Found(benchmark, name, root, [])
    contradictions = 0
    for number, file in enumerate(files):
        columns, names = _columns(file, layout, first=number == 0)
        labels = [_label(value, names, benchmark) for value in columns[layout.label]]
        unknown = sorted(
            {repr(value) for value, label in zip(columns[layout.label], labels, strict=True) if label is None}
        )
        if unknown:
            known = ", ".join(names or sorted(benchmark.words)) or "real, fake"
            raise DataError(f"{file}: column {layout.label} holds {some(unknown)}; known are {known}")
        split_of_file = _split_of(file, root)
        for row, label in enumerate(labels):
            assert label is not None
            cells = {column: values[row] for column, values in columns.items()}
            key = str(cells.get(layout.key) or "")
            contradictions += any(label_of(part) == 1 - label for part in key.split("/")[:-1])
            generator = _generator(cells, key, file, benchmark, label)
            real = str(cells.get(layout.real) or "")
            found.entries.append(
                Entry(
                    file=file,
                    label=label,
                    group=generator if label else f"{real or generator}/real",
                    split=_split(cells, layout) or split_of_file,
                    member=f"{layout.image}/{row}",
                    picture=os.path.splitext(key.rpartition("/")[2])[0],
                    compare_with="" if not label else _against(real, generator, layout),
                )
            )
    if contradictions:
        found.findings.append(
            f"{contradictions} rows have a label that their {layout.key} contradicts; "
            f"the column {layout.label} was believed"
        )
    _drop_absent(found)
    _unite(found)
    return found


def _columns(file: str, layout: Rows, first: bool) -> tuple[dict[str, list[Any]], list[str]]:
    """Columns other than the picture, and the names of the classes if the file brings them."""
    import pyarrow.parquet

    try:
        parquet = pyarrow.parquet.ParquetFile(file)
    except Exception as error:  # pyarrow raises about anything on a damaged file
        raise DataError(f"{file}: cannot be read as Parquet ({error})") from error
    schema = parquet.schema_arrow
    missing = sorted(set(layout.columns) - set(schema.names))
    if missing:
        problem = f"columns {', '.join(missing)} are missing; there are {some(list(schema.names))}"
        raise (
            NotThisLayoutError(problem) if first else DataError(f"{file}: {problem}, unlike the files before")
        )
    wanted = [layout.label, layout.generator, layout.real, layout.key, layout.split]
    try:
        table = parquet.read(columns=[column for column in wanted if column and column in schema.names])
        return {column: table.column(column).to_pylist() for column in table.column_names}, class_names(
            schema, layout.label
        )
    except Exception as error:
        raise DataError(f"{file}: cannot be read as Parquet ({error})") from error


def _label(value: Any, names: list[str], benchmark: Benchmark) -> int | None:
    if names and isinstance(value, int) and 0 <= value < len(names):
        return label_of(names[value])
    word = str(value).strip().lower()
    return benchmark.words.get(word, label_of(word))


def _generator(cells: dict[str, Any], key: str, file: str, benchmark: Benchmark, label: int) -> str:
    layout = benchmark.layout
    assert isinstance(layout, Rows)
    if layout.generator:
        name = str(cells.get(layout.generator) or "")
        if not name and label:
            raise DataError(f"{file}: column {layout.generator} is empty for a generated picture")
        return name or "unknown"
    prefix = os.path.basename(file).split("-")[0]
    candidates = [part for part in (*key.split("/"), prefix) if part in benchmark.groups]
    if not candidates:
        raise DataError(
            f"{file}: neither the file's name nor {layout.key} {key!r} names a generator; "
            f"expected one of {', '.join(benchmark.groups)}"
        )
    return candidates[0]


def _against(real: str, generator: str, layout: Rows) -> str:
    if layout.real:
        return ";".join(f"{one.strip()}/real" for one in re.split(r"[,;]", real) if one.strip())
    return f"{generator}/real"


def _drop_absent(found: Found) -> None:
    """Pairing with real pictures that are not part of the set means all real rows; say so."""
    reals = {entry.group for entry in found.entries if not entry.label}
    paired = Counter(one for entry in found.entries for one in entry.compare_with.split(";") if one)
    absent = sorted(set(paired) - reals)
    if not reals:
        found.findings.append("no real pictures: the set brings none, add rows of real ones to the manifest")
    if not absent:
        return
    found.findings.append(
        f"generated pictures are paired with {some(absent)}, which are not here; "
        f"{sum(paired[one] for one in absent)} rows lost that pairing"
    )
    found.entries = [
        replace(entry, compare_with=";".join(one for one in entry.compare_with.split(";") if one in reals))
        for entry in found.entries
    ]


def _unite(found: Found) -> None:
    """One pairing per generator: all real groups that its rows name; all there are if one row names none.

    Rows of one generator may be paired with different sources, but a figure for it needs one set of them.
    """
    paired: dict[str, list[set[str]]] = {}
    for entry in found.entries:
        if entry.label:
            paired.setdefault(entry.group, []).append({one for one in entry.compare_with.split(";") if one})
    united = {
        group: ";".join(sorted(set().union(*some))) if all(some) else "" for group, some in paired.items()
    }
    found.entries = [
        replace(entry, compare_with=united[entry.group]) if entry.label else entry for entry in found.entries
    ]


def _split(cells: dict[str, Any], layout: Rows) -> str:
    return SPLITS.get(str(cells.get(layout.split) or "").lower(), "")


def _split_of(file: str, root: str) -> str:
    """The split that a folder's name ends in, such as OpenSDI_test; the nearest folder first."""
    above = os.path.dirname(root)
    for folder in reversed(os.path.dirname(os.path.relpath(file, above)).split(os.sep)):
        match = _SPLIT_AT_END.search(folder)
        if match:
            return match[1].lower()
    return ""
