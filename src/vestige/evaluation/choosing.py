"""Finished runs compared by their held-out logits: the figures of `vestige choose`, and what differs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from vestige.errors import ConfigError
from vestige.evaluation import metrics, tables
from vestige.evaluation.choosing_record import HeldOut, Record, RunRecord
from vestige.evaluation.metrics import Indices, Interval, RealGroup

RATE = 0.05
recall_at_rate = partial(metrics.recall_at_fpr, rate=RATE)


@dataclass(frozen=True)
class Figures:
    """What the held-out logits of a run say; intervals by group.

    Attributes:
        mean_over_generators: AUROC of each generator against all real pictures, their unweighted mean.
        recall: at a false positive rate of 5 %.
        minus: AUROC minus that of the run beside, both on the pictures that both have; None for that run
            itself, nan where both have no picture of a class.
        common: number of these pictures.
    """

    auroc: Interval
    mean_over_generators: float
    recall: Interval
    minus: Interval | None
    common: int


@dataclass(frozen=True)
class GeneratorFigures:
    """AUROC of one generator against all real pictures; intervals by picture.

    Attributes:
        real, generated: pictures.
        auroc: run -> figure; empty with fewer than ten pictures of a class.
        minus: second run minus first; None with one run or fewer than ten pictures of a class.
    """

    generator: str
    real: int
    generated: int
    auroc: dict[str, Interval]
    minus: Interval | None


def changes(run: RunRecord, beside: RunRecord) -> list[str]:
    """What differs in a run from another, as "dotted.key: value"; what the package's card says left out."""
    return _changes(_told(run), _told(beside), "")


def require_comparable(record: Record, found: Mapping[str, HeldOut]) -> None:
    """Make sure that every run can be compared with the one beside.

    Args:
        found: run -> its pictures.

    Raises:
        ConfigError: a run of another manifest has other pictures, or a picture has another label or group.
    """
    beside, theirs = record.beside, found[record.beside]
    for name in record.order:
        ours = found[name]
        one_manifest = record.runs[name].manifest_sha256 == record.runs[beside].manifest_sha256
        if not one_manifest and ours.paths != theirs.paths:
            alone = len(set(ours.paths) ^ set(theirs.paths))
            raise ConfigError(
                f"{name} and {beside} were trained on different manifests, and {alone} held-out pictures are "
                "in one of them alone, so that they cannot be compared; train both on one manifest"
            )
        mine, others = common(ours, theirs)
        first, second = ours.of(mine), theirs.of(others)
        for what, one, other in (
            ("label", first.labels.tolist(), second.labels.tolist()),
            ("group", first.groups, second.groups),
        ):
            for path, here, there in zip(first.paths, one, other, strict=True):
                if here != there:
                    raise ConfigError(
                        f"{path} has the {what} {here} in {name} and {there} in {beside}, so that they "
                        "cannot be compared; train both on one manifest"
                    )


def common(ours: HeldOut, theirs: HeldOut) -> tuple[Indices, Indices]:
    """Positions of the pictures that both have, in the order of their paths."""
    _, mine, others = np.intersect1d(ours.paths, theirs.paths, assume_unique=True, return_indices=True)
    return mine.astype(np.int64), others.astype(np.int64)


def figures(record: Record, found: Mapping[str, HeldOut]) -> dict[str, Figures]:
    """Figures of all runs, in the order of the record; the same pictures get the same resamples.

    Raises:
        ConfigError: as `require_comparable`.
    """
    require_comparable(record, found)
    theirs = found[record.beside]
    made = {}
    for name in record.order:
        ours = found[name]
        drawn = _draws(ours)
        mine, others = common(ours, theirs)
        both = ours.of(mine)
        minus = None
        if name != record.beside:
            draws = drawn if len(mine) == len(ours.paths) else _draws(both)
            minus = metrics.difference(metrics.auroc, both.labels, both.logits, theirs.logits[others], draws)
        made[name] = Figures(
            metrics.interval(metrics.auroc, ours.labels, ours.logits, drawn),
            metrics.mean_over_generators(
                metrics.auroc, ours.labels, ours.logits, ours.groups, [""] * len(ours.paths)
            ),
            metrics.interval(recall_at_rate, ours.labels, ours.logits, drawn),
            minus,
            len(mine),
        )
    return made


def best(record: Record, made: Mapping[str, Figures]) -> str:
    """The run whose AUROC exceeds most that of the run beside, on common pictures; else that run itself."""
    chosen, most = record.beside, 0.0
    for name in record.order:
        minus = made[name].minus
        if minus is not None and minus.value > most:
            chosen, most = name, minus.value
    return chosen


def by_generator(found: Mapping[str, HeldOut], names: Sequence[str]) -> list[GeneratorFigures]:
    """Generator by generator, in the order of names, on the pictures that the runs have in common.

    Args:
        names: of one run, or of two that are compared.
    """
    first, last = found[names[0]], found[names[-1]]
    mine, others = common(first, last)
    both = first.of(mine)
    logits = dict(zip(names, (both.logits, last.logits[others]), strict=False))
    pairings = metrics.pairings(both.labels, both.groups, [""] * len(mine))
    made = []
    for pair in pairings:
        if not pair.enough:
            made.append(GeneratorFigures(pair.generator, pair.real, pair.generated, {}, None))
            continue
        labels = both.labels[pair.inside]
        scores = [values[pair.inside] for values in logits.values()]
        draws = metrics.draws(labels, count=_count(len(labels) * len(pairings)))
        auroc = [metrics.interval(metrics.auroc, labels, values, draws) for values in scores]
        minus = metrics.difference(metrics.auroc, labels, scores[-1], scores[0], draws)
        made.append(
            GeneratorFigures(
                pair.generator,
                pair.real,
                pair.generated,
                dict(zip(names, auroc, strict=True)),
                minus if len(names) > 1 else None,
            )
        )
    return made


def accused(pictures: HeldOut) -> list[RealGroup]:
    """Sources of at least ten real pictures, those first of which most is called generated at 5 % FPR.

    As in `metrics.recall_at_fpr`, the threshold is taken on these pictures and must be exceeded.
    """
    real = np.sort(pictures.logits[pictures.labels == 0])[::-1]
    threshold = real[int(np.floor(RATE * len(real) + 1e-9))]
    called = (pictures.logits > threshold).astype(np.float64)
    groups = metrics.real_groups(pictures.labels, called, pictures.groups, 0.5)
    able = [group for group in groups if group.enough]
    return sorted(able, key=lambda group: -group.false_positive_rate)


def _draws(pictures: HeldOut) -> list[Indices]:
    return metrics.draws(pictures.labels, pictures.groups, _count(len(pictures.paths)))


def _count(pictures: int) -> int:
    """How many resamples: fewer of very many pictures, whose intervals are small."""
    return min(tables.DRAWS, max(200, tables.MOST // max(1, pictures)))


def _told(run: RunRecord) -> dict[str, Any]:
    told = {key: value for key, value in run.recipe.items() if key not in ("package", "extractor_package")}
    return told | {"variant": run.variant}


def _changes(ours: Any, theirs: Any, key: str) -> list[str]:
    """Mappings key by key, lists of as many mappings one by one, all else as a whole."""
    if ours == theirs:
        return []
    own, other = _section(ours), _section(theirs)
    as_many = not isinstance(ours, list) or len(ours) == len(theirs)
    if own is None or other is None or type(ours) is not type(theirs) or not as_many:
        return [f"{key}: {json.dumps(ours, ensure_ascii=False)}"]
    found = []
    for name in [*own, *(name for name in other if name not in own)]:
        whole = f"{key}.{name}" if key else name
        if name not in own:
            found.append(f"{whole}: left out")
        elif name not in other:
            found.append(f"{whole}: {json.dumps(own[name], ensure_ascii=False)}")
        else:
            found += _changes(own[name], other[name], whole)
    return found


def _section(value: Any) -> dict[str, Any] | None:
    if isinstance(value, dict):
        return value
    if isinstance(value, list) and all(isinstance(one, dict) for one in value):
        return {str(number): one for number, one in enumerate(value)}
    return None
