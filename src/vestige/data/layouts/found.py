"""What a reader finds: entries with labels, and everything that a person should know about the rest."""

from dataclasses import dataclass, field

from vestige.data.catalogue import Benchmark
from vestige.data.shards import Place
from vestige.errors import DataError

# Lists in messages stop here; the count is always said.
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Entry:
    """One labelled picture; attributes as in `vestige.data.manifest.Row`.

    Attributes:
        file: ready to open, absolute.
        mask, changed: absolute; "" if there is none.
        sha256: as a table states it; "" if nothing is stated.
        place: where a member of a tar shard lies; None for all others.
    """

    file: str
    label: int
    group: str
    split: str = ""
    category: str = ""
    member: str = ""
    picture: str = ""
    compare_with: str = ""
    mask: str = ""
    changed: str = ""
    manipulation: str = ""
    source: str = ""
    licence: str = ""
    sha256: str = ""
    kind: str = ""
    place: Place | None = None


@dataclass
class Found:
    """A data set as it lies on the disk.

    Attributes:
        benchmark: the layout that was used.
        name: of the data set.
        root: folder or file that was read, absolute.
        entries: in the order of their POSIX names, rows of a Parquet file in their own order.
        stray: files that do not belong to the set, relative to `root`; folders end in "/".
        findings: what is odd but no reason to refuse, one sentence each.
    """

    benchmark: Benchmark
    name: str
    root: str
    entries: list[Entry]
    stray: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)


class NotThisLayoutError(DataError):
    """The data do not look like this benchmark at all, as opposed to: look like it, but are damaged."""


def some(names: list[str]) -> str:
    """The first names of a list, and how many there are if that is more."""
    text = ", ".join(names[:SHOWN])
    return text if len(names) <= SHOWN else f"{text}, ... ({len(names)} in all)"
