"""Labelled sets on disk: manipulated pictures, each with what is known of every pixel.

FOLDER/KIND/DIGEST.png            the picture
FOLDER/KIND/DIGEST.generated.png  share of each pixel that is generated, 8-bit grey, 255 = all of it
FOLDER/KIND/DIGEST.changed.png    share of each pixel whose content was changed, of the same kind
FOLDER/KIND/DIGEST.source.png     where each pixel comes from, 8-bit codes of `manipulations.Source`
FOLDER/KIND/DIGEST.json           what was drawn; written last: with it the picture is done
FOLDER/originals/DIGEST.EXT       untouched hosts (`write_set`)
FOLDER/manifest.csv               (`write_set`)
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vestige.data.atomic import write_whole
from vestige.data.claims import divide
from vestige.data.draws import Donors, draw_rows, name_key
from vestige.data.labelled_files import digest_of, is_done, masks_of, named, png, read_record
from vestige.data.manifest import Row, write_manifest
from vestige.data.manipulations import Inpaint, Manipulation, ManipulationSet
from vestige.errors import ConfigError, DataError, ImageError
from vestige.images import decode
from vestige.images.decode import read_file
from vestige.images.limits import PATIENT
from vestige.images.sniff import sniff
from vestige.progress import Progress

SIDE = 768  # of the middle that is taken of larger pictures: patches and networks are slow on whole ones
BLOCK = 8  # crops begin at multiples of it, so that the blocks of a JPEG stay where they are
MAKING = 1  # raised when the same options give other pictures
ROUNDING = 1e-6  # shares are computed in float32; their steps are 1/255
MANIFEST = "manifest.csv"
ORIGINALS = "originals"

Grey = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Labelled:
    """One manipulated picture.

    Attributes:
        host: index of the row that was manipulated.
        donor: index of the row that gave content; None if there was none.
        kind: of the manipulation.
        label: 1 if any pixel is generated, else 0.
        picture: PNG, 8-bit sRGB, of the host's size, or of its middle.
        generated, changed: PNGs, 8-bit grey of the same size: share of each pixel, 255 = all of it.
        source: PNG, 8-bit codes of `manipulations.Source`.
    """

    host: int
    donor: int | None
    kind: str
    label: int
    picture: Path
    generated: Path
    changed: Path
    source: Path

    def record(self) -> dict[str, Any]:
        """What was drawn: `host` and `donor` (names), their labels `host_label` and `donor_label`, `kind`,
        `crop` (left, top, width, height in the host), `how`, `changed` and `generated` (shares of the
        picture), and the picture's `sha256`.

        Raises:
            DataError: the file cannot be read.
        """
        return read_record(named(self.picture, "json"))


def write_labelled(
    rows: Sequence[Row],
    options: ManipulationSet,
    networks: Mapping[str, Inpaint],
    folder: Path,
    seed: int,
    progress: Progress,
    side: int | None = SIDE,
) -> list[Labelled]:
    """Manipulate pictures by each kind; what is in the folder is kept.

    Processes that do so in the same folder at the same time divide the pictures among them.

    What is made of a picture follows from seed, the kind's options, the picture's name and, where a kind
    needs a donor or networks, from the other rows and the networks. Other kinds and `per_group` change
    nothing.

    Args:
        rows: pictures of both classes or of one, none of them manipulated before.
        options: kinds, and how many pictures of each group of each class.
        networks: by name, for the kinds that need them. One with an attribute `description` says by it what
            decides its results: pictures that were made with another one are then refused.
        folder: made if missing.
        seed: at least 0.
        progress: where it is shown.
        side: of larger pictures only the middle of at most so many pixels a side is taken; None: all of it.

    Returns:
        Kind by kind in the order of the options, within a kind in the order of the rows.

    Raises:
        ConfigError: a kind needs networks that are not there.
        DataError: a picture cannot be read, is too small, or was manipulated before; there is no donor; the
            folder holds pictures of other options, of another seed or of other rows.
    """
    for row in rows:
        if row.mask or row.changed or row.manipulation:
            raise DataError(
                f"{row.name}: manipulated already, so one label does not hold for all of it; manipulate only "
                "untouched pictures"
            )
    for kind in options.kinds:
        _require_networks(kind, networks)
    maker = _Maker(rows, Donors(rows), networks, folder, seed, side)
    found = []
    for kind in options.kinds:
        key = maker.key(kind)
        hosts = draw_rows(rows, options.per_group, [seed, *name_key(kind.kind)])
        maker.make_missing(hosts, kind, key, progress)
        found += [maker.labelled(host, kind, key) for host in hosts]
    return found


def write_set(
    rows: Sequence[Row],
    options: ManipulationSet,
    networks: Mapping[str, Inpaint],
    folder: Path,
    seed: int,
    progress: Progress,
    side: int | None = SIDE,
    originals: bool = False,
) -> list[Labelled]:
    """The same as `write_labelled`, and a manifest.csv that `read_manifest` reads.

    A manipulated picture's row has group, split, source, category and `compare_with` of its host, the
    licences of host and donor, and as `picture` the original of the host. `mask` is the share that is
    generated.

    Args:
        originals: also copy each host once, bit by bit, and list it with the label that it has.
    """
    made = write_labelled(rows, options, networks, folder, seed, progress, side)
    hosts = sorted({one.host for one in made}) if originals else []
    copies = [_copied(rows[host], folder) for host in progress.track(hosts, "copying originals") if originals]
    write_manifest(folder / MANIFEST, [*copies, *(_listed(one, rows, folder) for one in made)])
    return made


def grey(share: npt.NDArray[np.float32]) -> Grey:
    """Shares in [0, 1] as 0 to 255; only nothing becomes 0, and only all of it 255."""
    rounded = np.rint(255 * share.astype(np.float64))
    return np.clip(rounded, share > ROUNDING, np.where(share < 1 - ROUNDING, 254, 255)).astype(np.uint8)


def _require_networks(kind: Manipulation, networks: Mapping[str, Inpaint]) -> None:
    """Before the first picture: the kinds before this one may take hours."""
    if not kind.needs_networks:
        return
    if not networks:
        raise ConfigError(
            f"{kind.kind} needs learned networks, and none is given; list some, or leave it out"
        )
    missing = [name for name in _may_use(kind, networks) if name not in networks]
    if missing:
        raise ConfigError(
            f"{kind.kind} names the networks {', '.join(missing)}, which are missing; there are: "
            f"{', '.join(sorted(networks))}"
        )


def _may_use(kind: Manipulation, networks: Mapping[str, Inpaint]) -> list[str]:
    return sorted(getattr(kind, "networks", ()) or networks) if kind.needs_networks else []


@dataclass(frozen=True)
class _Maker:
    """What all pictures of a set have in common; but for `donors` the arguments of `write_labelled`."""

    rows: Sequence[Row]
    donors: Donors
    networks: Mapping[str, Inpaint]
    folder: Path
    seed: int
    side: int | None

    def key(self, kind: Manipulation) -> str:
        """All that decides a picture besides the rows, as a hash."""
        described = {
            name: str(getattr(self.networks[name], "description", ""))
            for name in _may_use(kind, self.networks)
        }
        decides = {
            "making": MAKING,
            "seed": self.seed,
            "side": self.side,
            "options": kind.model_dump(mode="json"),
            "networks": described,
        }
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()

    def make_missing(self, hosts: Sequence[int], kind: Manipulation, key: str, progress: Progress) -> None:
        """Make what is not there; processes that do so at the same time divide the pictures among them."""

        def lacking(host: int) -> list[tuple[int, list[str]]]:
            picture = self._picture(host, kind)
            return [] if is_done(picture) else [(host, [f"{kind.kind}/{picture.stem}"])]

        def do(wanted: Sequence[int]) -> None:
            for host in wanted:
                self.labelled(host, kind, key)

        for host in hosts:  # a folder of something else is refused before anything is added to it
            if is_done(self._picture(host, kind)):
                self.labelled(host, kind, key)
        what = f"manipulating pictures, {kind.kind}"
        divide(self.folder, hosts, lacking, do, lambda indices: progress.track(indices, what))

    def _picture(self, host: int, kind: Manipulation) -> Path:
        return self.folder / kind.kind / f"{digest_of(self.rows[host].name)}.png"

    def labelled(self, host: int, kind: Manipulation, key: str) -> Labelled:
        """One picture, made if it is not there."""
        row = self.rows[host]
        rng = np.random.default_rng([self.seed, *name_key(kind.kind), *name_key(row.name)])
        donor = self.donors.draw(host, rng) if kind.needs_donor else None
        picture = self._picture(host, kind)
        masks = masks_of(picture)
        donor_name = None if donor is None else self.rows[donor].name
        wanted = {"key": key, "host": row.name, "donor": donor_name}
        path = named(picture, "json")
        done = is_done(picture)
        record = read_record(path) if done else self._make(host, donor, kind, rng, picture, masks) | wanted
        if not done:
            write_whole(path, (json.dumps(record, indent=1, sort_keys=True) + "\n").encode())
        elif any(record.get(name) != value for name, value in wanted.items()):
            raise DataError(
                f"{self.folder}: holds pictures that were made with other options, another seed or of other "
                f"rows ({path.relative_to(self.folder)}); choose another folder, or delete that one"
            )
        return Labelled(host, donor, kind.kind, int(record["label"]), picture, *masks)

    def _make(
        self,
        host: int,
        donor: int | None,
        kind: Manipulation,
        rng: np.random.Generator,
        picture: Path,
        masks: Sequence[Path],
    ) -> dict[str, Any]:
        """Write picture and masks; the record that belongs to them."""
        row, other = self.rows[host], None if donor is None else self.rows[donor]
        pixels, crop = _middle(_pixels(row), self.side)
        content = None if other is None else _middle(_pixels(other), self.side)[0]
        try:
            made = kind.apply(pixels, rng, content, self.networks)
        except DataError as error:
            raise DataError(f"{row.name}: {error}; leave it out of the manifest") from error
        donor_label = None if other is None else other.label
        generated, changed = grey(made.generated(row.label, donor_label)), grey(made.changed())
        picture.parent.mkdir(parents=True, exist_ok=True)
        encoded = png(made.pixels)
        write_whole(picture, encoded)
        for path, mask in zip(masks, (generated, changed, made.source), strict=True):
            write_whole(path, png(mask))
        return {
            "label": int(generated.any()),
            "kind": kind.kind,
            "host_label": row.label,
            "donor_label": donor_label,
            "crop": crop,
            "how": made.how,
            "changed": round(float(changed.mean()) / 255, 6),
            "generated": round(float(generated.mean()) / 255, 6),
            "sha256": hashlib.sha256(encoded).hexdigest(),
        }


def _listed(one: Labelled, rows: Sequence[Row], folder: Path) -> dict[str, Any]:
    """The manifest's row of a manipulated picture."""
    host, donor = rows[one.host], None if one.donor is None else rows[one.donor]
    licences = [host.licence, *([donor.licence] if donor else [])]
    return _common(host) | {
        "path": one.picture.relative_to(folder).as_posix(),
        "label": one.label,
        "license": "; ".join(dict.fromkeys(licences)),
        "mask": one.generated.relative_to(folder).as_posix(),
        "changed": one.changed.relative_to(folder).as_posix(),
        "manipulation": one.kind,
        "sha256": one.record()["sha256"],
    }


def _copied(row: Row, folder: Path) -> dict[str, Any]:
    """Copy a host; the manifest's row of the copy."""
    try:
        content = row.content()
        data = content if isinstance(content, bytes) else read_file(content, PATIENT)
        suffix = f".{sniff(data).lower()}" if row.member else row.path.suffix
    except ImageError as error:
        raise DataError(f"{row.name}: {error.reason}") from error
    path = folder / ORIGINALS / f"{digest_of(row.name)}{suffix}"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)
    return _common(row) | {
        "path": path.relative_to(folder).as_posix(),
        "label": row.label,
        "license": row.licence,
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def _common(row: Row) -> dict[str, Any]:
    return {
        "group": row.group,
        "split": row.split,
        "source": row.source,
        "category": row.category,
        "picture": row.picture or row.name,
        "compare_with": row.compare_with,
    }


def _pixels(row: Row) -> npt.NDArray[np.uint8]:
    try:
        return decode(row.content(), PATIENT).pixels
    except ImageError as error:
        raise DataError(f"{row.name}: {error.reason}") from error


def _middle(pixels: npt.NDArray[np.uint8], side: int | None) -> tuple[npt.NDArray[np.uint8], list[int]]:
    """The middle, and where it lies: left, top, width, height."""
    height, width = pixels.shape[:2]
    if side is None:
        return pixels, [0, 0, width, height]
    top, left = (max(0, length - side) // 2 // BLOCK * BLOCK for length in (height, width))
    cut = np.ascontiguousarray(pixels[top : top + side, left : left + side])
    return cut, [left, top, cut.shape[1], cut.shape[0]]
