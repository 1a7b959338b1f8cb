"""From what a user names to one ordered list of pictures: files, folders, globs, shards, tables and lists."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from vestige.bulk.chunks import Item
from vestige.bulk.finished import finished_run
from vestige.bulk.input_list import LIST_ENDINGS, PathList
from vestige.bulk.input_parquet import ParquetTable
from vestige.bulk.input_tar_stream import TAR_ENDINGS, tar_section
from vestige.bulk.parquet_columns import look_into, parquet_modules
from vestige.bulk.sections import Digest, Files, Section
from vestige.bulk.sources import Source
from vestige.errors import ConfigError
from vestige.images.limits import PATIENT, Limits
from vestige.images.meant import is_meant_as_picture
from vestige.images.walk import expand

_PARQUET_ENDING = ".parquet"


def open_source(
    arguments: Sequence[str], column: str | None = None, output: Path | None = None, limits: Limits = PATIENT
) -> Source:
    """Find out what is to be scored; folders are walked and tables' footers read, pictures are not.

    Args:
        arguments: pictures; folders, in which pictures, tar shards and tables of pictures are found; glob
            patterns; tar archives (`input_tar_stream.TAR_ENDINGS`); Parquet tables; lists of paths (.txt and
            .lst with a path a line, .csv with a column `path`). Relative paths in lists and tables are taken
            from the folder of the list or table. Files, shards, tables and lists that several arguments lead
            to are read once, at the first place; each row of a list is an input.
        column: the column of tables that holds pictures or paths; None chooses by name and type.
        output: where results go. An earlier result of that name is no input, and neither are its parts.
        limits: larger pictures in compressed archives are not even held.

    Returns:
        The items; those of shards are called SHARD/MEMBER, those of tables TABLE#ROW or TABLE#ROW/NAME, rows
        counted from 0. Pictures that do not exist stay in.

    Raises:
        ConfigError: a shard, table or list does not exist; no column of a table fits; an input is named that
            is the output, and no earlier result.
        DataError: one cannot be read.
    """
    collected = _Collected(column, limits)
    own = _own(output)
    for argument in arguments:
        for path, in_folder in expand(argument, collected.left_out):
            if own and _lies_in(path, own):
                _refuse_other_than_results(path, in_folder)
                collected.left_out.append(path)
            else:
                collected.add(path, in_folder)
    if column is not None and not collected.has_tables:
        raise ConfigError(f"--column {column}: no Parquet file among the inputs has such a column")
    return _Inputs(collected.sections, collected.left_out)


class _Collected:
    """Sections as arguments are gone through."""

    def __init__(self, column: str | None, limits: Limits) -> None:
        self.sections: list[Section] = []
        self.left_out: list[str] = []
        self.has_tables = False
        self._column, self._limits = column, limits
        self._files: list[str] = []  # of the last section, while it is one of files
        self._seen: set[str] = set()

    def add(self, path: str, in_folder: bool) -> None:
        """Add a file by what its name says it is."""
        key = os.path.abspath(path)
        if key in self._seen:
            return
        section = self._section(path, in_folder)
        if section is None and in_folder and (_is_shard(path) or not is_meant_as_picture(path)):
            # Not seen yet: a list in a folder may also be named.
            self.left_out.append(path)
            return
        self._seen.add(key)
        if section is not None:
            self.sections.append(section)
            self._files = []
        else:
            if not self._files:
                self.sections.append(Files(self._files))
            self._files.append(path)

    def _section(self, path: str, in_folder: bool) -> Section | None:
        """The section of a shard, table or list; None for other files."""
        name = path.lower()
        if in_folder and not os.path.isfile(path):
            return None
        if name.endswith(TAR_ENDINGS):
            return tar_section(path, self._limits)
        if name.endswith(_PARQUET_ENDING):
            return self._table(path, in_folder)
        if name.endswith(LIST_ENDINGS) and not in_folder:
            return PathList(path)
        return None

    def _table(self, path: str, in_folder: bool) -> Section | None:
        parquet_modules()  # missing, it is not the table's fault
        try:
            # In folders no tables of paths: results of earlier runs are some.
            table = look_into(path, self._column, pictures_only=in_folder)
        except ConfigError:
            if in_folder:
                return None
            raise
        self.has_tables = True
        return ParquetTable(table)


class _Inputs:
    """Sections one after the other; see `vestige.bulk.sources.Source`."""

    def __init__(self, sections: Sequence[Section], left_out: Sequence[str]) -> None:
        self.left_out = left_out
        self.random_access = all(section.random_access for section in sections)
        self._sections = sections
        self._fingerprint: str | None = None

    def count(self) -> int | None:
        """See `Source.count`."""
        total = 0
        for section in self._sections:
            count = section.count()
            if count is None:
                return None
            total += count
        return total

    def fingerprint(self) -> str:
        """See `Source.fingerprint`."""
        if self._fingerprint is None:
            digest = Digest()
            for section in self._sections:
                section.describe(digest)
            self._fingerprint = digest.hex()
        return self._fingerprint

    def items(self, skip: int = 0) -> Iterator[Item]:
        """See `Source.items`."""
        for section in self._sections:
            if not skip:
                yield from section.items()
                continue
            count = section.count()
            if count is None:
                # Read anyway: nothing else tells how many there are.
                for item in section.items():
                    if skip:
                        skip -= 1
                    else:
                        yield item
            else:
                if skip < count:
                    yield from section.items(skip)
                skip = max(skip - count, 0)


def _own(output: Path | None) -> tuple[str, ...]:
    """What an output consists of, without links: the file or folder, and the folder of its parts."""
    real = "" if output is None else os.path.realpath(output)
    return (real, real + ".parts") if real else ()


def _lies_in(path: str, places: Sequence[str]) -> bool:
    if not path.lower().endswith((_PARQUET_ENDING, *LIST_ENDINGS)):
        return False  # of results nothing else could be taken for an input, and names come by the million
    real = os.path.realpath(path)
    return any(real == place or real.startswith(place + os.sep) for place in places)


def _refuse_other_than_results(path: str, in_folder: bool) -> None:
    if not in_folder and os.path.isfile(path) and finished_run(Path(path)) is None:
        raise ConfigError(f"{path}: is the output, and so cannot be an input")


def _is_shard(path: str) -> bool:
    return path.lower().endswith((*TAR_ENDINGS, _PARQUET_ENDING))
