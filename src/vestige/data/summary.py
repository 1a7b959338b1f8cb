"""Counts of a data set: pictures by split, group and class, their formats and sizes."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from vestige.data.check import Looked
from vestige.data.layouts.found import Entry


@dataclass
class Line:
    """One split and group, both classes.

    Attributes:
        real, generated: pictures; those that cannot be read are counted here too.
        unreadable: of both classes, among those that were looked at.
        formats: label -> format -> pictures looked at.
        sides: label -> (shortest, longest) side in pixels among pictures looked at.
    """

    split: str
    group: str
    real: int = 0
    generated: int = 0
    unreadable: int = 0
    formats: dict[int, Counter[str]] = field(default_factory=lambda: {0: Counter(), 1: Counter()})
    sides: dict[int, tuple[int, int]] = field(default_factory=dict)

    def looks(self, label: int) -> str:
        """Formats and range of sides of one class, for people."""
        if not self.formats[label]:
            return ""
        low, high = self.sides[label]
        formats = ", ".join(f"{name} {count}" for name, count in sorted(self.formats[label].items()))
        return f"{formats}; {low} px" if low == high else f"{formats}; {low}-{high} px"


def summarise(entries: Iterable[Entry], looked: Iterable[tuple[Entry, Looked]]) -> list[Line]:
    """Lines in the order of their names; a group and its own real pictures ("GROUP/real") share one.

    Args:
        entries: all pictures.
        looked: those that were looked at.
    """
    lines: dict[tuple[str, str], Line] = {}

    def line(entry: Entry) -> Line:
        key = (entry.split, entry.group.removesuffix("/real"))
        return lines.setdefault(key, Line(*key))

    for entry in entries:
        if entry.label:
            line(entry).generated += 1
        else:
            line(entry).real += 1
    for entry, one in looked:
        own = line(entry)
        if one.problem:
            own.unreadable += 1
            continue
        own.formats[entry.label][one.format] += 1
        short, long = min(one.width, one.height), max(one.width, one.height)
        low, high = own.sides.get(entry.label, (short, long))
        own.sides[entry.label] = (min(low, short), max(high, long))
    return [lines[key] for key in sorted(lines)]
