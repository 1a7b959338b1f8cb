import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_files import chunk, photo, png, saved, segment
from PIL import Image, features

from vestige.errors import ImageError
from vestige.images import Limits, decode

ROWS = (b"\0" + b"\x80" * 12) * 4
KINDS = ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"] + (["AVIF"] if features.check("avif") else [])
PALETTE = b"".join(bytes([i, 255 - i, 0, 0]) for i in range(256))
FILES = {kind: saved(photo(), kind) for kind in KINDS}
FILES["JPEG progressive"] = saved(photo(), "JPEG", progressive=True)
FILES["TIFF packed"] = saved(photo(), "TIFF", compression="tiff_lzw")
FILES["TIFF deflate"] = saved(photo(), "TIFF", compression="tiff_deflate", big_tiff=True)
FILES["PNG palette"] = saved(Image.fromarray(photo()).quantize(16), "PNG", transparency=2)
FILES["WEBP lossless"] = saved(photo(), "WEBP", lossless=True)


def code_of(data, **limits):
    with pytest.raises(ImageError) as caught:
        decode(data, Limits(**limits))
    return caught.value.code


def outcome(data):
    """Error code, pixels: one of them is None."""
    try:
        # A changed header may promise a large picture: keep the test fast.
        return None, decode(data, Limits(max_pixels=2_000_000, max_seconds=None)).pixels
    except ImageError as error:
        if not error.reason.endswith(".") or "\n" in error.reason:
            raise AssertionError(f"not a sentence: {error.reason!r}") from error
        return error.code, None


@pytest.mark.parametrize("name", FILES)
def test_cut_anywhere(name):
    data = FILES[name]
    for length in range(1, len(data) - 1, max(len(data) // 60, 1)):
        code, pixels = outcome(data[:length])
        if pixels is not None:
            np.testing.assert_array_equal(pixels, decode(data).pixels)
        elif length > 40:
            assert code == "truncated", length
        else:
            # So short a beginning need not tell what it is.
            assert code in {"truncated", "unsupported", "corrupt"}


def test_missing_ends():
    assert code_of(FILES["JPEG"][:-2]) == "truncated"
    assert code_of(FILES["JPEG progressive"][:-2]) == "truncated"
    assert code_of(FILES["PNG"][:-12]) == "truncated"


def test_bytes_behind_the_end_do_not_matter():
    for name in ("JPEG", "PNG", "GIF", "WEBP", "BMP"):
        tail = b"\xff\xda\xff\xc4\0\0" * 5000
        np.testing.assert_array_equal(decode(FILES[name] + tail).pixels, decode(FILES[name]).pixels)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(FILES)), st.data())
def test_damaged_bytes_give_pixels_or_one_typed_error(name, draw):
    data = bytearray(FILES[name])
    for _ in range(draw.draw(st.integers(1, 8))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    if draw.draw(st.booleans()):
        at, length = draw.draw(st.integers(0, len(data))), draw.draw(st.integers(0, 64))
        del data[at : at + length]
    code, pixels = outcome(bytes(data))
    if pixels is None:
        assert code in {"truncated", "corrupt", "unsupported", "too_large", "empty"}
    else:
        assert pixels.dtype == np.uint8
        assert pixels.shape[2] == 3


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.binary(max_size=200), st.integers(4, 40))
def test_random_bytes_behind_a_good_start(name, rubbish, keep):
    outcome(FILES[name][:keep] + rubbish)


@pytest.mark.parametrize(
    "data",
    [
        png(100_000, 100_000, b""),
        png(2**31 - 1, 2**31 - 1, b""),
        b"GIF89a\xff\xff\xff\xff\0\0\0" + FILES["GIF"][13:],
        FILES["BMP"][:18] + struct.pack("<ii", 2**30, 2**30) + FILES["BMP"][26:],
        b"RIFF\x1a\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff" * 6 + b"\0\0\0\0",
        segment(0xC0, b"\x08\xff\xff\xff\xff\1\1\x11\0").join(
            [b"\xff\xd8", b"\xff\xda\0\x08\1\1\0\0\x3f\0\0\xff\xd9"]
        ),
    ],
    ids=["png", "png huge", "gif", "bmp", "webp", "jpeg"],
)
def test_huge_dimensions_are_refused_before_decoding(data):
    assert code_of(data) == "too_large"


def test_gif_frame_outside_its_canvas():
    # The first frame enlarges the canvas: 60000 x 60000 by its position.
    data = bytearray(FILES["GIF"])
    at = data.index(b",", 13 + 3 * 256 if data[10] & 0x80 else 13)
    data[at + 1 : at + 5] = struct.pack("<HH", 60000, 60000)
    assert code_of(bytes(data)) == "too_large"


@pytest.mark.parametrize("name", [b"zTXt", b"iCCP"])
def test_compressed_text_and_profile_bombs(name):
    bomb = chunk(name, b"a\0\0" + zlib.compress(b"\0" * 50_000_000))
    assert code_of(png(4, 4, ROWS, before=bomb)) == "too_large"
    small = chunk(name, b"a\0\0" + zlib.compress(b"\0" * 900_000))
    assert code_of(png(4, 4, ROWS, before=small * 300)) == "corrupt"


@pytest.mark.parametrize(
    "data",
    [
        png(4, 4, ROWS, before=chunk(b"abCd", b"") * 300_000),
        FILES["JPEG"][:20] + b"\0" * 10_000_000 + FILES["JPEG"][20:],
        FILES["JPEG"][:2] + segment(0xFE, b"") * 60_000 + FILES["JPEG"][2:],
        FILES["JPEG"][:2] + segment(0xE1, b"Exif\0\0" + b"x" * 60_000) * 200 + FILES["JPEG"][2:],
        FILES["GIF"][:781] + b"!\xfe" + b"\1x" * 3_000_000 + b"\0" + FILES["GIF"][781:],
        b"II*\0\x08\0\0\0\xff\xff" + b"\0" * 800_000,
        b"II*\0\x08\0\0\0"
        + struct.pack("<H", 3000)
        + struct.pack("<HHII", 999, 7, 900_000, 0) * 3000
        + b"\0" * 900_000,
    ],
    ids=["png chunks", "jpeg junk", "jpeg segments", "jpeg exif", "gif blocks", "tiff tags", "tiff overlap"],
)
def test_structures_made_to_waste_time(data):
    assert code_of(data) == "corrupt"


def test_tiff_with_odd_insides():
    tags = {256: 4, 257: 4, 258: 8, 259: 50001, 262: 1, 273: 8, 277: 1, 278: 4, 279: 16}

    def tiff(**changes):
        wanted = tags | {int(key[1:]): value for key, value in changes.items()}
        entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(wanted.items()))
        return b"II*\0\x08\0\0\0" + struct.pack("<H", len(wanted)) + entries + b"\0" * 40

    assert code_of(tiff()) == "unsupported"  # WebP within TIFF
    assert code_of(tiff(t259=1, t322=60000, t323=60000)) == "corrupt"
    assert code_of(tiff(t259=1, t273=10**9)) == "truncated"
    assert code_of(tiff(t259=1, t256=100_000, t257=100_000)) == "too_large"
    assert decode(tiff(t259=1)).pixels.shape == (4, 4, 3)


def test_text_chunks_may_carry_the_names_of_pillows_entries():
    names = (b"icc_profile", b"exif", b"xmp", b"transparency", b"comment", b"photoshop", b"loop")
    for name in names:
        picture = decode(png(4, 4, ROWS, before=chunk(b"tEXt", name + b"\0text")))
        assert (picture.pixels == 128).all()


def test_truncated_pillow_image_is_typed():
    from io import BytesIO

    with Image.open(BytesIO(FILES["JPEG"][:-60])) as image:
        assert code_of(image) == "truncated"


def test_keyboard_interrupt_passes(monkeypatch):
    from PIL import PngImagePlugin

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", interrupt)
    with pytest.raises(KeyboardInterrupt):
        decode(FILES["PNG"])


@pytest.mark.parametrize(
    "error",
    [RecursionError(), MemoryError(), AttributeError("x"), zlib.error("bad"), OverflowError(), KeyError(3)],
)
def test_whatever_a_decoder_raises_is_typed(monkeypatch, error):
    from PIL import PngImagePlugin

    def fail(*_):
        raise error

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", fail)
    assert code_of(FILES["PNG"]) in {"corrupt", "too_large"}
