"""The manifest: one row per picture, CSV or Parquet. The one internal form of every data set."""

import csv
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from vestige.errors import DataError

# Columns in the order in which manifests are written.
COLUMNS = (
    "path",
    "member",
    "label",
    "group",
    "split",
    "license",
    "source",
    "category",
    "kind",
    "picture",
    "compare_with",
    "mask",
    "changed",
    "manipulation",
    "sha256",
)


@dataclass(frozen=True)
class Row:
    """One picture of a data set.

    Attributes:
        path: absolute or relative to the working directory, ready to open.
        name: how reports call the picture: the path as the manifest has it, and the member if there is one.
        label: 0 real, 1 generated.
        group: generator (label 1) or source (label 0); rows of one group are not independent.
        split: "train", "dev", ... or "" if the manifest has no splits.
        licence: as stated by the source.
        member: "" where the file is the picture; "COLUMN/ROW" for bytes in a Parquet file, row from 0.
        source: where the rows of a group come from (repository, dataset, prompt list); "" if not known.
        category: what is shown, in the words of the data set (an ImageNet or LSUN class); "" if not known.
        kind: what sort of picture it is ("photo", "screenshot", "art", ...); "" if not known.
        picture: rows with the same text derive from one original; "" means that it stands for itself.
        compare_with: for generated rows, the real groups they are officially compared with, split by ";";
            "" means all real rows.
        mask: file with the mask of generated pixels (white), ready to open; None if there is none. Grey is
            the share of a pixel that is generated.
        changed: file with the mask of pixels whose content was changed, of the same kind; None if there is
            none.
        manipulation: what was done to the picture, in the words of `vestige.data.manipulations`; "" if
            nothing, or not known.
        sha256: of the picture's bytes; "" if not known.
    """

    path: Path
    name: str
    label: int
    group: str
    split: str = ""
    licence: str = "none stated"
    member: str = ""
    source: str = ""
    category: str = ""
    picture: str = ""
    compare_with: str = ""
    mask: Path | None = None
    changed: Path | None = None
    manipulation: str = ""
    sha256: str = ""
    kind: str = ""

    def content(self) -> Path | bytes:
        """What a decoder takes: the file, or the bytes of the member.

        Raises:
            DataError: the Parquet file has no such member.
        """
        return read_member(self.path, self.member) if self.member else self.path


def read_manifest(path: str | Path, split: str | tuple[str, ...] | None = None) -> list[Row]:
    """Read a manifest, in its own order. Columns that it does not know are left alone.

    Args:
        path: CSV or Parquet with at least the columns `path` and `label`; paths are relative to its folder.
        split: keep only rows of this split, or of these splits.

    Raises:
        DataError: unreadable, a column missing, a label other than 0 or 1, a picture with both labels, no
            rows, or none of a split that is asked for.
    """
    path = Path(path)
    columns, values = _parquet(path) if path.suffix.lower() == ".parquet" else _csv(path)
    missing = {"path", "label"} - set(columns)
    if missing:
        raise DataError(f"{path}: a manifest needs the columns path and label; {sorted(missing)} missing")
    found = [_row(path, number, row) for number, row in values]
    _refuse_contradictions(path, found)
    if split is None:
        if not found:
            raise DataError(f"{path}: no rows")
        return found
    wanted = (split,) if isinstance(split, str) else split
    splits = {row.split for row in found}
    for name in wanted:
        if name not in splits:
            raise DataError(f"{path}: no rows of split {name!r}, only {sorted(splits)}")
    return [row for row in found if row.split in wanted]


def split_words(split: str | Sequence[str]) -> str:
    """Splits as texts name them: "split train", "splits train and dev"."""
    if isinstance(split, str) or len(split) == 1:
        return f"split {split if isinstance(split, str) else split[0]}"
    return f"splits {', '.join(split[:-1])} and {split[-1]}"


def write_manifest(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows with the keys of `COLUMNS` as CSV or, by the file's ending, Parquet; whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    if path.suffix.lower() == ".parquet":
        import pyarrow
        import pyarrow.parquet

        types = {name: pyarrow.int8() if name == "label" else pyarrow.string() for name in COLUMNS}
        table = pyarrow.Table.from_pylist(list(rows), schema=pyarrow.schema(types.items()))
        pyarrow.parquet.write_table(table, partial)
    else:
        with partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    partial.replace(path)


def sha256_of(path: str | Path) -> str:
    """Hash of a file, as model cards record it of a manifest.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def read_member(path: Path, member: str) -> bytes:
    """Bytes of a picture in a Parquet file.

    Args:
        member: "COLUMN/ROW", row from 0. The column holds bytes, or a struct with a field `bytes` as
            Hugging Face's image features have it.

    Raises:
        DataError: no such file, column or row, or no bytes there.
    """
    column, _, row = member.rpartition("/")
    try:
        value = _member_value(path, column, int(row))
    except Exception as error:  # pyarrow raises about anything on a damaged file
        raise DataError(f"{path}: member {member} cannot be read ({error})") from error
    if isinstance(value, dict):
        value = value.get("bytes")
    if not isinstance(value, bytes):
        raise DataError(f"{path}: member {member} holds no bytes")
    return value


def _member_value(path: Path, column: str, row: int) -> Any:
    starts = _row_groups(path, path.stat().st_mtime_ns)
    if not 0 <= row < starts[-1]:
        raise IndexError(f"row {row} of {starts[-1]}")
    group = next(number for number in range(len(starts) - 1) if row < starts[number + 1])
    return _group_column(path, path.stat().st_mtime_ns, column, group)[row - starts[group]].as_py()


@lru_cache(maxsize=256)
def _row_groups(path: Path, changed: int) -> list[int]:
    """First row of each row group, and the number of rows at the end."""
    import pyarrow.parquet

    metadata = pyarrow.parquet.ParquetFile(path).metadata
    starts = [0]
    for number in range(metadata.num_row_groups):
        starts.append(starts[-1] + metadata.row_group(number).num_rows)
    return starts


# Rows are read one after the other: the row group at hand stays in memory, and the one before for threads
# that lag behind.
@lru_cache(maxsize=2)
def _group_column(path: Path, changed: int, column: str, group: int) -> Any:
    import pyarrow.parquet

    return pyarrow.parquet.ParquetFile(path).read_row_group(group, columns=[column]).column(column)


def _csv(path: Path) -> tuple[Sequence[str], Iterator[tuple[str, dict[str, Any]]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or ()
            rows = [(f"line {number}", row) for number, row in enumerate(reader, start=2)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as CSV ({error})") from error
    return columns, iter(rows)


def _parquet(path: Path) -> tuple[Sequence[str], Iterator[tuple[str, dict[str, Any]]]]:
    import pyarrow.parquet

    try:
        # Not read_table: it would take columns from folders called like "label=1".
        file = pyarrow.parquet.ParquetFile(path)
        columns = file.schema_arrow.names
        rows = file.read(columns=[name for name in columns if name in {*COLUMNS, "source_repo"}]).to_pylist()
    except Exception as error:  # pyarrow raises about anything on foreign bytes
        raise DataError(f"{path}: cannot be read as Parquet ({error})") from error
    return columns, ((f"row {number}", row) for number, row in enumerate(rows))


def _row(path: Path, where: str, values: dict[str, Any]) -> Row:
    label = values["label"]
    if str(label) not in {"0", "1"}:
        raise DataError(f"{path}, {where}: label must be 0 (real) or 1 (generated), got {label!r}")
    name = values["path"]
    if name is not None and not isinstance(name, str):
        raise DataError(f"{path}, {where}: the path is no text, got {name!r}")
    if not name:
        raise DataError(f"{path}, {where}: the path is empty")

    def text(column: str) -> str:
        # Parquet tables of others may have numbers where names belong.
        value = values.get(column)
        return "" if value is None else str(value)

    member, mask, changed = text("member"), text("mask"), text("changed")
    return Row(
        path=path.parent / name,
        name=f"{name}#{member}" if member else name,
        label=int(label),
        group=text("group") or "unknown",
        split=text("split"),
        licence=text("license") or "none stated",
        member=member,
        source=text("source") or text("source_repo"),
        category=text("category"),
        kind=text("kind"),
        picture=text("picture"),
        compare_with=text("compare_with"),
        mask=path.parent / mask if mask else None,
        changed=path.parent / changed if changed else None,
        manipulation=text("manipulation"),
        sha256=text("sha256"),
    )


def _refuse_contradictions(path: Path, rows: list[Row]) -> None:
    labels: dict[str, int] = {}
    for row in rows:
        if labels.setdefault(row.name, row.label) != row.label:
            raise DataError(f"{path}: {row.name} is listed as real and as generated")
