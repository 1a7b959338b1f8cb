"""Facts of the file as numbers: finite whatever the file, and the right number in the right place."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_files import exif_tags, photo, saved
from PIL import Image

from vestige.images import decode
from vestige.images.file_facts import NAMES, vector
from vestige.results import Facts, JpegFacts

# Packages name these in their cards: whoever changes this list refuses all of them.
WRITTEN_OUT = """
format_jpeg format_png format_webp format_tiff format_gif format_bmp format_avif format_heif
log_width log_height log_aspect_ratio square multiples_of_64
jpeg_quality jpeg_standard_tables jpeg_420 jpeg_422 jpeg_444 jpeg_other_chroma jpeg_progressive
mode_grey mode_palette mode_alpha several_frames has_exif has_xmp has_iptc has_icc has_c2pa
"""
ANY_INTEGER = st.integers(-(10**400), 10**400)
ANY_JPEG = st.builds(
    JpegFacts,
    quality=st.none() | ANY_INTEGER,
    subsampling=st.sampled_from(["4:4:4", "4:2:2", "4:2:0", "4:1:1", "grey", ""]) | st.text(max_size=5),
    progressive=st.booleans(),
    quantisation=st.just([]),
)
ANY_FACTS = st.builds(
    Facts,
    format=st.sampled_from(["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "AVIF", "HEIF", "array"])
    | st.text(max_size=5),
    width=ANY_INTEGER,
    height=ANY_INTEGER,
    mode=st.sampled_from(["RGB", "L", "P", "RGBA", "I;16"]) | st.text(max_size=5),
    frames=ANY_INTEGER,
    bytes=st.none() | ANY_INTEGER,
    has_exif=st.booleans(),
    has_c2pa=st.booleans(),
    jpeg=st.none() | ANY_JPEG,
)


def named(facts: Facts) -> dict[str, float]:
    return dict(zip(NAMES, vector(facts).tolist(), strict=True))


def raised(facts: Facts, start: str) -> set[str]:
    """Which flags that begin with `start` are set."""
    return {name for name, value in named(facts).items() if name.startswith(start) and value == 1}


def facts(**changes: object) -> Facts:
    return Facts.model_validate({"format": "PNG", "width": 640, "height": 480, "mode": "RGB", **changes})


def jpeg(quality: int | None, subsampling: str = "4:2:0") -> Facts:
    encoded = JpegFacts(quality=quality, subsampling=subsampling, progressive=False, quantisation=[])
    return facts(format="JPEG", jpeg=encoded)


def test_the_names_are_fixed() -> None:
    assert list(NAMES) == WRITTEN_OUT.split()
    assert len(set(NAMES)) == len(NAMES)


@given(ANY_FACTS)
def test_every_file_gives_finite_numbers(found: Facts) -> None:
    values = vector(found)
    assert values.shape == (len(NAMES),)
    assert values.dtype == np.float32
    assert np.isfinite(values).all()
    assert raised(found, "format_") <= {f"format_{found.format.lower()}"}
    assert len(raised(found, "jpeg_4") | raised(found, "jpeg_other")) <= 1


def test_a_jpeg_with_metadata() -> None:
    data = saved(
        photo(128, 64), "JPEG", quality=75, subsampling=2, progressive=True, exif=exif_tags(Make="A")
    )
    got = named(decode(data).facts)
    expected = dict.fromkeys(NAMES, 0.0) | {
        "format_jpeg": 1,
        "log_width": 4.852030,
        "log_height": 4.158883,
        "log_aspect_ratio": 0.693147,
        "multiples_of_64": 1,
        "jpeg_quality": 0.75,
        "jpeg_standard_tables": 1,
        "jpeg_420": 1,
        "jpeg_progressive": 1,
        "has_exif": 1,
    }
    assert got == pytest.approx(expected, abs=1e-5)


def test_what_is_no_jpeg() -> None:
    got = named(decode(saved(Image.fromarray(photo(40, 40)).convert("LA"), "PNG")).facts)
    assert (
        got["format_png"]
        == got["square"]
        == got["jpeg_quality"]
        == got["mode_grey"]
        == got["mode_alpha"]
        == 1
    )
    assert got["multiples_of_64"] == got["jpeg_standard_tables"] == got["jpeg_other_chroma"] == 0


def test_pixels_in_memory_have_no_format_and_no_length() -> None:
    got = named(decode(photo(30, 20)).facts)
    assert {name for name, value in got.items() if value} == {
        "log_width",
        "log_height",
        "log_aspect_ratio",
        "jpeg_quality",
    }


@pytest.mark.parametrize(("quality", "number"), [(1, 0.01), (90, 0.9), (100, 1.0)])
def test_quality(quality: int, number: float) -> None:
    got = named(jpeg(quality))
    assert (got["jpeg_quality"], got["jpeg_standard_tables"]) == (pytest.approx(number), 1)


def test_a_jpeg_with_tables_of_its_own_is_told_from_one_of_quality_90() -> None:
    for found in (jpeg(None), facts(format="JPEG")):
        assert named(found)["jpeg_quality"] == pytest.approx(0.9)
        assert named(found)["jpeg_standard_tables"] == 0


@pytest.mark.parametrize(
    ("subsampling", "flags"),
    [
        ("4:2:0", {"jpeg_420"}),
        ("4:2:2", {"jpeg_422"}),
        ("4:4:4", {"jpeg_444"}),
        ("4:4:0", {"jpeg_other_chroma"}),
        ("2x2,1x1,1x2", {"jpeg_other_chroma"}),
        ("grey", set()),
    ],
)
def test_chroma(subsampling: str, flags: set[str]) -> None:
    assert raised(jpeg(None, subsampling), "jpeg_") == flags


@pytest.mark.parametrize(
    ("mode", "flags"),
    [
        ("RGB", set()),
        ("CMYK", set()),
        ("L", {"mode_grey"}),
        ("1", {"mode_grey"}),
        ("I;16B", {"mode_grey"}),
        ("P", {"mode_palette"}),
        ("PA", {"mode_palette", "mode_alpha"}),
        ("RGBA;uint16", {"mode_alpha"}),
    ],
)
def test_mode(mode: str, flags: set[str]) -> None:
    assert raised(facts(mode=mode), "mode_") == flags


@pytest.mark.parametrize("flag", ["has_exif", "has_xmp", "has_iptc", "has_icc", "has_c2pa"])
def test_presence_of_metadata(flag: str) -> None:
    assert raised(facts(**{flag: True}), "has_") == {flag}


def test_frames() -> None:
    assert named(facts(frames=2))["several_frames"] == 1
    assert named(facts())["several_frames"] == 0
