"""Scores of pictures that were left out of training: every generator by a model that never saw it."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq

from vestige.data.manifest import Row
from vestige.evaluation.basis import basis, fingerprint
from vestige.evaluation.bench import Bench, DataSet, Entry, read_bench, save_bench, score_file
from vestige.evaluation.protocols import Condition, conditions
from vestige.evaluation.scores import basis_of, write_scores
from vestige.evaluation.scoring import Job, score
from vestige.inference.package import load_package
from vestige.progress import Progress


def left_out_rows(rows: list[Row], without_generator: str, without_sources: Sequence[str]) -> list[Row]:
    """What one model never saw: a generator, and the real pictures that it is to be told from.

    `compare_with` names those real pictures: the generator is compared with what the same model scored.
    """
    beside = ";".join(without_sources)
    found = []
    for row in rows:
        if row.label == 1 and row.group == without_generator:
            found.append(replace(row, compare_with=beside))
        elif row.label == 0 and row.group in without_sources:
            found.append(row)
    return found


def score_left_out(
    folds: Iterable[tuple[str, Path, list[Row]]],
    data: DataSet,
    title: str,
    protocols: Sequence[str],
    out: Path,
    progress: Progress,
    workers: int = 1,
    redo: bool = False,
) -> Bench:
    """Score each fold with its own package and keep all of them as the scores of one model.

    A real picture is scored once for every generator that it stands beside, each time by another model; its
    group then carries the generator's name too, so that every generator meets the scores of its own model.

    Args:
        folds: the fold's name, its package and the rows that its model never saw.
        data: as the report shall list it.
        title: of the model.
        out: folder of the bench; what is scored already is kept.

    Raises:
        ConfigError, DataError, ModelPackageError: as protocols, rows and packages give reason to.
    """
    wanted = conditions(protocols)
    parts: dict[str, list[Path]] = {condition.title: [] for condition in wanted}
    for name, folder, rows in folds:
        package = load_package(folder)
        marked = [_marked(row, name) for row in rows]
        for condition in wanted:
            path = out / "folds" / score_file(data.name, f"{title} {name}", condition.name)
            wanted_basis = basis(package.card, fingerprint(marked), condition.title)
            if redo or basis_of(path) != wanted_basis:
                score(Job(package, data.name, marked, condition), wanted_basis, path, progress, workers)
            parts[condition.title].append(path)
    for condition in wanted:
        _join(parts[condition.title], title, out / "scores" / score_file(data.name, title, condition.name))
    return _listed(out, data, title, wanted)


def _marked(row: Row, fold: str) -> Row:
    if row.label == 0:
        return replace(row, group=f"{row.group} ({fold})", picture=row.picture or row.name)
    return replace(row, compare_with=";".join(f"{name} ({fold})" for name in row.compare_with.split(";")))


def _join(parts: list[Path], title: str, out: Path) -> None:
    rows = [row | {"model": title} for part in parts for row in pq.read_table(part).to_pylist()]
    write_scores(out, rows, hashlib.sha256("".join(str(basis_of(p)) for p in parts).encode()).hexdigest())


def _listed(out: Path, data: DataSet, title: str, wanted: list[Condition]) -> Bench:
    """The bench of the folder with these scores in it."""
    state = read_bench(out) if (out / "bench.json").exists() else Bench(title=f"Scores on {data.name}")
    state.sets = [one for one in state.sets if one.name != data.name] + [data]
    state.models = list(dict.fromkeys([*state.models, title]))
    state.conditions |= {condition.title: condition.text for condition in wanted}
    for condition in wanted:
        file = score_file(data.name, title, condition.name)
        state.entries = [entry for entry in state.entries if entry.file != file]
        state.entries.append(
            Entry(
                file=file,
                model=title,
                data=data.name,
                condition=condition.title,
                family=condition.family,
                level=condition.level,
                basis=basis_of(out / "scores" / file) or "",
            )
        )
    save_bench(out, state)
    return state
