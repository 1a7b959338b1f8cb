"""VA3xx: labels, groups, sizes, licences and files of a data set, counted."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from vestige.data.manifest import Row
from vestige.evaluation.audit.contrast import counted, percent
from vestige.evaluation.audit.duplicates import split_names
from vestige.evaluation.audit.findings import EXAMPLES, Finding, Section, finding
from vestige.evaluation.audit.folds import Labels
from vestige.evaluation.audit.leakage import NO_GROUP
from vestige.evaluation.audit.measure import Measured, Records

LOPSIDED, UNEVEN = 10.0, 3.0  # ratio of the classes: issue, tip
TINY = 10  # pictures in a group


def find_composition(rows: Sequence[Row], measured: Measured, labels: Labels) -> list[Finding]:
    """What the set is made of."""
    readable = measured.records["readable"]
    return [
        _sizes(measured.records[readable], labels[readable]),
        _balance(rows),
        _variety("VA303", 1, "generator", "generated", rows),
        _variety("VA304", 0, "source", "real", rows),
        _tiny(rows),
        _unreadable(rows, measured),
        _licences(rows),
        _both_classes(rows),
        _ungrouped(rows),
        _as_stated(rows, measured.records),
    ]


def _sizes(records: Records, labels: Labels) -> Finding:
    if len(set(labels.tolist())) < 2:
        return finding("VA301", "not_applicable", "There are readable pictures of one class only.")
    shorter = np.minimum(records["width"], records["height"])
    real, generated = shorter[labels == 0], shorter[labels == 1]
    ranges = (
        f"Shorter sides: {real.min()} to {real.max()} pixels (real), {generated.min()} to {generated.max()} "
        "(generated)."
    )
    if real.max() < generated.min() or generated.max() < real.min():
        return finding("VA301", "issue", f"The ranges of sizes do not even touch. {ranges}")
    sizes = list(zip(records["width"].tolist(), records["height"].tolist(), strict=True))
    by_class = [{size for size, at in zip(sizes, labels, strict=True) if at == label} for label in (0, 1)]
    common = by_class[0] & by_class[1]
    if not common:
        return finding("VA301", "tip", f"No width x height occurs in both classes. {ranges}")
    inside = [
        float(np.mean([size in common for size, at in zip(sizes, labels, strict=True) if at == label]))
        for label in (0, 1)
    ]
    words = (
        f"{counted(len(common), 'size')} in common: of {percent(inside[0])} of the real and of "
        f"{percent(inside[1])} of the generated pictures. {ranges}"
    )
    return finding("VA301", "passed", words)


def _balance(rows: Sequence[Row]) -> Finding:
    parts = {"the whole set": rows}
    parts |= {f"split {name}": [row for row in rows if row.split == name] for name in split_names(rows)}
    worst, words = 1.0, []
    for name, part in parts.items():
        generated = sum(row.label for row in part)
        real = len(part) - generated
        worst = max(worst, max(real, generated) / min(real, generated) if real and generated else np.inf)
        words.append(f"{name}: {real} real, {generated} generated")
    section: Section = "issue" if worst >= LOPSIDED else "tip" if worst >= UNEVEN else "passed"
    text = "; ".join(words) + "."
    return finding("VA302", section, text[0].upper() + text[1:])


def _variety(code: str, label: int, what: str, name: str, rows: Sequence[Row]) -> Finding:
    groups = sorted({row.group for row in rows if row.label == label} - {NO_GROUP})
    if not groups:
        return finding(code, "not_applicable", f"No {name} row has a group.")
    if len(groups) == 1:
        return finding(code, "tip", f"All {name} pictures come from one {what}: {groups[0]}.")
    return finding(code, "passed", f"The {name} pictures come from {len(groups)} {what}s.")


def _tiny(rows: Sequence[Row]) -> Finding:
    counts = Counter((row.group, row.label) for row in rows if row.group != NO_GROUP)
    if not counts:
        return finding("VA305", "not_applicable", "No row has a group.")
    tiny = sorted((count, group) for (group, _), count in counts.items() if count < TINY)
    if not tiny:
        return finding("VA305", "passed", f"Each of the {len(counts)} groups has at least {TINY} pictures.")
    words = (
        f"{len(tiny)} of {counted(len(counts), 'group')} below {TINY} pictures, "
        f"{counted(sum(c for c, _ in tiny), 'picture')} in all."
    )
    return finding("VA305", "tip", words, examples=[f"{group}: {count}" for count, group in tiny[:EXAMPLES]])


def _unreadable(rows: Sequence[Row], measured: Measured) -> Finding:
    if not measured.errors:
        return finding("VA306", "passed", f"{counted(len(rows), 'picture')}, all readable.")
    generated = sum(rows[index].label for index in measured.errors)
    words = (
        f"{len(measured.errors)} of {counted(len(rows), 'picture')} unreadable "
        f"({len(measured.errors) - generated} real, {generated} generated)."
    )
    examples = [f"{rows[index].name}: {reason}" for index, reason in sorted(measured.errors.items())]
    return finding("VA306", "issue", words, examples=examples)


def _licences(rows: Sequence[Row]) -> Finding:
    missing = [row for row in rows if not row.licence or row.licence.lower().startswith("none stated")]
    if not missing:
        different = counted(len({row.licence for row in rows}), "different text")
        return finding("VA307", "passed", f"Every row states one; {different}.")
    generated = sum(row.label for row in missing)
    groups = Counter(row.group for row in missing)
    words = (
        f"None stated for {len(missing)} of {counted(len(rows), 'picture')} "
        f"({len(missing) - generated} real, {generated} generated), in {counted(len(groups), 'group')}."
    )
    largest = sorted(groups.items(), key=lambda item: (-item[1], item[0]))
    return finding("VA307", "tip", words, examples=[f"{group}: {count}" for group, count in largest])


def _both_classes(rows: Sequence[Row]) -> Finding:
    names = [{row.group for row in rows if row.label == label} - {NO_GROUP} for label in (0, 1)]
    if not names[0] | names[1]:
        return finding("VA308", "not_applicable", "No row has a group.")
    both = sorted(names[0] & names[1])
    if not both:
        return finding("VA308", "passed", "No group has both labels.")
    words = f"{len(both)} of {counted(len(names[0] | names[1]), 'group')} with real and generated rows."
    return finding("VA308", "issue", words, examples=both)


def _ungrouped(rows: Sequence[Row]) -> Finding:
    missing = sum(row.group == NO_GROUP for row in rows)
    if not missing:
        return finding("VA309", "passed", "Every row has a group.")
    return finding("VA309", "tip", f"{missing} of {counted(len(rows), 'row')} without a group.")


def _as_stated(rows: Sequence[Row], records: Records) -> Finding:
    stated = [index for index, row in enumerate(rows) if row.sha256 and records["readable"][index]]
    if not stated:
        return finding("VA310", "not_applicable", "The manifest states no sha256 of a readable picture.")
    other = [rows[index].name for index in stated if not records["as_stated"][index]]
    if not other:
        return finding("VA310", "passed", f"{counted(len(stated), 'file')} with the sha256 that is stated.")
    return finding(
        "VA310",
        "issue",
        f"{len(other)} of {counted(len(stated), 'file')} with another sha256.",
        examples=other,
    )
