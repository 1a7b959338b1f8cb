"""Per-picture scores, one Parquet file per model, data set and condition: what all tables are made of."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from vestige.errors import DataError
from vestige.evaluation.metrics import Labels, Values
from vestige.results import Verdict

BASIS = b"vestige.basis"
SCORED, UNREADABLE, LEFT_OUT = "scored", "unreadable", "left out"

SCHEMA = pa.schema(
    [
        ("model", pa.string()),
        ("data", pa.string()),
        ("condition", pa.string()),
        ("path", pa.string()),
        ("label", pa.int8()),
        ("group", pa.string()),
        ("picture", pa.string()),
        ("compare_with", pa.string()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("logit", pa.float64()),
        ("probability", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("verdict", pa.string()),
        ("spread", pa.float64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("format", pa.string()),
        ("deviation", pa.float64()),
        ("kind", pa.string()),
    ]
)
LATER = ("deviation", "kind")  # files from before these columns are read as well


@dataclass(frozen=True)
class Scores:
    """Scores of one model on one data set under one condition.

    Arrays and lists have one entry for each scored picture, in the order of the manifest.

    Attributes:
        model: name and version.
        data: name of the data set.
        condition: title of the protocol or of a level of a sweep, such as "web/1".
        labels: int64, 0 real, 1 generated.
        groups: generator, or source of real pictures.
        pictures: source picture; what derives from one original shares it.
        compare_with: real groups that a generated picture is officially compared with, split by ";"; "" all.
        logits: float64, positive = generated.
        probabilities: float64, calibrated, in [0, 1]; nan where there are none.
        thresholds: (low, high) in probability, the band that ships; from `high` on "likely generated".
        verdicts: values of `vestige.results.Verdict`, or "" where there are none.
        unreadable, left_out: (path, reason) of what has no score.
        kinds: what sort of picture it is, "" where that is not known; empty where it is known of none.
    """

    model: str
    data: str
    condition: str
    paths: list[str]
    labels: Labels
    groups: list[str]
    pictures: list[str]
    compare_with: list[str]
    logits: Values
    probabilities: Values
    thresholds: tuple[float, float]
    verdicts: list[str]
    unreadable: list[tuple[str, str]]
    left_out: list[tuple[str, str]]
    kinds: list[str] = field(default_factory=list)

    @property
    def calls(self) -> npt.NDArray[np.str_]:
        """The verdicts, [N], with "likely_partly_generated" counted as "likely_generated"."""
        whole, part = Verdict.LIKELY_GENERATED.value, Verdict.PARTLY_GENERATED.value
        return np.array([whole if verdict == part else verdict for verdict in self.verdicts], dtype=np.str_)

    @property
    def partly(self) -> npt.NDArray[np.bool_]:
        """Which pictures are called partly generated, [N]."""
        part = Verdict.PARTLY_GENERATED.value
        return np.array([verdict == part for verdict in self.verdicts], dtype=np.bool_)

    @property
    def decisive(self) -> Values:
        """What is held against the threshold, float64 [N]: the probability, 1 if called partly generated.

        The map alone makes a picture partly generated; its pooled probability may be anything.
        """
        return np.where(self.partly, 1.0, self.probabilities)

    @property
    def real(self) -> int:
        """Number of scored real pictures."""
        return int((self.labels == 0).sum())

    @property
    def generated(self) -> int:
        """Number of scored generated pictures."""
        return int((self.labels == 1).sum())


def write_scores(path: Path, rows: Iterable[Mapping[str, Any]], basis: str = "") -> None:
    """Write rows with the keys of `SCHEMA` as Parquet; the file is whole or absent.

    Args:
        basis: hash of all that the scores follow from, kept in the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    schema = SCHEMA.with_metadata({BASIS: basis.encode()})
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), partial, compression="zstd")
    partial.replace(path)


def basis_of(path: Path) -> str | None:
    """The hash that a file of scores was written with; None if there is no such file."""
    try:
        metadata = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowException):
        return None
    found = metadata.get(BASIS)
    return None if found is None else str(found.decode())


def read_scores(path: Path) -> Scores:
    """Read one file of scores.

    Raises:
        DataError: unreadable, or not such a file.
    """
    try:
        return from_rows(_rows(path))
    except Exception as error:  # pyarrow raises about anything on foreign bytes
        raise DataError(f"{path}: not a file of scores ({error})") from error


def update_kinds(path: Path, kinds: Mapping[str, str]) -> None:
    """Write the kinds of pictures into a file of scores that has others or none; all else stays.

    Kinds have no part in the scores: a manifest that names other ones is no reason to score again.

    Args:
        kinds: path of a picture, as the file has it -> its kind, "" if not known.

    Raises:
        DataError: unreadable, or not such a file.
    """
    try:
        rows = _rows(path)
    except Exception as error:  # pyarrow raises about anything on foreign bytes
        raise DataError(f"{path}: not a file of scores ({error})") from error
    wanted = [kinds[row["path"]] for row in rows]
    if wanted != [row.get("kind") or "" for row in rows]:
        updated = (row | {"kind": kind} for row, kind in zip(rows, wanted, strict=True))
        write_scores(path, updated, basis_of(path) or "")


def _rows(path: Path) -> list[dict[str, Any]]:
    table = pq.read_table(path)
    names = [name for name in table.schema.names if name not in LATER]
    if names != [name for name in SCHEMA.names if name not in LATER]:
        raise ValueError(f"its columns are {table.schema.names}")
    found: list[dict[str, Any]] = table.to_pylist()
    return found


def from_rows(rows: list[dict[str, Any]]) -> Scores:
    """Scores from rows with the keys of `SCHEMA`, at least one.

    Raises:
        ValueError: no rows, or rows of several models, data sets or conditions.
    """
    if len({(row["model"], row["data"], row["condition"]) for row in rows}) != 1:
        raise ValueError("rows of exactly one model, data set and condition are expected")
    good = [row for row in rows if row["status"] == SCORED]
    kinds = [row.get("kind") or "" for row in good]
    return Scores(
        model=rows[0]["model"],
        data=rows[0]["data"],
        condition=rows[0]["condition"],
        paths=[row["path"] for row in good],
        labels=np.array([row["label"] for row in good], dtype=np.int64),
        groups=[row["group"] for row in good],
        pictures=[row["picture"] or row["path"] for row in good],
        compare_with=[row["compare_with"] or "" for row in good],
        logits=_floats(good, "logit"),
        probabilities=_floats(good, "probability"),
        thresholds=(_one(good, "low"), _one(good, "high")),
        verdicts=[row["verdict"] or "" for row in good],
        unreadable=[(row["path"], row["reason"]) for row in rows if row["status"] == UNREADABLE],
        left_out=[(row["path"], row["reason"]) for row in rows if row["status"] == LEFT_OUT],
        kinds=kinds if any(kinds) else [],
    )


def _floats(rows: list[dict[str, Any]], key: str) -> npt.NDArray[np.float64]:
    return np.array([np.nan if row[key] is None else row[key] for row in rows], dtype=np.float64)


def _one(rows: list[dict[str, Any]], key: str) -> float:
    return float(rows[0][key]) if rows and rows[0][key] is not None else float("nan")
