"""Tables of one model by the kind of picture (photo, screenshot, art, ...), as the manifest names it."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from vestige.evaluation import metrics, tables
from vestige.evaluation.metrics import Indices
from vestige.evaluation.metrics.groups import MINIMUM
from vestige.evaluation.scores import Scores
from vestige.evaluation.table import Table
from vestige.inference.card import OperatingPoint

OTHER, UNNAMED = "other", "not stated"
RATES = (0.01, 0.05)


def by_kind(scores: Scores, points: Sequence[OperatingPoint]) -> list[Table]:
    """Who is accused and what is found, kind by kind; no tables where the kinds are not known.

    Args:
        points: of the model's card.
    """
    if not any(scores.kinds):
        return []
    kinds = _lumped(scores)
    given = {point.fpr: point.threshold for point in points}
    thresholds = [given.get(rate) for rate in RATES]
    return [
        *([_real(scores, kinds, thresholds)] if scores.real else []),
        *([_generated(scores, kinds, thresholds[-1])] if scores.generated else []),
    ]


def _real(scores: Scores, kinds: list[str], thresholds: list[float | None]) -> Table:
    rows = [
        [
            kind,
            str(len(inside)),
            *(_called(scores, inside, at) for at in thresholds),
            *_shares(scores, inside),
        ]
        for kind, inside in _members(scores, kinds, 0).items()
    ]
    columns = [
        "kind of real pictures",
        "pictures",
        *(f"accused at {rate:.0%} FPR".replace("%", " %") for rate in RATES),
        "called generated",
        "inconclusive",
        "called real",
    ]
    return Table(
        f"{scores.model}, kind by kind: real pictures",
        columns,
        rows,
        "Accused: at or above the threshold that the model ships for this false positive rate, which it has "
        f"on the pictures of its calibration. {_note(scores)}",
    )


def _generated(scores: Scores, kinds: list[str], threshold: float | None) -> Table:
    areas = metrics.over_generators(
        metrics.auroc,
        scores.labels,
        scores.logits,
        kinds,
        [""] * len(kinds),
        tables.draws_of(scores).by_picture,
    ).values
    rows = []
    for kind, inside in _members(scores, kinds, 1).items():
        area = tables.text(areas[kind]) if kind in areas else "fewer than 10 pictures"
        found = _called(scores, inside, threshold)
        rows.append([kind, str(len(inside)), area, found, *_shares(scores, inside)])
    columns = [
        "kind of generated pictures",
        "pictures",
        "AUROC",
        "found at 5 % FPR",
        "called generated",
        "inconclusive",
        "called real",
    ]
    return Table(
        f"{scores.model}, kind by kind: generated pictures",
        columns,
        rows,
        f"AUROC against all {scores.real} real pictures, 95 % intervals by picture. Found: at or above the "
        f"threshold that the model ships for this false positive rate. {_note(scores)}",
    )


def _note(scores: Scores) -> str:
    return (
        f"95 % Wilson intervals, as if pictures were independent. Kinds of fewer than {MINIMUM} pictures are "
        f"put together as {OTHER}." + tables.partly([scores])
    )


def _lumped(scores: Scores) -> list[str]:
    """The kind of each picture; rare ones of its class are "other"."""
    pairs = [
        (label, kind or UNNAMED) for label, kind in zip(scores.labels.tolist(), scores.kinds, strict=True)
    ]
    counts = Counter(pairs)
    return [kind if counts[label, kind] >= MINIMUM else OTHER for label, kind in pairs]


def _members(scores: Scores, kinds: list[str], label: int) -> dict[str, Indices]:
    """Kind -> positions of its pictures of a class; by name, "other" and unnamed ones last."""
    names = np.array(kinds)
    inside = scores.labels == label
    order = sorted(set(names[inside].tolist()), key=lambda kind: (kind in (OTHER, UNNAMED), kind))
    return {kind: np.flatnonzero(inside & (names == kind)) for kind in order}


def _called(scores: Scores, inside: Indices, threshold: float | None) -> str:
    """How many are at or above a threshold, their share and its interval."""
    values = scores.decisive[inside]
    if threshold is None or np.isnan(values).any():
        return tables.NOTHING
    count, total = int((values >= threshold).sum()), len(inside)
    low, high = metrics.wilson(count, total)
    return f"{count} ({count / total:.1%}, {low:.1%}-{high:.1%})"


def _shares(scores: Scores, inside: Indices) -> list[str]:
    given = scores.calls[inside]
    return [f"{(given == verdict).mean():.0%}" for verdict in tables.VERDICTS]
