"""Perturbation sweeps: one thing at a time, at several levels, on a base that is the same for all.

The base is the centre square at exactly 512 px, not encoded. Every curve starts from it in the condition
`none`. Codecs deliver their own bytes; all else is delivered losslessly as PNG.
"""

from collections.abc import Iterator
from functools import partial

from vestige.evaluation.protocols.condition import Condition, Pipeline
from vestige.evaluation.protocols.screenshot import SCREENS, Screen, screenshot
from vestige.evaluation.protocols.single import LEFT_OUT, SIDE, SQUARE, square_512
from vestige.evaluation.protocols.steps import (
    Pixels,
    add_noise,
    blur,
    centre_crop,
    encode_jpeg,
    encode_png,
    encode_webp,
    scale,
)

# In the order of the curves, from mild to strong; enlarging comes after shrinking.
LEVELS: dict[str, tuple[float, ...]] = {
    "jpeg": (95, 85, 75, 60, 50, 30),
    "webp": (90, 75, 50, 30),
    "resize": (0.75, 0.5, 0.35, 1.5),
    "blur": (0.5, 1, 2, 3),
    "noise": (2, 5, 10, 20),
    "crop": (0.9, 0.75, 0.5),
    "screenshot": (1, 2, 3),
}

AXES = {
    "jpeg": "JPEG quality, 4:2:0 chroma",
    "webp": "quality of lossy WebP",
    "resize": "factor of the side",
    "blur": "standard deviation of the Gaussian in pixels",
    "noise": "standard deviation of the noise in grey levels of 255",
    "crop": "part of the side that is kept",
    "screenshot": "strength",
}


def none(pixels: Pixels, seed: int) -> bytes:
    """The base alone."""
    return encode_png(square_512(pixels))


def jpeg(pixels: Pixels, seed: int, *, quality: int) -> bytes:
    """The base as JPEG."""
    return encode_jpeg(square_512(pixels), quality, "4:2:0")


def webp(pixels: Pixels, seed: int, *, quality: int) -> bytes:
    """The base as lossy WebP."""
    return encode_webp(square_512(pixels), quality)


def resized(pixels: Pixels, seed: int, *, factor: float) -> bytes:
    """The base at another size, delivered at that size."""
    return encode_png(scale(square_512(pixels), factor))


def blurred(pixels: Pixels, seed: int, *, sigma: float) -> bytes:
    """The base out of focus."""
    return encode_png(blur(square_512(pixels), sigma))


def noisy(pixels: Pixels, seed: int, *, deviation: float) -> bytes:
    """The base with noise drawn from `seed`."""
    return encode_png(add_noise(square_512(pixels), deviation, seed))


def cropped(pixels: Pixels, seed: int, *, part: float) -> bytes:
    """The middle of the base at its own resolution."""
    side = _side(part)
    return encode_png(centre_crop(square_512(pixels), side, side))


def captured(pixels: Pixels, seed: int, *, screen: Screen) -> bytes:
    """A screenshot of the base."""
    return screenshot(square_512(pixels), screen)


NONE = Condition(
    name="none",
    version=1,
    family="none",
    level=0.0,
    text=f"{SQUARE}, not perturbed, delivered as PNG; {LEFT_OUT}.",
    minimum_side=SIDE,
    pipeline=none,
)


def sweep(family: str) -> Iterator[Condition]:
    """The levels of one sweep, without its start `NONE`.

    Args:
        family: a key of `LEVELS`.
    """
    for level in LEVELS[family]:
        pipeline, words = _perturbation(family, level)
        yield Condition(
            name=f"{family}-{level:g}",
            version=1,
            family=family,
            level=float(level),
            text=f"{SQUARE}, {words}; {LEFT_OUT}.",
            minimum_side=SIDE,
            pipeline=pipeline,
        )


def _perturbation(family: str, level: float) -> tuple[Pipeline, str]:
    whole = int(level)
    if family == "jpeg":
        return partial(jpeg, quality=whole), f"then JPEG of quality {whole} with 4:2:0 chroma"
    if family == "webp":
        return partial(webp, quality=whole), f"then lossy WebP of quality {whole} (effort 4)"
    if family == "resize":
        side = _side(level)
        return partial(resized, factor=level), f"then resized by {level:g} to {side} px (Lanczos), as PNG"
    if family == "blur":
        return partial(blurred, sigma=level), f"then blurred by a Gaussian of sigma {level:g} px, as PNG"
    if family == "noise":
        words = (
            f"then Gaussian noise of standard deviation {level:g} grey levels, independent in every pixel "
            "and channel and drawn by the picture's name, as PNG"
        )
        return partial(noisy, deviation=level), words
    if family == "crop":
        return partial(cropped, part=level), f"then its middle {_side(level)} px at native resolution, as PNG"
    return partial(captured, screen=SCREENS[whole]), f"then {SCREENS[whole].text}"


def _side(factor: float) -> int:
    return round(SIDE * factor)
