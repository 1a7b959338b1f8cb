"""`vestige ablate`: what the command does with its options. Needs the extra `train`."""

import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vestige.apps.ablate_sets import (
    Pictures,
    TestSet,
    basis_of,
    differing,
    measure,
    open_sets,
    parse_test,
    set_record,
)
from vestige.errors import ConfigError

if TYPE_CHECKING:
    from vestige.evaluation.ablation_record import Record
    from vestige.evaluation.localisation import PixelScores
    from vestige.methods.base import Network
    from vestige.training.ablation import Ablation
    from vestige.training.ablation_spec import Spec


@dataclass(frozen=True)
class AblateOptions:
    """The options of the command, as its help explains them."""

    out: Path
    spec: Path | None
    train: Path | None
    split: str | None
    tests: list[str]
    weights: Path | None
    cache: Path | None
    only: list[str]
    per_group: int | None = None


def run(options: AblateOptions) -> None:
    """Run what has no scores yet, and make the page.

    Raises:
        ConfigError: options that do not go together, a wrong specification, or a folder of something else.
        DataError: as data give reason to.
    """
    from vestige.evaluation.ablation import write_page
    from vestige.lock import only_one

    _check(options)
    with only_one(options.out):
        if options.train is not None:
            _run(options)
        elif options.spec is not None:
            _regroup(options.spec, options.out)
        for path in write_page(options.out):
            print(path)


def _check(options: AblateOptions) -> None:
    if options.train is None:
        given = {
            "--split": options.split,
            "--test": options.tests,
            "--weights": options.weights,
            "--cache": options.cache,
            "--only": options.only,
            "--per-group": options.per_group,
        }
        named = [name for name, value in given.items() if value]
        if named:
            raise ConfigError(
                f"{', '.join(named)}: for a run, which needs --train; without it the page is made again from "
                "what --out holds"
            )
        return
    if options.spec is None or not options.tests:
        raise ConfigError("a run needs a specification, --train, and at least one --test")


def _run(options: AblateOptions) -> None:
    from vestige.evaluation.ablation_record import save_record
    from vestige.progress import Progress
    from vestige.training.ablation import Ablation

    assert options.spec is not None
    assert options.train is not None
    tests = [parse_test(text) for text in options.tests]
    if len({test.name for test in tests}) < len(tests):
        raise ConfigError("two test sets have the same name; give each --test another one")
    progress = Progress()
    ablation = Ablation(
        options.spec,
        options.train,
        options.split,
        options.weights,
        options.out,
        options.cache,
        progress,
    )
    unknown = [row for row in options.only if row not in ablation.spec.rows]
    if unknown:
        listed = ", ".join(ablation.spec.rows)
        raise ConfigError(f"--only {', '.join(unknown)}: no such row in {options.spec}, only {listed}")
    pictures = open_sets(tests, options.per_group, progress)
    record = _record(options, ablation, tests, pictures)
    for row in options.only or list(ablation.spec.rows):
        _run_row(options.out, ablation, record, row, pictures)
    left = [row for row in record.rows if row not in record.order]
    if left:
        progress.say(f"no longer in {options.spec.name}, left out of the tables: {', '.join(left)}")
    save_record(options.out, record)


def _regroup(path: Path, out: Path) -> None:
    """Take what shapes the page alone from a specification of the very rows that were run.

    Raises:
        ConfigError: no ablation there, or a row was run by another recipe.
    """
    from vestige.evaluation.ablation_record import read_record, save_record
    from vestige.training.ablation_spec import read_spec, row_recipes

    record = read_record(out)
    if record is None:
        raise ConfigError(f"{out}: no ablation there yet; give the training pictures with --train")
    spec = read_spec(path)
    recipes = row_recipes(path, spec, record.train.split)
    other = [
        row
        for row, known in record.rows.items()
        if row in recipes and (recipes[row], spec.rows[row].fraction) != (known.recipe, known.fraction)
    ]
    if other or (spec.views, spec.precision) != (record.views, record.precision):
        what = f"rows {', '.join(other)}" if other else "all rows"
        raise ConfigError(
            f"{out}: {what} were run otherwise than {path} says now; run them again with --train"
        )
    values = {
        "title": spec.title or record.title,
        **_page_of(spec),
    }
    save_record(out, record.model_copy(update=values))


def _page_of(spec: "Spec") -> dict[str, Any]:
    """What a record holds of a specification and no score follows from."""
    from vestige.evaluation.ablation_record import CurveRecord

    return {
        "spec": spec.model_dump(mode="json", exclude_defaults=True),
        "order": list(spec.rows),
        "baseline": spec.baseline,
        "questions": spec.questions,
        "curves": {title: CurveRecord(**curve.model_dump()) for title, curve in spec.curves.items()},
        "scatter": spec.scatter,
    }


def _run_row(
    out: Path, ablation: "Ablation", record: "Record", row: str, pictures: dict[str, Pictures]
) -> None:
    """Fit and score what of a row has no scores yet; after each step it is recorded."""
    from vestige.evaluation.ablation_record import (
        FitRecord,
        RowRecord,
        ScoreRecord,
        save_record,
        score_file,
        write_scores,
    )
    from vestige.training.ablation import versions

    weights: Path | None = None
    for seed in ablation.spec.seeds_of(row):
        basis = {test: _basis(ablation, record, row, seed, test) for test in pictures}
        wanted = [test for test in pictures if not _kept(out, record, row, seed, test, basis[test])]
        if not wanted:
            continue
        weights = weights or ablation.prepare(row)
        network, facts = ablation.fit(row, seed, weights)
        record.rows[row] = RowRecord(
            changed=ablation.changed(row),
            recipe=ablation.recipes[row],
            stages=ablation.stages(row),
            fraction=ablation.fraction(row),
        )
        record.add_fit(FitRecord(row=row, seed=seed, **asdict(facts)))
        for test in wanted:
            ablation.progress.say(f"row {row}, seed {seed}: scoring {test}")
            logits, pixels = _scores(ablation, row, seed, network, pictures[test])
            file = score_file(test, row, seed)
            lines = zip(pictures[test].rows, logits, strict=True)
            write_scores(
                out / file, ((one.name, one.label, one.group, logit) for one, logit in lines), pixels
            )
            record.add_score(ScoreRecord(test=test, row=row, seed=seed, basis=basis[test], file=file))
        record.versions = versions()
        save_record(out, record)


def _scores(
    ablation: "Ablation", row: str, seed: int, network: "Network", pictures: Pictures
) -> "tuple[list[float], list[tuple[PixelScores, str]] | None]":
    """Logits of a test set, and what the maps say of each picture; None without maps or masks."""
    rows, condition = pictures.rows, pictures.condition
    if not pictures.masks or not ablation.has_map(row):
        return ablation.score(row, seed, network, rows, condition), None
    patch, views = ablation.patch(row), ablation.spec.views
    logits: dict[int, float] = {}
    pixels = {}
    tell = ablation.progress.counter(f"row {row}, seed {seed}: measuring maps")
    for found in ablation.score_maps(row, seed, network, rows, condition):
        tell(len(logits), len(rows))
        logits[found.picture] = found.logit
        if found.maps is not None:
            pixels[found.picture] = measure(pictures, found.picture, found, patch, views)
    order = range(len(rows))
    return [logits[index] for index in order], [pixels[index] for index in order] if pixels else None


def _record(
    options: AblateOptions, ablation: "Ablation", tests: list[TestSet], pictures: dict[str, Pictures]
) -> "Record":
    """The record in the folder, brought up to the options; a new one where there is none."""
    from vestige.evaluation.ablation_record import Record, TrainRecord, read_record
    from vestige.training.ablation import versions

    assert options.train is not None
    spec = ablation.spec
    groups = {(one.label, one.group) for one in ablation.training_rows(spec.baseline)}
    train = TrainRecord(
        manifest=options.train.name, manifest_sha256=ablation.manifest_sha256, split=ablation.split
    )
    values: dict[str, Any] = {
        "title": ablation.title,
        "command": _command(options, tests),
        **_page_of(spec),
        "views": spec.views,
        "precision": spec.precision,
        "train": train,
    }
    known = read_record(options.out)
    record = Record(**values, versions=versions()) if known is None else known.model_copy(update=values)
    begun_with = None if known is None else (known.train, known.views, known.precision)
    if begun_with not in (None, (train, spec.views, spec.precision)):
        raise ConfigError(
            f"{options.out}: this ablation was begun on other training pictures, with another number of "
            "views or in another precision; choose another folder"
        )
    for test in tests:
        found = set_record(test, pictures[test.name], options.per_group, groups)
        before = record.tests.get(test.name)
        other = "" if before is None else differing(before, found)
        if other:
            raise ConfigError(
                f"--test {test.name}: {options.out} has scores of another {other} under this name; choose "
                "another name"
            )
        record.tests[test.name] = found
    return record


def _basis(ablation: "Ablation", record: "Record", row: str, seed: int, test: str) -> str:
    import hashlib

    text = f"{ablation.basis(row, seed)} {basis_of(record.tests[test])} {record.views}"
    if record.precision != "float32":
        text += f" {record.precision}"
    if record.tests[test].masks and ablation.has_map(row):
        text += " with figures of pixels"
    return hashlib.sha256(text.encode()).hexdigest()


def _kept(out: Path, record: "Record", row: str, seed: int, test: str, basis: str) -> bool:
    """Whether scores are there already.

    Raises:
        ConfigError: there are, of another recipe or of other pictures.
    """
    known = record.score(test, row, seed)
    if known is None or not (out / known.file).exists():
        return False
    if known.basis != basis:
        raise ConfigError(
            f"{out / known.file}: scored by another recipe, with other stages or on other pictures; remove "
            f"this file and {out / 'rows' / row}, or choose another folder"
        )
    return True


def _command(options: AblateOptions, tests: list[TestSet]) -> str:
    """The command without folders: they say nothing to others."""
    assert options.spec is not None
    assert options.train is not None
    parts = ["vestige", "ablate", options.spec.name, "--train", options.train.name]
    parts += ["--split", options.split] if options.split else []
    for test in tests:
        parts += ["--test", test.text]
    parts += ["--per-group", str(options.per_group)] if options.per_group else []
    parts += ["--weights", "WEIGHTS"] if options.weights else []
    return shlex.join([*parts, "--out", "OUT"])
