"""`vestige deviations`: what attribution modules do to features. Needs the extra `train`."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vestige.apps.manifests import manifest_and_split
from vestige.errors import ConfigError, DataError

if TYPE_CHECKING:
    from vestige.data.manifest import Row
    from vestige.evaluation.deviations_record import Measured, Record, RunRecord, TestRecord
    from vestige.progress import Progress
    from vestige.training.deviations import Run

VIEWS = 2
CACHE = "cache"


@dataclass(frozen=True)
class DeviationsOptions:
    """The options of the command, as its help explains them; None and empty where they were not given."""

    runs: list[Path]
    tests: list[str]
    out: Path
    views: int | None = None
    cache: Path | None = None
    precision: Literal["float32", "bfloat16"] | None = None
    title: str = ""


@dataclass(frozen=True)
class TestSet:
    """What an option --test names.

    Attributes:
        text: the option as it was given, without folders.
    """

    name: str
    manifest: Path
    split: str | None
    text: str


def run(options: DeviationsOptions) -> None:
    """Measure all runs on all test sets, and make the page; without runs, make the page again.

    Raises:
        ConfigError: options that do not go together, or a run that is not finished or of another method.
        DataError: a manifest or a picture cannot be read, or a test set has one class only.
    """
    from vestige.evaluation.deviations import write_page
    from vestige.lock import only_one

    _check(options)
    with only_one(options.out):
        if options.runs:
            _measure(options)
        for path in write_page(options.out):
            print(path)


def parse_test(text: str) -> TestSet:
    """NAME=MANIFEST or NAME=MANIFEST:SPLIT.

    Raises:
        ConfigError: it is neither.
    """
    name, equals, place = text.partition("=")
    path, split = manifest_and_split(place)
    if not equals or not path or name != Path(name).name or name in {"", ".", ".."}:
        raise ConfigError(f"--test {text}: NAME=MANIFEST or NAME=MANIFEST:SPLIT is expected")
    short = f"{name}={Path(path).name}" + (f":{split}" if split else "")
    return TestSet(name, Path(path), split, short)


def _check(options: DeviationsOptions) -> None:
    if options.runs:
        if not options.tests:
            raise ConfigError("a run is measured on pictures: give at least one --test")
        return
    given = {
        "--test": options.tests,
        "--views": options.views,
        "--cache": options.cache,
        "--precision": options.precision,
        "--title": options.title,
    }
    named = [name for name, value in given.items() if value]
    if named:
        raise ConfigError(
            f"{', '.join(named)}: to measure runs, which must be named; without RUN the page is made again "
            "from what --out holds"
        )


def _measure(options: DeviationsOptions) -> None:
    from vestige.evaluation.deviations_record import Record, read_record, save_record
    from vestige.progress import Progress
    from vestige.training.ablation import versions
    from vestige.training.deviations import open_run

    tests = [parse_test(text) for text in options.tests]
    pictures = {test.name: _rows(test) for test in tests}
    # All of them first: what is wrong with the last one is to be known before hours are spent.
    runs = [open_run(folder) for folder in options.runs]
    _refuse_same_names(tests, runs)
    before = read_record(options.out)
    progress = Progress()
    record = Record(
        title=options.title or "Deviations before and after the attribution module",
        command=_command(options, tests, runs),
        views=options.views or VIEWS,
        precision=options.precision or "float32",
        versions=versions(),
        tests={test.name: _test_record(test, pictures[test.name]) for test in tests},
        runs={one.name: _run_record(one) for one in runs},
        measured=[],
    )
    for one in runs:
        for test in tests:
            progress.say(f"{one.name} on {test.name}")
            record.measured.append(_one(options, record, one, test.name, pictures[test.name], progress))
    save_record(options.out, record)
    if before is not None:
        _remove_others(options.out, before, record)


def _one(
    options: DeviationsOptions,
    record: "Record",
    trained: "Run",
    test: str,
    rows: "list[Row]",
    progress: "Progress",
) -> "Measured":
    """Write the pictures' file of a run and a test set, and measure what it and the features say."""
    from vestige.evaluation.deviations_measured import measure
    from vestige.evaluation.deviations_record import picture_file, read_pictures, write_pictures
    from vestige.training.deviations import deviations_of

    precision: Literal["float32", "bfloat16"] = options.precision or "float32"
    cache = options.cache or options.out / CACHE
    found = deviations_of(trained, rows, record.views, cache, precision, progress)
    path = options.out / picture_file(test, trained.name)
    numbers = zip(rows, found.logits, found.magnitudes, strict=True)
    write_pictures(path, ((one.name, one.label, one.group, logit, size) for one, logit, size in numbers))
    # As the file has them, so that figures can be computed again from it.
    pictures = read_pictures(path)
    source = record.runs[trained.name].source
    return measure(test, trained.name, pictures, found.before, found.after, source, found.patches)


def _rows(test: TestSet) -> "list[Row]":
    from vestige.data.manifest import read_manifest

    rows = read_manifest(test.manifest, test.split)
    generated = sum(row.label == 1 for row in rows)
    if not 0 < generated < len(rows):
        raise DataError(
            f"--test {test.text}: pictures of both classes are needed, there are "
            f"{len(rows) - generated} real and {generated} generated ones"
        )
    return rows


def _refuse_same_names(tests: list[TestSet], runs: "list[Run]") -> None:
    """Each test set and run has files of its own.

    Raises:
        ConfigError: two of them would have the same.
    """
    from vestige.evaluation.deviations_record import picture_file

    for what, names in (("--test", [test.name for test in tests]), ("RUN", [one.name for one in runs])):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ConfigError(f"{what}: {', '.join(twice)} is named twice; each needs a name of its own")
    files: dict[str, str] = {}
    for one in runs:
        for test in tests:
            pair = f"{one.name} on {test.name}"
            other = files.setdefault(picture_file(test.name, one.name), pair)
            if other != pair:
                raise ConfigError(f"{other} and {pair} would have the same file; rename a --test")


def _test_record(test: TestSet, rows: "list[Row]") -> "TestRecord":
    from vestige.data.manifest import sha256_of
    from vestige.evaluation.deviations_record import TestRecord

    generated = sum(row.label == 1 for row in rows)
    return TestRecord(
        manifest=test.manifest.name,
        manifest_sha256=sha256_of(test.manifest),
        split=test.split or "",
        real=len(rows) - generated,
        generated=generated,
    )


def _run_record(trained: "Run") -> "RunRecord":
    from vestige.evaluation.deviations_record import RunRecord

    network = trained.network
    source = network.config.source
    return RunRecord(
        source=source.label,
        source_groups=None if source.groups is None else list(source.groups),
        width=network.features.width,
        network_sha256=trained.network_sha256,
        recipe=trained.recipe.model_dump(mode="json"),
    )


def _remove_others(out: Path, before: "Record", now: "Record") -> None:
    """Remove what an earlier call wrote of runs and test sets that are no longer asked for."""
    from vestige.evaluation.deviations import plot_files
    from vestige.evaluation.deviations_record import picture_file

    def files(record: "Record") -> set[str]:
        pairs = [(one.test, one.run) for one in record.measured]
        return {name for pair in pairs for name in (picture_file(*pair), *plot_files(*pair))}

    for name in files(before) - files(now):
        (out / name).unlink(missing_ok=True)


def _command(options: DeviationsOptions, tests: list[TestSet], runs: "list[Run]") -> str:
    """The command without folders: they say nothing to others."""
    parts = ["vestige", "deviations", *(one.place for one in runs)]
    for test in tests:
        parts += ["--test", test.text]
    parts += ["--views", str(options.views)] if options.views else []
    parts += ["--cache", "CACHE"] if options.cache else []
    parts += ["--precision", options.precision] if options.precision else []
    parts += ["--title", options.title] if options.title else []
    return shlex.join([*parts, "--out", "OUT"])
