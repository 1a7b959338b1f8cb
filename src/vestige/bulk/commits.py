"""Part files and a commit log: what makes a bulk run resumable, and each input exactly one row.

FOLDER/_run.json        what the run is: inputs, model, options, versions; another run is refused
FOLDER/_commits.jsonl   one line per part: numbers of its first row and behind its last one, its size, counts
FOLDER/part-N.parquet   rows from number N on

A part is written under another name, synced and renamed, then its line is appended and synced: only with
its line is a part there. After a kill, part files without a line are deleted, a torn last line is cut off,
and the run goes on behind the last committed row. Rows are committed in the order of the inputs, so one
number says what is done. Names with an underscore are passed over by readers of folders of Parquet files.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vestige.errors import ConfigError, VestigeError
from vestige.reports.parquet import pyarrow_modules, table_schema

RUN = "_run.json"
LOG = "_commits.jsonl"
WHOLE = "_whole.tmp"  # the finished table while it is put together
DRAFTS = (WHOLE, RUN + ".tmp")
ROW_GROUP = 65_536  # rows; parts differ with speed and kills, the finished table must not


@dataclass(frozen=True)
class Commit:
    """One line of the log.

    Attributes:
        first, end: numbers of the part's first row and behind its last one.
        bytes: length of the part file.
        counts: rows by verdict, and by "error: CODE".
        last: whether there are no inputs behind this part, which then has no rows and no file.
    """

    first: int
    end: int
    bytes: int
    counts: dict[str, int]
    last: bool = False

    @property
    def name(self) -> str:
        """Name of the part file."""
        return f"part-{self.first:012d}.parquet"


class Parts:
    """The parts of one run, to be added to in order.

    Args:
        folder: of the run; made if it is not there.
        facts: JSON-ready, what the run is. Parts of a run with other facts are refused.

    Raises:
        ConfigError: the folder holds another run or something else, or what it holds is damaged.
    """

    def __init__(self, folder: Path, facts: dict[str, Any]) -> None:
        pyarrow_modules()
        self.folder = folder
        self.commits: list[Commit] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if (folder / RUN).exists() and not _nothing_done(folder):
                _same_run(folder, facts)
                self._recover()
            else:
                self._begin(facts)
            self._mark = _mark(folder)
        except OSError as error:
            raise ConfigError(f"{folder}: cannot be used for the run: {error.strerror or error}") from error

    @property
    def end(self) -> int:
        """How many inputs are done: the number of the next one."""
        return self.commits[-1].end if self.commits else 0

    @property
    def complete(self) -> bool:
        """Whether all inputs are done."""
        return bool(self.commits) and self.commits[-1].last

    @property
    def counts(self) -> Counter[str]:
        """Rows by verdict, and by "error: CODE"."""
        found: Counter[str] = Counter()
        for commit in self.commits:
            found.update(commit.counts)
        return found

    def add(self, tables: Sequence[Any]) -> None:
        """Commit tables that follow each other and what is there as one part.

        Raises:
            VestigeError: the system refuses (full disk); what was committed before stays.
        """
        pa, pq = pyarrow_modules()
        self._must_be_there()
        table = pa.concat_tables(tables)
        path = self.folder / Commit(self.end, 0, 0, {}).name
        draft = path.with_suffix(".tmp")
        try:
            # Opened here: to pyarrow a name with a colon is an address, and one that is no UTF-8 none at all.
            with draft.open("wb") as file:
                pq.write_table(table, file, compression="zstd")
            _sync(draft)
            os.replace(draft, path)
            _sync(self.folder)
            self._append(
                Commit(self.end, self.end + table.num_rows, path.stat().st_size, dict(counted(table)))
            )
        except OSError as error:
            raise VestigeError(
                f"cannot write {path}: {error.strerror or error}; the rows before it are safe, run the same "
                "command again to go on"
            ) from error

    def finish(self) -> None:
        """Note that there are no further inputs.

        Raises:
            VestigeError: the system refuses.
        """
        if not self.complete:
            self._must_be_there()
            try:
                self._append(Commit(self.end, self.end, 0, {}, last=True))
            except OSError as error:
                raise VestigeError(
                    f"cannot write {self.folder / LOG}: {error.strerror or error}; run the same command "
                    "again to go on"
                ) from error

    def assemble(self, target: Path, metadata: dict[str, str]) -> None:
        """All rows as one file, the same whatever the parts; it is there as a whole or not at all.

        Raises:
            VestigeError: the system refuses; the parts stay.
        """
        pa, pq = pyarrow_modules()
        # Beside what a link leads to: only within one disk a file is replaced as a whole.
        real = Path(os.path.realpath(target))
        if real.parent == self.folder.resolve().parent:
            draft = self.folder / WHOLE  # what a kill leaves there is cleared away with the parts
        else:
            draft = real.with_name(f"{real.name}.{os.getpid()}.tmp")
        schema = table_schema()
        schema = schema.with_metadata({**schema.metadata, **metadata})
        try:
            with draft.open("wb") as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
                for table in self._row_groups():
                    writer.write_table(
                        table.replace_schema_metadata(schema.metadata), row_group_size=ROW_GROUP
                    )
            _sync(draft)
            os.replace(draft, real)
            _sync(real.parent)
        except OSError as error:
            raise VestigeError(
                f"cannot write {target}: {error.strerror or error}; all rows are in {self.folder}, run the "
                "same command again to put them together"
            ) from error
        except pa.ArrowException as error:
            raise VestigeError(
                f"{self.folder}: a part is damaged ({error}); begin anew with --restart"
            ) from error
        finally:
            with suppress(OSError):
                draft.unlink(missing_ok=True)

    def _row_groups(self) -> Iterator[Any]:
        pa, pq = pyarrow_modules()
        held: list[Any] = []
        for commit in self.commits:
            if commit.last:
                break
            with (self.folder / commit.name).open("rb") as file:
                held.append(pq.read_table(file))
            while sum(table.num_rows for table in held) >= ROW_GROUP:
                together = pa.concat_tables(held)
                yield together.slice(0, ROW_GROUP).combine_chunks()
                held = [together.slice(ROW_GROUP)]
        if held and sum(table.num_rows for table in held):
            yield pa.concat_tables(held).combine_chunks()

    def _begin(self, facts: dict[str, Any]) -> None:
        # A kill may have left the beginning of a beginning.
        if any(path.name not in (".lock", LOG, RUN, *DRAFTS) for path in self.folder.iterdir()):
            raise ConfigError(f"{self.folder}: not empty and not a bulk run; choose another output")
        draft = self.folder / (RUN + ".tmp")
        draft.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        _sync(draft)
        # The log first: with the run's facts there is always a log.
        (self.folder / LOG).touch()
        os.replace(draft, self.folder / RUN)
        _sync(self.folder)

    def _recover(self) -> None:
        log = self.folder / LOG
        if not log.exists() and any(self.folder.glob("part-*.parquet")):
            raise ConfigError(f"{log}: missing, without it nobody knows which parts are whole; use --restart")
        log.touch()
        whole = 0
        for line in log.read_bytes().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break  # a kill in the middle of a write
            self.commits.append(self._checked(line))
            whole += len(line)
        os.truncate(log, whole)
        known = {commit.name for commit in self.commits if not commit.last}
        for path in [*self.folder.glob("part-*.parquet"), *self.folder.glob("part-*.tmp")]:
            if path.name not in known:
                path.unlink()

    def _checked(self, line: bytes) -> Commit:
        try:
            commit = Commit(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{self.folder / LOG}: line {len(self.commits) + 1} is damaged") from error
        path = self.folder / commit.name
        if not commit.last and (not path.exists() or path.stat().st_size != commit.bytes):
            raise ConfigError(f"{path}: missing or damaged; begin anew with --restart")
        if commit.first != self.end:
            raise ConfigError(f"{self.folder / LOG}: rows are missing before {commit.first}; use --restart")
        return commit

    def _must_be_there(self) -> None:
        """Another folder of the name may be another run's by now."""
        with suppress(OSError):
            if _mark(self.folder) == self._mark:
                return
        raise VestigeError(f"{self.folder}: was taken away during the run, and with it the rows of this run")

    def _append(self, commit: Commit) -> None:
        with (self.folder / LOG).open("ab") as file:
            file.write(json.dumps(asdict(commit)).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self.commits.append(commit)


def discard(folder: Path) -> None:
    """Remove the parts, log and facts of a run from a folder, and nothing else."""
    if not (folder / RUN).exists():
        return  # not a run's folder: part files of others are called so, too
    if (folder / LOG).exists():
        os.truncate(folder / LOG, 0)  # from here on no part counts, wherever a kill may fall
    drafts = [folder / name for name in DRAFTS]
    for path in [*folder.glob("part-*.parquet"), *folder.glob("part-*.tmp"), folder / LOG, *drafts]:
        path.unlink(missing_ok=True)
    # The facts last: as long as they are there, it is known whose folder this is.
    (folder / RUN).unlink(missing_ok=True)


def is_run_of(folder: Path, facts: dict[str, Any]) -> bool:
    """Whether a folder holds the parts of the run that `facts` describe."""
    try:
        _same_run(folder, facts)
    except (ConfigError, OSError):
        return False
    return True


def _mark(folder: Path) -> tuple[int, int, int]:
    """What tells the facts of this run from those of a later one: they are written once."""
    found = (folder / RUN).stat()
    return found.st_dev, found.st_ino, found.st_mtime_ns


def _nothing_done(folder: Path) -> bool:
    """Whether a run was begun and no row of it committed: its facts then bind nobody."""
    log = folder / LOG
    return log.exists() and not log.stat().st_size and not any(folder.glob("part-*"))


def _same_run(folder: Path, facts: dict[str, Any]) -> None:
    try:
        known = json.loads((folder / RUN).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{folder / RUN}: damaged; begin anew with --restart") from error
    # As read from JSON: a tuple there is a list.
    facts = json.loads(json.dumps(facts))
    other = [key for key in {**known, **facts} if known.get(key) != facts.get(key)]
    if other:
        told = "; ".join(f"{key} was {_brief(known.get(key))}, now {_brief(facts.get(key))}" for key in other)
        raise ConfigError(
            f"{folder}: holds a run that was begun otherwise ({told}); name another output, or throw it away "
            "with --restart"
        )


def _brief(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else text[:28] + "..." + text[-28:]


def counted(table: Any) -> Counter[str]:
    """Rows of a table of results by verdict, and by "error: CODE"."""
    found: Counter[str] = Counter()
    for verdict, code in zip(
        table.column("verdict").to_pylist(), table.column("error_code").to_pylist(), strict=True
    ):
        found[verdict if verdict is not None else f"error: {code}"] += 1
    return found


def _sync(path: Path) -> None:
    """Make the system write a file, or the names in a folder, to the disk."""
    if path.is_dir() and os.name == "nt":
        return  # folders cannot be opened there
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
