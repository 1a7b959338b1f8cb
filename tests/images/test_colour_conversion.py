import struct
from io import BytesIO

import numpy as np
import pytest
from image_files import chunk, exif_block, exif_tags, matrix_profile, photo, png, saved
from PIL import Image, ImageCms

from vestige.errors import ImageError
from vestige.images import decode

# Colorants relative to D50: Display P3 and Adobe RGB (1998), from their published profiles; and sRGB's own.
P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
SRGB = np.array([[0.43607, 0.22249, 0.01392], [0.38515, 0.71687, 0.09708], [0.14307, 0.06061, 0.71410]]).T


def by_hand(pixels, colorants, gamma):
    """Linearise, go through XYZ to linear sRGB, clip, encode."""
    linear = (pixels / 255.0) ** gamma @ (np.linalg.inv(SRGB) @ np.array(colorants).T).T
    linear = linear.clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize(("colorants", "gamma"), [(P3, 2.2), (ADOBE, 563 / 256)])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_profile_against_the_matrix(colorants, gamma, kind):
    profile = matrix_profile(*colorants, gamma)
    options = {"lossless": True} if kind == "WEBP" else {}
    picture = decode(saved(photo(), kind, icc_profile=profile, **options))
    difference = np.abs(picture.pixels - by_hand(photo(), colorants, gamma))
    # Near black, 8 bits and LittleCMS's own tables leave a level or two.
    assert np.percentile(difference, 99) < 1.6
    assert np.abs(picture.pixels.astype(int) - photo()).max() > 5
    assert picture.facts.has_icc
    assert picture.facts.conversions == ['Converted from the colour profile "Test colours" to sRGB.']


def test_srgb_profiles_change_nothing():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for image in (photo(), photo()[:, :, 0]):
        picture = decode(saved(image, "PNG", icc_profile=profile))
        np.testing.assert_array_equal(
            picture.pixels, image if image.ndim == 3 else image[:, :, None].repeat(3, 2)
        )
        assert picture.facts.has_icc
        assert picture.facts.conversions == []


def test_profiles_of_no_use_are_ignored_and_named():
    good = matrix_profile(*P3, 2.2)
    cmyk = good[:16] + b"CMYK" + good[20:]
    for profile, word in ((b"rubbish" * 40, "fit"), (cmyk, "fit"), (good[:200], "damaged")):
        picture = decode(saved(photo(), "PNG", icc_profile=profile))
        np.testing.assert_array_equal(picture.pixels, photo())
        assert len(picture.facts.conversions) == 1
        assert word in picture.facts.conversions[0]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_orientation(orientation, kind):
    # What a viewer must do to the stored picture, by EXIF 2.3, section 4.6.4 A.
    turns = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: np.rot90,
    }
    exif = exif_tags(Orientation=orientation)
    options = {"lossless": True} if kind == "WEBP" else {}
    picture = decode(saved(photo(), kind, exif=exif, **options))
    np.testing.assert_array_equal(picture.pixels, turns[orientation](photo()))
    assert (picture.facts.height, picture.facts.width) == picture.pixels.shape[:2]
    turned = [f"Turned upright (EXIF orientation {orientation})."] if orientation > 1 else []
    assert picture.facts.conversions == turned


def test_orientation_that_makes_no_sense():
    for value in (0, 9, 65535):
        picture = decode(saved(photo(), "PNG", exif=exif_block(value)))
        np.testing.assert_array_equal(picture.pixels, photo())


def test_exif_behind_the_pixels_counts():
    rows = b"".join(b"\0" + row.tobytes() for row in photo())
    picture = decode(png(48, 32, rows, after=chunk(b"eXIf", exif_block(3))))
    np.testing.assert_array_equal(picture.pixels, photo()[::-1, ::-1])


def test_cmyk_by_formula():
    ink = np.dstack([photo(), photo()[:, :, 1] // 2])
    expected = (255.0 - ink[:, :, :3]) * (255.0 - ink[:, :, 3:]) / 255.0
    image = Image.frombytes("CMYK", (48, 32), ink.tobytes())
    tiff = decode(saved(image, "TIFF"))
    assert np.abs(tiff.pixels - expected).max() <= 1
    assert tiff.facts.mode == "CMYK"
    assert tiff.facts.conversions == ["Converted from CMYK to RGB without a colour profile."]
    # JPEG stores it inverted, with Adobe's marker.
    flat = Image.new("CMYK", (16, 16), (200, 100, 0, 50))
    jpeg = decode(saved(flat, "JPEG", quality=100))
    assert b"Adobe" in saved(flat, "JPEG")
    assert np.abs(jpeg.pixels[8, 8] - np.array([55, 155, 255]) * 205 / 255).max() < 4


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_grey(order):
    values = np.arange(48 * 32, dtype=np.uint16).reshape(32, 48) * 42
    mode = {"<": "I;16", ">": "I;16B"}[order]
    image = Image.frombytes(mode, (48, 32), values.astype(order + "u2").tobytes())
    for source in (image, saved(image, "TIFF"), saved(image, "PNG")):
        picture = decode(source)
        np.testing.assert_array_equal(picture.pixels, (values >> 8).astype(np.uint8)[:, :, None].repeat(3, 2))
        assert picture.facts.conversions == ["Reduced from 16 to 8 bits per channel."]


def test_16_bit_colour():
    values = photo().astype(np.uint16) * 256 + 77
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    picture = decode(png(48, 32, rows, bits=16))
    np.testing.assert_array_equal(picture.pixels, photo())
    assert picture.facts.conversions == ["Reduced from 16 to 8 bits per channel."]


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(0, 1, "0 to 1"), (0, 255, "within"), (0, 65535, "16-bit"), (-3, 7, "stretched")],
)
def test_floating_point_tiff(low, high, words):
    grey = np.linspace(low, high, 48 * 32, dtype=np.float32).reshape(32, 48)
    picture = decode(saved(Image.fromarray(grey), "TIFF"))
    expected = (grey.astype(np.float64) - low) / (high - low) * 255
    assert np.abs(picture.pixels[:, :, 1] - expected).max() <= 1
    assert words in picture.facts.conversions[0]


def test_32_bit_integers_and_values_that_are_none():
    grey = np.arange(48 * 32, dtype=np.int32).reshape(32, 48) * 40
    picture = decode(saved(Image.fromarray(grey), "TIFF"))
    np.testing.assert_array_equal(picture.pixels[:, :, 0], grey // 256)
    with pytest.raises(ImageError, match="not numbers"):
        decode(saved(Image.fromarray(np.full((8, 8), np.nan, np.float32)), "TIFF"))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_over_white(mode):
    alpha = photo()[:, :, 2]
    colours = photo() if mode == "RGBA" else photo()[:, :, :1]
    image = Image.frombytes(mode, (48, 32), np.dstack([colours, alpha]).tobytes())
    expected = (colours * (alpha / 255.0)[:, :, None] + 255 - alpha[:, :, None]).repeat(
        1 if mode == "RGBA" else 3, 2
    )
    for source in (image, saved(image, "PNG"), saved(image, "TIFF")):
        picture = decode(source)
        assert np.abs(picture.pixels - expected).max() <= 1
        assert picture.facts.conversions == ["Transparent areas laid over white."]
        assert picture.facts.mode == mode


def test_palette_with_and_without_transparency():
    palette = Image.fromarray(photo()).quantize(16)
    expected = np.array(palette.getpalette()).reshape(-1, 3)[np.asarray(palette)]
    picture = decode(saved(palette, "PNG"))
    np.testing.assert_array_equal(picture.pixels, expected)
    assert picture.facts.conversions == ["Palette expanded to colours."]
    clear = np.asarray(palette) == 3
    expected[clear] = 255
    for transparency in (3, bytes([255, 255, 255, 0])):
        picture = decode(saved(palette, "PNG", transparency=transparency))
        np.testing.assert_array_equal(picture.pixels, expected)
        assert picture.facts.conversions[1:] == ["Transparent areas laid over white."]


def test_one_transparent_colour():
    red = Image.new("RGB", (4, 4), (255, 0, 0))
    red.putpixel((0, 0), (1, 2, 3))
    pixels = decode(saved(red, "PNG", transparency=(255, 0, 0))).pixels
    assert (pixels[1:] == 255).all()
    assert pixels[0, 0].tolist() == [1, 2, 3]
    for mode in ("L", "1"):
        pixels = decode(saved(Image.new(mode, (4, 4), 0), "PNG", transparency=0)).pixels
        assert (pixels == 255).all()
    deep = png(
        2, 2, (b"\0" + b"\x12\x34\0\0\xff\xff" * 2) * 2, 16, 2, chunk(b"tRNS", b"\x12\x34\0\0\xff\xff")
    )
    assert (decode(deep).pixels == 255).all()
    grey = png(2, 2, (b"\0" + b"\x12\x34\x56\x78") * 2, 16, 0, chunk(b"tRNS", b"\x12\x34"))
    assert decode(grey).pixels[0].tolist() == [[255] * 3, [0x56] * 3]


@pytest.mark.parametrize("mode", ["YCbCr", "HSV", "LAB", "RGBX", "La", "RGBa", "PA"])
def test_rare_modes(mode):
    grey = Image.new("RGB", (4, 4), (120, 120, 120))
    if mode in {"La", "RGBa"}:
        grey = grey.convert(mode.upper())
    elif mode == "PA":
        grey = grey.quantize(2)
    pixels = decode(grey.convert(mode)).pixels.astype(int)
    assert np.abs(pixels - 120).max() <= 2


def test_twelve_bit_tiff():
    # Two pixels in three bytes: 0x800 and 0xFFF.
    tags = [(256, 3, 2), (257, 3, 1), (258, 3, 12), (259, 3, 1), (262, 3, 1), (273, 4, 122)]
    tags += [(277, 3, 1), (278, 3, 1), (279, 4, 3)]
    data = b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags))
    for tag, kind, value in tags:
        data += struct.pack("<HHII", tag, kind, 1, value)
    data = (data + b"\0\0\0\0").ljust(122, b"\0") + b"\x80\x0f\xff"
    with Image.open(BytesIO(data)) as image:
        assert image.mode == "I;16"
    picture = decode(data)
    assert picture.pixels[0, :, 0].tolist() == [128, 255]
    assert picture.facts.conversions == ["Reduced from 12 to 8 bits per channel."]
