"""One look at every picture: what is kept of it for all checks, less than 900 bytes."""

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from vestige.data.manifest import Row
from vestige.errors import DataError, ImageError
from vestige.images import Picture, decode
from vestige.images.limits import PATIENT

Records = npt.NDArray[np.void]
Progress = Callable[[int, int], None]

METADATA = ("exif", "xmp", "iptc", "icc", "c2pa", "text")
GREY, COLOUR = 16, 8  # sides of the thumbnails
_BATCH = 256  # pictures handed to the threads at a time, so that waiting work does not pile up

# nan stands for "no JPEG" and, for the quality, also for tables that no quality of the IJG library has.
# Digests are the first 8 bytes of a sha256: one false match is expected in ten thousand sets of a million.
RECORD = np.dtype(
    [
        ("readable", "?"),
        ("format", "U5"),
        ("width", "i8"),
        ("height", "i8"),
        ("bytes", "i8"),
        ("quality", "f8"),
        ("luma", "f8"),
        ("chroma", "f8"),
        ("subsampling", "U12"),
        ("progressive", "f8"),
        *((name, "?") for name in METADATA),
        ("mean", "f4", 3),
        ("sd", "f4", 3),
        ("colour", "u1", (COLOUR, COLOUR, 3)),
        ("grey", "u1", (GREY, GREY)),
        ("hash", "u8"),
        ("file_digest", "u8"),
        ("pixel_digest", "u8"),
        ("as_stated", "?"),
    ]
)


@dataclass(frozen=True)
class Measured:
    """What is known of all pictures.

    Attributes:
        records: [N] of `RECORD`, in the order of the rows; unreadable pictures have `readable` False and
            nothing else.
        errors: index of a row to the reason why its picture could not be read.
    """

    records: Records
    errors: dict[int, str]


def measure_all(
    rows: Sequence[Row], progress: Progress | None = None, workers: int | None = None
) -> Measured:
    """Decode every picture once, in threads.

    Args:
        progress: called with the number of pictures done and of all, now and then.
        workers: threads; None: one per processor, at most 8.
    """
    records = np.zeros(len(rows), RECORD)
    errors: dict[int, str] = {}
    with ThreadPoolExecutor(workers or min(8, os.cpu_count() or 1)) as pool:
        for start in range(0, len(rows), _BATCH):
            for index, found in enumerate(pool.map(_measure, rows[start : start + _BATCH]), start):
                if isinstance(found, str):
                    errors[index] = found
                else:
                    records[index] = found
                if progress:
                    progress(index + 1, len(rows))
    return Measured(records, errors)


def _measure(row: Row) -> Any:
    """A record, or the reason why there is none."""
    try:
        picture = decode(row.content(), PATIENT)
    except ImageError as error:
        return error.reason
    except DataError as error:
        return str(error)
    record = record_of(picture)
    record["as_stated"] = not row.sha256 or row.sha256.lower() == picture.facts.sha256
    return record


def record_of(picture: Picture) -> Any:
    """The record of one decoded picture, of `RECORD`."""
    facts, jpeg, text = picture.facts, picture.facts.jpeg, picture.metadata.text
    record = np.zeros((), RECORD)
    record["readable"] = record["as_stated"] = True
    record["format"] = facts.format
    record["width"], record["height"], record["bytes"] = facts.width, facts.height, facts.bytes or 0
    record["quality"] = jpeg.quality if jpeg and jpeg.quality else np.nan
    tables = [float(sum(table)) for table in jpeg.quantisation] if jpeg else []
    record["luma"] = tables[0] if tables else np.nan
    record["chroma"] = tables[1] if len(tables) > 1 else np.nan
    record["subsampling"] = jpeg.subsampling if jpeg else ""
    record["progressive"] = float(jpeg.progressive) if jpeg else np.nan
    present = (facts.has_exif, facts.has_xmp, facts.has_iptc, facts.has_icc, facts.has_c2pa, bool(text))
    for name, there in zip(METADATA, present, strict=True):
        record[name] = there
    image = Image.fromarray(picture.pixels)
    record["mean"], record["sd"] = _moments(image)
    record["colour"] = np.asarray(image.resize((COLOUR, COLOUR), Image.Resampling.BOX))
    record["grey"] = np.asarray(image.resize((GREY, GREY), Image.Resampling.BOX).convert("L"))
    record["hash"] = difference_hash(image)
    record["file_digest"] = int((facts.sha256 or "0")[:16], 16)
    digest = hashlib.sha256(str(picture.pixels.shape).encode())
    digest.update(np.ascontiguousarray(picture.pixels).data)
    record["pixel_digest"] = int.from_bytes(digest.digest()[:8], "big")
    return record


def difference_hash(image: Image.Image) -> int:
    """64 bits: whether brightness rises from each cell to the next, in a grid of 8 rows by 9 columns.

    A rise counts from two grey levels on: in flat areas compression would decide the bits. Krawetz, "Kind of
    Like That", 2013, has no such margin.
    """
    cells = np.asarray(image.resize((9, 8), Image.Resampling.BOX).convert("L")).astype(np.int16)
    bits = cells[:, 1:] >= cells[:, :-1] + 2
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _moments(image: Image.Image) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and standard deviation of each channel, in grey levels; counted, since that is fast."""
    counts = np.array(image.histogram(), dtype=np.float64).reshape(3, 256)
    counts /= counts.sum(1, keepdims=True)
    levels = np.arange(256)
    mean = counts @ levels
    return mean, np.sqrt(np.maximum(counts @ levels**2 - mean**2, 0))
