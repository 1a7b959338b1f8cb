"""Any Pillow image -> 8-bit sRGB, upright, with a sentence for each thing that was done."""

from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from vestige.errors import ImageError

_MAX_PROFILE = 8 * 2**20  # press profiles have up to three megabytes
_BAND = 256  # rows copied at a time
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def to_srgb(
    image: Image.Image, profile: bytes | None, orientation: int, bits: int, notes: list[str]
) -> npt.NDArray[np.uint8]:
    """The pixels as they should be seen.

    Args:
        image: loaded image in any of Pillow's modes; may be altered.
        profile: embedded ICC profile.
        orientation: EXIF orientation still to be applied, 1-8.
        bits: bits per channel as stored, where Pillow widened them to 16 (12-bit TIFF); otherwise 16.
        notes: gets one sentence for each step that is not trivial.

    Returns:
        uint8 [H, W, 3], sRGB, owned by the caller.

    Raises:
        ImageError: `corrupt` if a floating-point picture holds values that are not numbers.
    """
    colour, alpha = _split(image, bits, notes)
    colour = _managed(colour, profile, notes)
    if alpha is not None and alpha.getextrema() != (255, 255):
        colour = colour if colour.mode == "RGB" else colour.convert("RGB")
        white = Image.new("RGB", colour.size, (255, 255, 255))
        white.paste(colour, mask=alpha)
        colour = white
        notes.append("Transparent areas laid over white.")
    if orientation in _UPRIGHT:
        colour = colour.transpose(_UPRIGHT[orientation])
        notes.append(f"Turned upright (EXIF orientation {orientation}).")
    return as_array(colour)


def as_array(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Copy an "RGB" or "L" image to uint8 [H, W, 3], in bands so that the copy needs no second copy."""
    width, height = image.size
    pixels = np.empty((height, width, 3), np.uint8)
    if height <= _BAND:
        pixels[:] = _rows(image)
        return pixels
    for top in range(0, height, _BAND):
        bottom = min(top + _BAND, height)
        pixels[top:bottom] = _rows(image.crop((0, top, width, bottom)))
    return pixels


def _rows(image: Image.Image) -> npt.NDArray[np.uint8]:
    rows = np.asarray(image)
    return rows if rows.ndim == 3 else rows[:, :, None]


def _split(image: Image.Image, bits: int, notes: list[str]) -> tuple[Image.Image, Image.Image | None]:
    """Colour in a mode of 8 bits per channel, and the alpha channel if there is one."""
    mode = image.mode
    if mode.startswith("I;16") or mode in {"I", "F"}:
        return _narrow(image, bits, notes)
    if mode in {"L", "1", "RGB"} and "transparency" in image.info:
        image = _keyed(image)
    elif mode == "P":
        clear = "transparency" in image.info or (image.palette is not None and image.palette.mode == "RGBA")
        image = image.convert("RGBA" if clear else "RGB")
        notes.append("Palette expanded to colours.")
    elif mode == "PA":
        image = image.convert("RGBA")
        notes.append("Palette expanded to colours.")
    elif mode == "1":
        image = image.convert("L")
    elif mode in {"La", "RGBa"}:
        image = image.convert(mode.upper())
    elif mode not in {"L", "LA", "RGB", "RGBA", "CMYK", "LAB"}:
        image = image.convert("RGB")
        if mode != "RGBX":
            notes.append(f"Converted from {mode} to RGB.")
    if image.mode in {"LA", "RGBA"}:
        return image.convert(image.mode[:-1]), image.getchannel("A")
    return image, None


def _keyed(image: Image.Image) -> Image.Image:
    """Grey or RGB with one colour declared transparent (PNG tRNS) -> with alpha."""
    key = image.info["transparency"]
    values = key if isinstance(key, tuple) else (key,)
    if not all(isinstance(value, int) for value in values):
        image.info.pop("transparency")
        return image.convert("L") if image.mode == "1" else image
    if any(value > 255 for value in values):  # declared at 16 bits, which Pillow has already narrowed
        values = tuple(value >> 8 for value in values)
        image.info["transparency"] = values if isinstance(key, tuple) else values[0]
    return image.convert("RGBA" if image.mode == "RGB" else "LA")


def _narrow(image: Image.Image, bits: int, notes: list[str]) -> tuple[Image.Image, Image.Image | None]:
    """One channel of 16 or 32 bits -> 8 bits. 16-bit values keep their high byte, as Pillow does for RGB."""
    values = np.asarray(image)
    if not values.dtype.isnative:
        values = values.astype(values.dtype.newbyteorder("="))
    alpha = None
    if image.mode.startswith("I;16"):
        key = image.info.get("transparency")
        if isinstance(key, int):
            alpha = Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8))
        grey = (values >> (bits - 8 if 8 < bits < 16 else 8)).clip(0, 255)
        notes.append(f"Reduced from {bits} to 8 bits per channel.")
    else:
        grey, words = _scaled(values)
        notes.append(f"Reduced from 32 to 8 bits per channel: {words}.")
    return Image.fromarray(grey.astype(np.uint8)), alpha


def _scaled(values: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], str]:
    """32-bit integers or floats -> 0..255, by the narrowest usual range that holds them all."""
    low, high = float(values.min()), float(values.max())
    if not np.isfinite(low) or not np.isfinite(high):
        raise ImageError("corrupt", "The picture holds values that are not numbers.")
    floating = values.dtype.kind == "f"
    if low >= 0 and high <= 1 and floating:
        return np.rint(values * 255.0), "values 0 to 1 scaled to 0 to 255"
    if low >= 0 and high <= 255:
        return np.rint(values), "values were within 0 to 255"
    if low >= 0 and high <= 65535:
        return np.floor(values / 256.0), "values taken as 16-bit"
    spread = values.astype(np.float64) - low
    return np.rint(spread * (255.0 / (high - low or 1.0))), "stretched from their own range"


def _managed(image: Image.Image, profile: bytes | None, notes: list[str]) -> Image.Image:
    """Apply the embedded profile where it fits, the plain formula where there is none."""
    if profile:
        try:
            space = profile[16:20]
            if space == b"RGB " and image.mode == "L":
                image = image.convert("RGB")
            if {"RGB": b"RGB ", "L": b"GRAY", "CMYK": b"CMYK", "LAB": b"Lab "}[image.mode] != space:
                notes.append("Ignored an embedded colour profile that does not fit the picture.")
            elif len(profile) > _MAX_PROFILE:
                notes.append("Ignored an embedded colour profile of absurd size.")
            elif image.mode != "LAB":
                transform, name = _transform(profile, image.mode)
                if transform is None:
                    return image
                converted = transform.apply(image)
                notes.append(f"Converted from the colour profile {name} to sRGB.")
                return converted
        except Exception:  # damage shows as one of several types; the picture is readable without its profile
            notes.append("Ignored an embedded colour profile that is damaged.")
    if image.mode in {"CMYK", "LAB"}:
        notes.append(f"Converted from {image.mode} to RGB without a colour profile.")
        return image.convert("RGB")
    return image


@lru_cache(maxsize=32)
def _transform(profile: bytes, mode: str) -> tuple[ImageCms.ImageCmsTransform | None, str]:
    """The transform from a profile to sRGB, None if it changes no colour by more than two levels.

    Measuring it on a lattice of colours recognises every sRGB profile whatever its name, and leaves the
    pixels of such pictures exactly as they were decoded.
    """
    source = ImageCms.ImageCmsProfile(BytesIO(profile))
    transform = ImageCms.ImageCmsTransform(source, _srgb(), mode, "RGB", ImageCms.Intent.PERCEPTUAL)
    words = "".join(letter for letter in ImageCms.getProfileDescription(source) if letter.isprintable())
    name = f'"{words.strip()[:60]}"' if words.strip() else "of the file"
    probe = _probe(mode)
    if probe is not None:
        before = np.asarray(probe.convert("RGB"), np.int16)
        after = np.asarray(transform.apply(probe), np.int16)
        if np.abs(after - before).max() <= 2:
            return None, name
    return transform, name


@lru_cache(maxsize=1)
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


@lru_cache(maxsize=4)
def _probe(mode: str) -> Image.Image | None:
    """All corners and a lattice between them: 17 steps per channel, or every grey."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    if mode != "RGB":
        return None
    steps = np.linspace(0, 255, 17).round().astype(np.uint8)
    lattice = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1)
    return Image.fromarray(lattice.reshape(17 * 17, 17, 3))
