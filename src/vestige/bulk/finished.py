"""Finished tables know what run they are of: a note in the metadata of the Parquet file."""

from pathlib import Path

from vestige.errors import ConfigError
from vestige.reports.parquet import pyarrow_modules

FINISHED = "vestige.run"  # key of the note


def finished_run(path: Path) -> str | None:
    """What a file says that run was, JSON; None if it is no finished table of a bulk run.

    Raises:
        ConfigError: the system does not let it be read, or pyarrow is missing.
    """
    pa, pq = pyarrow_modules()
    try:
        with path.open("rb") as file, pq.ParquetFile(file) as table:
            found: bytes | None = (table.schema_arrow.metadata or {}).get(FINISHED.encode())
            return None if found is None else found.decode()
    except (pa.ArrowException, UnicodeDecodeError):
        return None  # not a table
    except OSError as error:
        if error.errno is None:
            return None  # pyarrow's word for a damaged one
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error
