"""`score_batch`: bytes of pictures in, a table out. The one function that every engine runs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from vestige.bulk.chunks import Item
from vestige.detector import Detector, Prepared
from vestige.errors import ImageError
from vestige.images.limits import PATIENT, Limits
from vestige.inference.package import DEFAULT_MODEL
from vestige.reports.parquet import table_of
from vestige.results import ImageReport, ScanError

UNNAMED = "<bytes>"


@dataclass(frozen=True)
class ScoreOptions:
    """What decides the scores; small, hashable and picklable.

    Attributes:
        model: a shipped model's name or a model package's folder.
        tower: file of the frozen weights, see `vestige.Detector.load`.
        fpr, threshold, trust_anchors: see `vestige.Detector`.
        limits: what is too large or too slow to be read. A minute for decoding, not ten seconds: who is
            busy at what moment must not change a table.
        threads: threads of the network in each process. One: engines run a process per processor.
    """

    model: str = DEFAULT_MODEL
    tower: str | None = None
    fpr: float | None = None
    threshold: float | None = None
    limits: Limits = field(default=PATIENT)
    trust_anchors: str | None = None
    threads: int = 1


def score_batch(
    pictures: Sequence[bytes], names: Sequence[str] | None = None, options: ScoreOptions = ScoreOptions()
) -> Any:
    """Judge pictures. Picklable; the model is loaded once per process, at the first call.

    Args:
        pictures: bytes of image files. A batch of 16 to 64 is best: memory is that of the largest picture
            plus the patches of all.
        names: what the column `path` says of each; default: "<bytes>".
        options: model, threshold, limits.

    Returns:
        A `pyarrow.Table`, one row per picture in the order given, with the columns of
        `vestige.results.ROW_FIELDS`. A picture that cannot be read has `error_code` and `error` and no
        verdict; it raises nothing.

    Raises:
        ModelPackageError: the model cannot be loaded.
        ConfigError: `options` do not fit the model, or pyarrow is missing.
        ValueError: there is another number of names than of pictures.
    """
    names = [UNNAMED] * len(pictures) if names is None else names
    if len(names) != len(pictures):
        raise ValueError(f"{len(pictures)} pictures and {len(names)} names")
    detector = detector_of(options)
    return table_of(_reports(detector, names, pictures))


def score_items(items: Sequence[Item], options: ScoreOptions) -> Any:
    """Like `score_batch`, of items whose bytes are read here; what cannot be read becomes a row, too."""
    detector = detector_of(options)
    # One after the other: only what was cut out of each is held until all are read.
    pictures = (_read(item, options.limits) for item in items)
    return table_of(_reports(detector, [item.name for item in items], pictures))


@lru_cache(maxsize=2)
def detector_of(options: ScoreOptions) -> Detector:
    """The detector of this process for these options.

    Raises:
        ModelPackageError, ConfigError: as `vestige.Detector.load`.
    """
    return Detector.load(
        options.model,
        tower=options.tower,
        fpr=options.fpr,
        threshold=options.threshold,
        limits=options.limits,
        threads=options.threads,
        trust_anchors=options.trust_anchors,
    )


def failed(detector: Detector, name: str, error: ImageError) -> ImageReport:
    """The report of a picture that never reached the detector."""
    return ImageReport(
        path=name,
        model=detector.card.title,
        versions=detector.versions,
        error=ScanError(code=error.code, reason=error.reason),
    )


def _read(item: Item, limits: Limits) -> bytes | ImageError:
    try:
        return item.place.read(limits)
    except ImageError as error:
        return error
    except OSError as error:
        return ImageError("unreadable", f"The file cannot be read: {error.strerror or error}.")
    except Exception as error:
        return _internal(error)


def _reports(
    detector: Detector, names: Sequence[str], pictures: Iterable[bytes | ImageError]
) -> list[ImageReport]:
    ready: list[Prepared | ImageError] = [
        picture if isinstance(picture, ImageError) else _prepared(detector, picture) for picture in pictures
    ]
    scored = iter(_scored(detector, [item for item in ready if not isinstance(item, ImageError)]))
    found = []
    for name, item in zip(names, ready, strict=True):
        outcome = item if isinstance(item, ImageError) else next(scored)
        if isinstance(outcome, ImageError):
            found.append(failed(detector, name, outcome))
        else:
            found.append(outcome.model_copy(update={"path": name}))
    return found


def _prepared(detector: Detector, picture: bytes) -> Prepared | ImageError:
    try:
        return detector.prepare(picture)
    except Exception as error:
        return _internal(error)


def _scored(detector: Detector, ready: list[Prepared]) -> list[ImageReport | ImageError]:
    try:
        return [scanned.report for scanned in detector.scan_prepared(ready)]
    except Exception:
        # One of them, or all of them together: only one by one tells.
        return [_alone(detector, item) for item in ready]


def _alone(detector: Detector, item: Prepared) -> ImageReport | ImageError:
    try:
        return detector.scan_prepared([item])[0].report
    except Exception as error:
        return _internal(error)


def _internal(error: Exception) -> ImageError:
    return ImageError("internal", f"Scoring failed, please report it: {type(error).__name__}: {error}")
