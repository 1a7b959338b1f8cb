"""`vestige bench`: what the command does with its options. Needs the extra `train`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vestige.apps.bench_card import write_to_card, write_to_twin
from vestige.data.manifest import sha256_of
from vestige.errors import ConfigError
from vestige.evaluation.bench import DataSet, Plan, bench
from vestige.evaluation.left_out import left_out_rows, score_left_out
from vestige.evaluation.report import HTML, PAGE, write_report
from vestige.inference.package import DEFAULT_MODEL
from vestige.lock import only_one
from vestige.progress import Progress

if TYPE_CHECKING:
    from vestige.training.study import Study


@dataclass(frozen=True)
class BenchOptions:
    """The options of the command, as its help explains them."""

    out: Path
    data: list[Path]
    models: list[str]
    protocols: list[str]
    title: str
    sample: int | None
    split: str | None
    benchmark: str
    workers: int
    redo: bool
    audit: bool
    thumbnails: bool
    recipes: list[Path]
    train: Path | None
    weights: Path | None
    leave_one_out: bool
    fractions: list[float]
    card: Path | None
    twin: Path | None


def run(options: BenchOptions) -> None:
    """Score, train what is to be trained, and write the report.

    Raises:
        ConfigError: options that do not go together.
        DataError, ModelPackageError: as data and packages give reason to.
    """
    _check(options)
    with only_one(options.out):
        _run(options, Progress())


def _run(options: BenchOptions, progress: Progress) -> None:
    models = [*options.models, *_fraction_packages(options, progress)]
    if options.data:
        plan = Plan(
            data=options.data,
            models=models or [DEFAULT_MODEL],
            protocols=options.protocols,
            title=options.title,
            sample=options.sample,
            split=options.split,
            benchmark=options.benchmark,
            workers=options.workers,
            redo=options.redo,
            audit=options.audit,
            progress=progress,
        )
        bench(plan, options.out)
    if options.leave_one_out:
        _leave_one_out(options, progress)
    write_report(options.out, _folders(options) if options.thumbnails else None)
    if options.card is not None:
        measured = write_to_card(options.out, options.card)
        if options.twin is not None:
            write_to_twin(options.out, measured, options.twin)
    print(options.out / PAGE)
    print(options.out / HTML)


def _check(options: BenchOptions) -> None:
    if options.twin is not None and options.card is None:
        raise ConfigError("--twin needs --card: the package whose figures its twin is given, too")
    studies = options.leave_one_out or bool(options.fractions)
    if studies and (not options.recipes or options.train is None):
        raise ConfigError("--leave-one-out and --fraction train a model: they need --recipe and --train")
    if options.recipes and not studies:
        raise ConfigError(
            "--recipe needs --leave-one-out or --fraction; a trained package is named by --model"
        )
    if options.fractions and not options.data:
        raise ConfigError("--fraction needs --data: the pictures on which the models are compared")
    if not options.data and not options.leave_one_out and _about_scoring(options):
        raise ConfigError(
            "--model, --protocol, --benchmark, --sample and --split say what is scored: they need --data"
        )
    if not options.data and (options.sample is not None or options.split is not None):
        raise ConfigError("--sample and --split choose among --data; what is left out is scored whole")
    if any(not 0 < fraction <= 1 for fraction in options.fractions):
        raise ConfigError("--fraction is a share above 0 and at most 1, such as 0.1")


def _about_scoring(options: BenchOptions) -> bool:
    chosen = (options.models, options.benchmark, options.sample, options.split)
    return any(chosen) or options.protocols != ["as-found"]


def _study(recipe: Path, options: BenchOptions, progress: Progress) -> "Study":
    from vestige.training.study import Study  # loads PyTorch

    assert options.train is not None
    folder = options.out / "training" / recipe.stem
    return Study(recipe, options.train, options.weights, folder, progress)


def _fraction_packages(options: BenchOptions, progress: Progress) -> list[str]:
    if not options.fractions:
        return []
    from vestige.training.variants import fractions

    found = []
    for recipe in options.recipes:
        study = _study(recipe, options, progress)
        found += [str(folder) for _, folder in study.packages(fractions(options.fractions))]
    return found


def _leave_one_out(options: BenchOptions, progress: Progress) -> None:
    from vestige.training.variants import leave_one_out

    assert options.train is not None
    listed: list[str] | None = None
    for recipe in options.recipes:
        study = _study(recipe, options, progress)
        names = [row.name for row in study.rows]
        if listed is not None and names != listed:
            raise ConfigError(
                f"{recipe}: trains on other pictures than the recipes before it (split or per_group), so "
                "that their rows cannot stand in one table; give it a bench of its own"
            )
        listed = names
        folds = [
            (
                variant.name,
                folder,
                left_out_rows(study.rows, variant.without_generator, variant.without_sources),
            )
            for variant, folder in study.packages(leave_one_out(study.rows))
        ]
        data = DataSet(
            name=f"{options.train.stem}-leave-one-out",
            manifest_sha256=sha256_of(options.train),
            real=sum(row.label == 0 for row in study.rows),
            generated=sum(row.label == 1 for row in study.rows),
            pooled=False,
        )
        package = study.shop.recipe.package
        title = f"{package.name} {package.version}"
        score_left_out(
            folds,
            data,
            title,
            options.protocols,
            options.out,
            progress,
            options.workers,
            options.redo,
        )


def _folders(options: BenchOptions) -> dict[str, Path]:
    suffix = "" if options.split is None else f"-{options.split}"
    return {f"{path.stem}{suffix}": path.parent for path in options.data}
