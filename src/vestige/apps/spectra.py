"""`vestige spectra`: do the simulated generators of a GenSign run cover real ones? Needs the extra `train`.

OUT/settings.json   what the folder was begun with; another number of structures may follow
OUT/structures/     spectra of structures, 25 to a file
OUT/groups/         spectra of the pictures of each generator and source
OUT/spectra.json    all figures (`vestige.evaluation.coverage.Report`)
OUT/spectra.svg, OUT/spectra.png
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from vestige.apps.spectra_folder import claim, write
from vestige.data.manifest import Row, read_manifest, sha256_of
from vestige.errors import ConfigError, DataError
from vestige.images.views import extract, patch_grid
from vestige.progress import Progress

if TYPE_CHECKING:
    from vestige.evaluation.coverage import Group
    from vestige.methods.gensign.spectra import Instruments, Simulator, Spectrometer
    from vestige.methods.gensign.structure import Structure

REPORT = "spectra.json"
PLOT = "spectra.svg"
PICTURE = "spectra.png"
SHARD = 25  # structures per file: what an interruption costs at most
EVERY = "all"
ORIGINALS = "originals"

Pixels = npt.NDArray[np.uint8]
Spectra = npt.NDArray[np.float32]


@dataclass(frozen=True)
class SpectraOptions:
    """The options of the command.

    Attributes:
        run: of GenSign, with its stage dair trained.
        data: manifest.
        out: folder; an interrupted run continues there.
        structures: how many, each number a part of the next.
        per_structure: real pictures that every structure reconstructs, from as many sources as there are.
        pictures: at most of each generator and each source; groups with fewer than `per_structure` are left
            out and named.
        split: "all", or only rows of this split.
        residual: which operator; None: the run's extractor, or the high-pass if it has none.
        side: of the middle crops in pixels.
        jpeg: quality at which every crop is encoded once more; 0: not.
        seed: of the structures and of the choice of pictures.
    """

    run: Path
    data: Path
    out: Path
    structures: tuple[int, ...] = (100, 300, 1000)
    per_structure: int = 8
    pictures: int = 60
    split: str = EVERY
    residual: Literal["extractor", "highpass"] | None = None
    side: int = 96
    jpeg: int = 90
    seed: int = 0


def run(options: SpectraOptions, progress: Progress | None = None) -> None:
    """Compute what is missing in `out`, write the report, print the conclusion.

    Raises:
        ConfigError: options that make no sense, a stage that is not trained, a folder of something else.
        DataError: the manifest or a picture cannot be read, or there are too few pictures.
    """
    _check(options)
    from vestige.lock import only_one

    with only_one(options.out):
        _run(options, progress or Progress())


def _run(options: SpectraOptions, progress: Progress) -> None:
    from vestige.evaluation.coverage import Group, cover
    from vestige.evaluation.plots.cloud import cloud
    from vestige.methods.gensign.spectra import Simulator, Spectrometer, draw_structures, instruments

    counts = sorted(set(options.structures))
    tools = instruments(options.run, options.residual)
    rows = read_manifest(options.data, None if options.split == EVERY else options.split)
    structures = draw_structures(tools.space, counts[-1], options.seed)
    base, crops = _base(rows, options)
    settings = _settings(options, tools, base)
    claim(options.out, settings)
    progress.say(
        f"{len(structures)} structures, each on {len(base)} real pictures; residual: {tools.residual}"
    )
    measure = Spectrometer(tools.operator, options.jpeg or None)
    simulated = _simulated(Simulator(tools.dair, crops, measure), structures, options.out, progress)
    taken = {row.name for row in base}
    groups, left_out, too_small = _groups(
        [row for row in rows if row.name not in taken], measure, options, progress
    )
    groups.append(Group(ORIGINALS, "originals", measure(crops)))
    report = cover(simulated, groups, counts, settings, left_out, too_small)
    drawing = cloud(report)
    write(options.out / REPORT, (report.model_dump_json(indent=1) + "\n").encode())
    write(options.out / PLOT, drawing.svg.encode())
    write(options.out / PICTURE, drawing.png)
    for row in report.left_out:
        print(f"left out, fewer than {options.per_structure} pictures: {row['kind']} {row['name']}")
    for point in report.points:
        if point.kind == "generator" and not point.covered:
            print(
                f"not covered: {point.name}, {point.distance:.2f} dB from the nearest structure "
                f"(noise {point.noise:.2f} dB, {point.pictures} pictures)"
            )
    print(report.conclusion)
    for name in (REPORT, PLOT, PICTURE):
        print(options.out / name)


def _check(options: SpectraOptions) -> None:
    from vestige.evaluation.coverage import FEWEST
    from vestige.methods.gensign.spectra import STEP, WINDOW

    if not options.structures or min(options.structures) < FEWEST:
        got = min(options.structures, default="none")
        raise ConfigError(f"--structures must be at least {FEWEST}, got {got}: fewer are no cloud")
    if options.per_structure < 2 or options.pictures < options.per_structure:
        raise ConfigError(
            "--per-structure must be at least 2, and --pictures at least as many, got "
            f"{options.per_structure} and {options.pictures}"
        )
    if options.side < WINDOW or options.side % STEP:
        raise ConfigError(f"--side must be a multiple of {STEP} from {WINDOW} on, got {options.side}")
    if options.seed < 0:
        raise ConfigError(f"--seed must not be negative, got {options.seed}")
    if not 0 <= options.jpeg <= 100:
        raise ConfigError(f"--jpeg is a quality from 1 to 100, or 0 for none, got {options.jpeg}")


def _settings(options: SpectraOptions, tools: "Instruments", base: list[Row]) -> dict[str, Any]:
    return {
        "sha256": tools.sha256,
        "residual": tools.residual,
        "space": tools.space.model_dump(mode="json"),
        "manifest": options.data.name,
        "manifest_sha256": sha256_of(options.data),
        "split": options.split,
        "per_structure": options.per_structure,
        "pictures": options.pictures,
        "side": options.side,
        "jpeg": options.jpeg,
        "seed": options.seed,
        "base": [row.name for row in base],
    }


def _base(rows: list[Row], options: SpectraOptions) -> tuple[list[Row], Pixels]:
    """The real pictures that all structures reconstruct, sources taking turns, and their middle crops."""
    sources: dict[str, list[Row]] = {}
    for row in rows:
        if row.label == 0:
            sources.setdefault(row.group, []).append(row)
    rng = np.random.default_rng(options.seed)
    names = [str(name) for name in rng.permutation(sorted(sources))]
    queues = [[sources[name][index] for index in rng.permutation(len(sources[name]))] for name in names]
    longest = max(map(len, queues), default=0)
    chosen, crops = [], []
    for row in (row for turn in range(longest) for queue in queues for row in queue[turn : turn + 1]):
        crop = _middle(row, options.side)
        if crop is not None:
            chosen.append(row)
            crops.append(crop)
        if len(chosen) == options.per_structure:
            return chosen, np.stack(crops)
    raise DataError(
        f"{options.data}: {options.per_structure} real pictures of at least {options.side} pixels a side are "
        f"needed to be reconstructed, there are {len(chosen)}; lower --per-structure or --side"
    )


def _middle(row: Row, side: int) -> Pixels | None:
    """The middle of a picture, uint8 [side, side, 3]; None if it is smaller: filling up makes a spectrum."""
    from vestige.training.views import read_pixels

    pixels = read_pixels(row.content(), row.name)
    height, width = pixels.shape[:2]
    if min(height, width) < side:
        return None
    x, y = patch_grid(width, height, side, 1)[0]
    return extract(pixels, x, y, side)


def _simulated(
    simulator: "Simulator", structures: "list[Structure]", out: Path, progress: Progress
) -> Spectra:
    """Mean spectra of all structures in their order; files that exist are not computed again."""
    folder = out / "structures"
    folder.mkdir(exist_ok=True)
    parts = [structures[first : first + SHARD] for first in range(0, len(structures), SHARD)]
    # The length is in the name: the last file of a run may be the beginning of one in a larger run.
    files = [folder / f"{number * SHARD:06d}-{len(part)}.npz" for number, part in enumerate(parts)]
    missing = [number for number, path in enumerate(files) if not path.exists()]
    for number in progress.track(missing, "simulating structures, files"):
        _save(files[number], simulator.spectra(parts[number]))
    return np.concatenate([_load(path)[0] for path in files])


def _groups(
    rows: list[Row], measure: "Spectrometer", options: SpectraOptions, progress: Progress
) -> "tuple[list[Group], list[dict[str, str | int]], dict[str, int]]":
    """Generators and sources with enough pictures; those with too few; small pictures by group."""
    from vestige.evaluation.coverage import Group
    from vestige.training.views import capped

    folder = options.out / "groups"
    folder.mkdir(exist_ok=True)
    members: dict[tuple[int, str], list[Row]] = {}
    for row in capped(rows, options.pictures, options.seed):
        members.setdefault((row.label, row.group), []).append(row)
    keys = sorted(members, key=lambda key: (-key[0], key[1]))
    groups: list[Group] = []
    left_out: list[dict[str, str | int]] = []
    too_small: dict[str, int] = {}
    for number in progress.track(range(len(keys)), "spectra of generators and sources"):
        label, name = keys[number]
        path = folder / f"{number:06d}.npz"
        if not path.exists():
            found = [_middle(row, options.side) for row in members[label, name]]
            crops = [crop for crop in found if crop is not None]
            whole = np.array(crops, np.uint8).reshape(-1, options.side, options.side, 3)
            _save(path, measure(whole), len(found) - len(crops))
        spectra, small = _load(path)
        kind: Literal["generator", "source"] = "generator" if label else "source"
        if small:
            too_small[f"{kind} {name}"] = small
        if len(spectra) < options.per_structure:
            left_out.append({"kind": kind, "name": name, "pictures": len(spectra), "too_small": small})
        else:
            groups.append(Group(name, kind, spectra))
    return groups, left_out, too_small


def _save(path: Path, spectra: Spectra, too_small: int = 0) -> None:
    # Written under another name first: a kill must not leave half a file that a resumed run would use.
    partial = path.with_suffix(".part")
    with partial.open("wb") as file:
        np.savez(file, spectra=spectra, too_small=too_small)
    partial.replace(path)


def _load(path: Path) -> tuple[Spectra, int]:
    try:
        with np.load(path) as found:
            return found["spectra"], int(found["too_small"])
    except Exception as error:  # numpy raises about anything on foreign bytes
        raise ConfigError(f"{path}: cannot be read ({error}); delete it, it is made again") from error
