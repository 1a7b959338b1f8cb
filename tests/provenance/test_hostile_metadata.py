"""Arbitrary and damaged blocks: nothing raises, all is safe to print, and it ends soon."""

import json
import time
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from metadata_blocks import (
    CAMERA_IMAGE,
    CAMERA_PHOTO,
    COMFY_PROMPT,
    COMFY_WORKFLOW,
    INFOTEXT,
    exif_block,
    iptc_block,
    xmp_packet,
)

from vestige.images.picture import RawMetadata
from vestige.provenance import read_claims
from vestige.provenance.exif_claims import exif_claims
from vestige.provenance.iptc_claims import iptc_claims
from vestige.provenance.text_claims import text_claims
from vestige.provenance.xmp_claims import xmp_claims
from vestige.results import Claim

# The readers are tested themselves, without the net that `read_claims` holds below them.
BLOCKS: list[tuple[Callable[[bytes], list[Claim]], bytes]] = [
    (
        exif_claims,
        exif_block({**CAMERA_IMAGE, 0x0131: "GIMP", 0x9C9C: b"a\0b\0"}, CAMERA_PHOTO, {2: (1.0, 2.0, 3.0)}),
    ),
    (exif_claims, exif_block({}, {0x9286: b"UNICODE\0" + INFOTEXT.encode("utf-16-be")}, big_endian=True)),
    (exif_claims, exif_block({0x010F: "workflow:" + COMFY_WORKFLOW, 0x0110: "prompt:" + COMFY_PROMPT})),
    (
        xmp_claims,
        xmp_packet(
            'xmp:CreatorTool="GIMP"', "<dc:creator><rdf:Seq><rdf:li>A</rdf:li></rdf:Seq></dc:creator>"
        ),
    ),
    (
        iptc_claims,
        iptc_block((1, 90, b"\x1b%G"), (2, 80, b"Ada"), (2, 110, b"AP"), (2, 120, INFOTEXT.encode())),
    ),
]
HEADS = (
    b"",
    b"II*\0\x08\0\0\0",
    b"MM\0*\0\0\0\x08",
    b"\x1c\x02\x50",
    b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>",
)
KEYS = (
    "parameters", "prompt", "workflow", "Comment", "comment", "Description", "Software", "Title", "Dream",
    "sd-metadata", "invokeai_metadata", "AIGC", "Author", "Creation Time", "XML:com.adobe.xmp", "Make",
)  # fmt: skip
TEXTS = (
    INFOTEXT,
    COMFY_PROMPT,
    COMFY_WORKFLOW,
    "NovelAI",
    '{"uc": "", "steps": 1}',
    '{"Label": "1"}',
    "--v 6 --ar 1:1",
)

any_text = st.text(alphabet=st.characters(), max_size=60)
quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def check(claims: list[Claim]) -> None:
    for claim in claims:
        assert claim.statement.startswith(claim.origin)
        assert claim.statement.endswith(".")
        assert len(claim.value) <= 20_000
        for char in claim.statement + claim.value.replace("\n", "").replace("\t", ""):
            assert unicodedata.category(char) not in {"Cc", "Cs"}
        claim.model_dump_json()


@quick
@given(head=st.sampled_from(HEADS), data=st.binary(max_size=200))
def test_arbitrary_bytes(head: bytes, data: bytes) -> None:
    for read in (exif_claims, xmp_claims, iptc_claims):
        check(read(head + data))


@quick
@given(
    block=st.sampled_from(BLOCKS),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(max_size=4)), max_size=8),
    end=st.floats(0, 1),
)
def test_damaged_blocks(
    block: tuple[Callable[[bytes], list[Claim]], bytes], changes: list[tuple[float, bytes]], end: float
) -> None:
    read, valid = block
    data = bytearray(valid)
    for where, new in changes:
        position = int(where * len(data))
        data[position : position + len(new)] = new
    check(read(bytes(data[: int(end * len(data)) + 1])))


NAMES = (
    "1", "class_type", "inputs", "positive", "text", "nodes", "links", "type", "widgets_values", "prompt",
    "workflow", "sui_image_params", "uc", "c", "sampler", "seed", "steps", "image", "app_id", "model",
    "version", "base_model", "performance", "positive_prompt", "Software", "Comment", "AIGC", "Label",
    "guider",
)  # fmt: skip
WORDS = ("KSampler", "LoadImage", "NovelAI", "Fooocus", "invoke-ai/InvokeAI")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text | st.just(["1", 0]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES), inner | st.sampled_from(WORDS), max_size=5)
    ),
    max_leaves=25,
)


@quick
@given(
    fields=st.dictionaries(
        st.sampled_from(KEYS), any_text | st.sampled_from(TEXTS) | json_values.map(json.dumps), max_size=4
    )
)
def test_arbitrary_texts(fields: dict[str, str]) -> None:
    check(text_claims(fields))
    check(read_claims(RawMetadata(text=fields)))


@quick
@given(pieces=st.lists(st.sampled_from(TEXTS) | any_text, max_size=5), key=st.sampled_from(KEYS))
def test_spliced_texts(pieces: list[str], key: str) -> None:
    check(text_claims({key: "".join(pieces)}))


@pytest.mark.parametrize(
    "text",
    [
        "Steps: 5, " * 100_000,
        'A: "' * 250_000,
        "Steps: 5, " + 'A: "\\"' * 100_000,
        " --v 6" * 150_000,
        "a-b-" * 250_000,
        "\x1b]" * 500_000,
        "\x1b[" * 500_000,
        '{"a":' * 200_000,
        '{"1": {"class_type": "KSampler", "inputs": {"positive": ["1", 0]}}, "b": ['
        + "[]," * 300_000
        + "0]}",
        json.dumps(
            {str(i): {"class_type": "KSampler", "inputs": {"positive": [str(i + 1), 0]}} for i in range(9000)}
        ),
        "Job ID: " * 120_000,
        "Signature: " + "A" * 1_000_000,
        '"' * 1_000_000,
        "-s 1 -S 2 " * 100_000,
    ],
)
def test_long_texts_end_soon(text: str) -> None:
    started = time.process_time()
    check(read_claims(RawMetadata(text={"parameters": text, "prompt": text, "Dream": text, "comment": text})))
    assert time.process_time() - started < 5


def test_a_failing_reader_does_not_end_the_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(block: bytes) -> list[Claim]:
        raise ZeroDivisionError

    monkeypatch.setattr("vestige.provenance.claims.exif_claims", fail)
    (claim,) = read_claims(RawMetadata(exif=b"II", iptc=iptc_block((2, 80, b"Ada"))))
    assert claim.origin == "IPTC"
