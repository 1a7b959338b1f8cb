import io

from metadata_blocks import CAMERA_IMAGE, CAMERA_PHOTO, INFOTEXT, exif_block, iptc_block, png_text, xmp_packet
from PIL import Image

from vestige.images.picture import RawMetadata
from vestige.provenance import read_claims


def test_nothing_gives_nothing() -> None:
    assert read_claims(RawMetadata()) == []
    assert read_claims(RawMetadata(exif=b"", xmp=b"", iptc=b"", text={})) == []


def test_order_is_by_kind_then_by_block() -> None:
    metadata = RawMetadata(
        exif=exif_block({**CAMERA_IMAGE, 0x0131: "GIMP 2.10"}, CAMERA_PHOTO),
        xmp=xmp_packet('Iptc4xmpExt:DigitalSourceType="trainedAlgorithmicMedia" photoshop:Credit="AP"'),
        iptc=iptc_block((2, 80, b"Ada")),
        text=png_text({"parameters": INFOTEXT, "Software": "Snapseed"}),
    )
    claims = read_claims(metadata)
    assert [(claim.origin, claim.kind) for claim in claims] == [
        ("XMP", "source_type"),
        ("PNG text", "generator"),
        ("PNG text", "prompt"),
        ("EXIF", "software"),
        ("PNG text", "software"),
        ("EXIF", "camera"),
        ("XMP", "author"),
        ("IPTC", "author"),
        ("EXIF", "time"),
        ("EXIF", "time"),
    ]
    assert read_claims(metadata) == claims
    assert {claim.trust for claim in claims} == {"unsigned"}


def test_the_same_thing_is_said_once() -> None:
    metadata = RawMetadata(
        exif=exif_block(
            {**CAMERA_IMAGE, 0x0131: "GIMP 2.10", 0x013B: "Ada"},
            {0x9286: b"UNICODE\0" + INFOTEXT.encode("utf-16-be")},
        ),
        xmp=xmp_packet(
            'xmp:CreatorTool="GIMP 2.10" tiff:Make="Canon" tiff:Model="Canon EOS 5D" tiff:Artist="Ada"'
        ),
        iptc=iptc_block((2, 65, b"GIMP 2.10"), (2, 80, b"Ada")),
        text={"parameters": INFOTEXT + "\n", "Software": "GIMP 2.10", "Author": "Ada"},
    )
    claims = read_claims(metadata)
    assert [claim.kind for claim in claims] == ["generator", "prompt", "software", "camera", "author", "time"]
    assert {claim.origin for claim in claims} == {"EXIF"}


def test_xmp_camera_counts_where_exif_has_none() -> None:
    (claim,) = read_claims(RawMetadata(xmp=xmp_packet('tiff:Make="Canon" tiff:Model="Canon EOS 5D"')))
    assert claim.statement == "XMP names the camera Canon EOS 5D."


def test_xmp_in_a_png_text_chunk_is_read() -> None:
    packet = xmp_packet('xmp:CreatorTool="GIMP"').decode()
    (claim,) = read_claims(RawMetadata(text={"XML:com.adobe.xmp": packet}))
    assert claim.origin == "XMP"


def test_blocks_of_a_written_file() -> None:
    file = io.BytesIO()
    block = b"Exif\0\0" + exif_block(CAMERA_IMAGE, CAMERA_PHOTO)
    Image.new("RGB", (8, 8)).save(file, "JPEG", exif=block, xmp=xmp_packet('xmp:CreatorTool="GIMP"'))
    with Image.open(file) as image:
        claims = read_claims(RawMetadata(exif=image.info["exif"], xmp=image.info["xmp"]))
    assert [claim.statement for claim in claims[:2]] == [
        "XMP names the software GIMP, an image editor.",
        "EXIF names the camera Canon EOS 5D and carries exposure settings.",
    ]


def test_prompt_of_a_novel_is_kept_in_part() -> None:
    claims = read_claims(RawMetadata(text={"parameters": "word " * 50_000 + "\n" + INFOTEXT}))
    assert [claim.kind for claim in claims] == ["generator", "prompt"]
    assert all(len(claim.value) <= 20_000 and len(claim.statement) <= 710 for claim in claims)
    assert "seed 965400086" in claims[0].statement


def test_terminal_escapes_do_not_reach_the_reader() -> None:
    metadata = RawMetadata(
        exif=exif_block({0x0131: "\x1b[2Jevil\x07 tool"}),
        text={
            "Author": "A\u202eda\nX \x9b31mY",
            "parameters": "a \x1b]0;owned\x07cat\nSteps: 5, Sampler: \x1b[1mEuler, Seed: 3",
        },
    )
    claims = read_claims(metadata)
    assert [claim.statement for claim in claims] == [
        "PNG text holds Stable Diffusion parameters: sampler Euler, 5 steps, seed 3.",
        'PNG text holds the prompt "a cat".',
        "EXIF names the software evil tool.",
        "PNG text names the author Ada X Y.",
    ]
    assert not any(char in claim.value for claim in claims for char in "\x1b\x07\x9b\u202e")


def test_many_claims_are_bounded() -> None:
    records = tuple((2, 80, f"author {number}".encode()) for number in range(500))
    assert len(read_claims(RawMetadata(iptc=iptc_block(*records)))) <= 60
