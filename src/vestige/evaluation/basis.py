"""What scores follow from, as a hash: scores with another one are not used again."""

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

import numpy
import onnxruntime
import PIL

import vestige
from vestige.data.manifest import Row
from vestige.inference.card import ModelCard

VERSIONS = f"{vestige.__version__} {onnxruntime.__version__} {PIL.__version__} {numpy.__version__}"


def fingerprint(rows: Iterable[Row]) -> str:
    """Hash of what a manifest says of its rows, and of the size of every file.

    The content itself is not read, which would take longer than many a scoring. A picture that was replaced
    hardly ever keeps its size; one that was missing and came back never does.
    """
    digest = hashlib.sha256()
    for row in rows:
        said = (row.name, row.label, row.group, row.picture, row.compare_with, row.sha256, _size(row.path))
        digest.update(repr(said).encode(errors="surrogateescape"))
    return digest.hexdigest()


def basis(card: ModelCard, rows: str, condition: str) -> str:
    """Hash of model, pictures, condition and the versions of the libraries that shape a score.

    Args:
        rows: from `fingerprint`.
        condition: title, which has the version of the protocol.
    """
    # Measured figures in the card do not change the scores.
    bare = card.model_copy(update={"results": []})
    return hashlib.sha256(f"{bare.model_dump_json()} {rows} {condition} {VERSIONS}".encode()).hexdigest()


def slug(text: str) -> str:
    """A file name for a text, another one for another text."""
    plain = re.sub(r"[^a-z0-9.+]+", "-", text.lower()).strip("-")
    # Capitals, signs and other scripts are lost on the way: a few digits of the hash keep such names apart.
    digest = hashlib.sha256(text.encode()).hexdigest()
    return plain if plain == text.replace(" ", "-") else f"{plain}-{digest[:8]}"


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return -1
