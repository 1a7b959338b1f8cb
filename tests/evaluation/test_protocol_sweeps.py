"""The sweeps: one perturbation at a time, growing with its level, on one base."""

import numpy as np
import pytest
from PIL import Image
from protocol_pictures import applied, opened, photo, pixels_of, psnr, saved

from vestige.evaluation.protocols import conditions
from vestige.evaluation.protocols.screenshot import SCREENS
from vestige.evaluation.protocols.sweeps import AXES, LEVELS
from vestige.images import decode

PIXELS = photo(900, 700)
PICTURE = saved(PIXELS)
BASE = pixels_of(applied("none", PICTURE))

# Format and side for each condition, worked out by hand from 512.
SHAPES = {
    "none": ("PNG", 512),
    **{f"jpeg-{quality}": ("JPEG", 512) for quality in (95, 85, 75, 60, 50, 30)},
    **{f"webp-{quality}": ("WEBP", 512) for quality in (90, 75, 50, 30)},
    "resize-0.75": ("PNG", 384),
    "resize-0.5": ("PNG", 256),
    "resize-0.35": ("PNG", 179),
    "resize-1.5": ("PNG", 768),
    **{f"blur-{sigma}": ("PNG", 512) for sigma in ("0.5", "1", "2", "3")},
    **{f"noise-{deviation}": ("PNG", 512) for deviation in (2, 5, 10, 20)},
    "crop-0.9": ("PNG", 461),
    "crop-0.75": ("PNG", 384),
    "crop-0.5": ("PNG", 256),
    "screenshot-1": ("PNG", 461),
    "screenshot-2": ("JPEG", 384),
    "screenshot-3": ("JPEG", 256),
}


def test_the_base_is_the_centre_square_at_512() -> None:
    square = Image.fromarray(PIXELS).crop((100, 0, 800, 700)).resize((512, 512), Image.Resampling.LANCZOS)
    assert np.array_equal(BASE, np.asarray(square))
    native = photo(512, 512)
    assert np.array_equal(pixels_of(applied("none", saved(native))), native)


def test_shapes_formats_and_texts() -> None:
    found = {}
    for condition in conditions(["sweep"]):
        content = condition.apply(PICTURE, "a.jpg")
        assert isinstance(content, bytes)
        facts = decode(content).facts
        assert facts.width == facts.height
        assert facts.mode == "RGB"
        found[condition.name] = (facts.format, facts.width)
        assert f"{facts.format.replace('WEBP', 'WebP')}" in condition.text
        assert condition.minimum_side == 512
        if condition.family in {"crop", "resize"}:
            assert f"{facts.width} px" in condition.text
    assert found == SHAPES


def test_every_level_carries_its_family_and_place() -> None:
    start, *found = conditions(["sweep"])
    assert (start.family, start.level) == ("none", 0.0)
    assert [(c.family, c.level) for c in found] == [
        (f, level) for f, levels in LEVELS.items() for level in levels
    ]
    assert set(AXES) == set(LEVELS)


@pytest.mark.parametrize("family", ["jpeg", "webp", "blur", "noise"])
def test_each_level_is_further_from_the_base_than_the_one_before(family: str) -> None:
    _, *levels = conditions([f"sweep-{family}"])
    distances = [psnr(BASE, pixels_of(condition.apply(PICTURE, "a"))) for condition in levels]
    assert distances == sorted(distances, reverse=True)
    assert len(set(distances)) == len(distances)
    assert distances[0] < 60


@pytest.mark.parametrize("quality", LEVELS["jpeg"])
def test_jpeg_levels_are_pillows_own(quality: float) -> None:
    content = applied(f"jpeg-{quality:g}", PICTURE)
    jpeg = decode(content).facts.jpeg
    assert jpeg is not None
    assert (jpeg.quality, jpeg.subsampling) == (quality, "4:2:0")
    assert content == saved(BASE, "JPEG", quality=int(quality), subsampling=2)


@pytest.mark.parametrize("quality", LEVELS["webp"])
def test_webp_levels_are_pillows_own(quality: float) -> None:
    assert applied(f"webp-{quality:g}", PICTURE) == saved(BASE, "WEBP", quality=int(quality), method=4)


@pytest.mark.parametrize("factor", LEVELS["resize"])
def test_resize_levels_by_pillow(factor: float) -> None:
    side = SHAPES[f"resize-{factor:g}"][1]
    expected = Image.fromarray(BASE).resize((side, side), Image.Resampling.LANCZOS)
    assert np.array_equal(pixels_of(applied(f"resize-{factor:g}", PICTURE)), np.asarray(expected))


@pytest.mark.parametrize(("part", "start"), [("0.9", 25), ("0.75", 64), ("0.5", 128)])
def test_crop_levels_are_native_pixels(part: str, start: int) -> None:
    found = pixels_of(applied(f"crop-{part}", PICTURE))
    end = start + SHAPES[f"crop-{part}"][1]
    assert np.array_equal(found, BASE[start:end, start:end])


@pytest.mark.parametrize("level", [2, 5, 10, 20])
def test_noise_is_drawn_by_the_key_and_has_its_strength(level: int) -> None:
    grey = saved(np.full((512, 512, 3), 128, np.uint8))
    one, other = (pixels_of(applied(f"noise-{level}", grey, key)).astype(float) - 128 for key in ("a", "b"))
    assert one.std() == pytest.approx(np.sqrt(level**2 + 1 / 12), rel=0.01)
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.01


def test_noise_stays_the_same_over_versions_of_numpy() -> None:
    # Recorded when version 1 was made: another stream of random numbers needs another version.
    grey = saved(np.full((512, 512, 3), 128, np.uint8))
    found = pixels_of(applied("noise-20", grey, "golden.jpg"))
    assert found[0, :3].tolist() == [[122, 132, 120], [143, 136, 129], [150, 138, 164]]


def test_screenshots_are_smaller_darker_and_change_more_with_strength() -> None:
    distances, means = [], []
    for level, screen in SCREENS.items():
        found = pixels_of(applied(f"screenshot-{level}", PICTURE))
        side = SHAPES[f"screenshot-{level}"][1]
        assert found.shape == (side, side, 3)
        assert side == round(512 * screen.factor)
        plain = np.asarray(Image.fromarray(BASE).resize((side, side), Image.Resampling.BICUBIC))
        distances.append(psnr(plain, found))
        means.append(found.mean() - BASE.mean())
    assert distances == sorted(distances, reverse=True)
    assert 0 > means[0] > means[1] > means[2]


def test_nothing_that_was_in_the_file_is_passed_on() -> None:
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    content = saved(PIXELS, "JPEG", exif=exif, quality=95)
    for name in ("none", "jpeg-75", "webp-75", "screenshot-1"):
        found = opened(applied(name, content))
        assert not found.getexif()
        assert not {"exif", "xmp", "icc_profile", "comment"} & set(found.info)
