"""Everything in a file's metadata as a tree: read back from files that Pillow and we ourselves wrote."""

import io
import struct
import zlib
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from metadata_blocks import CAMERA_IMAGE, CAMERA_PHOTO, exif_block, iptc_block, xmp_packet
from PIL import Image, ImageCms

from vestige.images.decode import decode
from vestige.images.picture import RawMetadata
from vestige.provenance import tree
from vestige.provenance.tree import MAX_DEPTH, MAX_NODES, metadata_tree
from vestige.provenance.tree_boxes import icc_nodes, jumbf_nodes
from vestige.provenance.tree_exif import exif_nodes
from vestige.provenance.tree_file import Embedded, read_embedded
from vestige.provenance.tree_node import Node
from vestige.provenance.tree_xmp import xmp_nodes

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def at(nodes: Sequence[Node], *path: str) -> Node:
    """The node at the end of a path of names."""
    for name in path:
        found = next((node for node in nodes if node.name == name), None)
        assert found is not None, f"no {name!r} among {[node.name for node in nodes]}"
        nodes = found.children
    return found


def count(nodes: Sequence[Node]) -> int:
    return sum(1 + count(node.children) for node in nodes)


def depth(nodes: Sequence[Node]) -> int:
    return max((1 + depth(node.children) for node in nodes), default=0)


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def superbox(label: str, *children: bytes) -> bytes:
    description = box(b"jumd", bytes(16) + b"\3" + label.encode() + b"\0")
    return box(b"jumb", description + b"".join(children))


STORE = superbox(
    "c2pa",
    superbox(
        "urn:uuid:1",
        superbox("c2pa.assertions", superbox("c2pa.actions", box(b"cbor", b"\xa0" * 12))),
        superbox("c2pa.signature", box(b"cbor", b"\xd2")),
    ),
)


@pytest.mark.parametrize("big_endian", [False, True])
def test_exif_by_name_in_its_directories(big_endian: bool) -> None:
    gps = {1: "N", 2: (48.0, 8.0, 30.5)}
    found = exif_nodes(exif_block(CAMERA_IMAGE, {**CAMERA_PHOTO, 0xC0DE: 7}, gps, big_endian))
    main = "Main directory"
    assert at(found, main, "Make").value == "Canon"
    assert at(found, main, "Exif directory", "ExposureTime").value == "1/125 = 0.008"
    assert at(found, main, "Exif directory", "ISOSpeedRatings").value == "200"
    assert at(found, main, "Exif directory", "FocalLength").value == "50"
    assert at(found, main, "Exif directory", "tag 0xC0DE").value == "7"
    assert at(found, main, "GPS directory", "GPSLatitudeRef").value == "N"
    assert at(found, main, "GPS directory", "GPSLatitude").value == "48, 8, 61/2 = 30.5"


def test_exif_values_of_other_kinds() -> None:
    comment = b"UNICODE\0" + "Grüße".encode("utf-16-le")
    tags = {0x9286: comment, 0x9000: b"0231", 0x927C: b"\1\2\3" * 100}
    found = exif_nodes(exif_block({0x9C9B: "Titel".encode("utf-16-le"), 0x828F: tuple(range(40))}, tags))
    below = at(found, "Main directory", "Exif directory").children
    assert at(below, "UserComment").value == "Grüße"
    assert at(below, "ExifVersion").value == "0231"
    assert at(below, "MakerNote").value.endswith("… (300 bytes)")
    assert at(found, "Main directory", "XPTitle").value == "Titel"
    many = next(node.value for node in found[0].children if node.value.startswith("0, 1, 2"))
    assert many.endswith("31, … (40 values in all)")


def test_exif_that_points_at_itself_or_nowhere() -> None:
    def block(tag: int, offset: int, link: int) -> bytes:
        return b"II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, tag, 4, 1, offset, link)

    looped = exif_nodes(block(0x8769, 8, 8))
    assert count(looped) == 2
    assert "not followed" in looped[0].children[0].value
    assert "damaged" in exif_nodes(block(0x8769, 9999, 0))[0].children[0].value
    assert "no EXIF" in exif_nodes(b"\0\1\2")[0].value
    cut = exif_nodes(b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 900, 0x0112, 3, 1, 1))[0].children
    assert [node.value for node in cut] == ["1", "the block ends before the last 511 entries", cut[-1].value]
    assert "388 more entries left out" in cut[-1].value


def test_xmp_keeps_its_structure() -> None:
    packet = xmp_packet(
        'xmp:CreatorTool="Editor"',
        "<dc:title><rdf:Alt><rdf:li xml:lang='x-default'>One</rdf:li><rdf:li xml:lang='de'>Eins</rdf:li>"
        "</rdf:Alt></dc:title><xmpMM:History><rdf:Seq><rdf:li stEvt:action='saved'/>"
        "<rdf:li><rdf:Description stEvt:action='cropped'><stEvt:when>2020</stEvt:when></rdf:Description>"
        "</rdf:li></rdf:Seq></xmpMM:History>",
    )
    found = xmp_nodes(packet)
    assert at(found, "xmp:CreatorTool").value == "Editor"
    assert at(found, "dc:title", "2 (de)").value == "Eins"
    assert at(found, "xmpMM:History", "1", "stEvt:action").value == "saved"
    assert at(found, "xmpMM:History", "2", "stEvt:when").value == "2020"
    assert not any(node.name.startswith("xmlns") for node in found)


def test_xmp_that_is_broken_or_hostile() -> None:
    broken = xmp_nodes(xmp_packet('xmp:CreatorTool="Editor"')[:-40])
    assert at(broken, "xmp:CreatorTool").value == "Editor"
    assert "breaks off" in at(broken, "(damaged)").value
    bomb = b'<!DOCTYPE a [<!ENTITY b "xx">]><a>&b;</a>'
    assert [node.name for node in xmp_nodes(bomb)] == ["(unread)"]
    deep = xmp_nodes(b"<a>" * 60 + b"</a>" * 60)
    assert "levels deep" in deep[0].value
    many = xmp_nodes(b"<a>" + b"<b/>" * 30_000 + b"</a>")
    assert [node.name for node in many] == ["(unread)"]


def test_iptc_and_text() -> None:
    block = iptc_block((1, 90, b"\x1b%G"), (2, 0, b"\0\4"), (2, 80, "Müller".encode()), (2, 199, b"?"))
    found = metadata_tree(RawMetadata(iptc=block, text={"parameters": "a cat\nSteps: 20"}))
    assert [(node.name, node.value) for node in found[0].children] == [
        ("CodedCharacterSet (1:90)", "\\x1b%G"),
        ("RecordVersion (2:0)", "4"),
        ("By-line (2:80)", "Müller"),
        ("2:199", "?"),
    ]
    assert at(found, "Text", "parameters").value == "a cat\nSteps: 20"
    assert "no IPTC" in metadata_tree(RawMetadata(iptc=b"none"))[0].children[0].value


def test_boxes_of_a_manifest_store_by_label() -> None:
    found = jumbf_nodes(STORE)
    path = ("c2pa", "urn:uuid:1", "c2pa.assertions", "c2pa.actions", "CBOR")
    assert at(found, *path).value == "12 bytes"
    assert at(jumbf_nodes(STORE[:-1]), "c2pa").value == "cut short"
    assert "no boxes" in jumbf_nodes(b"xx")[0].value
    assert at(jumbf_nodes(struct.pack(">I4s", 3, b"cbor")), "(damaged)")


def test_the_profile_in_words() -> None:
    found = {node.name: node.value for node in icc_nodes(SRGB)}
    assert found["Colour space"] == "RGB"
    assert found["Class"] == "display"
    assert "sRGB" in found["Description"]
    assert "rTRC" in found["Other tags"]
    assert found["Length"] == f"{len(SRGB):,} bytes"
    assert "no colour profile" in icc_nodes(b"short")[0].value


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_the_profile_is_found_in_its_file(kind: str) -> None:
    file = io.BytesIO()
    # Longer than a JPEG segment: the profile is split.
    profile = SRGB if kind != "JPEG" else SRGB + bytes(70_000)
    Image.new("RGB", (16, 16), (200, 10, 10)).save(file, kind, icc_profile=profile)
    assert read_embedded(file.getvalue(), kind).icc == profile


def test_the_store_is_found_in_its_file() -> None:
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, "JPEG")
    jpeg = file.getvalue()
    head, body = STORE[:8], STORE[8:]
    pieces = [body[:50], body[50:]]
    segments = b""
    for number, piece in enumerate(pieces, 1):
        inside = b"JP" + struct.pack(">HI", 1, number) + head + piece
        segments += b"\xff\xeb" + struct.pack(">H", 2 + len(inside)) + inside
    assert read_embedded(jpeg[:2] + segments + jpeg[2:], "JPEG").c2pa == STORE
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, "PNG")
    png = file.getvalue()
    chunk = struct.pack(">I", len(STORE)) + b"caBX" + STORE + struct.pack(">I", zlib.crc32(b"caBX" + STORE))
    assert read_embedded(png[:33] + chunk + png[33:], "PNG").c2pa == STORE
    uuid = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
    inside = uuid + bytes(4) + b"manifest\0" + bytes(8) + STORE
    iso = box(b"ftyp", b"avif") + box(b"uuid", inside) + box(b"mdat", b"xx")
    assert read_embedded(iso, "AVIF").c2pa == STORE
    webp = b"RIFF" + bytes(4) + b"WEBP" + b"C2PA" + struct.pack("<I", len(STORE)) + STORE
    assert read_embedded(webp, "WEBP").c2pa == STORE
    assert read_embedded(b"GIF89a", "GIF") == Embedded()


def test_a_whole_file() -> None:
    file = io.BytesIO()
    pixels = np.zeros((8, 8, 3), np.uint8)
    exif = b"Exif\0\0" + exif_block(CAMERA_IMAGE)
    Image.fromarray(pixels).save(
        file, "JPEG", exif=exif, icc_profile=SRGB, xmp=xmp_packet('xmp:CreatorTool="Editor"'), comment="hello"
    )
    data = file.getvalue()
    found = metadata_tree(decode(data).metadata, read_embedded(data, "JPEG"))
    assert [node.name for node in found] == ["EXIF", "XMP", "Text", "ICC colour profile"]
    assert at(found, "Text", "comment").value == "hello"


def test_nothing_gives_nothing() -> None:
    assert metadata_tree(RawMetadata()) == []


def test_the_tree_is_bounded_and_says_what_was_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    text = {f"key {number}": "v" * 10_000 for number in range(3_000)}
    found = metadata_tree(RawMetadata(text=text))
    assert count(found) == MAX_NODES + 1
    last = found[-1].children[-1]
    assert last.value == f"{3_001 - MAX_NODES} more entries left out: too many in all"
    assert found[0].children[0].value.endswith("[cut: 10000 characters in all]")
    deep = b"<a>" * 30 + b"</a>" * 30
    found = metadata_tree(RawMetadata(xmp=deep))
    assert depth(found) == MAX_DEPTH + 1
    monkeypatch.setattr(tree, "MAX_NODES", 1)
    assert "left out" in metadata_tree(RawMetadata(xmp=deep))[0].children[0].value


def test_hidden_characters_are_gone() -> None:
    found = metadata_tree(RawMetadata(text={"a\x1b[31mb": "exe.\u202egpj", "\x07": "\ud800"}))
    assert [(node.name, node.value) for node in found[0].children] == [
        ("ab", "exe.gpj"),
        ("(no name)", "\ufffd"),
    ]


@settings(max_examples=60, deadline=None)
@given(block=st.binary(max_size=400), kind=st.sampled_from(["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"]))
@example(block=b"II*\0\x08\0\0\0\xff\xff" + bytes(range(256)), kind="TIFF")
@example(block=STORE, kind="AVIF")
@example(block=SRGB[:150], kind="PNG")
def test_any_bytes_give_a_bounded_tree(block: bytes, kind: str) -> None:
    for data in (block, b"II*\0\x08\0\0\0" + block, b"<x:xmpmeta>" + block):
        metadata = RawMetadata(
            exif=data, xmp=data, iptc=b"\x1c\2" + data, text={"t": block.decode("latin-1")}
        )
        found = metadata_tree(metadata, Embedded(icc=SRGB[:132] + block, c2pa=data))
        assert count(found) <= 2 * MAX_NODES
    read_embedded(block, kind)
    read_embedded(b"\xff\xd8\xff\xeb" + block, "JPEG")
    icc_nodes(SRGB[:128] + block)
