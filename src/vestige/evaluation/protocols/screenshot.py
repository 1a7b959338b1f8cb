"""What a screenshot does to a picture: display size, display colours, a browser's sharpness, another file."""

from dataclasses import dataclass

from vestige.evaluation.protocols.steps import (
    BICUBIC,
    Pixels,
    encode_jpeg,
    encode_png,
    gamma,
    scale,
    sharpen,
)


@dataclass(frozen=True)
class Screen:
    """One strength of the chain.

    Attributes:
        factor: the picture is displayed at this part of its size (bicubic).
        exponent: of the display's tone curve against sRGB; rounding to 8 bits merges some grey levels.
        percent: of an unsharp mask of radius 0.6 px, for the sharpening of the resampling.
        quality: of the JPEG (4:2:0) that is saved; None saves a PNG.
    """

    factor: float
    exponent: float
    percent: int
    quality: int | None

    @property
    def text(self) -> str:
        """The steps in words."""
        saved = "PNG" if self.quality is None else f"JPEG of quality {self.quality} with 4:2:0 chroma"
        return (
            f"shown at {self.factor:g} of its size (bicubic), tone curve with exponent {self.exponent:g} "
            f"rounded to 8 bits, unsharp mask (0.6 px, {self.percent} %), saved as {saved}"
        )


# 1: the system's own tool on a desktop. 2: from a page that shows it smaller, as an app saves it. 3: from a
# small display, sent on by a messenger.
SCREENS = {1: Screen(0.9, 1.02, 20, None), 2: Screen(0.75, 1.05, 40, 90), 3: Screen(0.5, 1.1, 60, 75)}


def screenshot(pixels: Pixels, screen: Screen) -> bytes:
    """The file that a screenshot of the picture leaves; its sides are `screen.factor` of the picture's."""
    shown = scale(pixels, screen.factor, BICUBIC)
    shown = gamma(shown, screen.exponent)
    shown = sharpen(shown, 0.6, screen.percent)
    return encode_png(shown) if screen.quality is None else encode_jpeg(shown, screen.quality)
