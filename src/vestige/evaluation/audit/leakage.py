"""VA206 to VA209: groups, source pictures and sources that are in more than one split, and pairs."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from vestige.data.manifest import Row
from vestige.evaluation.audit.contrast import counted
from vestige.evaluation.audit.duplicates import NO_SPLITS, split_names
from vestige.evaluation.audit.findings import EXAMPLES, Finding, Section, finding

NO_GROUP = "unknown"  # what `read_manifest` puts where a row has no group


def find_leakage(rows: Sequence[Row]) -> list[Finding]:
    """What the manifest itself says of its splits."""
    if len(split_names(rows)) < 2:
        found = [finding(code, "not_applicable", NO_SPLITS) for code in ("VA206", "VA207", "VA208")]
    else:
        groups = _splits((row.group if row.group != NO_GROUP else "", row.split) for row in rows)
        pictures = _splits((row.picture, row.split) for row in rows)
        leaking = {group for group, splits in groups.items() if len(splits) > 1}
        # A group that leaks takes its source along; that is said once, of the group.
        sources = _splits((row.source, row.split) for row in rows if row.group not in leaking)
        found = [
            _shared("VA206", "groups", groups, "issue"),
            _shared("VA207", "source pictures", pictures, "issue"),
            _shared("VA208", "sources", sources, "tip"),
        ]
    found.append(_pairs(rows))
    return found


def _splits(pairs: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for name, split in pairs:
        if name and split:
            found[name].add(split)
    return found


def _shared(code: str, what: str, splits: dict[str, set[str]], section: Section) -> Finding:
    if not splits:
        return finding(code, "not_applicable", f"The manifest names no {what}.")
    shared = sorted(name for name, where in splits.items() if len(where) > 1)
    if not shared:
        return finding(code, "passed", f"{what.capitalize()}: {len(splits)}, each in one split only.")
    examples = [f"{name}: {', '.join(sorted(splits[name]))}" for name in shared[:EXAMPLES]]
    words = f"{len(shared)} of {len(splits)} {what} in more than one split."
    return finding(code, section, words, examples=examples)


def _pairs(rows: Sequence[Row]) -> Finding:
    labels: dict[str, set[int]] = defaultdict(set)
    for row in rows:
        if row.picture:
            labels[row.picture].add(row.label)
    both = sorted(picture for picture, found in labels.items() if len(found) > 1)
    if not both:
        return finding("VA209", "not_applicable", "No real and generated rows share a source picture.")
    words = (
        f"{counted(len(both), 'source picture')} with real and generated rows, as reconstructions have. "
        "This is no fault: content cannot tell such classes apart. Both halves of a pair belong in one split."
    )
    return finding("VA209", "passed", words, examples=both[:EXAMPLES])
