"""The chapters of a bench's report, from kept scores and audits alone; written as Markdown and as HTML."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vestige.errors import DataError
from vestige.evaluation import metrics, tables
from vestige.evaluation.audit import Audit
from vestige.evaluation.bench import Bench, DataSet, audit_file, read_all
from vestige.evaluation.kind_tables import by_kind
from vestige.evaluation.metrics import Interval
from vestige.evaluation.protocols import DeliverySummary, summarise
from vestige.evaluation.protocols.delivery import AS_FOUND, way_conditions
from vestige.evaluation.protocols.delivery import FAMILY as DELIVERY
from vestige.evaluation.protocols.delivery import NAMES as DELIVERY_WAYS
from vestige.evaluation.protocols.delivery_summary import Share
from vestige.evaluation.published import beside, published
from vestige.evaluation.scores import Scores
from vestige.evaluation.table import Table
from vestige.inference.card import OperatingPoint

Sweep = dict[str, list[tuple[float, str, list[Scores]]]]


@dataclass(frozen=True)
class Chapter:
    """One chapter.

    Attributes:
        heading: of the chapter.
        texts: paragraphs before the tables.
        tables: in the order of the report.
        scores: what plots and galleries are made of, one per model; empty where there are none.
        sweep: perturbation sweeps, for their curves.
        pooled: whether scores of all generators may be ranked together; not where each generator was scored
            by a model of its own.
    """

    heading: str
    texts: list[str]
    tables: list[Table]
    scores: Sequence[Scores] = ()
    sweep: Sweep | None = None
    pooled: bool = True


def chapters(out: Path, state: Bench) -> list[Chapter]:
    """All chapters of a bench, data set by data set.

    Raises:
        DataError: a file of scores or an audit is damaged.
    """
    everything = read_all(out, state)
    family = {entry.condition: (entry.family, entry.level) for entry in state.entries}
    found = []
    for data in state.sets:
        mine = {condition: scores for (name, condition), scores in everything.items() if name == data.name}
        audit = _audit(out, data)
        if audit is not None:
            found.append(audit)
        sweep: Sweep = {}
        delivered: dict[str, list[Scores]] = {}
        for condition, scores in mine.items():
            kind, level = family[condition]
            if kind == DELIVERY:
                delivered[condition] = scores
            elif level is not None:
                sweep.setdefault(kind, []).append((level, condition, scores))
            else:
                found.append(_protocol(state, data, condition, kind, scores))
        if sweep:
            found.append(_sweep(data, sweep))
        if delivered:
            found.append(_delivery(data, delivered))
    return found


def _protocol(state: Bench, data: DataSet, condition: str, kind: str, scores: list[Scores]) -> Chapter:
    first = scores[0]
    texts = [state.conditions.get(condition, "")]
    texts += _sampled(data)
    texts += _seen(state, data, condition)
    found: list[Table] = []
    if data.pooled:
        found += [tables.ranking(scores), tables.generators(scores)]
        found += [tables.decisions(scores), tables.verdicts(scores)]
    else:
        texts.append(
            "Every generator was scored by a model that saw neither it nor the real pictures beside it, so "
            "there is one model for each generator; scores of different generators are not ranked together."
        )
        found += [tables.generators(scores), *(tables.by_generator(one) for one in scores)]
    if data.pooled:
        found += [tables.by_generator(first), tables.by_source(first)]
        found += by_kind(first, _operating_points(state, first))
        if not np.isnan(first.probabilities).any():
            found.append(tables.reliability(first))
    found += tables.not_scored(scores)
    if data.benchmark and (kind != AS_FOUND or data.sample is not None):
        texts.append("Published figures stand beside those on all files as found only.")
    elif data.benchmark:
        stated = {figure.metric for figure in published(data.benchmark)}
        found += [_published(data.benchmark, scores, metric) for metric in ("AP", "Acc") if metric in stated]
    return Chapter(f"{data.name}, {condition}", texts, found, scores, pooled=data.pooled)


def _operating_points(state: Bench, scores: Scores) -> list[OperatingPoint]:
    wanted = (scores.model, scores.data, scores.condition)
    return next(
        entry.operating_points
        for entry in state.entries
        if (entry.model, entry.data, entry.condition) == wanted
    )


def _sampled(data: DataSet) -> list[str]:
    if data.sample is None:
        return []
    return [f"A sample: at most {data.sample} pictures of each class, spread over the groups."]


def _seen(state: Bench, data: DataSet, condition: str) -> list[str]:
    """A warning for every number of pictures from sources that some models were trained on."""
    models: dict[int, list[str]] = {}
    for entry in state.entries:
        if entry.data == data.name and entry.condition == condition and entry.seen:
            models.setdefault(entry.seen, []).append(entry.model)
    total = data.real + data.generated
    return [
        f"{seen} of the {total} pictures come from generators or sources that were trained on, so this is no "
        f"test of new ones, for: {', '.join(names)}."
        for seen, names in models.items()
    ]


def _published(benchmark: str, scores: list[Scores], metric: str) -> Table:
    def accuracy(one: Scores) -> metrics.Metric:
        return lambda labels, values: metrics.accuracy(labels, values, one.thresholds[1])

    ours = {}
    for one in scores:
        values = one.logits if metric == "AP" else one.decisive
        measure = metrics.average_precision if metric == "AP" else accuracy(one)
        ours[one.model] = metrics.per_generator(measure, one.labels, values, one.groups, one.compare_with)
    return beside(benchmark, ours, metric)


def _audit(out: Path, data: DataSet) -> Chapter | None:
    path = audit_file(out, data.name)
    # One from an earlier call may be about other pictures.
    if not data.audited or not path.exists():
        return None
    try:
        audit = Audit.model_validate_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: not an audit ({error})") from error
    rows = []
    for finding in audit.findings:
        figure = finding.figure
        value = f"{figure.value:.3f} ({figure.low:.3f}-{figure.high:.3f})" if figure else tables.NOTHING
        rows.append([finding.code, finding.title, finding.section.replace("_", " "), value])
    texts = [
        "What the files give away without a look at what makes a picture generated. Where a line below beats "
        "chance, a detector can score well for the wrong reason: figures on the files as found prove little.",
        *(f"{finding.code}, {finding.title}: {finding.explanation}" for finding in audit.section("issue")),
    ]
    table = Table(f"Audit of {data.name}", ["code", "check", "result", "AUROC out of fold"], rows)
    return Chapter(f"{data.name}: what the files give away", texts, [table])


def _sweep(data: DataSet, sweep: Sweep) -> Chapter:
    return Chapter(
        f"{data.name}: perturbations",
        [
            "Each condition begins with the centre square at exactly 512 px; the first row is undisturbed.",
            *_sampled(data),
        ],
        [
            tables.robustness(sweep),
            *tables.not_scored([one for some in sweep.values() for level in some for one in level[2]]),
        ],
        sweep=sweep,
    )


def _delivery(data: DataSet, delivered: dict[str, list[Scores]]) -> Chapter:
    heading = f"{data.name}: byte delivery"
    by_model: dict[str, dict[str, Scores]] = {}
    for way, some in delivered.items():
        for scores in some:
            by_model.setdefault(scores.model, {})[way] = scores
    wanted = [condition.title for condition in way_conditions()]
    whole = {model: ways for model, ways in by_model.items() if not set(wanted) - set(ways)}
    texts = [
        "What a picture shows does not depend on how its bytes travelled; nor should the verdict.",
        *_sampled(data),
    ]
    if len(whole) < len(by_model):
        texts.append(
            f"The test needs all {len(wanted)} ways. Not scored in all of them: "
            f"{', '.join(model for model in by_model if model not in whole)}."
        )
    rows, lost = [], []
    for model, ways in whole.items():
        summary, missing = _summary([ways[way] for way in wanted])
        if missing:
            lost.append(f"{missing} by {model}")
        if summary is not None:
            rows += _delivery_rows(model, summary)
    columns = [
        "model",
        "pictures",
        "median spread of the probability",
        "95th percentile",
        "flips between generated and real",
        "verdict not always the same",
    ]
    if lost:
        texts.append(f"Pictures without a score for some way, left out: {', '.join(lost)}.")
    note = f"One picture, {len(wanted)} ways to ship it; 95 % intervals by source picture."
    title = f"Spread of the score over {len(wanted)} ways of delivery"
    return Chapter(heading, texts, [Table(title, columns, rows, note)] if rows else [])


def _delivery_rows(model: str, summary: DeliverySummary) -> list[list[str]]:
    return [
        [
            model,
            f"{part.pictures} {name}" if name != "all" else str(part.pictures),
            _text(part.ranges.median),
            _text(part.ranges.p95),
            _share(part.flips, part.pictures),
            _share(part.changes, part.pictures),
        ]
        for name, part in summary.classes.items()
    ]


def _summary(per_way: list[Scores]) -> tuple[DeliverySummary | None, int]:
    """The summary over pictures with a score for every way, if any; and how many have none for some way."""
    places = [{path: index for index, path in enumerate(scores.paths)} for scores in per_way]
    whole = [path for path in per_way[0].paths if all(path in place for place in places)]
    every = {
        path
        for scores in per_way
        for path in (*scores.paths, *(path for path, _ in (*scores.unreadable, *scores.left_out)))
    }
    if not whole:
        return None, len(every)
    index = [[place[path] for place in places] for path in whole]
    labels = np.array([per_way[0].labels[row[0]] for row in index], dtype=np.int64)
    summary = summarise(
        list(DELIVERY_WAYS),
        np.array([[s.probabilities[i] for s, i in zip(per_way, row, strict=True)] for row in index]),
        [[s.verdicts[i] for s, i in zip(per_way, row, strict=True)] for row in index],
        labels,
        [per_way[0].pictures[row[0]] for row in index],
    )
    return summary, len(every) - len(whole)


def _text(interval: Interval, digits: int = 3) -> str:
    return f"{interval.value:.{digits}f} ({interval.low:.{digits}f}-{interval.high:.{digits}f})"


def _share(share: Share, pictures: int) -> str:
    low, high = share.share.low, share.share.high
    if share.count in {0, pictures}:
        # A bootstrap of pictures that are all alike has no width, which would pass for certainty.
        low, high = metrics.wilson(share.count, pictures)
    return f"{share.count} ({share.share.value:.0%}, {low:.0%}-{high:.0%})"
