"""Files that a measurement keeps, so that its page can be made again: tables of pictures, and a record.

All are written whole or not at all.
"""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError

from vestige.errors import ConfigError, DataError
from vestige.evaluation.metrics import Labels, Values

FIRST = ("picture", "label", "group")  # columns of every table

Record = TypeVar("Record", bound=BaseModel)


@dataclass(frozen=True)
class PictureTable:
    """A line for each picture.

    Attributes:
        labels: int64, 0 real, 1 generated.
        groups: generator, or source of real pictures.
        numbers: float64 [N, columns], finite.
    """

    pictures: list[str]
    labels: Labels
    groups: list[str]
    numbers: Values


def write_table(path: Path, columns: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    """Write a table of pictures as CSV.

    Args:
        columns: after those in `FIRST`.
        lines: a value for each column.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((*FIRST, *columns))
        writer.writerows(lines)
    partial.replace(path)


def read_table(path: Path, columns: Sequence[str], what: str) -> PictureTable:
    """Read what `write_table` wrote.

    Args:
        columns: of numbers, after those in `FIRST`.
        what: the file is, in words, for messages.

    Raises:
        DataError: unreadable, or not such a file.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != (*FIRST, *columns):
                raise ValueError(f"its columns are {reader.fieldnames}")
            rows = list(reader)
        labels = np.array([int(row["label"]) for row in rows], dtype=np.int64)
        numbers = np.array([[float(row[name]) for name in columns] for row in rows], dtype=np.float64)
        if not np.isin(labels, (0, 1)).all() or not np.isfinite(numbers).all():
            raise ValueError(f"labels must be 0 or 1, and {' and '.join(columns)} finite numbers")
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise DataError(f"{path}: not {what} ({error})") from error
    names, groups = [row["picture"] for row in rows], [row["group"] for row in rows]
    return PictureTable(names, labels, groups, numbers.reshape(-1, len(columns)))


def read_record(path: Path, kind: type[Record], what: str) -> Record | None:
    """What a record holds; None if there is none.

    Args:
        what: the file is, in words, for messages.

    Raises:
        ConfigError: it is damaged.
    """
    if not path.exists():
        return None
    try:
        return kind.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise ConfigError(f"{path}: cannot be read as {what} ({error})") from error


def save_record(path: Path, record: BaseModel) -> None:
    """Write a record as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    partial.write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")
    partial.replace(path)
