"""Hostile uploads: every one is answered with a typed refusal or a report, never with a 500."""

import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serve_samples import form, named, picture, serving
from starlette.testclient import TestClient

sys.path.append(str(Path(__file__).parents[2] / "images"))
from image_files import chunk, photo, png, saved, segment

ROWS = (b"\0" + b"\x80" * 12) * 4
JPEG = saved(photo(), "JPEG")
GIF = saved(photo(), "GIF")
BMP = saved(photo(), "BMP")
BOMB = chunk(b"zTXt", b"a\0\0" + zlib.compress(b"\0" * 50_000_000))
FILES = {
    "png of 10 gigapixels": png(100_000, 100_000, b""),
    "gif of 4 gigapixels": b"GIF89a\xff\xff\xff\xff\0\0\0" + GIF[13:],
    "bmp of an exapixel": BMP[:18] + struct.pack("<ii", 2**30, 2**30) + BMP[26:],
    "text bomb": png(4, 4, ROWS, before=BOMB),
    "jpeg junk": JPEG[:20] + b"\0" * 1_000_000 + JPEG[20:],
    "jpeg of many segments": JPEG[:2] + segment(0xFE, b"") * 60_000 + JPEG[2:],
    "tiff of many tags": b"II*\0\x08\0\0\0\xff\xff" + b"\0" * 800_000,
    "cut": JPEG[:-100],
    "web page": b"<!doctype html><script>alert(1)</script>",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
    "xml bomb": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "a">]><svg>&a;</svg>',
    "archive": b"PK\x03\x04" + bytes(100),
    "postscript": b"%!PS\n(/etc/passwd) run",
    "zeros": bytes(10_000),
}
POLYGLOTS = {
    "gif and script": GIF + b"/*<script>alert(1)</script>*/=1;",
    "jpeg and archive": JPEG + b"PK\x03\x04" + bytes(200),
    "png and page": png(4, 4, ROWS, before=chunk(b"tEXt", b"x\0<script>alert(1)</script>")),
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with serving(
        tmp_path_factory.mktemp("hostile"), max_request_bytes=2**24, max_picture_bytes=2**23
    ) as found:
        yield found


@pytest.mark.parametrize("name", FILES)
def test_hostile_files_are_typed_errors(client: TestClient, name: str) -> None:
    for route in ("scan?map=true", "report"):
        answer = client.post(f"/v1/{route}", files=[("files", (name, FILES[name], "image/png"))])
        assert answer.status_code in (413, 415, 422)
        (report,) = answer.json()["reports"]
        assert report["error_code"] in {"too_large", "unsupported", "corrupt", "truncated"}
    answer = client.post("/v1/signature", content=FILES[name])
    assert answer.status_code in (413, 415, 422)
    assert answer.json()["error"]["reason"].endswith(".")


@pytest.mark.parametrize("name", POLYGLOTS)
def test_polyglots_are_pictures_and_nothing_else(client: TestClient, name: str) -> None:
    files = [("files", ("<script>alert(1)</script>.png", POLYGLOTS[name]))]
    answer = client.post("/v1/scan", files=files)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    page = client.post("/v1/report", files=files)
    assert page.status_code == 200
    assert "<script>alert" not in page.text
    drawn = client.post("/v1/signature", content=POLYGLOTS[name])
    assert drawn.content.startswith(b"\x89PNG")
    assert b"script" not in drawn.content


BOUNDARY = {"Content-Type": "multipart/form-data; boundary=xyz"}
HEAD = b'--xyz\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n'


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"", BOUNDARY, 400, "bad_multipart"),
        (b"no boundary at all", BOUNDARY, 400, "bad_multipart"),
        (HEAD, BOUNDARY, 400, "bad_multipart"),
        (HEAD + b"\r\ndata", BOUNDARY, 400, "bad_multipart"),
        (HEAD + b"\r\ndata\r\n--xyz", BOUNDARY, 400, "bad_multipart"),
        (HEAD + b"X: " + b"y" * 100_000 + b"\r\n\r\n\r\n--xyz--\r\n", BOUNDARY, 400, "bad_multipart"),
        (HEAD + b"X: y\r\n" * 100 + b"\r\n\r\n--xyz--\r\n", BOUNDARY, 400, "bad_multipart"),
        (b"--xyz\r\n\r\ndata\r\n--xyz--\r\n", BOUNDARY, 400, "bad_multipart"),
        (b"--xyz\r\nContent-Disposition: attachment\r\n\r\n\r\n--xyz--\r\n", BOUNDARY, 400, "bad_multipart"),
        (b"--xyz--\r\n", BOUNDARY, 422, "bad_form"),
        (b"data", {"Content-Type": "multipart/form-data"}, 400, "bad_multipart"),
        (b"data", {"Content-Type": "multipart/form-data; boundary="}, 400, "bad_multipart"),
        (b"data", {"Content-Type": f"multipart/form-data; boundary={'x' * 300}"}, 400, "bad_multipart"),
        (b"data", {"Content-Type": "multipart/mixed; boundary=xyz"}, 415, "unsupported_media_type"),
    ],
)
def test_broken_forms(
    client: TestClient, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    answer = client.post("/v1/scan", content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_fields_that_are_not_known_are_named(client: TestClient) -> None:
    answer = client.post("/v1/scan", **form((named("a.png"), picture()), ('form-data; name="x"', b"1")))
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "bad_form")


GOOD = form((named("a.png"), png(4, 4, ROWS)), (named("b.png"), png(4, 4, ROWS)))["content"]
SETTINGS = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@SETTINGS
@given(st.data())
def test_damaged_forms_are_never_errors_of_ours(client: TestClient, draw: st.DataObject) -> None:
    data = bytearray(GOOD)
    for _ in range(draw.draw(st.integers(1, 6))):
        at = draw.draw(st.integers(0, len(data) - 1))
        match draw.draw(st.integers(0, 2)):
            case 0:
                data[at] = draw.draw(st.integers(0, 255))
            case 1:
                del data[at : at + draw.draw(st.integers(1, 40))]
            case _:
                data[at:at] = draw.draw(st.sampled_from([b"\r\n", b"--xyz", b"--xyz--", b"\0", b'"', b";"]))
        if not data:
            break
    answer = client.post("/v1/scan", content=bytes(data), headers=BOUNDARY)
    assert answer.status_code in (200, 400, 413, 415, 422)


@SETTINGS
@given(st.binary(max_size=300), st.sampled_from(["image/png", "multipart/form-data; boundary=xyz", "image/"]))
def test_random_bodies_are_never_errors_of_ours(client: TestClient, data: bytes, kind: str) -> None:
    answer = client.post("/v1/scan", content=data, headers={"Content-Type": kind})
    assert answer.status_code in (200, 400, 413, 415, 422)
