"""A folder of generated pictures per generator; the real pictures come from a further folder."""

import os
from pathlib import PurePath

from vestige.data.catalogue import Benchmark, Generators
from vestige.data.layouts.found import Entry, Found, NotThisLayoutError, some
from vestige.data.layouts.tree import Tree
from vestige.data.layouts.words import label_of
from vestige.errors import DataError


def read(tree: Tree, benchmark: Benchmark, name: str, strict: bool, real: Tree | None) -> Found:
    """Every picture in a generator's folder is generated, every picture below `real` is real.

    Args:
        strict: as for `folders.read`.
        real: folder with the real pictures; without it the set has one class, which is a finding.

    Raises:
        NotThisLayoutError: no folder of a known generator, or label folders.
        DataError: pictures outside the generators' folders; no real pictures where some were promised.
    """
    layout = benchmark.layout
    assert isinstance(layout, Generators)
    tops = {top.lower() for top in layout.top}
    found = Found(benchmark, name, tree.root, [], list(tree.stray))
    unknown: set[str] = set()
    for folder in tree.folders:
        names = list(folder.parts)
        while names and names[0].lower() in tops:
            names.pop(0)
        if any(label_of(part) is not None for part in names):
            raise NotThisLayoutError(
                f"{folder.name}: a label folder, where folders are named after generators"
            )
        if not folder.pictures:
            continue
        if not names:
            if strict:
                raise NotThisLayoutError(f"{len(folder.pictures)} pictures outside folders of generators")
            raise DataError(f"{folder.name}: {len(folder.pictures)} pictures outside the generators' folders")
        if names[0] not in benchmark.groups:
            unknown.add(names[0])
        found.entries += [
            Entry(
                file=os.path.join(tree.root, *folder.parts, picture),
                label=1,
                group=names[0],
                category="/".join(names[1:]),
                picture=_stem(picture) if layout.same_name else "",
                compare_with="" if real is None else _real_group(real),
            )
            for picture in folder.pictures
        ]
    if not found.entries:
        raise NotThisLayoutError(f"no folders such as {some(benchmark.groups)}; there are {tree.seen()}")
    if unknown and strict:
        raise NotThisLayoutError(f"{some(sorted(unknown))}: not among the published folders")
    if unknown:
        found.findings.append(f"not among the published groups: {some(sorted(unknown))}")
    if real is None:
        found.findings.append("no real pictures: the set brings none, name a folder of them with --real")
    else:
        _add_real(found, real, layout)
    for link in (*tree.loops, *(real.loops if real else ())):
        found.findings.append(f"{link}: a link that leads back to a folder above it, not followed")
    return found


def _add_real(found: Found, real: Tree, layout: Generators) -> None:
    before = len(found.entries)
    found.stray += [os.path.join(real.root, name) for name in real.stray]
    for folder in real.folders:
        found.entries += [
            Entry(
                file=os.path.join(real.root, *folder.parts, picture),
                label=0,
                group=_real_group(real),
                category="/".join(folder.parts),
                picture=_stem(picture) if layout.same_name else "",
            )
            for picture in folder.pictures
        ]
    if len(found.entries) == before:
        raise DataError(f"{real.root}: no pictures; --real takes the folder with the real ones")


def _real_group(real: Tree) -> str:
    return f"{os.path.basename(real.root)}/real"


def _stem(picture: str) -> str:
    return PurePath(picture).stem.lower()
