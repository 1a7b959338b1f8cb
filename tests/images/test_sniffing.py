import pytest
from image_files import photo, saved
from PIL import features

from vestige.errors import ImageError
from vestige.images import decode
from vestige.images.sniff import sniff

KINDS = ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF"] + (["AVIF"] if features.check("avif") else [])


@pytest.mark.parametrize("kind", KINDS)
def test_content_decides(kind):
    assert sniff(saved(photo(), kind)) == kind
    assert decode(saved(photo(), kind)).facts.format == kind


def test_big_tiff_and_mpo():
    assert decode(saved(photo(), "TIFF", big_tiff=True)).facts.format == "TIFF"
    from PIL import Image

    mpo = saved(photo(), "MPO", save_all=True, append_images=[Image.fromarray(photo())])
    picture = decode(mpo)
    assert picture.facts.format == "JPEG"
    assert picture.facts.frames == 2


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"%PDF-1.7\n", "PDF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"<?xml version='1.0'?><svg/>", "SVG"),
        (b"<?xml version='1.0'?><a/>", "XML"),
        (b"\xef\xbb\xbf<!DOCTYPE html><html></html>", "HTML"),
        (b"Bm, just a note.\n", "plain text"),
        (b"BMW is a make of cars, and this is a text", "plain text"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", "MP4"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "raw"),
        (b"8BPS\0\1", "Photoshop"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"\xff\x0a\0\0", "JPEG XL"),
        (b"\0\0\1\0\1\0", "ICO"),
        (b"PK\x03\x04", "ZIP"),
        (b"P6\n1 1\n255\n...", "PNM"),
        (b"RIFF\0\0\0\0AVI ", "AVI"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (bytes(range(1, 100)), "not known"),
    ],
)
def test_others_are_named(data, words):
    with pytest.raises(ImageError) as caught:
        decode(data)
    assert caught.value.code == "unsupported"
    assert words in caught.value.reason
    assert "JPEG" in caught.value.reason
    assert "are accepted" in caught.value.reason


def test_brands():
    assert sniff(b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf") == "AVIF"
    assert sniff(b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf") == "AVIF"
    assert sniff(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic") == "HEIF"
