"""Pictures made in memory for the tests of protocols, and how to look at what protocols make of them."""

from io import BytesIO

import numpy as np
from PIL import Image

from vestige.evaluation.protocols import conditions


def photo(width: int, height: int, seed: int = 3) -> np.ndarray:
    """uint8 [H, W, 3]: waves of several lengths, different in every corner, and a little noise."""
    y, x = np.mgrid[0:height, 0:width]
    waves = np.stack([np.sin(x / 3 + y / 50), np.sin(y / 7 + x / 90), np.sin((x - y) / 17)], -1)
    slope = (x / width + y / height)[..., None] * 40
    noise = np.random.default_rng(seed).normal(0, 3, (height, width, 3))
    return np.clip(np.rint(88 + 60 * waves + slope + noise), 0, 255).astype(np.uint8)


def saved(pixels: np.ndarray, kind: str = "BMP", **options: object) -> bytes:
    out = BytesIO()
    Image.fromarray(pixels).save(out, kind, **options)
    return out.getvalue()


def opened(content: bytes) -> Image.Image:
    image = Image.open(BytesIO(content))
    image.load()
    return image


def pixels_of(content: bytes) -> np.ndarray:
    return np.asarray(opened(content).convert("RGB"))


def applied(name: str, content: bytes, key: str = "a.jpg") -> bytes:
    (condition,) = conditions([name])
    found = condition.apply(content, key)
    assert isinstance(found, bytes)
    return found


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB; at most 99, for equal pictures."""
    return float(10 * np.log10(255**2 / max(np.mean((one.astype(float) - other) ** 2), 255**2 / 10**9.9)))
