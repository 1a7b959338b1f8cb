"""Files of manipulated pictures: what they are called, and whether they are all there."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from vestige.errors import DataError


def read_record(path: Path) -> dict[str, Any]:
    """What was drawn for a picture.

    Raises:
        DataError: it cannot be read, or is something else.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}); delete it to make its picture again") from error
    if not isinstance(record, dict) or record.get("label") not in (0, 1):
        raise DataError(f"{path}: not a record of a manipulated picture; delete it to make its picture again")
    return record


def digest_of(name: str) -> str:
    """How the files of the picture of this name are called."""
    return hashlib.sha256(name.encode()).hexdigest()[:24]


def named(picture: Path, ending: str) -> Path:
    """The file that belongs to a picture and has this ending."""
    return picture.with_name(f"{picture.stem}.{ending}")


def masks_of(picture: Path) -> list[Path]:
    """The files generated, changed and source of a picture."""
    return [named(picture, f"{what}.png") for what in ("generated", "changed", "source")]


def is_done(picture: Path) -> bool:
    """Whether a picture and all that belongs to it are there."""
    return all(one.exists() for one in (named(picture, "json"), picture, *masks_of(picture)))


def png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Pixels as a PNG, quickly and not as small as could be."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
