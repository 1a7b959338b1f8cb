"""The colour squares of DALL-E 2: found after compression and in smaller copies, nowhere else."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from vestige import Detector
from vestige.provenance.visible_marks import read_marks

# As its pictures show them, from left to right.
COLOURS = ["#ffff66", "#42ffff", "#51da4c", "#ff6e3c", "#3c46ff"]


def picture(side: int, colours: list[str], seed: int = 0, size: int = 1024) -> Image.Image:
    rng = np.random.default_rng(seed)
    noise = Image.fromarray(rng.integers(0, 256, (size // 16, size // 16, 3), np.uint8))
    found = noise.resize((size, size), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(found)
    for number, colour in enumerate(colours):
        left = size - (len(colours) - number) * side
        draw.rectangle((left, size - side, left + side - 1, size - 1), fill=colour)
    return found


def coded(image: Image.Image, kind: str, **options: object) -> np.ndarray:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return np.asarray(Image.open(buffer).convert("RGB"))


@pytest.mark.parametrize("quality", [95, 75, 60])
def test_the_mark_is_found_after_compression(quality: int) -> None:
    (claim,) = read_marks(coded(picture(16, COLOURS), "JPEG", quality=quality))
    assert (claim.kind, claim.points_to, claim.trust) == ("generator", "generated", "unsigned")
    assert claim.statement.startswith("A visible mark in the lower right corner")
    assert "DALL-E 2" in claim.statement
    assert read_marks(coded(picture(16, COLOURS), "WEBP", quality=quality))


@pytest.mark.parametrize("size", [768, 512, 256])
def test_the_mark_is_found_in_smaller_copies(size: int) -> None:
    small = picture(16, COLOURS).resize((size, size), Image.Resampling.LANCZOS)
    assert read_marks(coded(small, "JPEG", quality=90, subsampling=0))


def test_other_pictures_have_no_mark() -> None:
    assert not any(read_marks(np.asarray(picture(16, [], seed))) for seed in range(20))
    assert not read_marks(np.asarray(picture(16, COLOURS[::-1])))
    assert not read_marks(np.asarray(picture(16, ["#ffffff"] * 5)))
    cut = np.asarray(picture(16, COLOURS))[:-20]
    assert not read_marks(cut)
    assert not read_marks(np.zeros((3, 40, 3), np.uint8))


def test_a_mark_is_a_claim_beside_the_verdict() -> None:
    detector = Detector.load()
    plain, marked = detector.scan(picture(16, [])), detector.scan(picture(16, COLOURS))
    assert [claim.origin for claim in plain.claims] == []
    assert [claim.origin for claim in marked.claims] == ["A visible mark"]
    assert [(line.origin, line.points_to) for line in marked.lines[1:]] == [("A visible mark", "generated")]
