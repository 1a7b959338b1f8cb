import struct

import pytest
from metadata_blocks import CAMERA_IMAGE, CAMERA_PHOTO, exif_block
from PIL.TiffImagePlugin import IFDRational

from vestige.provenance.exif import decode_user_comment, parse_exif
from vestige.provenance.exif_claims import exif_claims


def statements(block: bytes, kind: str) -> list[str]:
    return [claim.statement for claim in exif_claims(block) if claim.kind == kind]


@pytest.mark.parametrize("big_endian", [False, True])
def test_camera_with_all_exposure_settings(big_endian: bool) -> None:
    block = exif_block(CAMERA_IMAGE, CAMERA_PHOTO, big_endian=big_endian)
    (claim,) = (claim for claim in exif_claims(block) if claim.kind == "camera")
    assert claim.statement == "EXIF names the camera Canon EOS 5D and carries exposure settings."
    assert claim.points_to == "camera"
    assert claim.trust == "unsigned"
    assert "ExposureTime: 1/125" in claim.value
    assert "ISO: 200" in claim.value


@pytest.mark.parametrize(
    ("image", "photo", "expected"),
    [
        (
            {0x010F: "Apple", 0x0110: "iPhone 15"},
            {},
            "EXIF names the camera Apple iPhone 15 but carries no exposure settings.",
        ),
        (
            {0x010F: "NIKON CORPORATION", 0x0110: "NIKON D90"},
            {0x8827: 400, 0xA434: "35.0 mm f/1.8"},
            "EXIF names the camera NIKON D90 with the lens 35.0 mm f/1.8 and carries only some exposure "
            "settings (ISO).",
        ),
        (
            {0x0110: "X100V"},
            {key: value for key, value in CAMERA_PHOTO.items() if key != 0x9003},
            "EXIF names the camera X100V and carries exposure settings but no time of exposure.",
        ),
        ({}, CAMERA_PHOTO, "EXIF names no camera but carries exposure settings."),
        (
            {0x010F: "EPSON", 0x0110: "Perfection V600"},
            {0xA300: b"\x02"},
            "EXIF names the scanner EPSON Perfection V600.",
        ),
    ],
)
def test_camera_sentences(image: dict[int, str], photo: dict[int, object], expected: str) -> None:
    assert statements(exif_block(image, photo), "camera") == [expected]


def test_exposure_of_zero_is_no_exposure() -> None:
    block = exif_block({0x0110: "X"}, {0x829A: IFDRational(0), 0x829D: IFDRational(0, 0), 0x8827: 0})
    assert statements(block, "camera") == ["EXIF names the camera X but carries no exposure settings."]


def test_position_is_told_without_coordinates() -> None:
    gps = {1: "N", 2: (47.0, 22.0, 31.0), 3: "E", 4: (8.0, 32.0, 59.0)}
    (claim,) = (claim for claim in exif_claims(exif_block({0x0110: "X"}, {}, gps)) if claim.kind == "camera")
    assert claim.statement.endswith("; it has a GPS position.")
    text = claim.statement + claim.value
    assert not any(part in text for part in ("47", "22", "31", "32", "59"))


def test_empty_position_is_not_told() -> None:
    gps = {1: "N", 2: (0.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)}
    assert "GPS" not in " ".join(statements(exif_block({0x0110: "X"}, {}, gps), "camera"))


def test_times_authors_and_software() -> None:
    image = {**CAMERA_IMAGE, 0x0131: "Adobe Photoshop 25.0", 0x013B: "Ada L.", 0x8298: "Ada\0Charles"}
    claims = exif_claims(exif_block(image, CAMERA_PHOTO))
    assert [claim.statement for claim in claims if claim.kind != "camera"] == [
        "EXIF names the software Adobe Photoshop 25.0, an image editor.",
        "EXIF names the author Ada L.",
        "EXIF names the copyright holder Ada; Charles.",
        "EXIF says that the picture was taken on 2019-07-14 12:01:02 +02:00.",
        "EXIF says that the picture was changed on 2019-07-15 09:00:00.",
    ]
    assert claims[0].points_to == "edited"


def test_unset_clock_gives_no_time() -> None:
    assert statements(exif_block({}, {0x9003: "0000:00:00 00:00:00"}), "time") == []


def test_generator_in_the_make_is_no_camera() -> None:
    (claim,) = exif_claims(exif_block({0x010F: "Midjourney"}))
    assert (claim.kind, claim.points_to) == ("generator", "generated")


def test_grok_signature() -> None:
    image = {
        0x010E: "Signature: " + "Ab3+" * 22,
        0x013B: "a7421d2f-b262-44f9-977c-ac23e9c7d3e3",
    }
    (claim,) = exif_claims(exif_block(image))
    assert claim.statement == "EXIF holds the signature that xAI's Grok leaves."
    assert claim.points_to == "generated"


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"ASCII\0\0\0a cat\0", "a cat"),
        (b"\0" * 8 + "été".encode(), "été"),
        (b"UNICODE\0" + "a cat, 猫".encode("utf-16-be"), "a cat, 猫"),
        (b"UNICODE\0" + "a cat, 猫".encode("utf-16-le"), "a cat, 猫"),
        (b"UNICODE\0" + "a cat, 猫".encode("utf-16"), "a cat, 猫"),
        (b"UNICODE\0a cat in plain bytes", "a cat in plain bytes"),
        (b"JIS\0\0\0\0\0" + "猫".encode("iso2022_jp"), "猫"),
        (b"no prefix at all", "no prefix at all"),
        (b"", ""),
    ],
)
def test_user_comment_encodings(data: bytes, order: str, expected: str) -> None:
    assert decode_user_comment(data, "<" if order == "<" else ">") == expected


@pytest.mark.parametrize(("order", "encoding"), [("<", "utf-16-le"), (">", "utf-16-be")])
def test_user_comment_without_ascii_follows_the_block(order: str, encoding: str) -> None:
    text = "猫は眠る"
    assert decode_user_comment(b"UNICODE\0" + text.encode(encoding), "<" if order == "<" else ">") == text


def test_windows_comment_is_utf16() -> None:
    exif = parse_exif(exif_block({0x9C9C: "schön".encode("utf-16-le") + b"\0\0"}))
    assert exif.texts == {"XPComment": "schön"}


def test_prefix_is_tolerated() -> None:
    block = exif_block(CAMERA_IMAGE)
    assert parse_exif(b"Exif\0\0" + block) == parse_exif(block)


def test_directory_that_points_to_itself_ends() -> None:
    entry = struct.pack("<HHII", 0x8769, 4, 1, 8)
    exif = parse_exif(b"II*\0" + struct.pack("<IH", 8, 1) + entry)
    assert exif.texts == {}


def test_many_entries_that_share_one_large_value_are_cheap() -> None:
    tags = range(1, 60_000)
    start = 10 + 12 * len(tags)
    entries = b"".join(struct.pack("<HHII", tag, 2, 4_000_000, start) for tag in tags)
    block = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + b"a" * 1_000_000
    assert parse_exif(block).texts.keys() <= {"ImageDescription", "Make", "Model", "DocumentName"} | {
        "Software",
        "DateTime",
        "Artist",
    }
