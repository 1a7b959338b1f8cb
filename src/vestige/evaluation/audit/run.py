"""The audit as a whole: measure once, ask all questions, say how."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import sklearn

from vestige import __version__
from vestige.data.manifest import Row
from vestige.errors import DataError
from vestige.evaluation.audit.composition import find_composition
from vestige.evaluation.audit.duplicates import find_duplicates, split_names
from vestige.evaluation.audit.findings import Audit, Counts
from vestige.evaluation.audit.folds import DRAWS, FOLDS
from vestige.evaluation.audit.leakage import NO_GROUP, find_leakage
from vestige.evaluation.audit.measure import Progress, measure_all
from vestige.evaluation.audit.shortcuts import find_shortcuts

LIMIT = 20_000


def run_audit(
    rows: list[Row],
    *,
    name: str,
    seed: int = 0,
    progress: Progress | None = None,
    limit: int = LIMIT,
    workers: int | None = None,
) -> Audit:
    """Audit a data set. Every picture is decoded once; the same rows and seed give the same audit.

    Args:
        rows: of all splits together.
        name: of the data set, as reports call it.
        seed: of folds, resamples and the sample.
        progress: called with the number of pictures done and of all.
        limit: shortcuts are measured on at most about so many pictures, drawn by group; duplicates are
            looked for among all.
        workers: threads that decode; None: one per processor, at most 8.

    Raises:
        DataError: there are no rows.
    """
    if not rows:
        raise DataError(f"{name}: no rows to audit; the manifest is empty")
    labels = np.array([row.label for row in rows], dtype=np.int64)
    measured = measure_all(rows, progress, workers)
    readable = np.flatnonzero(measured.records["readable"])
    chosen = readable[draw_sample([rows[i] for i in readable], limit, seed)]
    shortcuts = find_shortcuts(
        measured.records[chosen],
        labels[chosen],
        [rows[i].group for i in chosen],
        [rows[i].picture or rows[i].name for i in chosen],
        seed,
    )
    notes = [
        f"Shortcuts: scores out of fold ({FOLDS} folds), intervals from {DRAWS} resamples, both by group "
        "where each class has at least 5 groups, by source picture otherwise."
    ]
    if len(chosen) < len(readable):
        notes.append(
            f"Shortcuts were measured on a sample of {len(chosen)} of {len(readable)} readable pictures, "
            f"drawn by group with seed {seed}; duplicates were looked for among all."
        )
    return Audit(
        name=name,
        seed=seed,
        pictures=_counts(labels),
        judged=_counts(labels[chosen]),
        groups=Counts(
            real=len({row.group for row in rows if row.label == 0} - {NO_GROUP}),
            generated=len({row.group for row in rows if row.label == 1} - {NO_GROUP}),
        ),
        splits={
            split: _counts(np.array([row.label for row in rows if row.split == split]))
            for split in split_names(rows)
        },
        notes=notes,
        versions={"vestige": __version__, "scikit-learn": sklearn.__version__, "numpy": np.__version__},
        findings=[
            *shortcuts,
            *find_duplicates(rows, measured.records, labels),
            *find_leakage(rows),
            *find_composition(rows, measured, labels),
        ],
    )


def draw_sample(rows: Sequence[Row], limit: int, seed: int) -> npt.NDArray[np.int64]:
    """Indices of about `limit` rows, ascending: of every group of every class its share, at least one."""
    if len(rows) <= limit:
        return np.arange(len(rows))
    rng = np.random.default_rng(seed)
    members: dict[tuple[int, str], list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        members[row.label, row.group].append(index)
    drawn = [
        rng.choice(part, max(1, limit * len(part) // len(rows)), replace=False)
        for _, part in sorted(members.items())
    ]
    return np.sort(np.concatenate(drawn))


def _counts(labels: npt.NDArray[np.int64]) -> Counts:
    found = Counter(labels.tolist())
    return Counts(real=found[0], generated=found[1])
