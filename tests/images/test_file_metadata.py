import struct
import zlib

import pytest
from image_files import chunk, exif_block, exif_tags, photo, png, saved, segment
from PIL import Image, PngImagePlugin, TiffImagePlugin, features

from vestige.images import decode

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"></x:xmpmeta>'
IPTC = b"\x1c\x02\x78\x00\x05hello"
ROWS = (b"\0" + b"\x80" * 12) * 4


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"] + (["AVIF"] if features.check("avif") else []))
def test_exif_and_xmp(kind):
    options = {"xmp": XMP} if kind != "PNG" else {}
    if kind == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", XMP.decode())
        options = {"pnginfo": text}
    picture = decode(saved(photo(), kind, exif=exif_tags(Make="A maker"), **options))
    assert picture.metadata.exif[:4] in {b"II*\0", b"MM\0*"}
    assert picture.metadata.xmp == XMP
    assert picture.facts.has_exif
    assert picture.facts.has_xmp
    assert not picture.facts.has_iptc
    bare = decode(saved(photo(), kind))
    assert (bare.metadata.exif, bare.metadata.xmp, bare.metadata.text) == (None, None, {})
    assert not bare.facts.has_exif
    assert not bare.facts.has_xmp


def test_jpeg_blocks():
    jpeg = saved(photo(), "JPEG", comment=b"a comment")
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(IPTC)) + IPTC
    picture = decode(jpeg[:2] + segment(0xED, b"Photoshop 3.0\0" + resource) + jpeg[2:])
    assert picture.metadata.iptc == IPTC
    assert picture.facts.has_iptc
    assert picture.metadata.text == {"comment": "a comment"}


def test_gif_comment():
    assert decode(saved(photo(), "GIF", comment=b"made by \xe9")).metadata.text == {"comment": "made by é"}


def test_png_text_before_and_behind_the_pixels():
    before = chunk(b"tEXt", b"parameters\0a prompt") + chunk(b"zTXt", b"packed\0\0" + zlib.compress(b"text"))
    after = chunk(b"tEXt", b"late\0words") + chunk(b"iTXt", "workflow\0\0\0\0\0é".encode())
    picture = decode(png(4, 4, ROWS, before=before, after=after))
    expected = {"parameters": "a prompt", "packed": "text", "late": "words", "workflow": "é"}
    assert picture.metadata.text == expected


def test_long_texts_are_cut():
    before = b"".join(chunk(b"tEXt", b"key%d\0" % number + b"x" * 3_000_000) for number in range(12))
    text = decode(png(4, 4, ROWS, before=before)).metadata.text
    assert max(len(value) for value in text.values()) == 2**20
    assert sum(len(value) for value in text.values()) <= 2**23


def test_raw_profile_of_imagemagick():
    block = exif_block(3)
    text = f"\nexif\n{len(block) + 6:8}\n{(b'Exif' + bytes(2) + block).hex()}\n"
    picture = decode(png(4, 4, ROWS, before=chunk(b"tEXt", b"Raw profile type exif\0" + text.encode())))
    assert picture.metadata.exif == block
    assert picture.metadata.text == {}


def test_tiff_blocks():
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[305] = "Some Program"
    tags[700] = XMP
    tags.tagtype[700] = 1
    tags[33723] = IPTC
    tags.tagtype[33723] = 7
    picture = decode(saved(photo(), "TIFF", tiffinfo=tags))
    assert picture.metadata.xmp == XMP
    assert picture.metadata.iptc == IPTC
    exif = Image.Exif()
    exif.load(picture.metadata.exif)
    assert dict(exif) == {305: "Some Program"}
    assert decode(saved(photo(), "TIFF")).metadata.exif is None


def jumbf(label: bytes) -> bytes:
    return b"JP\0\1\0\0\0\1" + struct.pack(">I4s", 60, b"jumb") + struct.pack(">I4s", 30, b"jumd") + label


def test_c2pa():
    jpeg = saved(photo(), "JPEG")
    assert decode(jpeg[:2] + segment(0xEB, jumbf(b"c2pa\0")) + jpeg[2:]).facts.has_c2pa
    assert not decode(jpeg[:2] + segment(0xEB, jumbf(b"other")) + jpeg[2:]).facts.has_c2pa
    assert not decode(jpeg).facts.has_c2pa
    assert decode(png(4, 4, ROWS, before=chunk(b"caBX", b"jumb"))).facts.has_c2pa
    assert not decode(png(4, 4, ROWS)).facts.has_c2pa
    webp = saved(photo(), "WEBP", exif=exif_block(1))
    webp += b"C2PA\4\0\0\0jumb"
    webp = webp[:4] + struct.pack("<I", len(webp) - 8) + webp[8:]
    assert decode(webp).facts.has_c2pa
    if features.check("avif"):
        avif = saved(photo(), "AVIF")
        box = b"uuid" + bytes.fromhex("d8fec3d61b0e483c92975828877ec481") + b"\0" * 8
        assert not decode(avif).facts.has_c2pa
        assert decode(avif + struct.pack(">I", len(box) + 4) + box).facts.has_c2pa
