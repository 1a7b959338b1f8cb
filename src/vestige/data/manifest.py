"""The manifest: one row per picture, CSV or Parquet. The one internal form of every data set."""

import csv
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from vestige.data.atomic import whole_file
from vestige.data.shards import Named, Place, content_of, is_shard, read_shard, split_path
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
# Where a member of a shard begins and how long it is. Written if any row has them, so that other manifests
# are what they were.
PLACE_COLUMNS = ("member_offset", "member_bytes")


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
        member: "" where the file is the picture; "COLUMN/ROW" for bytes in a Parquet file, row from 0; the
            member's name for a file in a tar shard, which the manifest names in the path, SHARD.tar/MEMBER.
        source: where the rows of a group come from (repository, dataset, prompt list); "" if not known.
        category: what is shown, in the words of the data set (an ImageNet or LSUN class); "" if not known.
        kind: what sort of picture it is ("photo", "screenshot", "art", ...); "" if not known.
        picture: rows with the same text derive from one original; "" means that it stands for itself.
        compare_with: for generated rows, the real groups they are officially compared with, split by ";";
            "" means all real rows.
        mask: file with the mask of generated pixels (white); None if there is none. Grey is the share of a
            pixel that is generated. It may be SHARD.tar/MEMBER: `vestige.data.shards.content_of` reads both.
        changed: file with the mask of pixels whose content was changed, of the same kind; None if there is
            none.
        manipulation: what was done to the picture, in the words of `vestige.data.manipulations`; "" if
            nothing, or not known.
        sha256: of the picture's bytes; "" if not known.
        place: where a member of a shard lies; None: its shard's headers tell.
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
    place: Place | None = None

    def content(self) -> Path | bytes:
        """What a decoder takes: the file, or the bytes of the member.

        Raises:
            DataError: the Parquet file or the shard has no such member.
        """
        return read_member(self.path, self.member, self.place) if self.member else self.path


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
    is_folder = lru_cache(maxsize=None)(os.path.isdir)  # asked once for each shard, not for each picture
    found = [_row(path, number, row, is_folder) for number, row in values]
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
    """Write rows with the keys of `COLUMNS` as CSV or, by the file's ending, Parquet; whole or not at all.

    Rows of shards may also have the keys of `PLACE_COLUMNS`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = list(rows)
    placed = any(row.get(name) not in (None, "") for row in rows for name in PLACE_COLUMNS)
    columns = (*COLUMNS, *(PLACE_COLUMNS if placed else ()))
    with whole_file(path) as partial:
        if path.suffix.lower() == ".parquet":
            import pyarrow
            import pyarrow.parquet

            types = {name: pyarrow.int8() if name == "label" else pyarrow.string() for name in COLUMNS}
            types |= dict.fromkeys(columns[len(COLUMNS) :], pyarrow.int64())
            table = pyarrow.Table.from_pylist(rows, schema=pyarrow.schema(types.items()))
            pyarrow.parquet.write_table(table, partial)
        else:
            with partial.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, columns, lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)


def sha256_of(path: str | Path) -> str:
    """Hash of a file, as model cards record it of a manifest; also of SHARD.tar/MEMBER.

    Raises:
        DataError: the file cannot be read.
    """
    content = content_of(Path(path))
    try:
        return hashlib.sha256(content if isinstance(content, bytes) else content.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def read_member(path: Path, member: str, place: Place | None = None) -> bytes:
    """Bytes of a picture in a Parquet file or a tar shard.

    Args:
        member: of a shard the member's name. Of a Parquet file "COLUMN/ROW", row from 0. The column holds
            bytes, or a struct with a field `bytes` as Hugging Face's image features have it.
        place: where a member of a shard lies; None: its shard's headers tell.

    Raises:
        DataError: no such file, member, column or row, or no bytes there.
    """
    if is_shard(path):
        return read_shard(path, [Named(member, place)])[0]
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
        known = {*COLUMNS, *PLACE_COLUMNS, "source_repo"}
        rows = file.read(columns=[name for name in columns if name in known]).to_pylist()
    except Exception as error:  # pyarrow raises about anything on foreign bytes
        raise DataError(f"{path}: cannot be read as Parquet ({error})") from error
    return columns, ((f"row {number}", row) for number, row in enumerate(rows))


def _row(path: Path, where: str, values: dict[str, Any], is_folder: Callable[[str], bool]) -> Row:
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
    shown = f"{name}#{member}" if member else name
    in_shard = None if member else split_path(name, lambda shard: is_folder(str(path.parent / shard)))
    if in_shard:
        name, member = in_shard
    return Row(
        path=path.parent / name,
        name=shown,
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
        place=_place(path, where, [text(column) for column in PLACE_COLUMNS]) if in_shard else None,
    )


def _place(path: Path, where: str, values: list[str]) -> Place | None:
    if not any(values):
        return None
    if not all(value.isdecimal() and value.isascii() for value in values):
        raise DataError(f"{path}, {where}: {' and '.join(PLACE_COLUMNS)} must be numbers, got {values}")
    return Place(*map(int, values))


def _refuse_contradictions(path: Path, rows: list[Row]) -> None:
    labels: dict[str, int] = {}
    for row in rows:
        if labels.setdefault(row.name, row.label) != row.label:
            raise DataError(f"{path}: {row.name} is listed as real and as generated")
