"""`vestige overlays`: what the command does with its options. Needs the extra `train`."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from vestige.apps.manifests import manifest_and_split
from vestige.errors import ConfigError, DataError


@dataclass(frozen=True)
class OverlaysOptions:
    """The options of the command, as its help explains them."""

    model: str
    data: str
    out: Path
    count: int = 4
    per_group: int | None = None
    tower: Path | None = None
    pictures: bool = True


def run(options: OverlaysOptions) -> None:
    """Scan what has not been scanned yet, measure the maps, and write the pages.

    Raises:
        ConfigError: `data` is not MANIFEST[:SPLIT], or the model has no places to show.
        DataError: the manifest, a picture or a mask cannot be read, or no picture has a mask.
        ModelPackageError: as the package gives reason to.
    """
    from vestige.data.manifest import read_manifest, sha256_of
    from vestige.evaluation.overlay_page import Told, write_pages
    from vestige.evaluation.overlays import drawn, measure
    from vestige.inference.package import load_package
    from vestige.lock import only_one
    from vestige.progress import Progress

    place, split = manifest_and_split(options.data)
    if not place:
        raise ConfigError(f"--data {options.data}: MANIFEST or MANIFEST:SPLIT is expected")
    manifest = Path(place)
    rows = drawn(read_manifest(manifest, split), options.per_group)
    if all(row.mask is None for row in rows):
        raise DataError(
            f"{options.data}: no picture has a mask of what is generated, so there is nothing to measure a "
            "map against; vestige data manipulate makes pictures with masks"
        )
    package = load_package(options.model, options.tower)
    with only_one(options.out):
        measured = measure(package, rows, options.out, Progress())
        data = manifest.name + (f":{split}" if split else "")
        told = Told(
            data=data,
            manifest_sha256=sha256_of(manifest),
            command=_command(options, package.card.name, data),
            count=options.count,
            pictures=options.pictures,
        )
        for path in write_pages(options.out, package.card, rows, measured, told):
            print(path)


def _command(options: OverlaysOptions, name: str, data: str) -> str:
    """The command without folders: they say nothing to others."""
    parts = ["vestige", "overlays", name, "--data", data, "--out", "OUT", "--count", str(options.count)]
    parts += [] if options.per_group is None else ["--per-group", str(options.per_group)]
    parts += [] if options.tower is None else ["--tower", "FILE"]
    return shlex.join(parts + ([] if options.pictures else ["--no-pictures"]))
