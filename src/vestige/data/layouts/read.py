"""Which benchmark is it? Try them all on one walk through the folder, or read it as the one that is named."""

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

from vestige.data.catalogue import Benchmark, Folders, Generators, Rows, benchmarks, get
from vestige.data.layouts import folders, generators, rows, table
from vestige.data.layouts.found import Found, NotThisLayoutError, some
from vestige.data.layouts.tree import Tree, walk
from vestige.errors import ConfigError, DataError

# Published counts are rounded; a set with less than this share of them is not whole.
_WHOLE = 0.9


def read(
    path: str | Path, benchmark: str | None = None, *, name: str = "", real: str | Path | None = None
) -> Found:
    """Read a data set.

    Args:
        path: folder, Parquet file or table.
        benchmark: name in the catalogue; None tries all, and exactly one must match.
        name: of the data set; the last part of `path` by default.
        real: folder with real pictures, for sets that have generated ones only.

    Raises:
        DataError: nothing there, no or several benchmarks match, or the data are ambiguous or incomplete.
        ConfigError: no such benchmark, or `real` for one that has real pictures.
    """
    if benchmark is not None:
        one = get(benchmark)
        try:
            return _finish(_Reader(path, name, real).read(one, strict=False))
        except DataError as error:
            raise DataError(f"{path}, read as {benchmark}: {error}") from error
    matches, refusals = candidates(path, name=name, real=real)
    if len(matches) == 1:
        return matches[0]
    if matches:
        names = ", ".join(found.benchmark.name for found in matches)
        raise DataError(f"{path}: could be {names}; say which with --as")
    damaged = {name: error for name, error in refusals.items() if not isinstance(error, NotThisLayoutError)}
    by_reason: dict[str, list[str]] = {}
    for refused, reason in (damaged or refusals).items():
        by_reason.setdefault(str(reason), []).append(refused)
    reasons = "; ".join(f"as {' or '.join(them)}: {text}" for text, them in by_reason.items())
    raise DataError(f"{path}: {'cannot be used' if damaged else 'no layout that Vestige knows'}. {reasons}")


def candidates(
    path: str | Path, *, name: str = "", real: str | Path | None = None
) -> tuple[list[Found], dict[str, DataError]]:
    """All benchmarks that fit, and why the others do not.

    General layouts are tried only if no set fits and none looks like a damaged copy of one.

    Raises:
        DataError: nothing there, or a folder that cannot be listed.
    """
    reader = _Reader(path, name, real)
    matches: list[Found] = []
    refusals: dict[str, DataError] = {}
    for one in benchmarks():
        if one.general and (
            matches or any(not isinstance(error, NotThisLayoutError) for error in refusals.values())
        ):
            continue
        try:
            matches.append(_finish(reader.read(one, strict=True)))
        except DataError as error:
            refusals[one.name] = error
        except ConfigError as error:
            refusals[one.name] = NotThisLayoutError(str(error))
    return matches, refusals


class _Reader:
    """One place on the disk, walked once."""

    def __init__(self, path: str | Path, name: str, real: str | Path | None) -> None:
        self.root = os.path.realpath(path)
        if not os.path.exists(path):
            raise DataError(f"{path}: there is no such folder or file")
        self.folder = os.path.isdir(self.root)
        base = os.path.basename(os.path.abspath(path))
        self.name = name or (base if self.folder else os.path.splitext(base)[0]) or "set"
        self.tree = walk(self.root) if self.folder else Tree(self.root)
        if real is not None and not os.path.isdir(real):
            raise DataError(f"{real}: there is no such folder of real pictures")
        self.real = None if real is None else walk(os.fspath(real))

    def read(self, benchmark: Benchmark, strict: bool) -> Found:
        layout = benchmark.layout
        if self.real is not None and not isinstance(layout, Generators):
            raise ConfigError(f"--real is for sets without real pictures; {benchmark.name} brings its own")
        if isinstance(layout, Rows):
            return self._rows(benchmark, strict)
        if isinstance(layout, (Folders, Generators)):
            if not self.folder:
                raise NotThisLayoutError("a file, where a folder is expected")
            if isinstance(layout, Folders):
                return folders.read(self.tree, benchmark, self.name, strict)
            return generators.read(self.tree, benchmark, self.name, strict, self.real)
        if self.folder:
            raise NotThisLayoutError("a folder, where a table is expected")
        return table.read(self.root, benchmark, self.name)

    def _rows(self, benchmark: Benchmark, strict: bool) -> Found:
        if not self.folder:
            if not self.root.lower().endswith(".parquet"):
                raise NotThisLayoutError("not a Parquet file")
            return rows.read(self.root, [self.root], benchmark, self.name)
        names = [
            name
            for name in self.tree.stray
            if name.lower().endswith(".parquet") and not os.path.basename(name).startswith(".")
        ]
        if strict and any(folder.pictures for folder in self.tree.folders):
            raise NotThisLayoutError("pictures in folders, where Parquet files are expected")
        files = [os.path.join(self.root, *name.split("/")) for name in names]
        found = rows.read(self.root, files, benchmark, self.name)
        pictures = ["/".join((*one.parts, picture)) for one in self.tree.folders for picture in one.pictures]
        found.stray = sorted({*self.tree.stray, *pictures} - set(names))
        return found


def _finish(found: Found) -> Found:
    """Fill in what the benchmark knows, and compare with what was published."""
    one = found.benchmark
    if not found.entries:
        raise DataError(f"no pictures; {len(found.stray)} other files")
    torn = next((entry.group for entry in found.entries if ";" in entry.group), None)
    if torn is not None:
        raise DataError(f"group {torn!r}: names of groups cannot hold a semicolon; rename the folder")
    source = "" if one.general else one.title
    found.entries = [
        replace(entry, source=entry.source or source, licence=entry.licence or one.licence)
        for entry in found.entries
    ]
    here = {entry.group.removesuffix("/real") for entry in found.entries}
    missing = [group for group in one.groups if group not in here]
    if missing and here & set(one.groups):
        found.findings.append(
            f"of {len(one.groups)} published groups, {len(missing)} are not here: {some(missing)}"
        )
    counts = Counter(
        entry.group.removesuffix("/real") for entry in found.entries if entry.split in {"", one.counts_split}
    )
    short = [
        f"{group} {counts[group]} of {number}"
        for group, number in one.counts.items()
        if 0 < counts[group] < _WHOLE * number
    ]
    if short:
        found.findings.append(f"fewer pictures than published: {some(short)}")
    return found
