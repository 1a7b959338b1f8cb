"""Scan labelled pictures with their heat maps, through the detector that users run, and measure the maps.

OUT/pictures.jsonl   a line for each picture with its heat map; what is there is not scanned again
"""

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from vestige.data.manifest import Row, sha256_of
from vestige.detector import Detector
from vestige.errors import ConfigError
from vestige.evaluation.basis import basis, fingerprint
from vestige.evaluation.localisation import PixelScores, gain_over_noise, mask_of, pixel_scores
from vestige.evaluation.metrics import resize_map
from vestige.images.limits import PATIENT
from vestige.inference.card import FactsView, ModelCard
from vestige.inference.package import ModelPackage
from vestige.progress import Progress
from vestige.results import HeatMap, ImageReport, Verdict

LINES = "pictures.jsonl"
MAKING = "overlays/1"  # raised when the same picture is measured in another way
MOST_PIXELS = 4_000_000  # of larger pictures every second, third, ... pixel of both directions is measured
THRESHOLD = 0.5  # of packages whose card says nothing of places
DIGITS = 6
UNTOUCHED, NOT_TOLD = "untouched", "not told"


class Measured(BaseModel):
    """What was measured of one picture.

    Attributes:
        picture: as the manifest has it.
        verdict: None if it could not be read; `error` says why, and nothing else is known.
        share: the share that the model itself says is generated; None if it does not.
        ap, f1, iou, flagged, area: as `PixelScores`; None where not defined.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    picture: str
    label: int
    group: str
    manipulation: str
    error: str = ""
    verdict: Verdict | None = None
    logit: float = 0.0
    probability: float = 0.0
    share: float | None = None
    ap: float | None = None
    f1: float | None = None
    iou: float | None = None
    flagged: float | None = None
    area: float = 0.0
    heat_map: HeatMap | None = None

    @property
    def partly(self) -> bool:
        """Whether a part of it, and not all, is generated."""
        return 0 < self.area < 1

    @property
    def gain(self) -> float | None:
        """Gain of `ap` over a map of noise; None where `ap` is not defined."""
        return None if self.ap is None else gain_over_noise(self.ap, self.area)

    @property
    def untouched_real(self) -> bool:
        """Whether it is real, and nothing was done to it."""
        return self.area == 0 and not self.manipulation

    @property
    def kind(self) -> str:
        """What was done to it, in words."""
        return self.manipulation or (NOT_TOLD if self.partly else UNTOUCHED)


def threshold_of(card: ModelCard) -> float:
    """The probability from which a place counts as generated: the card's, else one half."""
    return THRESHOLD if card.localisation is None else card.localisation.threshold


def drawn(rows: Sequence[Row], per_group: int | None) -> list[Row]:
    """At most `per_group` rows of each manipulation of each group of each class, in the manifest's order.

    The hash of the name decides: fewer pictures are a part of more.
    """
    if per_group is None:
        return list(rows)
    groups: dict[tuple[int, str, str, bool], list[int]] = {}
    for number, row in enumerate(rows):
        key = (row.label, row.group, row.manipulation, row.mask is None)
        groups.setdefault(key, []).append(number)
    kept: set[int] = set()
    for members in groups.values():
        kept.update(sorted(members, key=lambda number: place_of(rows[number].name))[:per_group])
    return [row for number, row in enumerate(rows) if number in kept]


def place_of(name: str) -> str:
    """Where a picture stands in an order that nobody chose: hash of its name."""
    return hashlib.sha256(f"overlays\0{name}".encode("utf-8", "surrogatepass")).hexdigest()


def measure(package: ModelPackage, rows: Sequence[Row], out: Path, progress: Progress) -> list[Measured]:
    """Scan and measure what has no line in `out` yet; a killed run goes on where it stopped.

    Returns:
        One of each row, in their order.

    Raises:
        ConfigError: the model looks at files and has no places to show.
        DataError: a mask cannot be read, or is not of its picture's size.
    """
    if isinstance(package.card.views, FactsView):
        raise ConfigError(
            f"{package.card.title} looks at the file and not at places in the picture; choose another model"
        )
    path = out / LINES
    known = _read(path, basis(package.card, "", MAKING))
    keys = [_key(row) for row in rows]
    wanted = [(row, key) for row, key in zip(rows, keys, strict=True) if key not in known]
    threshold = threshold_of(package.card)
    if wanted:
        detector = Detector(package, limits=PATIENT)
        reports = detector.scan_many((row.content() for row, _ in wanted), heat_map=True)
        tracked = progress.track(wanted, f"scanning with {package.card.title}")
        with path.open("a", encoding="utf-8") as file:
            for (row, key), report in zip(tracked, reports, strict=True):
                one = _measured(row, report, threshold)
                known[key] = one
                file.write(json.dumps([key, one.model_dump(mode="json")]) + "\n")
                file.flush()
    return [known[key] for key in keys]


def map_scores(row: Row, heat_map: HeatMap, size: tuple[int, int], threshold: float) -> PixelScores:
    """Measure a heat map against the mask of its picture.

    Args:
        size: height and width of the picture in pixels.
        threshold: a place is called generated from this probability on.

    Raises:
        DataError: the mask cannot be read, or is not of the picture's size.
    """
    mask = mask_of(row, size)
    step = max(1, math.ceil(math.sqrt(mask.size / MOST_PIXELS)))
    mask = mask[step // 2 :: step, step // 2 :: step]
    height, width = mask.shape
    map = resize_map(np.array(heat_map.probabilities), (height, width))
    return pixel_scores(mask, map, map >= threshold)


def _measured(row: Row, report: ImageReport, threshold: float) -> Measured:
    told = {"picture": row.name, "label": row.label, "group": row.group, "manipulation": row.manipulation}
    if report.error is not None:
        return Measured.model_validate(told | {"error": report.error.reason})
    evidence, facts = report.evidence, report.facts
    assert evidence is not None
    assert facts is not None
    assert evidence.heat_map is not None
    scores = map_scores(row, evidence.heat_map, (facts.height, facts.width), threshold)
    figures = {
        name: None if math.isnan(value) else round(value, DIGITS)
        for name, value in scores._asdict().items()
        if name != "area"
    }
    return Measured.model_validate(
        told
        | figures
        | {
            "verdict": report.verdict,
            "logit": round(evidence.logit, DIGITS),
            "probability": round(evidence.probability, DIGITS),
            "share": evidence.generated_share,
            "area": scores.area,
            "heat_map": evidence.heat_map,
        }
    )


def _key(row: Row) -> str:
    """Changes with whatever the line of a picture follows from, the model apart."""
    mask = None if row.mask is None else (row.mask.name, sha256_of(row.mask))
    text = f"{fingerprint([row])} {mask} {row.manipulation}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _read(path: Path, wanted: str) -> dict[str, Measured]:
    """Lines of the same model; the file is begun anew if they are of another one."""
    first = json.dumps({"basis": wanted}) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    found = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    # A kill may leave half a line at the end.
    whole = [line for line in found if line.endswith("\n")]
    if whole[:1] != [first]:
        whole = [first]
    try:
        known = dict(_parsed(whole[1:]))
    except (ValueError, TypeError, ValidationError) as error:
        raise ConfigError(f"{path}: damaged ({error}); remove it to scan its pictures again") from error
    if whole != found:
        partial = path.with_name(path.name + ".part")
        partial.write_text("".join(whole), encoding="utf-8")
        partial.replace(path)
    return known


def _parsed(lines: Iterable[str]) -> Iterable[tuple[str, Measured]]:
    for line in lines:
        key, values = json.loads(line)
        yield str(key), Measured.model_validate(values)
