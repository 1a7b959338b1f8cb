import hashlib
import os
import sys
import warnings

import numpy as np
import pytest
from image_files import chunk, exif_tags, photo, png, saved
from PIL import Image, ImageFile, features

from vestige.errors import ImageError
from vestige.images import Limits, decode

LOSSLESS = [
    ("PNG", {}),
    ("BMP", {}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("WEBP", {"lossless": True}),
]


def code_of(source, **limits):
    with pytest.raises(ImageError) as caught:
        decode(source, Limits(**limits))
    assert caught.value.reason.endswith(".")
    return caught.value.code


@pytest.mark.parametrize(("kind", "options"), LOSSLESS)
def test_lossless_formats_give_the_very_pixels(kind, options, tmp_path):
    data = saved(photo(), kind, **options)
    path = tmp_path / "no_such_ending.xyz"
    path.write_bytes(data)
    for source in (data, bytearray(data), memoryview(data), path, str(path)):
        picture = decode(source)
        assert picture.pixels.dtype == np.uint8
        assert picture.pixels.flags.c_contiguous
        assert picture.pixels.flags.writeable
        np.testing.assert_array_equal(picture.pixels, photo())
    facts = decode(path).facts
    assert (facts.format, facts.width, facts.height, facts.mode) == (kind, 48, 32, "RGB")
    assert facts.bytes == len(data)
    assert facts.sha256 == hashlib.sha256(data).hexdigest()
    assert facts.conversions == []


MODES = ("RGB", "L", "P", "RGBA", "CMYK", "1")
CANNOT_HOLD = {("JPEG", "P"), ("JPEG", "RGBA"), ("PNG", "CMYK"), ("BMP", "CMYK"), ("GIF", "CMYK")}
KINDS = ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"] + (["AVIF"] if features.check("avif") else [])


@pytest.mark.parametrize(
    ("kind", "mode"), [(kind, mode) for kind in KINDS for mode in MODES if (kind, mode) not in CANNOT_HOLD]
)
def test_pillow_image_and_file_are_the_same(kind, mode, tmp_path):
    image = Image.fromarray(photo()).convert(mode)
    options = (
        {"exif": exif_tags(Orientation=6, Make="A maker")} if kind in {"JPEG", "PNG", "WEBP", "AVIF"} else {}
    )
    path = tmp_path / "file"
    path.write_bytes(saved(image, kind, **options))
    file = decode(path)
    with Image.open(path) as opened:
        before = opened.info.copy()
        memory = decode(opened)
        assert opened.info.keys() >= before.keys()
        np.testing.assert_array_equal(decode(opened).pixels, file.pixels)  # a second time, now loaded
    np.testing.assert_array_equal(memory.pixels, file.pixels)
    assert memory.metadata == file.metadata
    ours = {"bytes", "sha256", "frames", "has_c2pa"}
    assert memory.facts.model_dump(exclude=ours) == file.facts.model_dump(exclude=ours)
    assert memory.facts.sha256 is None


def test_pillow_image_in_memory():
    image = Image.fromarray(photo())
    picture = decode(image)
    assert picture.facts.format == "array"
    np.testing.assert_array_equal(picture.pixels, photo())
    picture.pixels[:] = 0
    assert np.asarray(image).any()


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (photo(), photo()),
        (photo()[:, :, 0], photo()[:, :, [0, 0, 0]]),
        (photo()[:, :, :1], photo()[:, :, [0, 0, 0]]),
        (photo()[:, ::-1], photo()[:, ::-1]),
        (photo().astype(np.uint16) << 8, photo()),
        (photo() / 255.0, photo()),
        ((photo() / 255.0).astype(np.float16), None),
        (photo() > 100, (photo() > 100) * 255),
    ],
)
def test_arrays(array, expected):
    before = array.copy()
    picture = decode(array)
    assert picture.facts.format == "array"
    assert not np.shares_memory(picture.pixels, array)
    np.testing.assert_array_equal(array, before)
    if expected is not None:
        np.testing.assert_array_equal(picture.pixels, expected)
    else:
        assert np.abs(picture.pixels.astype(int) - photo()).max() <= 1


def test_array_and_image_with_alpha_agree():
    rgba = np.dstack([photo(), photo()[:, :, 0]])
    array, image = decode(rgba), decode(Image.fromarray(rgba))
    np.testing.assert_array_equal(array.pixels, image.pixels)
    assert array.facts.conversions == image.facts.conversions == ["Transparent areas laid over white."]
    opaque = np.dstack([photo(), np.full((32, 48), 255, np.uint8)])
    np.testing.assert_array_equal(decode(opaque).pixels, photo())


@pytest.mark.parametrize(
    ("array", "code", "words"),
    [
        (np.zeros((3, 8, 8), np.uint8), "unsupported", "channels last"),
        (np.zeros((2, 8, 8, 3), np.uint8), "unsupported", r"\(2, 8, 8, 3\)"),
        (np.zeros((8, 8), np.int64), "unsupported", "int64"),
        (np.full((8, 8), 1.5), "unsupported", "1.5"),
        (np.full((8, 8), -0.1), "unsupported", r"\[0, 1\]"),
        (np.full((8, 8), np.nan), "corrupt", "NaN"),
        (np.full((8, 8), np.inf), "corrupt", "infinite"),
        (np.zeros((0, 8, 3), np.uint8), "empty", "no pixels"),
    ],
)
def test_arrays_that_make_no_sense(array, code, words):
    with pytest.raises(ImageError, match=words) as caught:
        decode(array)
    assert caught.value.code == code


def test_other_types_are_a_mistake_of_the_caller():
    with pytest.raises(TypeError, match="int"):
        decode(3)


def test_sources_that_cannot_be_read(tmp_path):
    assert code_of(tmp_path / "none.jpg") == "not_found"
    assert code_of(tmp_path) == "not_found"
    assert code_of("a\0b") == "not_found"
    assert code_of(b"") == "empty"
    (tmp_path / "empty.png").touch()
    assert code_of(tmp_path / "empty.png") == "empty"
    (tmp_path / "text.jpg").write_text("hello")
    assert code_of(tmp_path / "text.jpg") == "unsupported"
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        assert code_of(tmp_path / "pipe") == "not_found"
    if os.path.exists("/dev/zero"):
        assert code_of("/dev/zero") == "not_found"


def test_permission(tmp_path, monkeypatch):
    path = tmp_path / "secret.png"
    path.write_bytes(saved(photo(), "PNG"))

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    # Not by chmod: root may read everything.
    monkeypatch.setattr("builtins.open", refuse)
    assert code_of(path) == "unreadable"


def test_limits(tmp_path):
    data = saved(photo(), "PNG")
    path = tmp_path / "a.png"
    path.write_bytes(data)
    for source in (data, path, memoryview(data)):
        assert code_of(source, max_bytes=len(data) - 1) == "too_large"
        decode(source, Limits(max_bytes=len(data), max_pixels=48 * 32))
    for source in (data, path, Image.fromarray(photo()), photo()):
        assert code_of(source, max_pixels=48 * 32 - 1) == "too_large"
    for wrong in ({"max_bytes": 0}, {"max_pixels": 0}, {"max_seconds": 0.0}):
        with pytest.raises(ValueError, match="must be"):
            Limits(**wrong)


def test_pillow_settings_do_not_matter(monkeypatch):
    jpeg = saved(photo(), "JPEG")
    expected = decode(jpeg).pixels
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    np.testing.assert_array_equal(decode(jpeg).pixels, expected)
    np.testing.assert_array_equal(decode(saved(photo(), "PNG")).pixels, photo())
    assert code_of(saved(photo(), "TIFF")) == "too_large"  # here Pillow insists; at least it is typed
    for kind in ("JPEG", "PNG", "BMP"):
        assert code_of(saved(photo(), kind)[:-40]) == "truncated"


def test_no_warning_gets_out_and_filters_stay():
    broken_apng = png(4, 4, b"\0" * 52, before=chunk(b"acTL", b"\0" * 8))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        before = list(warnings.filters)
        decode(broken_apng)
        assert warnings.filters == before
    assert not seen
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decode(broken_apng)


def test_only_the_first_frame():
    frames = [Image.fromarray(photo()), Image.new("RGB", (48, 32)), Image.new("RGB", (48, 32), (255, 0, 0))]
    for kind, options in (("GIF", {}), ("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})):
        picture = decode(saved(frames[0], kind, save_all=True, append_images=frames[1:], **options))
        assert picture.facts.frames == 3
        if kind != "GIF":
            np.testing.assert_array_equal(picture.pixels, photo())


def test_heif(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    heif = pillow_heif.from_pillow(Image.fromarray(photo(64, 64)))
    path = tmp_path / "a.jpg"
    heif.save(path, quality=95)
    picture = decode(path)
    assert picture.facts.format == "HEIF"
    assert np.abs(picture.pixels.astype(int) - photo(64, 64)).mean() < 12


def test_heif_without_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif.as_plugin", None)
    box = b"\0\0\0\x10meta\0\0\0\0\0\0\0\0"
    with pytest.raises(ImageError, match=r"vestige\[heif\]"):
        decode(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + box + b"\0\0\0\x08mdat")
