"""`vestige spectra` for NIRNet: do sampled imprints lie where generators' do? Needs the extra `train`.

OUT/settings.json        what the folder was begun with
OUT/cache/               differences of the reconstructors, unless they are in a folder that several share
OUT/imprints.json        all figures (`vestige.evaluation.imprint_record.Report`)
OUT/imprints.svg, .png   principal components of imprints
OUT/spectra.svg, .png    spectra of imprints
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vestige.apps.spectra_folder import claim, write
from vestige.data.manifest import Row, read_manifest, sha256_of
from vestige.errors import ConfigError, DataError
from vestige.progress import Progress

if TYPE_CHECKING:
    from vestige.evaluation.imprint_record import Report
    from vestige.evaluation.imprints import Spectra
    from vestige.training.simulator_run import SimulatorRun

REPORT = "imprints.json"
PLACES = "imprints"
SPECTRA = "spectra"
EVERY = "all"


@dataclass(frozen=True)
class ImprintsOptions:
    """The options of the command.

    Attributes:
        run: of NIRNet, with its stage simulator fitted.
        data: manifest; its real pictures are taken.
        out: folder; an interrupted run continues there.
        pictures: at most of each source.
        split: "all", or only rows of this split.
        side: of the middle crops in pixels, a multiple of 8 from 96 on; None: as the simulator was fitted.
        seed: of the choice of pictures and of the imprints that are drawn.
        weights: folder with the reconstructors' weights.
        cache: folder of differences that several runs share; None: one in `out`.
    """

    run: Path
    data: Path
    out: Path
    pictures: int = 8
    split: str = EVERY
    side: int | None = None
    seed: int = 0
    weights: Path | None = None
    cache: Path | None = None


def run(options: ImprintsOptions, progress: Progress | None = None) -> None:
    """Reconstruct what is not in the cache, write report and figures, print the conclusion.

    Raises:
        ConfigError: options that make no sense, a stage that is not fitted, a folder of something else.
        DataError: the manifest or a picture cannot be read, or there are too few pictures.
    """
    from vestige.lock import only_one

    if options.pictures < 1:
        raise ConfigError(f"--pictures must be at least 1, got {options.pictures}")
    if options.seed < 0:
        raise ConfigError(f"--seed must not be negative, got {options.seed}")
    with only_one(options.out):
        _run(options, progress or Progress())


def _run(options: ImprintsOptions, progress: Progress) -> None:
    from vestige.evaluation.plots import imprints as plots
    from vestige.training.simulator_run import open_simulator

    found = open_simulator(options.run, options.weights)
    side = _side(options, found)
    # Before the folder is claimed: with other options it can still be used if pictures are refused.
    rows, too_small = _rows(options, side, progress)
    claim(options.out, _settings(options, found, side))
    report, spectra = _measured(options, found, rows, too_small, side, progress)
    write(options.out / REPORT, (report.model_dump_json(indent=1) + "\n").encode())
    for name, drawing in (
        (PLACES, plots.places(report)),
        (SPECTRA, plots.spectra(report, spectra)),
    ):
        write(options.out / f"{name}.svg", drawing.svg.encode())
        write(options.out / f"{name}.png", drawing.png)
    for source, count in too_small.items():
        print(f"left out, smaller than {side} pixels: {count} of {source}")
    if report.settings["seen"]:
        print(
            f"The simulator was fitted to pictures of this split ({', '.join(_fitted_to(found))}); name "
            "another one with --split to see how it does on pictures that it does not know."
        )
    for line in report.conclusion:
        print(line)
    for name in (REPORT, f"{PLACES}.svg", f"{PLACES}.png", f"{SPECTRA}.svg", f"{SPECTRA}.png"):
        print(options.out / name)


def _side(options: ImprintsOptions, found: "SimulatorRun") -> int:
    from vestige.evaluation.imprint_spectra import SMALLEST
    from vestige.evaluation.imprints import BLOCK

    if options.side is None:
        crop = found.config.crop
        if crop < SMALLEST:
            raise ConfigError(
                f"{options.run}: its simulator was fitted to crops of {crop} pixels a side, too small for "
                f"peaks of a spectrum; name a multiple of {BLOCK} from {SMALLEST} on with --side"
            )
        return crop
    if options.side < SMALLEST or options.side % BLOCK:
        raise ConfigError(f"--side must be a multiple of {BLOCK} from {SMALLEST} on, got {options.side}")
    return options.side


def _fitted_to(found: "SimulatorRun") -> list[str]:
    """The split or splits whose pictures the simulator was fitted to."""
    split = found.record["split"]
    return [split] if isinstance(split, str) else split


def _settings(options: ImprintsOptions, found: "SimulatorRun", side: int) -> dict[str, Any]:
    same = found.record["manifest_sha256"] == sha256_of(options.data)
    return {
        "simulator": found.record["config"],
        "simulator_sha256": sha256_of(found.path),
        "fitted_to": {key: found.record[key] for key in ("manifest", "manifest_sha256", "split")},
        "manifest": options.data.name,
        "manifest_sha256": sha256_of(options.data),
        "split": options.split,
        "seen": same and options.split in (EVERY, *_fitted_to(found)),
        "pictures": options.pictures,
        "side": side,
        "seed": options.seed,
    }


def _rows(options: ImprintsOptions, side: int, progress: Progress) -> tuple[list[Row], dict[str, int]]:
    """The real pictures that are reconstructed; how many of each source are smaller than a crop."""
    from vestige.evaluation.imprints import FEWEST
    from vestige.training.views import capped, read_pixels

    rows = read_manifest(options.data, None if options.split == EVERY else options.split)
    real = capped([row for row in rows if row.label == 0], options.pictures, options.seed)
    # Filling a small picture up makes a spectrum of its own.
    large = [
        min(read_pixels(row.content(), row.name).shape[:2]) >= side
        for row in progress.track(real, "reading pictures")
    ]
    kept = [row for row, fits in zip(real, large, strict=True) if fits]
    if len(kept) < FEWEST:
        raise DataError(
            f"{options.data}: {FEWEST} real pictures of at least {side} pixels a side are needed, there are "
            f"{len(kept)}; raise --pictures, lower --side or choose another --split"
        )
    small = Counter(row.group for row, fits in zip(real, large, strict=True) if not fits)
    return kept, dict(sorted(small.items()))


def _measured(
    options: ImprintsOptions,
    found: "SimulatorRun",
    rows: list[Row],
    too_small: dict[str, int],
    side: int,
    progress: Progress,
) -> "tuple[Report, dict[str, Spectra]]":
    """Differences of all reconstructors and imprints drawn from their fits, one generator after the other."""
    from vestige.data.draws import name_key
    from vestige.evaluation.imprint_draws import drawn, of_all_but, of_one, white
    from vestige.evaluation.imprint_spectra import mean_decibel
    from vestige.evaluation.imprints import Imprints, Spectra, measure, vectors
    from vestige.methods.nirnet.imprints import Imprinter, ImprintOptions
    from vestige.training.fitted_stage import crop_features

    cache = options.cache or options.out / "cache"
    features = crop_features(found.task, rows, side, cache, progress)

    def draw(imprinter: Imprinter, what: str) -> npt.NDArray[np.float32]:
        seeds = [[options.seed, *name_key(what), *name_key(row.name)] for row in rows]
        return drawn(imprinter, side, seeds)

    simulator = found.simulator
    imprints: dict[str, Imprints] = {}
    spectra: dict[str, Spectra] = {}
    names = simulator.generators
    for number in progress.track(range(len(names)), "measuring imprints, generators"):
        name = names[number]
        differences = np.asarray(features[number][:], np.float32).transpose(0, 2, 3, 1)
        sampled = draw(of_one(simulator, name), f"of {name}")
        others = of_all_but(simulator, name)
        imprints[name] = Imprints(
            vectors(differences),
            vectors(sampled),
            None if others is None else vectors(draw(others, f"of all but {name}")),
        )
        flat = draw(white(name, differences, simulator.settings.colours), f"white of {name}")
        spectra[name] = Spectra(mean_decibel(differences), mean_decibel(sampled), mean_decibel(flat))
    fused = draw(Imprinter(simulator, ImprintOptions()), "fused")
    report = measure(
        imprints,
        vectors(fused),
        spectra,
        _settings(options, found, side),
        dict(sorted(Counter(row.group for row in rows).items())),
        too_small,
        [row.model_dump(mode="json") for row in simulator.goodness],
    )
    return report, spectra
