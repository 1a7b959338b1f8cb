"""The single protocols: as found, as the web shows it, harder, and cropped."""

from vestige.evaluation.protocols.condition import Condition
from vestige.evaluation.protocols.steps import Pixels, centre_crop, centre_square, encode_jpeg, resize

SIDE = 512
CROP_SIDE = 320

# One exact size for all: the side length alone can give the class away. What remains of a picture's history,
# such as how far it was shrunk, no protocol can equalise.
SQUARE = f"Centre square, resized to exactly {SIDE} px (Lanczos; not resampled if it has this size)"
LEFT_OUT = f"pictures whose shorter side is under {SIDE} px are left out"


def square_512(pixels: Pixels) -> Pixels:
    """The centre square as uint8 [512, 512, 3]; pixels of a picture of this size stay as they are."""
    return resize(centre_square(pixels), SIDE, SIDE)


def web(pixels: Pixels, seed: int) -> bytes:
    """The protocol `web`; nothing is drawn."""
    return encode_jpeg(square_512(pixels), quality=85, chroma="4:2:0")


def hard(pixels: Pixels, seed: int) -> bytes:
    """The protocol `hard`: `seed` decides the quality, each of the sixteen equally likely."""
    return encode_jpeg(square_512(pixels), quality=60 + seed % 16, chroma="4:2:0")


def crop(pixels: Pixels, seed: int) -> bytes:
    """The protocol `crop`; nothing is drawn."""
    return encode_jpeg(centre_crop(pixels, CROP_SIDE, CROP_SIDE), quality=85, chroma="4:2:0")


SINGLE = (
    Condition(
        name="as-found",
        version=1,
        family="as-found",
        level=None,
        text="The bytes of the file, untouched: size, format, encoding and metadata may give the class away.",
    ),
    Condition(
        name="web",
        version=1,
        family="web",
        level=None,
        text=f"{SQUARE}, JPEG of quality 85 with 4:2:0 chroma, no metadata; a picture that is in "
        f"this form already is encoded once more; {LEFT_OUT}.",
        minimum_side=SIDE,
        pipeline=web,
    ),
    Condition(
        name="hard",
        version=1,
        family="hard",
        level=None,
        text=f"{SQUARE}, JPEG of a quality drawn uniformly from 60 to 75 by the picture's name, "
        f"4:2:0 chroma, no metadata; {LEFT_OUT}.",
        minimum_side=SIDE,
        pipeline=hard,
    ),
    Condition(
        name="crop",
        version=1,
        family="crop",
        level=None,
        text=f"The {CROP_SIDE} px square in the middle at native resolution, not resampled, JPEG of quality "
        "85 with 4:2:0 chroma, no metadata; pictures whose shorter side is under "
        f"{CROP_SIDE} px are left out.",
        minimum_side=CROP_SIDE,
        pipeline=crop,
    ),
)
