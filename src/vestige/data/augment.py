"""The random chain of things that happen to pictures on their way through the world.

Both classes pass the same chain, so format, quality and size give nothing away. What was drawn is a
value: the same generator gives the same picture.
"""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter
from pydantic import BaseModel, ConfigDict, Field, model_validator

Pixels = npt.NDArray[np.uint8]

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


def apply_chain(pixels: Pixels, config: ChainConfig, rng: np.random.Generator) -> Pixels:
    """One random passage through the chain: resize, blur, noise, encoding.

    Args:
        pixels: uint8 [H, W, 3].

    Returns:
        uint8 [H', W', 3]; H' and W' differ from H and W if the picture was resized.
    """
    image = Image.fromarray(pixels)
    if rng.random() < config.resize:
        low, high = np.log(config.resize_factor)
        factor = float(np.exp(rng.uniform(low, high)))
        size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
        image = image.resize(size, FILTERS[rng.integers(len(FILTERS))])
    if rng.random() < config.blur:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(*config.blur_sigma)))
    if rng.random() < config.noise:
        noisy = np.asarray(image) + rng.normal(
            0, rng.uniform(*config.noise_sigma), (image.height, image.width, 3)
        )
        image = Image.fromarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))
    draw = rng.random()
    if draw < config.jpeg:
        image = recode(
            image,
            "JPEG",
            quality=int(rng.integers(config.jpeg_quality[0], config.jpeg_quality[1] + 1)),
            subsampling=2 if rng.random() < config.chroma_420 else 0,
        )
    elif draw < config.jpeg + config.webp:
        image = recode(
            image,
            "WEBP",
            quality=int(rng.integers(config.webp_quality[0], config.webp_quality[1] + 1)),
            method=2,
        )
    return np.asarray(image)


def recode(image: Image.Image, kind: str, **options: int) -> Image.Image:
    """Encode with a real codec and decode again. RGB in, RGB out."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return Image.open(buffer).convert("RGB")


def random_patch(pixels: Pixels, size: int, rng: np.random.Generator, multiple: int = 32) -> Pixels:
    """A random square patch, mirrored half of the time.

    The side is `size`, or the largest multiple of `multiple` that fits into a smaller picture (the
    picture is reflected where it is smaller than `multiple`).

    Returns:
        uint8 [s, s, 3].
    """
    height, width = pixels.shape[:2]
    side = min(size, max(multiple, min(height, width) // multiple * multiple))
    if min(height, width) < side:
        pad = [(0, max(0, side - height)), (0, max(0, side - width)), (0, 0)]
        pixels = np.pad(pixels, pad, mode="symmetric")
        height, width = pixels.shape[:2]
    top = int(rng.integers(height - side + 1))
    left = int(rng.integers(width - side + 1))
    patch = pixels[top : top + side, left : left + side]
    return np.ascontiguousarray(patch[:, ::-1] if rng.random() < 0.5 else patch)
