import pytest
from metadata_blocks import iptc_block

from vestige.provenance.iptc import parse_iptc
from vestige.provenance.iptc_claims import iptc_claims


def test_all_fields() -> None:
    block = iptc_block(
        (1, 90, b"\x1b%G"),
        (2, 0, b"\0\4"),
        (2, 65, b"Adobe Lightroom"),
        (2, 70, b"13.1"),
        (2, 80, "Zoë".encode()),
        (2, 110, b"Reuters"),
        (2, 116, b"(c) Reuters"),
        (2, 55, b"20190714"),
        (2, 60, b"120102+0200"),
    )
    claims = iptc_claims(block)
    assert [claim.statement for claim in claims] == [
        "IPTC names the software Adobe Lightroom 13.1, an image editor.",
        "IPTC gives credit to Reuters.",
        "IPTC names the author Zoë.",
        "IPTC names the copyright holder (c) Reuters.",
        "IPTC says that the picture was created on 2019-07-14 12:01:02+0200.",
    ]
    assert [claim.points_to for claim in claims] == ["edited", None, None, None, None]


@pytest.mark.parametrize(
    ("charset", "data"),
    [
        (b"\x1b%G", "Zoë".encode()),
        (None, "Zoë".encode()),
        (None, "Zoë".encode("latin-1")),
        (b"\x1b.A", "Zoë".encode("latin-1")),
    ],
)
def test_charsets(charset: bytes | None, data: bytes) -> None:
    records = [(1, 90, charset)] if charset else []
    assert parse_iptc(iptc_block(*records, (2, 80, data))) == {"By-line": ["Zoë"]}


def test_extended_dataset() -> None:
    text = b"a" * 40_000
    block = b"\x1c\x02\x78\x80\x04" + len(text).to_bytes(4, "big") + text + iptc_block((2, 110, b"Ada"))
    assert parse_iptc(block) == {"Caption": [text.decode()], "Credit": ["Ada"]}


def test_records_inside_photoshop_wrapping() -> None:
    wrapping = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x0a"
    assert parse_iptc(wrapping + iptc_block((2, 110, b"Ada"))) == {"Credit": ["Ada"]}


def test_cut_record_keeps_what_is_there() -> None:
    assert parse_iptc(iptc_block((2, 110, b"Associated Press"))[:-6]) == {"Credit": ["Associated"]}


def test_generator_credit_and_upload_mark() -> None:
    claims = iptc_claims(iptc_block((2, 110, b"Made with Google AI"), (2, 40, b"FBMD0100ab")))
    assert [(claim.kind, claim.points_to) for claim in claims] == [
        ("software", None),
        ("generator", "generated"),
    ]
    assert "Facebook" in claims[0].statement


def test_caption_that_mentions_a_generator_is_no_claim() -> None:
    assert iptc_claims(iptc_block((2, 120, b"Protest against Midjourney, 20 steps from the town hall"))) == []
