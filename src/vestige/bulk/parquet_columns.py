"""Which column of a Parquet table holds the pictures or their paths, and which one names them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vestige.bulk.sections import State, state_of, unreadable
from vestige.errors import ConfigError, DataError

_PICTURES = ("image", "jpg", "jpeg", "png", "webp", "bytes", "content", "data")
_PATHS = ("path", "file", "file_name", "filename", "image_path")
_NAMES = ("path", "file_name", "filename", "__key__", "key", "id")
_SHOWN = 20  # columns that an error names


@dataclass(frozen=True)
class Table:
    """What is known of a table from its footer.

    Attributes:
        path: the file.
        state: its size and time.
        groups: rows of each row group.
        column: where the pictures are; of a struct its field `bytes`, as "image.bytes".
        holds_paths: the column has paths of files and not their bytes.
        struct: the struct whose field `path` may name the picture, "" if there is none.
        names: the column that names the picture otherwise, "" if there is none.
    """

    path: str
    state: State
    groups: tuple[int, ...]
    column: str
    holds_paths: bool
    struct: str
    names: str


def parquet_modules() -> tuple[Any, Any]:
    """`pyarrow` and `pyarrow.parquet`.

    Raises:
        ConfigError: pyarrow is missing.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError("reading Parquet needs pyarrow: pip install 'vestige[bulk]'") from error
    return pyarrow, pyarrow.parquet


def look_into(path: str, column: str | None, *, pictures_only: bool = False) -> Table:
    """Read the footer of a table and choose its column.

    Args:
        path: the file.
        column: the column that is asked for; None chooses one by name and type.
        pictures_only: a column of paths is only taken if it is asked for.

    Raises:
        ConfigError: pyarrow is missing; there is no such file; no column fits.
        DataError: it cannot be read as Parquet.
    """
    _, parquet = parquet_modules()
    state = state_of(path)
    try:
        with parquet.ParquetFile(path) as file:
            footer = file.metadata
            groups = tuple(footer.row_group(number).num_rows for number in range(footer.num_row_groups))
            schema = file.schema_arrow
    except Exception as error:  # pyarrow raises about anything on foreign bytes
        if isinstance(error, OSError) and error.errno is not None:
            raise unreadable(path, error) from error
        raise DataError(f"{path}: cannot be read as Parquet ({error})") from error
    types = dict(zip(schema.names, schema.types, strict=True))
    chosen = _chosen(path, types, column, pictures_only)
    if schema.names.count(chosen) > 1:
        raise ConfigError(f"{path}: has several columns {chosen}")
    if _is_text(types[chosen]):
        return Table(path, state, groups, chosen, True, "", "")
    fields = _fields(types[chosen])
    return Table(
        path,
        state,
        groups,
        f"{chosen}.bytes" if fields else chosen,
        False,
        chosen if "path" in fields and _is_text(fields["path"]) else "",
        next((name for name in _NAMES if name in types and _names(types[name])), ""),
    )


def _chosen(path: str, types: Mapping[str, Any], column: str | None, pictures_only: bool) -> str:
    pictures = [name for name, kind in types.items() if _is_picture(kind)]
    if column is not None:
        if column in pictures or (column in types and _is_text(types[column])):
            return column
        why = f"column {column} holds no pictures and no paths" if column in types else f"no column {column}"
        raise ConfigError(f"{path}: {why}; {_listed(types)}")
    for name in _PICTURES:
        if name in pictures:
            return name
    if len(pictures) == 1:
        return pictures[0]
    for name in () if pictures_only else _PATHS:
        if name in types and _is_text(types[name]):
            return name
    what = "several columns may hold pictures" if pictures else "no column is known to hold pictures or paths"
    raise ConfigError(f"{path}: {what}; name one with --column; {_listed(types)}")


def _listed(types: Mapping[str, Any]) -> str:
    shown = [f"{name} ({kind})" for name, kind in list(types.items())[:_SHOWN]]
    rest = f" and {len(types) - _SHOWN} more" if len(types) > _SHOWN else ""
    return f"it has {', '.join(shown) or 'no columns'}{rest}"


def _is_picture(kind: Any) -> bool:
    return _is_bytes(kind) or ("bytes" in _fields(kind) and _is_bytes(_fields(kind)["bytes"]))


def _fields(kind: Any) -> dict[str, Any]:
    pa, _ = parquet_modules()
    if not pa.types.is_struct(kind):
        return {}
    return {kind.field(number).name: kind.field(number).type for number in range(kind.num_fields)}


def _is_bytes(kind: Any) -> bool:
    pa, _ = parquet_modules()
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def _is_text(kind: Any) -> bool:
    pa, _ = parquet_modules()
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _names(kind: Any) -> bool:
    pa, _ = parquet_modules()
    return bool(_is_text(kind) or pa.types.is_integer(kind))
