"""Sets of made pictures for tests of the audit: fair ones, and copies that are biased in one way."""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from vestige.data.manifest import Row

GROUPS = 10  # per class


@dataclass
class Plan:
    """How one picture is made; what a bias changes."""

    width: int
    height: int
    format: str
    quality: int
    exif: bool
    shift: tuple[int, int, int] = (0, 0, 0)
    slope: float = 0.0
    grain: float = 3.0


def fair_plan(rng: np.random.Generator) -> Plan:
    return Plan(
        width=int(rng.integers(90, 170)),
        height=int(rng.integers(90, 170)),
        format="PNG" if rng.random() < 0.2 else "JPEG",
        quality=int(rng.integers(70, 96)),
        exif=bool(rng.random() < 0.3),
    )


def smooth_noise(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Like a photograph from afar: large shapes, fewer small ones; float [H, W, 3]."""
    total = np.full((height, width, 3), rng.normal(120, 15, 3))
    for side, strength in ((3, 35), (7, 20), (15, 10)):
        cells = rng.normal(0, 1, (side, side))
        shape = np.asarray(Image.fromarray(cells.astype(np.float32)).resize((width, height), Image.BICUBIC))
        total += strength * shape[..., None] * rng.uniform(0.7, 1.3, 3)
    return total


def picture_of(plan: Plan, rng: np.random.Generator) -> Image.Image:
    pixels = smooth_noise(rng, plan.width, plan.height) + plan.shift
    pixels += np.linspace(-plan.slope, plan.slope, plan.width)[None, :, None]
    pixels += rng.normal(0, plan.grain, pixels.shape)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def encoded(image: Image.Image, format: str = "JPEG", quality: int = 85, exif: bool = False) -> bytes:
    out = BytesIO()
    extra: dict[str, object] = {"quality": quality} if format in ("JPEG", "WEBP") else {}
    if exif:
        block = Image.Exif()
        block[0x0110] = "K"
        extra["exif"] = block
    image.save(out, format, **extra)
    return out.getvalue()


def write_set(
    folder: Path, bias: Callable[[Plan, int], None] = lambda plan, label: None, each: int = 5, seed: int = 0
) -> list[Row]:
    """`GROUPS` groups per class with `each` pictures per group; `bias(plan, label)` changes plans."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for label, word in ((0, "camera"), (1, "generator")):
        for number in range(GROUPS * each):
            plan = fair_plan(rng)
            bias(plan, label)
            path = folder / f"{word}{number}.{plan.format.lower()}"
            path.write_bytes(encoded(picture_of(plan, rng), plan.format, plan.quality, plan.exif))
            rows.append(
                Row(path, path.name, label, f"{word}-{number % GROUPS}", licence="CC0-1.0", source=f"{word}s")
            )
    return rows
