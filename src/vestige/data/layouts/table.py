"""Any CSV or Parquet table with a path and a label in each row."""

import csv
import os
from typing import Any

from vestige.data.catalogue import Benchmark
from vestige.data.layouts.found import Entry, Found, NotThisLayoutError, some
from vestige.data.layouts.words import class_names, label_of
from vestige.errors import DataError

ENDINGS = (".csv", ".tsv", ".parquet")

PATHS = ("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "img_path")
LABELS = ("label", "labels", "target", "class", "class_name", "is_fake", "is_generated", "is_ai", "is_real")
# What 0 and 1 mean is clear only where the column's name says so; label and target follow the convention of
# the field, which is a finding.
_QUESTIONS = {"is_fake": 1, "is_generated": 1, "is_ai": 1, "is_real": 0}
_TRUTH = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
_NUMBERED = ("label", "labels", "target")
_GROUPS = ("group", "generator", "model", "model_name", "source_model")
# Columns of a manifest that are taken over as they are.
_KEPT = ("split", "category", "member", "picture", "compare_with", "source", "manipulation", "sha256")
# The same, of paths.
_MASKS = ("mask", "changed")


def read(file: str, benchmark: Benchmark, name: str) -> Found:
    """Label the rows of a table by its label column.

    Args:
        file: absolute; paths in it are relative to its folder.
        name: of the data set.

    Raises:
        NotThisLayoutError: no such table, or no column of paths or labels.
        DataError: unreadable, several label columns, a label that is not known or that another column
            contradicts, an empty path.
    """
    if not file.lower().endswith(ENDINGS):
        raise NotThisLayoutError(f"not a table ({', '.join(ENDINGS)})")
    columns, rows = _parquet(file) if file.lower().endswith(".parquet") else _csv(file)
    known = {column.strip().lower(): column for column in columns}
    path = next((known[one] for one in PATHS if one in known), None)
    label = _label_column(file, known)
    if path is None:
        raise NotThisLayoutError(f"no column of paths ({', '.join(PATHS)}); there are {some(columns)}")
    if rows and not isinstance(rows[0][path], str):
        raise NotThisLayoutError(f"column {path} holds no paths")
    found = Found(benchmark, name, file, [])
    labels = [_label(label, row[label]) for row in rows]
    unknown = sorted({repr(row[label]) for row, value in zip(rows, labels, strict=True) if value is None})
    if unknown:
        raise DataError(
            f"{file}: column {label} holds {some(unknown)}; known are words such as real, fake, generated, "
            f"and 0 and 1 in columns called {', '.join(_NUMBERED)} or is_fake"
        )
    if label.strip().lower() in _NUMBERED and any(str(row[label]).strip() in {"0", "1"} for row in rows):
        found.findings.append(f"column {label} holds numbers, read as 0 real and 1 generated: make sure")
    _refuse_contradictions(file, label, labels, known, rows)
    group = next((known[one] for one in _GROUPS if one in known), None)
    folder = os.path.dirname(file)
    for number, (row, value) in enumerate(zip(rows, labels, strict=True), start=1):
        if not row[path]:
            raise DataError(f"{file}, row {number}: the path is empty")
        assert value is not None
        texts = {one: str(row[known[one]] or "") for one in _KEPT if one in known}
        masks = {one: _beside(folder, row[known[one]]) for one in _MASKS if one in known}
        found.entries.append(
            Entry(
                file=os.path.normpath(os.path.join(folder, row[path])),
                label=value,
                group=str((group and row[group]) or (name if value else f"{name}/real")),
                licence=str(row[known["license"]] or "") if "license" in known else "",
                place=None,
                **texts,
                **masks,
            )
        )
    return found


def _beside(folder: str, path: Any) -> str:
    """A path relative to the table's folder, ready to open; "" for none."""
    return os.path.normpath(os.path.join(folder, str(path))) if path else ""


def _label_column(file: str, known: dict[str, str]) -> str:
    columns = [known[one] for one in LABELS if one in known]
    if not columns:
        raise NotThisLayoutError(f"no column of labels ({', '.join(LABELS)}); there are {some(list(known))}")
    # "label" is what the field calls it; a class beside it is what the picture shows.
    if len(columns) > 1 and columns[0].strip().lower() != "label":
        raise DataError(f"{file}: columns {', '.join(columns)} could all be labels; call the right one label")
    return columns[0]


def _refuse_contradictions(
    file: str, label: str, labels: list[int | None], known: dict[str, str], rows: list[dict[str, Any]]
) -> None:
    """Another column that answers the same question must give the same answer."""
    for other in (known[one] for one in _QUESTIONS if one in known and known[one] != label):
        for number, (row, value) in enumerate(zip(rows, labels, strict=True), start=1):
            if _label(other, row[other]) not in (None, value):
                raise DataError(
                    f"{file}, row {number}: {label} is {row[label]!r} and {other} is {row[other]!r}; "
                    "remove the column that is wrong"
                )


def _label(column: str, value: Any) -> int | None:
    text, kind = str(value).strip().lower(), column.strip().lower()
    if kind in _QUESTIONS and text in _TRUTH:
        return _QUESTIONS[kind] if _TRUTH[text] else 1 - _QUESTIONS[kind]
    if kind in _NUMBERED and text in {"0", "1"}:
        return int(text)
    return None if kind in _QUESTIONS else label_of(text)


def _csv(file: str) -> tuple[list[str], list[dict[str, Any]]]:
    try:
        with open(file, newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, delimiter="\t" if file.lower().endswith(".tsv") else ",")
            return list(reader.fieldnames or ()), list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file}: cannot be read as a table ({error})") from error


def _parquet(file: str) -> tuple[list[str], list[dict[str, Any]]]:
    import pyarrow
    import pyarrow.parquet

    try:
        parquet = pyarrow.parquet.ParquetFile(file)
        schema = parquet.schema_arrow
        # Pictures inside the table are of no use here, and may not fit into memory.
        plain = [
            one.name
            for one in schema
            if not pyarrow.types.is_nested(one.type) and one.type != pyarrow.binary()
        ]
        rows = [{**dict.fromkeys(schema.names), **row} for row in parquet.read(columns=plain).to_pylist()]
    except Exception as error:  # pyarrow raises about anything on a damaged file
        raise DataError(f"{file}: cannot be read as Parquet ({error})") from error
    for column in schema.names:
        names = class_names(schema, column)
        for row in rows if names else ():
            if isinstance(row[column], int) and 0 <= row[column] < len(names):
                row[column] = names[row[column]]
    return list(schema.names), rows
