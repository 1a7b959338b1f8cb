"""`vestige bench`: score models on data sets under protocols, keep the scores, write the report.

OUT/bench.json          what was scored
OUT/scores/*.parquet    one row per picture; one file per data set, model and condition
OUT/audit/*.json        what the files of each data set give away, as far as they are scored
OUT/README.md           tables, made of these files alone
OUT/report.html         the same with plots
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from vestige.data.manifest import Row, read_manifest, sha256_of
from vestige.errors import ConfigError, DataError
from vestige.evaluation.audit import run_audit
from vestige.evaluation.basis import VERSIONS, basis, fingerprint, slug
from vestige.evaluation.metrics import pairings
from vestige.evaluation.protocols import Condition, conditions
from vestige.evaluation.published import published
from vestige.evaluation.sample import sample
from vestige.evaluation.scores import Scores, basis_of, read_scores, update_kinds
from vestige.evaluation.scoring import Job, score
from vestige.inference.card import OperatingPoint
from vestige.inference.package import ModelPackage, load_package
from vestige.progress import Progress

BENCH = "bench.json"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class DataSet(_Strict):
    """One scored data set.

    Attributes:
        name: of the manifest, without its ending.
        manifest_sha256: of the manifest file.
        real, generated: pictures that were to be scored.
        sample: pictures of each class at most, spread over the groups; None: all.
        benchmark: name of the published benchmark that it is, "" if none.
        pooled: whether all of it was scored by the same models.
        audited: whether the report shows its audit.
    """

    name: str
    manifest_sha256: str
    real: int
    generated: int
    sample: int | None = None
    benchmark: str = ""
    pooled: bool = True
    audited: bool = True


class Entry(_Strict):
    """One file of scores.

    Attributes:
        basis: hash of what the scores follow from.
        seen: how many of the pictures come from generators or sources that the model was trained on.
        operating_points: of the model's card.
    """

    file: str
    model: str
    data: str
    condition: str
    family: str
    level: float | None
    basis: str
    seen: int = 0
    operating_points: list[OperatingPoint] = []


class Bench(_Strict):
    """What `bench.json` holds: data sets, models and conditions in the order of the report."""

    title: str
    sets: list[DataSet] = []
    models: list[str] = []
    conditions: dict[str, str] = {}
    entries: list[Entry] = []


@dataclass(frozen=True)
class Plan:
    """What is to be scored.

    Attributes:
        data: manifests.
        models: names or folders of model packages; the first is reported in detail.
        protocols: names that `vestige.evaluation.protocols.conditions` takes.
        sample: pictures of each class at most.
        split: rows of this split of the manifests alone.
        benchmark: the published benchmark that the data are, for printing published figures beside ours.
    """

    data: Sequence[Path]
    models: Sequence[str]
    protocols: Sequence[str] = ("as-found",)
    title: str = ""
    sample: int | None = None
    split: str | None = None
    benchmark: str = ""
    workers: int = 1
    redo: bool = False
    audit: bool = True
    progress: Progress = field(default_factory=Progress)


def bench(plan: Plan, out: Path) -> Bench:
    """Score every model on every data set under every condition, and audit the data sets.

    What has been scored already, the very same model on the very same pictures, is not scored again, and a
    killed scoring goes on where it stopped. The report shows what the last call asked for.

    Raises:
        ConfigError: two models or two data sets of the same name, or an unknown protocol.
        DataError: an unknown benchmark.
        DataError, ModelPackageError: as the manifests and packages give reason to.
    """
    wanted = conditions(plan.protocols)
    if plan.benchmark:
        published(plan.benchmark)  # refuses an unknown name now and not after hours of scoring
    packages = _packages(plan.models)
    sets = _sets(plan)
    state = Bench(
        title=plan.title or f"Scores on {' and '.join(data.name for data, _ in sets)}",
        sets=[data for data, _ in sets],
        models=list(packages),
        conditions={condition.title: condition.text for condition in wanted},
    )
    marks = {data.name: fingerprint(rows) for data, rows in sets}
    for data, rows in sets:
        if plan.audit:
            _audit(out, data, rows, marks[data.name], plan)
    jobs = [
        (_entry(data, rows, marks[data.name], package, condition), Job(package, data.name, rows, condition))
        for data, rows in sets
        for package in packages.values()
        for condition in wanted
    ]
    done = {e.file for e, _ in jobs if not plan.redo and basis_of(out / "scores" / e.file) == e.basis}
    for entry, job in jobs:
        if entry.file not in done:
            score(job, entry.basis, out / "scores" / entry.file, plan.progress, plan.workers)
            done.add(entry.file)
        update_kinds(out / "scores" / entry.file, {row.name: row.kind for row in job.rows})
        # After each file: the report of a killed bench shows what there is.
        state.entries = [entry for entry, _ in jobs if entry.file in done]
        save_bench(out, state)
    return state


def read_bench(out: Path) -> Bench:
    """What a folder holds.

    Raises:
        ConfigError: it holds no bench.
    """
    try:
        return Bench.model_validate_json((out / BENCH).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise ConfigError(f"{out}: no bench there, {BENCH} is missing or damaged") from error


def read_all(out: Path, state: Bench) -> dict[tuple[str, str], list[Scores]]:
    """All scores of a bench: (data set, condition) -> one `Scores` per model, in the order of the report.

    Raises:
        DataError: a file of scores is missing or damaged.
    """
    found: dict[tuple[str, str], list[Scores]] = {}
    for entry in state.entries:
        found.setdefault((entry.data, entry.condition), []).append(read_scores(out / "scores" / entry.file))
    return found


def save_bench(out: Path, state: Bench) -> None:
    """Write `bench.json`, whole or not at all."""
    out.mkdir(parents=True, exist_ok=True)
    partial = out / (BENCH + ".part")
    partial.write_text(state.model_dump_json(indent=2) + "\n", encoding="utf-8")
    partial.replace(out / BENCH)


def _packages(models: Sequence[str]) -> dict[str, ModelPackage]:
    found: dict[str, ModelPackage] = {}
    for model in models:
        package = load_package(model)
        if package.card.title in found:
            raise ConfigError(f"two models are called {package.card.title}; give one of them another version")
        found[package.card.title] = package
    return found


def _check_pairing(path: Path, rows: list[Row]) -> None:
    # What the report would stumble over is told before hours of scoring.
    labels = np.array([row.label for row in rows], dtype=np.int64)
    try:
        pairings(labels, [row.group for row in rows], [row.compare_with for row in rows])
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _sets(plan: Plan) -> list[tuple[DataSet, list[Row]]]:
    found: dict[str, tuple[DataSet, list[Row]]] = {}
    for path in plan.data:
        rows = sample(read_manifest(path, plan.split), plan.sample)
        _check_pairing(path, rows)
        name = path.stem if plan.split is None else f"{path.stem}-{plan.split}"
        if name in found:
            raise ConfigError(f"two data sets are called {name}; rename one of the manifests")
        counts = Counter(row.label for row in rows)
        found[name] = (
            DataSet(
                name=name,
                manifest_sha256=sha256_of(path),
                real=counts[0],
                generated=counts[1],
                sample=plan.sample,
                benchmark=plan.benchmark,
                audited=plan.audit,
            ),
            rows,
        )
    return list(found.values())


def _entry(data: DataSet, rows: list[Row], marks: str, package: ModelPackage, condition: Condition) -> Entry:
    known = {(source.label, source.name) for source in package.card.training.sources}
    return Entry(
        file=score_file(data.name, package.card.title, condition.name),
        model=package.card.title,
        data=data.name,
        condition=condition.title,
        family=condition.family,
        level=condition.level,
        basis=basis(package.card, marks, condition.title),
        seen=sum((row.label, row.group) in known for row in rows),
        operating_points=package.card.operating_points,
    )


def score_file(data: str, model: str, condition: str) -> str:
    """Name of a file of scores, another one for other names."""
    return f"{slug(data)}--{slug(model)}--{slug(condition)}.parquet"


def audit_file(out: Path, data: str) -> Path:
    """Where the audit of a data set is kept."""
    return out / "audit" / f"{slug(data)}.json"


def _audit(out: Path, data: DataSet, rows: list[Row], marks: str, plan: Plan) -> None:
    path = audit_file(out, data.name)
    stamp = path.with_suffix(".basis")
    wanted = f"{marks} {VERSIONS}"
    if not plan.redo and path.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    stamp.unlink(missing_ok=True)  # so that a kill between the two files leaves no audit that looks valid
    audit = run_audit(rows, name=data.name, progress=plan.progress.counter(f"auditing {data.name}"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(audit.model_dump_json(indent=2) + "\n", encoding="utf-8")
    stamp.write_text(wanted)
