"""The byte-delivery test, version 1: one picture shipped in ten ways, as the web ships pictures.

What the picture shows is the same in all of them, so a verdict that depends on the way is a verdict on the
bytes. `vestige.evaluation.protocols.delivery_summary` sums the scores up.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from vestige.evaluation.protocols.condition import Condition, LeftOut
from vestige.evaluation.protocols.screenshot import SCREENS, screenshot
from vestige.evaluation.protocols.steps import (
    Pixels,
    centre_crop,
    encode_jpeg,
    encode_png,
    encode_webp,
    longer_side,
    reopened,
    scale,
)
from vestige.images import decode
from vestige.images.decode import read_file

VERSION = 1
AS_FOUND = "as-found"
FAMILY = "delivery"

WEBP_LONGEST = 16383  # pixels of a side, by the format
MESSENGER_LONGEST = 1280
SCREEN_LONGEST = 1440


@dataclass(frozen=True)
class Delivery:
    """One picture shipped in one way.

    Attributes:
        name: of the way.
        text: one sentence that says exactly what was done.
        content: the file.
    """

    name: str
    text: str
    content: bytes


def stripped(pixels: Pixels) -> bytes:
    """The same pixels in a PNG without metadata."""
    return encode_png(pixels)


def jpeg_95(pixels: Pixels) -> bytes:
    """A JPEG of high quality with full chroma."""
    return encode_jpeg(pixels, 95, "4:4:4")


def jpeg_75(pixels: Pixels) -> bytes:
    """The JPEG that most programs write by default."""
    return encode_jpeg(pixels, 75, "4:2:0")


def webp_80(pixels: Pixels) -> bytes:
    """A WebP as content networks make it."""
    return encode_webp(pixels, 80)


def half_size(pixels: Pixels) -> bytes:
    """A preview."""
    return encode_jpeg(scale(pixels, 0.5), 80, "4:2:0")


def messenger(pixels: Pixels) -> bytes:
    """As messengers send pictures on: smaller, and heavily compressed."""
    factor = min(0.8, MESSENGER_LONGEST / longer_side(pixels))
    return encode_jpeg(scale(pixels, factor), 70, "4:2:0")


def jpeg_twice(pixels: Pixels) -> bytes:
    """Saved, uploaded, and encoded again by the platform."""
    return encode_jpeg(reopened(encode_jpeg(pixels, 90, "4:2:0")), 80, "4:2:0")


def trimmed(pixels: Pixels) -> bytes:
    """The edges cut off."""
    height, width = (side - 2 * round(0.05 * side) for side in pixels.shape[:2])
    return encode_jpeg(centre_crop(pixels, height, width), 85, "4:2:0")


def captured(pixels: Pixels) -> bytes:
    """A screenshot of strength 2 that fits on the display."""
    factor = min(SCREENS[2].factor, SCREEN_LONGEST / longer_side(pixels))
    return screenshot(pixels, replace(SCREENS[2], factor=factor))


# Name, what is done, and how; after the file as found.
WAYS: tuple[tuple[str, str, Callable[[Pixels], bytes]], ...] = (
    ("stripped", "The same pixels as PNG, without metadata.", stripped),
    ("jpeg-95", "JPEG of quality 95 with 4:4:4 chroma.", jpeg_95),
    ("jpeg-75", "JPEG of quality 75 with 4:2:0 chroma.", jpeg_75),
    ("webp-80", "Lossy WebP of quality 80 (effort 4).", webp_80),
    ("half-size", "Half the size (Lanczos), JPEG of quality 80 with 4:2:0 chroma.", half_size),
    (
        "messenger",
        f"Shrunk to 0.8 of its size, or to a longer side of {MESSENGER_LONGEST} px where that is smaller "
        "(Lanczos), JPEG of quality 70 with 4:2:0 chroma.",
        messenger,
    ),
    ("jpeg-twice", "JPEG of quality 90, opened and saved as JPEG of quality 80, both 4:2:0.", jpeg_twice),
    ("trimmed", "Cut by 5 % at each side, JPEG of quality 85 with 4:2:0 chroma.", trimmed),
    (
        "screenshot",
        f"A screenshot: {SCREENS[2].text}; shown smaller where the longer side would exceed "
        f"{SCREEN_LONGEST} px.",
        captured,
    ),
)

NAMES = (AS_FOUND, *(name for name, _, _ in WAYS))


def deliveries(content: Path | bytes, key: str) -> list[Delivery]:
    """One picture shipped in the ten ways of `NAMES`, in their order; the first is the file as found.

    Args:
        content: a file or its bytes.
        key: the picture's name in the manifest, from which anything random would be drawn; version 1 of
            the test draws nothing.

    Raises:
        ImageError: the picture cannot be read.
        LeftOut: a side is longer than WebP allows, so that one way is closed to it.
    """
    original = content if isinstance(content, bytes) else read_file(content)
    pixels = decode(original).pixels
    _check_length(pixels)
    found = [Delivery(AS_FOUND, "The bytes of the file, untouched.", original)]
    return found + [Delivery(name, text, way(pixels)) for name, text, way in WAYS]


def way_conditions() -> list[Condition]:
    """The ten ways as conditions called "delivery-NAME", for scoring; the first is the file as found."""
    found = [
        Condition(
            name=f"{FAMILY}-{AS_FOUND}",
            version=VERSION,
            family=FAMILY,
            level=None,
            text="The bytes of the file, untouched.",
        )
    ]
    for name, text, way in WAYS:
        found.append(
            Condition(
                name=f"{FAMILY}-{name}",
                version=VERSION,
                family=FAMILY,
                level=None,
                text=text,
                pipeline=partial(_one_way, way),
            )
        )
    return found


def _one_way(way: Callable[[Pixels], bytes], pixels: Pixels, seed: int) -> bytes:
    _check_length(pixels)
    return way(pixels)


def _check_length(pixels: Pixels) -> None:
    if longer_side(pixels) > WEBP_LONGEST:
        raise LeftOut(
            f"The longer side has {longer_side(pixels)} pixels, more than the {WEBP_LONGEST} of WebP."
        )
