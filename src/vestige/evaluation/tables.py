"""Tables from per-picture scores: the only way figures get into a report or the documentation."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Literal

import numpy as np
import numpy.typing as npt

from vestige.evaluation import metrics
from vestige.evaluation.metrics import BothDraws, BothIntervals, Interval, Metric, Values
from vestige.evaluation.scores import Scores
from vestige.evaluation.table import Table
from vestige.inference.card import Measured

DRAWS = 1000
MOST = 20_000_000  # drawn pictures in all
VERDICTS = ("likely_generated", "inconclusive", "likely_real")
NOTHING = "-"
MANY = 40  # pictures of a generator that cannot be the worst by bad luck alone


def ranking(found: Sequence[Scores]) -> Table:
    """One row per model: how well its scores order the pictures, whatever the threshold."""
    rows = []
    for scores in found:
        rows.append(
            [
                scores.model,
                f"{scores.real} / {scores.generated}",
                *_both(metrics.auroc, scores),
                _difference(scores, found[0]),
                _cell(metrics.average_precision, scores),
                _cell(metrics.average_precision_real, scores),
                _cell(partial(metrics.recall_at_fpr, rate=0.01), scores, 2),
                _cell(partial(metrics.recall_at_fpr, rate=0.05), scores, 2),
            ]
        )
    columns = [
        "model",
        "real / generated",
        "AUROC",
        "by picture",
        "by group",
        f"minus {found[0].model}",
        "AP, generated positive",
        "AP, real positive",
        "recall at 1 % FPR",
        "recall at 5 % FPR",
    ]
    note = (
        "95 % bootstrap intervals: by picture where one is given, other pictures from the same sources; by "
        "group, other generators and other sources. The difference of the AUROC is paired, its interval by "
        "group. Recall takes its threshold from these pictures: it describes the ranking, not a shipped "
        "threshold."
    )
    if min(scores.real for scores in found) < 100:
        note += " With fewer than 100 real pictures, recall at 1 % FPR is recall without any false alarm."
    return Table("Ranking: do generated pictures score higher than real ones?", columns, rows, note)


def generators(found: Sequence[Scores]) -> Table:
    """One row per model: mean over generators and the worst one."""
    rows = []
    missing: set[str] = set()
    absent: set[str] = set()
    large: list[str] = []
    for scores in found:
        over = _over_generators(scores)
        missing |= {f"{pair.generator} ({pair.generated} / {pair.real})" for pair in over.left_out}
        absent |= set(over.absent)
        large.append(_worst_of_large(scores, over))
        rows.append(
            [
                scores.model,
                str(len(over.values)),
                text(over.mean),
                _range(over.mean_other_generators),
                over.worst or NOTHING,
                text(over.worst_value),
            ]
        )
    columns = ["model", "generators", "mean AUROC", "other generators", "worst generator", "its AUROC"]
    if any(cell != NOTHING for cell in large):
        columns.append(f"worst with at least {MANY} pictures")
        rows = [[*row, cell] for row, cell in zip(rows, large, strict=True)]
    note = (
        "Each generator against the real pictures that its data set compares it with, or all of them; the "
        "mean gives every generator the same weight. The second interval also resamples generators."
    )
    if missing:
        note += f" Left out for fewer than 10 pictures (generated / real): {_names(missing)}."
    if absent:
        note += (
            f" Real groups that generators are to be compared with and that are not here: {_names(absent)}."
        )
    return Table("Generators: mean and worst", columns, rows, note)


def _worst_of_large(scores: Scores, over: metrics.Generators) -> str:
    """The worst generator of at least `MANY` pictures and its figure."""
    counts = Counter(group for group, label in zip(scores.groups, scores.labels, strict=True) if label)
    values = {name: found for name, found in over.values.items() if counts[name] >= MANY}
    if not values:
        return NOTHING
    # An undefined value is never hidden behind a better one.
    name = min(values, key=lambda name: (not math.isnan(values[name].value), values[name].value))
    return f"{name}: {text(values[name])}"


def decisions(found: Sequence[Scores]) -> Table:
    """One row per model: how it does at the threshold and with the probabilities that ship."""
    rows = []
    for scores in found:
        high = scores.thresholds[1]
        at = {
            name: partial(metric, threshold=high)
            for name, metric in (
                ("accuracy", metrics.accuracy),
                ("balanced", metrics.balanced_accuracy),
                ("real", metrics.real_accuracy),
                ("generated", metrics.generated_accuracy),
                ("f1", metrics.f1),
            )
        }
        cells = [_cell(metric, scores, 2, "decisive") for metric in at.values()]
        calibration = [
            _cell(metrics.expected_calibration_error, scores, 3, "probabilities"),
            _cell(metrics.brier, scores, 3, "probabilities"),
        ]
        rows.append([scores.model, NOTHING if math.isnan(high) else f"{high:.3f}", *cells, *calibration])
    columns = [
        "model",
        "threshold",
        "accuracy",
        "balanced accuracy",
        "real right",
        "generated right",
        "F1",
        "ECE",
        "Brier",
    ]
    note = (
        "A picture counts as called generated from the shipped threshold on; inconclusive ones count as "
        "called real here, and apart among the verdicts. ECE: expected calibration error in ten bins; its "
        "interval lies too high, since resampling adds noise that counts as error. 95 % intervals by group."
        + partly(found)
    )
    return Table("Decisions at the shipped threshold", columns, rows, note)


def verdicts(found: Sequence[Scores]) -> Table:
    """One row per model: the verdicts that a user gets, and how many real pictures are accused."""
    rows = []
    for scores in found:
        given = scores.calls
        shares = []
        for label in (0, 1):
            inside = scores.labels == label
            shares.append(
                " / ".join(
                    _share(int((given[inside] == verdict).sum()), int(inside.sum())) for verdict in VERDICTS
                )
            )
        decided = (given != "inconclusive") & (scores.labels == 0)
        accused = int((given[decided] == "likely_generated").sum())
        count = int(decided.sum())
        low, high = metrics.wilson(accused, count)
        among = f"{accused} of {count}" + (f" ({low:.0%}-{high:.0%})" if count else "")
        rows.append([scores.model, *shares, among, _most_accused(scores)])
    columns = [
        "model",
        "real: called generated / inconclusive / called real",
        "generated: the same",
        "accused among real pictures with a verdict",
        "most accused source",
    ]
    note = "Most accused: the source of at least 10 real pictures with the largest share called generated."
    note += partly(found)
    return Table("Verdicts as users get them", columns, rows, note)


def partly(found: Sequence[Scores]) -> str:
    """A sentence for the note of a table, if any model called a picture partly generated."""
    counts = [f"{int(scores.partly.sum())} of {scores.model}" for scores in found if scores.partly.any()]
    if not counts:
        return ""
    names = ", ".join(counts)
    return f" Likely partly generated counts as called generated, whatever the probability: {names}."


def _names(names: set[str]) -> str:
    return ", ".join(sorted(names))


def _most_accused(scores: Scores) -> str:
    found = metrics.real_groups(scores.labels, scores.decisive, scores.groups, scores.thresholds[1])
    worst = metrics.worst_real_group(found)
    if worst is None:
        return NOTHING
    return f"{worst.name}: {worst.accused} of {worst.count}" if worst.accused else "none"


def by_generator(scores: Scores) -> Table:
    """One row per generator, against its real pictures."""
    over = _over_generators(scores)
    small = {pair.generator for pair in over.left_out}
    given, groups = scores.calls, np.array(scores.groups)
    rows = []
    for pair in metrics.pairings(scores.labels, scores.groups, scores.compare_with):
        inside = (groups == pair.generator) & (scores.labels == 1)
        few = pair.generator in small
        figure = "fewer than 10 pictures" if few else text(over.values[pair.generator])
        shares = [f"{(given[inside] == verdict).mean():.0%}" for verdict in VERDICTS]
        rows.append([pair.generator, str(pair.generated), str(pair.real), figure, *shares])
    columns = ["generator", "pictures", "real", "AUROC", "called generated", "inconclusive", "called real"]
    note = "95 % intervals by picture." + partly([scores])
    return Table(f"{scores.model}, generator by generator", columns, rows, note)


def by_source(scores: Scores) -> Table:
    """One row per source of real pictures: who gets accused."""
    given, groups = scores.calls, np.array(scores.groups)
    rows = []
    for group in metrics.real_groups(scores.labels, scores.decisive, scores.groups, scores.thresholds[1]):
        inside = (groups == group.name) & (scores.labels == 0)
        shares = [f"{(given[inside] == verdict).mean():.0%}" for verdict in VERDICTS]
        accused = f"{group.accused} ({group.low:.0%}-{group.high:.0%})"
        rows.append([group.name, str(group.count), accused, *shares])
    columns = [
        "source of real pictures",
        "pictures",
        "accused",
        "called generated",
        "inconclusive",
        "called real",
    ]
    return Table(
        f"{scores.model}, source by source",
        columns,
        rows,
        "Accused: at or above the shipped threshold; 95 % Wilson intervals of the share, as if the pictures "
        "of a source were independent." + partly([scores]),
    )


def reliability(scores: Scores) -> Table:
    """Ten bins of the probability: what it said and what came true."""
    rows = [
        [
            f"{part.low:.1f}-{part.high:.1f}",
            str(part.count),
            f"{part.mean_probability:.3f}",
            f"{part.share_generated:.2f} ({part.interval_low:.2f}-{part.interval_high:.2f})",
        ]
        for part in metrics.reliability_table(scores.labels, scores.probabilities)
        if part.count
    ]
    columns = ["probability", "pictures", "mean probability", "share generated"]
    return Table(
        f"{scores.model}: what its probabilities are worth",
        columns,
        rows,
        f"Of {scores.real} real and {scores.generated} generated pictures; 95 % Wilson intervals.",
    )


def robustness(found: dict[str, list[tuple[float, str, list[Scores]]]]) -> Table:
    """One row per perturbation and level: AUROC of every model.

    Args:
        found: family -> (level, condition, one `Scores` per model), levels in the order of the sweep.
    """
    models = list(dict.fromkeys(s.model for levels in found.values() for _, _, some in levels for s in some))
    rows = []
    for levels in found.values():
        for _, condition, some in levels:
            by_model = {scores.model: scores for scores in some}
            cells = [_cell(metrics.auroc, by_model[name]) if name in by_model else NOTHING for name in models]
            first = some[0]
            rows.append([condition, f"{first.real} / {first.generated}", *cells])
    return Table(
        "AUROC under perturbations",
        ["condition", "real / generated", *models],
        rows,
        "95 % intervals by group. The same perturbation for both classes.",
    )


def not_scored(found: Sequence[Scores]) -> list[Table]:
    """Pictures that some model has no score for, with the reason; no table if there are none."""
    losses: dict[tuple[str, str, str], list[str]] = {}
    for scores in found:
        who = (
            scores.model
            if len({one.condition for one in found}) == 1
            else f"{scores.model}, {scores.condition}"
        )
        for path, reason in scores.left_out:
            losses.setdefault((path, "left out", reason), []).append(who)
        for path, reason in scores.unreadable:
            losses.setdefault((path, "could not be read", reason), []).append(who)
    if not losses:
        return []
    rows = [
        [path, kind, reason, "all" if len(who) == len(found) else "; ".join(who)]
        for (path, kind, reason), who in losses.items()
    ]
    count = len({path for path, _, _ in losses})
    return [Table(f"Without a score: {count} pictures", ["picture", "what", "why", "where"], rows)]


def measured(scores: Scores, data: str) -> list[Measured]:
    """The overall figures as entries of a model card, intervals by group."""
    wanted: dict[str, Metric] = {
        "AUROC": metrics.auroc,
        "recall at 1 % FPR": partial(metrics.recall_at_fpr, rate=0.01),
        "recall at 5 % FPR": partial(metrics.recall_at_fpr, rate=0.05),
    }
    found = []
    for name, metric in wanted.items():
        interval = metrics.interval(metric, scores.labels, scores.logits, draws_of(scores).by_group)
        found.append(
            Measured(
                data=data,
                metric=f"{name}, interval by group",
                value=round(interval.value, 4),
                low=round(interval.low, 4),
                high=round(interval.high, 4),
                real=scores.real,
                generated=scores.generated,
            )
        )
    return found


def draws_of(scores: Scores) -> BothDraws:
    """Bootstrap draws, the same for all models on the same pictures: differences between them are paired."""
    # Draws take 8 bytes for each picture and resample: very large sets, whose intervals are small, get fewer.
    count = max(200, min(DRAWS, MOST // max(1, len(scores.paths))))
    return _draws_of(
        tuple(scores.labels.tolist()), tuple(scores.pictures), tuple(scores.groups), min(DRAWS, count)
    )


@lru_cache(maxsize=2)
def _draws_of(
    labels: tuple[int, ...], pictures: tuple[str, ...], groups: tuple[str, ...], count: int
) -> BothDraws:
    return metrics.both_draws(np.array(labels, dtype=np.int64), pictures, groups, count)


def _over_generators(scores: Scores) -> metrics.Generators:
    return metrics.over_generators(
        metrics.auroc,
        scores.labels,
        scores.logits,
        scores.groups,
        scores.compare_with,
        draws_of(scores).by_picture,
    )


def _both(metric: Metric, scores: Scores) -> tuple[str, str, str]:
    both: BothIntervals = metrics.both_intervals(metric, scores.labels, scores.logits, draws_of(scores))
    return _number(both.value), _range(both.by_picture), _range(both.by_group)


def _cell(
    metric: Callable[..., float],
    scores: Scores,
    digits: int = 3,
    what: Literal["logits", "probabilities", "decisive"] = "logits",
) -> str:
    values: Values = getattr(scores, what)
    if not len(values) or np.isnan(values).any():
        return NOTHING
    return text(metrics.interval(metric, scores.labels, values, draws_of(scores).by_group), digits)


def _difference(scores: Scores, first: Scores) -> str:
    if scores is first:
        return NOTHING
    ours, theirs = _common(scores, first)
    if not len(ours):
        return "no common pictures"
    mine = _part(scores, ours)
    found = metrics.difference(
        metrics.auroc, mine.labels, mine.logits, first.logits[theirs], draws_of(mine).by_group
    )
    some = "" if len(ours) == len(scores.paths) == len(first.paths) else f" on {len(ours)} common pictures"
    return f"{found.value:+.3f} ({found.low:+.3f}, {found.high:+.3f}){some}"


def _common(a: Scores, b: Scores) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Positions of the pictures that both have scored, in the order of the first."""
    places = {path: index for index, path in enumerate(b.paths)}
    pairs = [(index, places[path]) for index, path in enumerate(a.paths) if path in places]
    both = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def _part(scores: Scores, index: npt.NDArray[np.int64]) -> Scores:
    if len(index) == len(scores.paths):
        return scores
    return replace(
        scores,
        labels=scores.labels[index],
        logits=scores.logits[index],
        groups=[scores.groups[i] for i in index],
        pictures=[scores.pictures[i] for i in index],
    )


def text(interval: Interval, digits: int = 3) -> str:
    """A figure with its interval, for a cell."""
    if math.isnan(interval.value):
        return NOTHING
    return f"{_number(interval.value, digits)} ({_range(interval, digits)})"


def _number(value: float, digits: int = 3) -> str:
    return NOTHING if math.isnan(value) else f"{value:.{digits}f}"


def _range(interval: Interval, digits: int = 3) -> str:
    if math.isnan(interval.low) or math.isnan(interval.high):
        return "no interval"
    return f"{interval.low:.{digits}f}-{interval.high:.{digits}f}"


def _share(count: int, total: int) -> str:
    return f"{count} ({count / total:.0%})" if total else "0"
