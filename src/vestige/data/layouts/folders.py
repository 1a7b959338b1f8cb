"""Pictures in label folders: merged or per class, paired on the spot or across folders."""

import os
from collections import defaultdict
from collections.abc import Callable

from vestige.data.catalogue import Benchmark, Folders
from vestige.data.layouts.found import Entry, Found, NotThisLayoutError, some
from vestige.data.layouts.places import SPLITS, Parts, Place, places
from vestige.data.layouts.tree import Folder, Tree
from vestige.data.layouts.words import label_of
from vestige.errors import DataError

CLASSES = ("real", "generated")

# Folder above the label folders -> label -> name of the label folder.
Sites = dict[Parts, dict[int, str]]


def read(tree: Tree, benchmark: Benchmark, name: str, strict: bool) -> Found:
    """Label pictures by the label folder that they lie in.

    Args:
        name: of the data set.
        strict: whether folders that the benchmark does not know mean that this is another set; a finding
            otherwise.

    Raises:
        NotThisLayoutError: no sign of this benchmark.
        DataError: a tree that looks like it, but is ambiguous or incomplete.
    """
    layout = benchmark.layout
    assert isinstance(layout, Folders)
    if strict and layout.named and not any(sign in _own_name(tree.root).lower() for sign in layout.named):
        raise NotThisLayoutError(f"the folder is not called {' or '.join(layout.named)}")
    word = _reader_of_words(benchmark)
    sites, doubts = _sites(tree, benchmark, word)
    placed = places(sites, benchmark, name)
    found = Found(benchmark, name, tree.root, [], list(tree.stray))
    _check_groups(placed, benchmark, strict, found)
    if doubts:
        raise DataError(doubts[0])
    _check_pairs(sites, placed, benchmark)
    found.findings += [
        f"{loop}: a link that leads back to a folder above it, not followed" for loop in tree.loops
    ]
    _collect(tree, sites, placed, benchmark, word, found)
    return found


def expected(benchmark: Benchmark) -> str:
    """The label folders of a benchmark, in words."""
    if not benchmark.words:
        return "two label folders such as real and fake, nature and ai, 0_real and 1_fake"
    return " and ".join(sorted(benchmark.words, key=lambda word: benchmark.words[word]))


def _reader_of_words(benchmark: Benchmark) -> Callable[[str], int | None]:
    if benchmark.words:
        return lambda folder: benchmark.words.get(folder.lower())
    return label_of


def _own_name(root: str) -> str:
    above, name = os.path.split(root)
    return os.path.basename(above) if name.lower() in SPLITS else name


def _sites(tree: Tree, benchmark: Benchmark, word: Callable[[str], int | None]) -> tuple[Sites, list[str]]:
    """Folders that hold label folders, and what makes their labels doubtful, one sentence each."""
    sites: Sites = defaultdict(dict)
    doubts: list[str] = []
    for folder in tree.folders:
        depth = _depth(folder, word)
        if depth is None:
            continue
        site, own = folder.parts[:depth], folder.parts[depth]
        for part in folder.parts[depth + 1 :]:
            if word(part) is not None or label_of(part) is not None:
                doubts.append(f"{folder.name}: label folder {part} lies inside {own}")
        label = word(own)
        assert label is not None
        if sites[site].setdefault(label, own) != own:
            doubts.append(
                f"{'/'.join(site) or 'the folder itself'}: both {sites[site][label]} and {own} mean "
                f"{CLASSES[label]}; expected {expected(benchmark)}"
            )
    if not sites:
        raise NotThisLayoutError(f"no folders {expected(benchmark)}; there are {tree.seen()}")
    for folder in tree.folders:
        site, own = folder.parts[:-1], folder.parts[-1] if folder.parts else ""
        if site in sites and label_of(own) is not None and word(own) is None:
            others = ", ".join(sorted(sites[site].values()))
            doubts.append(
                f"{folder.name}: stands beside {others}, two sets of label words in one folder; "
                f"expected {expected(benchmark)}"
            )
    return dict(sites), doubts


def _depth(folder: Folder, word: Callable[[str], int | None]) -> int | None:
    """Where the label folder stands among the parts of a folder's name."""
    return next((at for at, part in enumerate(folder.parts) if word(part) is not None), None)


def _check_groups(placed: dict[Parts, Place], benchmark: Benchmark, strict: bool, found: Found) -> None:
    layout = benchmark.layout
    assert isinstance(layout, Folders)
    if strict and layout.split_needed and not all(place.split for place in placed.values()):
        raise NotThisLayoutError("no folders train and val")
    groups = {place.group for place in placed.values()}
    unknown = sorted(groups - set(benchmark.groups)) if benchmark.groups else []
    if unknown and strict:
        raise NotThisLayoutError(f"{some(unknown)}: not among the published folders")
    if unknown:
        found.findings.append(f"not among the published groups: {some(unknown)}")
    if strict and benchmark.pairing and not groups & _one_class(benchmark).keys():
        raise NotThisLayoutError(f"none of the folders {some(sorted(_one_class(benchmark)))}")
    homes: dict[tuple[str, str], Parts] = {}
    for place in placed.values():
        first = homes.setdefault((place.split, place.group), place.folder)
        if first != place.folder:
            raise DataError(
                f"{'/'.join(place.folder)} and {'/'.join(first)} are both group {place.group}; "
                "keep one of them"
            )


def _one_class(benchmark: Benchmark) -> dict[str, int]:
    """Groups that hold one class only, and which."""
    reals = {real for paired in benchmark.pairing.values() for real in paired}
    return {**dict.fromkeys(benchmark.pairing, 1), **dict.fromkeys(reals, 0)}


def _check_pairs(sites: Sites, placed: dict[Parts, Place], benchmark: Benchmark) -> None:
    single = _one_class(benchmark)
    for site, labels in sites.items():
        group = placed[site].group
        wanted = {single[group]} if group in single else {0, 1}
        if set(labels) != wanted:
            seen = " and ".join(labels[label] for label in sorted(labels))
            names = " and ".join(CLASSES[label] for label in sorted(wanted))
            raise DataError(
                f"{'/'.join(site) or 'the folder itself'}: only {seen}; expected {names} pictures "
                f"({expected(benchmark)})"
                if len(labels) < len(wanted)
                else f"{'/'.join(site)}: {seen}; expected {names} pictures only, by the official pairing"
            )
    groups = {place.group for place in placed.values()}
    for generated, reals in benchmark.pairing.items():
        missing = [real for real in reals if real not in groups]
        if generated in groups and missing:
            raise DataError(f"{generated}: its real pictures, {' and '.join(missing)}, are not here")


def _collect(
    tree: Tree,
    sites: Sites,
    placed: dict[Parts, Place],
    benchmark: Benchmark,
    word: Callable[[str], int | None],
    found: Found,
) -> None:
    above = {site[:depth] for site in sites for depth in range(len(site) + 1)}
    filled: set[tuple[Parts, int]] = set()
    split_up = _split_up(tree, sites, placed, benchmark)
    for folder in tree.folders:
        depth = _depth(folder, word)
        if depth is None:
            if folder.pictures and folder.parts not in above:
                raise DataError(
                    f"{folder.name}: {len(folder.pictures)} pictures, but no label folder above them; "
                    f"expected {expected(benchmark)}"
                )
            found.stray += ["/".join((*folder.parts, picture)) for picture in folder.pictures]
            continue
        site, below = folder.parts[:depth], folder.parts[depth + 1 :]
        label = word(folder.parts[depth])
        assert label is not None
        if folder.pictures:
            filled.add((site, label))
            found.entries += _entries(tree, folder, placed[site], label, below, benchmark, site in split_up)
    found.stray.sort()
    for site, labels in sites.items():
        for label, own in labels.items():
            if (site, label) not in filled:
                found.findings.append(f"{'/'.join((*site, own))}: no pictures, an empty class")
    used = {place.group for place in placed.values()}
    for real in sorted(used & {one for reals in benchmark.pairing.values() for one in reals}):
        if not any(generated in used for generated, reals in benchmark.pairing.items() if real in reals):
            found.findings.append(f"{real}: real pictures that no group here is compared with")


def _split_up(tree: Tree, sites: Sites, placed: dict[Parts, Place], benchmark: Benchmark) -> set[Parts]:
    """Bare sites of a general layout whose label folders hold a folder per generator or source."""
    if not benchmark.general:
        return set()
    bare = {site for site in sites if not placed[site].folder}
    return {
        site
        for site in bare
        for folder in tree.folders
        if folder.pictures and len(folder.parts) > len(site) + 1 and folder.parts[: len(site)] == site
        and folder.parts[len(site)] in sites[site].values()
    }  # fmt: skip


def _entries(
    tree: Tree, folder: Folder, place: Place, label: int, below: Parts, benchmark: Benchmark, split_up: bool
) -> list[Entry]:
    group, category = place.group, "/".join(part for part in (place.category, *below) if part)
    if split_up:
        group, category = (below[0], "/".join(below[1:])) if below else (group, "")
        against = ""
    else:
        against = ";".join(f"{real}/real" for real in benchmark.pairing.get(place.group, [place.group]))
    return [
        Entry(
            file=os.path.join(tree.root, *folder.parts, picture),
            label=label,
            group=group if label else f"{group}/real",
            split=place.split,
            category=category,
            compare_with=against if label else "",
        )
        for picture in folder.pictures
    ]
