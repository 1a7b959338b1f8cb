"""Processing that leaves the meaning of a picture as it is: the pixels change, what they show does not."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter
from pydantic import Field, field_validator

from vestige.data.augment import recode
from vestige.data.manipulations.base import (
    Feathered,
    Inpaint,
    Manipulated,
    Pixels,
    Source,
    compose,
    feathered,
)
from vestige.data.masks import draw_region

Step = Literal["jpeg", "blur", "sharpen", "noise", "tone", "colour", "rescale", "median"]
Drawn = tuple[Image.Image, dict[str, Any]]


class Perturbation(Feathered):
    """One or more steps of ordinary processing, in a region or everywhere.

    Attributes:
        whole: probability that the whole picture is processed.
        steps: what may be drawn, each at most once. "jpeg": encoded and decoded, quality 50 to 95; "blur":
            Gaussian, sigma 0.5 to 2 pixels; "sharpen": unsharp mask; "noise": Gaussian, 2 to 10 grey levels;
            "tone": brightness, contrast and gamma; "colour": saturation and hue; "rescale": reduced to 0.4 to
            0.9 of its size and enlarged again; "median": over 3x3 pixels.
        count: fewest and most steps, drawn uniformly, one after the other in random order.
    """

    kind: Literal["perturbation"] = "perturbation"
    whole: float = Field(0.3, ge=0, le=1)
    steps: tuple[Step, ...] = Field(
        ("jpeg", "blur", "sharpen", "noise", "tone", "colour", "rescale", "median"), min_length=1
    )
    count: tuple[int, int] = (1, 3)

    @field_validator("count")
    @classmethod
    def _count(cls, value: tuple[int, int]) -> tuple[int, int]:
        if not 1 <= value[0] <= value[1]:
            raise ValueError(f"must be a range from 1, got {value[0]} to {value[1]}")
        return value

    def apply(
        self,
        host: Pixels,
        rng: np.random.Generator,
        donor: Pixels | None = None,
        networks: Mapping[str, Inpaint] | None = None,
    ) -> Manipulated:
        """Process a region or the whole picture; see `Manipulation.apply`. Source PERTURBED."""
        how: dict[str, Any] = {"mask": "whole"}
        if rng.random() < self.whole:
            amount = np.ones(host.shape[:2], dtype=np.float32)
        else:
            region, feather = draw_region(host, self.mask, rng), float(rng.uniform(*self.feather))
            amount = feathered(region.mask, feather)
            how = {**region.how(), "feather": feather}
        names = sorted(set(self.steps))
        count = min(int(rng.integers(self.count[0], self.count[1] + 1)), len(names))
        image, steps = Image.fromarray(host), list[dict[str, Any]]()
        for index in rng.permutation(len(names))[:count]:
            image, drawn = STEPS[names[index]](image, rng)
            steps.append({"step": names[index], **drawn})
        how["steps"] = steps
        return compose(host, np.asarray(image), amount, Source.PERTURBED, self.kind, how)


def _jpeg(image: Image.Image, rng: np.random.Generator) -> Drawn:
    quality, subsampling = int(rng.integers(50, 96)), int(rng.choice([0, 2]))
    recoded = recode(image, "JPEG", quality=quality, subsampling=subsampling)
    return recoded, {"quality": quality, "subsampling": subsampling}


def _blur(image: Image.Image, rng: np.random.Generator) -> Drawn:
    sigma = float(rng.uniform(0.5, 2))
    return image.filter(ImageFilter.GaussianBlur(sigma)), {"sigma": sigma}


def _sharpen(image: Image.Image, rng: np.random.Generator) -> Drawn:
    radius, percent = float(rng.uniform(0.5, 2)), int(rng.integers(50, 151))
    return image.filter(ImageFilter.UnsharpMask(radius, percent, 0)), {"radius": radius, "percent": percent}


def _noise(image: Image.Image, rng: np.random.Generator) -> Drawn:
    sigma = float(rng.uniform(2, 10))
    noisy = np.asarray(image) + rng.normal(0, sigma, (image.height, image.width, 3))
    return Image.fromarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8)), {"sigma": sigma}


def _tone(image: Image.Image, rng: np.random.Generator) -> Drawn:
    brightness, contrast = float(rng.uniform(-30, 30)), float(rng.uniform(0.75, 1.3))
    gamma = float(np.exp(rng.uniform(-0.3, 0.3)))
    levels = np.clip((np.arange(256) - 127.5) * contrast + 127.5 + brightness, 0, 255) / 255
    table = np.rint(255 * levels**gamma).astype(np.uint8)
    return Image.fromarray(table[np.asarray(image)]), {
        "brightness": brightness,
        "contrast": contrast,
        "gamma": gamma,
    }


def _colour(image: Image.Image, rng: np.random.Generator) -> Drawn:
    saturation, hue = float(rng.uniform(0.5, 1.5)), int(rng.integers(-10, 11))
    h, s, v = ImageEnhance.Color(image).enhance(saturation).convert("HSV").split()
    turned = Image.merge("HSV", (h.point([(level + hue) % 256 for level in range(256)]), s, v))
    return turned.convert("RGB"), {"saturation": saturation, "hue": hue}


def _rescale(image: Image.Image, rng: np.random.Generator) -> Drawn:
    factor = float(rng.uniform(0.4, 0.9))
    small = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    reduced = image.resize(small, Image.Resampling.BICUBIC)
    return reduced.resize(image.size, Image.Resampling.BICUBIC), {"factor": factor}


def _median(image: Image.Image, rng: np.random.Generator) -> Drawn:
    return image.filter(ImageFilter.MedianFilter(3)), {"side": 3}


STEPS: dict[str, Callable[[Image.Image, np.random.Generator], Drawn]] = {
    "jpeg": _jpeg,
    "blur": _blur,
    "sharpen": _sharpen,
    "noise": _noise,
    "tone": _tone,
    "colour": _colour,
    "rescale": _rescale,
    "median": _median,
}
