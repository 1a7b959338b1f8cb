"""Test sets of `vestige ablate`: what --test names, which pictures of it are scored, and what is recorded."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vestige.apps.manifests import manifest_and_split
from vestige.errors import ConfigError, DataError, ImageError

if TYPE_CHECKING:
    from vestige.data.manifest import Row
    from vestige.evaluation.ablation_record import SetRecord
    from vestige.evaluation.localisation import PixelScores
    from vestige.evaluation.protocols import Condition
    from vestige.progress import Progress
    from vestige.training.scoring import PictureMaps

WORKERS = 2
DRAWING = "pictures of a test set"  # in place of a seed: the same pictures in every ablation


@dataclass(frozen=True)
class TestSet:
    """What an option --test names.

    Attributes:
        condition: of the benchmark's protocols, by name; None: the files as they are.
        text: the option as it was given, without folders.
    """

    name: str
    manifest: Path
    split: str | None
    condition: str | None
    text: str


@dataclass(frozen=True)
class Pictures:
    """What is scored of a test set.

    Attributes:
        rows: in the manifest's order, those that the condition takes.
        condition: what they go through; None: the files are scored as they are.
        left_out: rows that the condition does not take.
        reason: why, of the first of them; "" if there is none.
        sizes: height and width of each picture after the condition, by index, as far as they were needed.
    """

    rows: list["Row"]
    condition: "Condition | None"
    left_out: list["Row"]
    reason: str
    sizes: dict[int, tuple[int, int]] = field(default_factory=dict)

    @property
    def masks(self) -> int:
        """How many pictures have a mask that maps can be measured against."""
        from vestige.evaluation.localisation import has_places

        return sum(row.mask is not None for row in self.rows) if has_places(self.condition) else 0


def parse_test(text: str) -> TestSet:
    """NAME=MANIFEST[:SPLIT][@CONDITION].

    Raises:
        ConfigError: it is something else.
    """
    name, equals, place = text.partition("=")
    place, condition = _place_and_condition(place)
    path, split = manifest_and_split(place)
    if not equals or not path or name != Path(name).name or name in {"", ".", ".."} or condition == "":
        raise ConfigError(f"--test {text}: NAME=MANIFEST[:SPLIT][@CONDITION] is expected")
    short = f"{name}={Path(path).name}" + (f":{split}" if split else "")
    return TestSet(name, Path(path), split, condition, short + (f"@{condition}" if condition else ""))


def open_sets(tests: Sequence[TestSet], per_group: int | None, progress: "Progress") -> dict[str, Pictures]:
    """The pictures of each test set.

    Args:
        per_group: at most so many of each group of each class; None: all.

    Raises:
        ConfigError: no such condition, or a name that stands for several.
        DataError: a manifest or a picture cannot be read, or a condition takes no picture of a class.
    """
    from vestige.data.manifest import read_manifest

    wanted = {test.name: _condition(test) for test in tests}
    known: dict[tuple[Path, str | None, int], list[bool]] = {}
    found = {}
    for test in tests:
        rows = drawn(read_manifest(test.manifest, test.split), per_group)
        condition = wanted[test.name]
        if condition is None or condition.pipeline is None:
            found[test.name] = Pictures(rows, condition, [], "")
            continue
        # Where a condition has a smallest side, this alone decides, and one look serves all such conditions.
        side = condition.minimum_side
        key = (test.manifest, test.split, side)
        if not side or key not in known:
            known[key] = _taken(rows, condition, progress)
        found[test.name] = _divided(test, rows, known[key], condition)
    return found


def drawn(rows: list["Row"], per_group: int | None) -> list["Row"]:
    """At most `per_group` rows of each group of each class, in the manifest's order.

    Drawn by a hash of their names alone: neither the order of the manifest nor its other rows matter, and
    fewer pictures are a part of more.
    """
    if per_group is None:
        return rows
    groups: dict[tuple[int, str], list[int]] = {}
    for number, row in enumerate(rows):
        groups.setdefault((row.label, row.group), []).append(number)
    kept: set[int] = set()
    for members in groups.values():
        kept.update(sorted(members, key=lambda number: _place_of(rows[number]))[:per_group])
    return [row for number, row in enumerate(rows) if number in kept]


def measure(
    pictures: Pictures, index: int, maps: "PictureMaps", patch: int, views: int
) -> "tuple[PixelScores, str]":
    """What a map says of a test picture, generated from logit 0 on, and the picture's manipulation.

    Args:
        patch: side of the native patches in pixels.
        views: most patches of a picture.

    Raises:
        DataError: the picture or its mask cannot be read, or they differ in size.
    """
    from vestige.evaluation.localisation import looked_at, mask_of, pixel_scores, size_after
    from vestige.images.views import patch_grid

    row = pictures.rows[index]
    if index not in pictures.sizes:
        pictures.sizes[index] = size_after(row, pictures.condition)
    height, width = pictures.sizes[index]
    mask = mask_of(row, (height, width), pictures.condition)
    assert maps.maps is not None
    marked, logits = looked_at(mask, maps.maps, patch_grid(width, height, patch, views), patch)
    return pixel_scores(marked, logits, logits >= 0), row.manipulation


def set_record(
    test: TestSet, pictures: Pictures, per_group: int | None, groups: set[tuple[int, str]]
) -> "SetRecord":
    """What is recorded of a test set.

    Args:
        groups: (label, group) of the training pictures.
    """
    from vestige.data.manifest import sha256_of
    from vestige.evaluation.ablation_record import ConditionRecord, SetRecord

    condition = pictures.condition
    return SetRecord(
        manifest=test.manifest.name,
        manifest_sha256=sha256_of(test.manifest),
        split=test.split or "",
        real=sum(row.label == 0 for row in pictures.rows),
        generated=sum(row.label == 1 for row in pictures.rows),
        seen=sum((row.label, row.group) in groups for row in pictures.rows),
        condition=None
        if condition is None
        else ConditionRecord(
            title=condition.title, text=condition.text, family=condition.family, level=condition.level
        ),
        per_group=per_group,
        left_out_real=sum(row.label == 0 for row in pictures.left_out),
        left_out_generated=sum(row.label == 1 for row in pictures.left_out),
        left_out_reason=pictures.reason,
        masks=pictures.masks,
    )


def differing(one: "SetRecord", other: "SetRecord") -> str:
    """What tells the pictures of two test sets apart, in words; "" if they are the same."""
    for first, second, what in (
        (one.manifest_sha256, other.manifest_sha256, "manifest"),
        (one.split, other.split, "split"),
        (_title(one), _title(other), "condition"),
        (one.per_group, other.per_group, "number of pictures of each group (--per-group)"),
    ):
        if first != second:
            return what
    return ""


def basis_of(pictures: "SetRecord") -> str:
    """What the scores on a test set follow from, the fit apart, as text."""
    found = f"{pictures.manifest_sha256} {pictures.split}"
    if pictures.condition is not None:
        found += f" after {pictures.condition.title}"
    if pictures.per_group is not None:
        found += f" {pictures.per_group} of each group"
    return found


def _place_and_condition(text: str) -> tuple[str, str | None]:
    """A path that exists is taken as a whole, and the name of a condition has no signs of a path."""
    place, at, condition = text.rpartition("@")
    path, _ = manifest_and_split(text)
    if not at or set("/\\:") & set(condition) or ("@" in path and Path(path).exists()):
        return text, None
    return place, condition


def _condition(test: TestSet) -> "Condition | None":
    from vestige.evaluation.protocols import conditions

    if test.condition is None:
        return None
    try:
        found = conditions([test.condition])
    except ConfigError as error:
        raise ConfigError(f"--test {test.text}: {error}") from error
    if len(found) > 1:
        listed = ", ".join(one.name for one in found)
        raise ConfigError(
            f"--test {test.text}: {test.condition} stands for {len(found)} conditions, one is expected; give "
            f"a --test for each of {listed}"
        )
    return found[0]


def _taken(rows: list["Row"], condition: "Condition", progress: "Progress") -> list[bool]:
    """Whether a condition takes each picture."""
    if condition.minimum_side:
        # The side is looked at before the pipeline runs, which would take most of the time.
        condition = replace(condition, pipeline=_nothing)
    with ThreadPoolExecutor(WORKERS) as pool:
        refused = pool.map(partial(_refusal, condition), rows)
        what = f"looking for pictures that {condition.name} leaves out"
        return [not reason for _, reason in zip(progress.track(rows, what), refused, strict=True)]


def _divided(test: TestSet, rows: list["Row"], taken: list[bool], condition: "Condition") -> Pictures:
    kept = [row for row, take in zip(rows, taken, strict=True) if take]
    left_out = [row for row, take in zip(rows, taken, strict=True) if not take]
    reason = _refusal(condition, left_out[0]) if left_out else ""
    lacking = {row.label for row in rows} - {row.label for row in kept}
    if lacking:
        kind = "real" if 0 in lacking else "generated"
        raise DataError(
            f"--test {test.text}: {condition.name} takes none of the {kind} pictures ({reason}); choose "
            "another condition"
        )
    return Pictures(kept, condition, left_out, reason)


def _refusal(condition: "Condition", row: "Row") -> str:
    """Why a condition leaves a picture out; "" if it takes it."""
    from vestige.evaluation.protocols import LeftOut

    try:
        condition.apply(row.content(), row.name)
    except LeftOut as error:
        return error.reason
    except ImageError as error:
        raise DataError(f"{row.name}: {error.reason}") from error
    return ""


def _nothing(pixels: object, seed: int) -> bytes:
    return b""


def _place_of(row: "Row") -> str:
    return hashlib.sha256(f"{DRAWING}\0{row.name}".encode("utf-8", "surrogatepass")).hexdigest()


def _title(pictures: "SetRecord") -> str:
    return "" if pictures.condition is None else pictures.condition.title
