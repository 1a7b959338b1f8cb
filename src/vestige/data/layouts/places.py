"""From the folders above a pair of label folders to split, group and class."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from vestige.data.catalogue import Benchmark, Folders
from vestige.data.layouts.found import NotThisLayoutError

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}

Parts = tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """What the folders above a pair of label folders say.

    Attributes:
        group: after aliases; the set's name if there is no group folder.
        folder: the folders down to the group's own, () if there is none.
        category: classes below the group, joined by "/".
    """

    split: str
    group: str
    folder: Parts
    category: str


def places(sites: Iterable[Parts], benchmark: Benchmark, name: str) -> dict[Parts, Place]:
    """Place each site, a folder that directly holds label folders.

    Args:
        sites: folder names from the root down.
        name: of the data set; the group of label folders that stand alone.

    Raises:
        NotThisLayoutError: a site stands where this benchmark has none.
    """
    layout = benchmark.layout
    assert isinstance(layout, Folders)
    sites = list(sites)
    found = {site: _place(site, layout, benchmark, name, layout.split) for site in sites}
    if layout.split == "either" and len({bool(place.split) for place in found.values()}) == 2:
        # There are sets with a class "train" (the vehicle): a split stands everywhere or nowhere.
        found = {site: _place(site, layout, benchmark, name, "none") for site in sites}
    return found


def _place(site: Parts, layout: Folders, benchmark: Benchmark, name: str, where: str) -> Place:
    names, split = list(site), ""
    tops = {top.lower() for top in layout.top}
    while names and names[0].lower() in tops:
        names.pop(0)
    if where in {"above", "either"} and names and names[0].lower() in SPLITS:
        split = SPLITS[names.pop(0).lower()]
    if where in {"below", "either"} and not split and names and names[-1].lower() in SPLITS:
        split = SPLITS[names.pop().lower()]
    if layout.wrapper:
        wrapper = re.compile(layout.wrapper, re.IGNORECASE)
        names = names[:1] + [one for one in names[1:] if not wrapper.fullmatch(one)]
    where_it_is = "/".join(site) or "the folder itself"
    if not names:
        if not layout.bare:
            raise NotThisLayoutError(
                f"label folders stand directly in {where_it_is}, without a folder per generator"
            )
        return Place(split, name, (), "")
    for group, folders in benchmark.class_folders.items():
        if names[0] in folders:
            return Place(split, group, (), "/".join(names))
    if len(names) > 1 and not layout.classes:
        raise NotThisLayoutError(f"{where_it_is}: a level of folders too many above the label folders")
    folder = site[: site.index(names[0]) + 1]
    return Place(split, benchmark.aliases.get(names[0], names[0]), folder, "/".join(names[1:]))
