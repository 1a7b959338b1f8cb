"""The random chain of things that happen to pictures on their way through the world.

Both classes pass the same chain, so format, quality and size give nothing away. What was drawn is a
value: the same generator gives the same picture.
"""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter
from pydantic import BaseModel, ConfigDict, Field, model_validator

Pixels = npt.NDArray[np.uint8]
Map = npt.NDArray[np.float32]

FILTERS = (
    Image.Resampling.BILINEAR,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
    Image.Resampling.BOX,
)


class ChainConfig(BaseModel):
    """How often and how strongly each step happens. Probabilities in [0, 1], qualities 1-100.

    Attributes:
        resize: probability of resampling by a factor drawn log-uniformly from `resize_factor`.
        blur: probability of a Gaussian blur with a sigma in pixels drawn uniformly from `blur_sigma`.
        noise: probability of Gaussian noise, standard deviation in grey levels of 0-255.
        jpeg, webp: probability of the final encoding; the rest stays as it is.
        chroma_420: share of JPEGs with 4:2:0 subsampling (the others 4:4:4).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    resize: float = Field(0.6, ge=0, le=1)
    resize_factor: tuple[float, float] = (0.5, 1.0)
    blur: float = Field(0.1, ge=0, le=1)
    blur_sigma: tuple[float, float] = (0.3, 1.2)
    noise: float = Field(0.1, ge=0, le=1)
    noise_sigma: tuple[float, float] = (1.0, 5.0)
    jpeg: float = Field(0.75, ge=0, le=1)
    jpeg_quality: tuple[int, int] = (60, 96)
    chroma_420: float = Field(0.8, ge=0, le=1)
    webp: float = Field(0.15, ge=0, le=1)
    webp_quality: tuple[int, int] = (60, 95)

    @model_validator(mode="after")
    def _possible(self) -> "ChainConfig":
        if self.jpeg + self.webp > 1:
            raise ValueError(f"jpeg and webp exclude each other: {self.jpeg} + {self.webp} must not exceed 1")
        for name, least, most in (
            ("resize_factor", 0.05, 4),
            ("blur_sigma", 0, 20),
            ("noise_sigma", 0, 255),
            ("jpeg_quality", 1, 100),
            ("webp_quality", 1, 100),
        ):
            low, high = getattr(self, name)
            if not least <= low <= high <= most:
                raise ValueError(f"{name} must be a range within {least} to {most}, got {low} to {high}")
        return self


@dataclass(frozen=True)
class Passage:
    """What the chain does to one picture; drawn before the pixels are looked at, so that a map can follow.

    Attributes:
        size: (width, height) after resampling; None: not resampled.
        resample: the filter.
        blur: sigma in pixels; None: not blurred.
        noise: added grey levels, float64 [H', W', 3]; None: none.
        codec: "JPEG", "WEBP", or "": not encoded again.
        options: of the codec.
    """

    size: tuple[int, int] | None
    resample: Image.Resampling
    blur: float | None
    noise: npt.NDArray[np.float64] | None
    codec: str
    options: dict[str, int]

    def pixels(self, pixels: Pixels) -> Pixels:
        """uint8 [H, W, 3] -> uint8 [H', W', 3]."""
        image = Image.fromarray(pixels)
        if self.size is not None:
            image = image.resize(self.size, self.resample)
        if self.blur is not None:
            image = image.filter(ImageFilter.GaussianBlur(self.blur))
        if self.noise is not None:
            noisy = np.asarray(image) + self.noise
            image = Image.fromarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))
        if self.codec:
            image = recode(image, self.codec, **self.options)
        return np.asarray(image)

    def map(self, values: Map) -> Map:
        """A map of the picture, float32 [H, W] -> float32 [H', W'], means over areas: its size changes."""
        if self.size is None:
            return values
        resized = Image.fromarray(values).resize(self.size, Image.Resampling.BOX)
        return np.asarray(resized, dtype=np.float32)


def draw_passage(height: int, width: int, config: ChainConfig, rng: np.random.Generator) -> Passage:
    """One random passage through the chain for a picture of this size: resize, blur, noise, encoding."""
    size, resample = None, Image.Resampling.BOX
    if rng.random() < config.resize:
        low, high = np.log(config.resize_factor)
        factor = float(np.exp(rng.uniform(low, high)))
        width, height = max(1, round(width * factor)), max(1, round(height * factor))
        size, resample = (width, height), FILTERS[rng.integers(len(FILTERS))]
    blur = rng.uniform(*config.blur_sigma) if rng.random() < config.blur else None
    noise = None
    if rng.random() < config.noise:
        noise = rng.normal(0, rng.uniform(*config.noise_sigma), (height, width, 3))
    draw, codec, options = rng.random(), "", dict[str, int]()
    if draw < config.jpeg:
        codec = "JPEG"
        options["quality"] = int(rng.integers(config.jpeg_quality[0], config.jpeg_quality[1] + 1))
        options["subsampling"] = 2 if rng.random() < config.chroma_420 else 0
    elif draw < config.jpeg + config.webp:
        codec = "WEBP"
        options["quality"] = int(rng.integers(config.webp_quality[0], config.webp_quality[1] + 1))
        options["method"] = 2
    return Passage(size, resample, blur, noise, codec, options)


def apply_chain(pixels: Pixels, config: ChainConfig, rng: np.random.Generator) -> Pixels:
    """One random passage through the chain: resize, blur, noise, encoding.

    Args:
        pixels: uint8 [H, W, 3].

    Returns:
        uint8 [H', W', 3]; H' and W' differ from H and W if the picture was resized.
    """
    height, width = pixels.shape[:2]
    return draw_passage(height, width, config, rng).pixels(pixels)


def recode(image: Image.Image, kind: str, **options: int) -> Image.Image:
    """Encode with a real codec and decode again. RGB in, RGB out."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return Image.open(buffer).convert("RGB")


@dataclass(frozen=True)
class Patch:
    """A square of a picture, mirrored or not; a picture that is smaller than it is reflected."""

    top: int
    left: int
    side: int
    mirrored: bool

    def cut(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """[H, W, ...] -> [side, side, ...]."""
        height, width = values.shape[:2]
        if min(height, width) < self.side:
            pad = [(0, max(0, self.side - height)), (0, max(0, self.side - width))]
            values = np.pad(values, [*pad, *[(0, 0)] * (values.ndim - 2)], mode="symmetric")
        patch = values[self.top : self.top + self.side, self.left : self.left + self.side]
        return np.ascontiguousarray(patch[:, ::-1] if self.mirrored else patch)


def draw_patch(height: int, width: int, size: int, rng: np.random.Generator, multiple: int = 32) -> Patch:
    """A random square patch of a picture of this size, mirrored half of the time.

    The side is `size`, or the largest multiple of `multiple` that fits into a smaller picture (the
    picture is reflected where it is smaller than `multiple`).
    """
    side = min(size, max(multiple, min(height, width) // multiple * multiple))
    top = int(rng.integers(max(height, side) - side + 1))
    left = int(rng.integers(max(width, side) - side + 1))
    return Patch(top, left, side, bool(rng.random() < 0.5))


def random_patch(pixels: Pixels, size: int, rng: np.random.Generator, multiple: int = 32) -> Pixels:
    """A random square patch, as `draw_patch` draws it.

    Returns:
        uint8 [s, s, 3].
    """
    height, width = pixels.shape[:2]
    return draw_patch(height, width, size, rng, multiple).cut(pixels)
