"""The manifest: one CSV row per picture, paths relative to the file's own folder."""

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

from vestige.errors import DataError


@dataclass(frozen=True)
class Row:
    """One picture of a data set.

    Attributes:
        path: absolute or relative to the working directory, ready to open.
        name: the path as the manifest has it.
        label: 0 real, 1 generated.
        group: generator or source; rows of one group are not independent.
        split: "train", "dev", ... or "" if the manifest has no splits.
        licence: as stated by the source.
    """

    path: Path
    name: str
    label: int
    group: str
    split: str
    licence: str


def read_manifest(path: str | Path, split: str | None = None) -> list[Row]:
    """Read a manifest, in its own order.

    Args:
        path: CSV with at least the columns `path` and `label`; `group`, `split` and `license` if known.
        split: keep only rows of this split.

    Raises:
        DataError: unreadable, a column missing, a label other than 0 or 1, no row left.
    """
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = {"path", "label"} - set(reader.fieldnames or ())
            if missing:
                raise DataError(
                    f"{path}: a manifest needs the columns path and label; {sorted(missing)} missing"
                )
            found = [_row(path, number, values) for number, values in enumerate(reader, start=2)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as CSV ({error})") from error
    rows = [row for row in found if split is None or row.split == split]
    if not rows:
        splits = sorted({row.split for row in found})
        raise DataError(
            f"{path}: no rows" + (f" of split {split!r}, only {splits}" if split is not None else "")
        )
    return rows


def sha256_of(path: str | Path) -> str:
    """Hash of a manifest file, as recorded in model cards."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _row(path: Path, number: int, values: dict[str, str | None]) -> Row:
    label = values["label"]
    if label not in {"0", "1"}:
        raise DataError(f"{path}, line {number}: label must be 0 (real) or 1 (generated), got {label!r}")
    name = values["path"]
    if not name:
        raise DataError(f"{path}, line {number}: the path is empty")
    return Row(
        path=path.parent / name,
        name=name,
        label=int(label),
        group=values.get("group") or "unknown",
        split=values.get("split") or "",
        licence=values.get("license") or "none stated",
    )
