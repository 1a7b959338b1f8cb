"""A model package on disk: a folder with `card.json` and the ONNX files that the card names."""

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath, PureWindowsPath

from pydantic import ValidationError

import vestige
from vestige.errors import ModelPackageError
from vestige.images import file_facts
from vestige.inference.card import FactsView, ModelCard

CARD = "card.json"
DEFAULT_MODEL = "first"


@dataclass(frozen=True)
class ModelPackage:
    """A package whose schema and hashes were checked.

    Attributes:
        graphs: bytes of the ONNX file of each stage, in the order of the card.
    """

    folder: Path
    card: ModelCard
    graphs: tuple[bytes, ...]


def shipped_models() -> list[str]:
    """Names of the packages that came with this installation."""
    root = _shipped_root()
    return sorted(entry.name for entry in root.iterdir() if (entry / CARD).is_file()) if root.is_dir() else []


def load_package(name_or_path: str | Path = DEFAULT_MODEL) -> ModelPackage:
    """Load a shipped package by name, or any package by the path of its folder.

    Raises:
        ModelPackageError: not found, card unreadable or not after the schema, file missing or altered,
            made for a newer Vestige or for other facts of the file; the message says which.
    """
    folder = _locate(name_or_path)
    card = read_card(folder)
    if _numbers(card.minimum_vestige) > _numbers(vestige.__version__):
        raise ModelPackageError(
            f"{folder}: needs vestige {card.minimum_vestige} or newer, this is {vestige.__version__}"
        )
    if isinstance(card.views, FactsView):
        _check_facts(folder, card.views.names)
    contents = {name: _checked(folder, name, digest) for name, digest in card.files.items()}
    return ModelPackage(folder, card, tuple(contents[stage] for stage in card.stages))


def read_card(folder: Path) -> ModelCard:
    """Read and validate `card.json` of a package folder.

    Raises:
        ModelPackageError: missing or invalid; all that is wrong is listed.
    """
    path = folder / CARD
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ModelPackageError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        return ModelCard.model_validate_json(text)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or 'card'}: {item['msg']}"
            for item in error.errors()
        )
        raise ModelPackageError(f"{path}: not a valid model card: {wrong}") from error


def _shipped_root() -> Path:
    return Path(str(resources.files("vestige"))) / "models"


def _locate(name_or_path: str | Path) -> Path:
    path = Path(name_or_path)
    if path.is_dir():
        return path
    if isinstance(name_or_path, str) and name_or_path in shipped_models():
        return _shipped_root() / name_or_path
    known = ", ".join(shipped_models()) or "none"
    raise ModelPackageError(f"{name_or_path}: neither a shipped model ({known}) nor a folder with {CARD}")


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
