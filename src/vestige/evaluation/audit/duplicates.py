"""VA201 to VA205: pictures that occur more than once, exactly or nearly."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vestige.data.manifest import Row
from vestige.evaluation.audit.contrast import counted
from vestige.evaluation.audit.findings import EXAMPLES, Finding, Section, finding
from vestige.evaluation.audit.folds import Labels
from vestige.evaluation.audit.measure import Records
from vestige.evaluation.audit.near import Indices, Pairs, is_flat, near_duplicates

NO_SPLITS = "The manifest has no splits, or only one."


def split_names(rows: Sequence[Row]) -> list[str]:
    """The splits in alphabetical order; rows without one are in none."""
    return sorted({row.split for row in rows} - {""})


def find_duplicates(rows: Sequence[Row], records: Records, labels: Labels) -> list[Finding]:
    """Exact and near duplicates within and across classes and splits, among all readable pictures."""
    found = _exact(rows, records)
    names = split_names(rows)
    splits = np.array([names.index(row.split) if row.split else -1 for row in rows], dtype=np.int64)
    pictures = np.unique([row.picture or row.name for row in rows], return_inverse=True)[1]

    def classes_differ(first: Indices, second: Indices) -> npt.NDArray[np.bool_]:
        return np.asarray((labels[first] != labels[second]) & (pictures[first] != pictures[second]))

    def splits_differ(first: Indices, second: Indices) -> npt.NDArray[np.bool_]:
        known = (splits[first] >= 0) & (splits[second] >= 0)
        return np.asarray(known & (splits[first] != splits[second]))

    facts = np.column_stack([labels, splits, pictures])
    same = np.unique(facts, axis=0, return_inverse=True)[1].reshape(-1)
    usable = records["readable"]
    pairs = near_duplicates(records, usable, same, {"class": classes_differ, "split": splits_differ})
    flat = int((is_flat(records) & usable).sum())
    found.append(_near("VA204", "both classes", pairs["class"], rows, flat))
    if len(names) < 2:
        found.append(finding("VA205", "not_applicable", NO_SPLITS))
    else:
        found.append(_near("VA205", "more than one split", pairs["split"], rows, flat))
    return found


def _exact(rows: Sequence[Row], records: Records) -> list[Finding]:
    index = np.flatnonzero(records["readable"])
    # Files with the same bytes have the same pixels.
    digests, place = np.unique(records["pixel_digest"][index], return_inverse=True)
    repeated = np.flatnonzero(np.bincount(place, minlength=len(digests)) > 1)
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(len(digests) + 1))
    sets = [index[order[starts[number] : starts[number + 1]]].tolist() for number in repeated]
    sets.sort()
    across_classes = [s for s in sets if len({rows[i].label for i in s}) > 1]
    across_splits = [s for s in sets if len({rows[i].split for i in s} - {""}) > 1]
    within = [s for s in sets if len({(rows[i].label, rows[i].split) for i in s}) < len(s)]
    found = [_copies("VA201", "issue", "in both classes", across_classes, rows, records)]
    if len(split_names(rows)) < 2:
        found.append(finding("VA202", "not_applicable", NO_SPLITS))
    else:
        found.append(_copies("VA202", "issue", "in more than one split", across_splits, rows, records))
    found.append(_copies("VA203", "tip", "more than once in one class and split", within, rows, records))
    return found


def _copies(
    code: str, section: Section, where: str, sets: list[list[int]], rows: Sequence[Row], records: Records
) -> Finding:
    if not sets:
        return finding(code, "passed", f"No picture occurs {where}.")
    same_bytes = sum(len(set(records["file_digest"][s].tolist())) < len(s) for s in sets)
    words = (
        f"{counted(len(sets), 'set')} of identical pictures {where} ({sum(map(len, sets))} rows): in "
        f"{same_bytes} some files agree byte for byte, in the others the pixels alone."
    )
    examples = [" = ".join(rows[i].name for i in s[:4]) for s in sets[:EXAMPLES]]
    return finding(code, section, words, examples=examples)


def _near(code: str, where: str, pairs: Pairs, rows: Sequence[Row], flat: int) -> Finding:
    left_out = (
        f" Left out: {counted(flat, 'flat picture')} that show too little to be recognised." if flat else ""
    )
    if not pairs.members:
        return finding(code, "passed", f"No near-duplicates in {where}.{left_out}")
    words = f"{counted(len(pairs.members), 'picture')} in pairs of near-duplicates in {where}.{left_out}"
    examples = [f"{rows[i].name} ~ {rows[j].name}" for _, i, j in pairs.closest[:EXAMPLES]]
    return finding(code, "issue", words, examples=examples)
