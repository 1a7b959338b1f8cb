"""A model package on disk: a folder with `card.json` and the ONNX files that the card names.

There are two kinds, detectors and extractors; who asks for one is not given the other.
"""

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

import vestige
from vestige.errors import ModelPackageError
from vestige.images import file_facts
from vestige.inference import tower as towers
from vestige.inference.card import (
    TOWER_MAP,
    TOWER_SCALES,
    ExtractorCard,
    FactsView,
    ModelCard,
    PackageCard,
)
from vestige.inference.tower import TowerFile
from vestige.inference.tower_weights import parse_parts, parse_scales

CARD = "card.json"
DEFAULT_MODEL = "first"
DEFAULT_EXTRACTOR = "signature"

Card = TypeVar("Card", bound=PackageCard)


@dataclass(frozen=True)
class _Package(Generic[Card]):
    """A package whose schema and hashes were checked.

    Attributes:
        graphs: bytes of the ONNX file of each stage, in the order of the card.
    """

    folder: Path
    card: Card
    graphs: tuple[bytes, ...]


@dataclass(frozen=True)
class ModelPackage(_Package[ModelCard]):
    """A detector, checked.

    Attributes:
        tower: the weights that the package itself does not contain; None: it contains all.
    """

    tower: TowerFile | None = None


class ExtractorPackage(_Package[ExtractorCard]):
    """An extractor of signatures, checked."""


def shipped_models() -> list[str]:
    """Names of the detectors that came with this installation."""
    return _shipped("detector")


def shipped_extractors() -> list[str]:
    """Names of the extractors that came with this installation."""
    return _shipped("extractor")


def load_package(name_or_path: str | Path = DEFAULT_MODEL, tower: str | Path | None = None) -> ModelPackage:
    """Load a shipped detector by name, or any by the path of its folder.

    Args:
        tower: file of the frozen weights that the package does without; default: where `vestige fetch` and
            VESTIGE_TOWERS put it.

    Raises:
        ModelPackageError: not found, card unreadable or not after the schema, file missing or altered,
            no detector, made for a newer Vestige or for other facts of the file, its tower is not on this
            computer; the message says which.
    """
    folder, card = find_card(name_or_path)
    if isinstance(card.views, FactsView):
        _check_facts(folder, card.views.names)
    contents = _contents(folder, card)
    graphs = tuple(contents[stage] for stage in card.stages)
    given = None if tower is None else Path(tower)
    if card.tower is None:
        if given is not None:
            raise ModelPackageError(f"{given}: {card.title} needs no tower, its package contains all weights")
        return ModelPackage(folder, card, graphs)
    parts = parse_parts(contents[TOWER_MAP], folder / TOWER_MAP)
    scales = parse_scales(contents[TOWER_SCALES], folder / TOWER_SCALES) if TOWER_SCALES in contents else {}
    file = towers.require(card.tower, card.title, name_or_path, given)
    return ModelPackage(folder, card, graphs, TowerFile(file, parts, scales))


def find_card(name_or_path: str | Path) -> tuple[Path, ModelCard]:
    """Folder and card of a detector, shipped or not; nothing else of it is read.

    Raises:
        ModelPackageError: as `load_package`, as far as it shows in the card.
    """
    folder = _locate(name_or_path, "detector")
    card = read_card(folder)
    _check_version(folder, card)
    return folder, card


def load_extractor_package(name_or_path: str | Path = DEFAULT_EXTRACTOR) -> ExtractorPackage:
    """Load a shipped extractor by name, or any by the path of its folder.

    Raises:
        ModelPackageError: as `load_package`, or it is no extractor.
    """
    folder = _locate(name_or_path, "extractor")
    card = _read(folder)
    if not isinstance(card, ExtractorCard):
        raise ModelPackageError(
            f"{folder}: {card.title} is a detector, which gives verdicts and no signature: use it with "
            "vestige scan --model"
        )
    _check_version(folder, card)
    contents = _contents(folder, card)
    return ExtractorPackage(folder, card, tuple(contents[stage] for stage in card.stages))


def read_card(folder: Path) -> ModelCard:
    """Read and validate `card.json` of a detector's folder.

    Raises:
        ModelPackageError: missing, invalid (all that is wrong is listed), or no detector's.
    """
    card = _read(folder)
    if not isinstance(card, ModelCard):
        raise ModelPackageError(
            f"{folder}: {card.title} is an extractor, which draws signatures and gives no verdict: use it "
            "with vestige inspect --signature --model"
        )
    return card


class _Kind(BaseModel):
    """The one key that decides after which schema a card is read; older cards do not have it."""

    kind: str = "detector"


def _read(folder: Path) -> ModelCard | ExtractorCard:
    path = folder / CARD
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ModelPackageError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        kind = _Kind.model_validate_json(text).kind
        if kind == "detector":
            return ModelCard.model_validate_json(text)
        if kind == "extractor":
            return ExtractorCard.model_validate_json(text)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or 'card'}: {item['msg']}"
            for item in error.errors()
        )
        raise ModelPackageError(f"{path}: not a valid model card: {wrong}") from error
    raise ModelPackageError(
        f"{path}: a package of the kind {kind!r}; this vestige knows detector and extractor, a newer one may "
        "know others"
    )


def _shipped_root() -> Path:
    return Path(str(resources.files("vestige"))) / "models"


def _shipped(kind: str | None = None) -> list[str]:
    """Shipped packages, of one kind or all."""
    root = _shipped_root()
    names = (
        sorted(entry.name for entry in root.iterdir() if (entry / CARD).is_file()) if root.is_dir() else []
    )
    return [name for name in names if kind is None or _read(root / name).kind == kind]


def _locate(name_or_path: str | Path, kind: str) -> Path:
    path = Path(name_or_path)
    if path.is_dir():
        return path
    # One of the other kind is found too: the refusal can then say what it is.
    if isinstance(name_or_path, str) and name_or_path in _shipped():
        return _shipped_root() / name_or_path
    known = ", ".join(_shipped(kind)) or "none"
    what = {"detector": "model"}.get(kind, kind)
    raise ModelPackageError(f"{name_or_path}: neither a shipped {what} ({known}) nor a folder with {CARD}")


def _check_version(folder: Path, card: PackageCard) -> None:
    if _numbers(card.minimum_vestige) > _numbers(vestige.__version__):
        raise ModelPackageError(
            f"{folder}: needs vestige {card.minimum_vestige} or newer, this is {vestige.__version__}"
        )


def _contents(folder: Path, card: PackageCard) -> dict[str, bytes]:
    return {name: _checked(folder, name, digest) for name, digest in card.files.items()}


def _check_facts(folder: Path, names: list[str]) -> None:
    if names == list(file_facts.NAMES):
        return
    unknown = [name for name in names if name not in file_facts.NAMES]
    missing = [name for name in file_facts.NAMES if name not in names]
    wrong = []
    if unknown:
        wrong.append(f"unknown here are {', '.join(unknown)}")
    if missing:
        wrong.append(f"missing in the card are {', '.join(missing)}")
    raise ModelPackageError(
        f"{folder}: its facts of the file are not those of vestige {vestige.__version__}: "
        f"{' and '.join(wrong) or 'they stand in another order or more than once'}; "
        "use a package made for this version"
    )


def _checked(folder: Path, name: str, digest: str) -> bytes:
    path = folder / name
    # A card from elsewhere must not read files outside its own folder.
    if name in {"", ".", ".."} or PurePosixPath(name).name != name or PureWindowsPath(name).name != name:
        raise ModelPackageError(f"{path}: files of a package lie in its own folder")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelPackageError(f"{path}: cannot be read ({error.strerror})") from error
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        raise ModelPackageError(
            f"{path}: altered or damaged, its sha256 is {found[:12]}... and the card says {digest[:12]}..."
        )
    return content


def _numbers(version: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in version.split(".")[:3])
    except ValueError as error:
        raise ModelPackageError(f"{version!r} is not a version like 1.2.3") from error
