"""Content credentials of really signed files: what is read, and how far it is trusted."""

import base64
import datetime as dt
import http.server
import io
import threading
import time
from typing import ClassVar

import c2pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from signed_pictures import (
    AI,
    CAMERA,
    CREATED_BY_AI,
    CREATED_BY_CAMERA,
    Authority,
    authority,
    edited_from,
    manifest,
    plain,
    signed,
)
from vestige.images import Limits, decode
from vestige.images.picture import RawMetadata
from vestige.provenance import c2pa as ours
from vestige.provenance import c2pa_process
from vestige.provenance.c2pa import CredentialReader, remote_manifest
from vestige.provenance.trust import TrustList

ADJUSTED = {"action": "c2pa.color_adjustments"}


def trusting(*authorities):
    return CredentialReader(TrustList("".join(it.anchors for it in authorities), "anchors.pem"))


@pytest.fixture(scope="module")
def reader():
    return trusting(authority())


@pytest.fixture(scope="module")
def ai():
    return signed(manifest(CREATED_BY_AI))


@pytest.fixture(scope="module")
def stranger():
    return Authority(organisation="Another Root")


def read(reader, data):
    picture = decode(data)
    return reader.read(data, picture.facts, picture.metadata)


def pointing(found):
    return {(claim.kind, claim.points_to, claim.trust) for claim in found.claims if claim.points_to}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF", "HEIF"])
def test_a_trusted_signature_in_every_container(reader, kind):
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    found = read(reader, signed(manifest(CREATED_BY_AI), kind))
    credentials = found.credentials
    assert (credentials.state, credentials.problems, credentials.remote) == ("trusted", [], None)
    assert (credentials.signer, credentials.issuer) == ("Sig Ner", "Signers Ltd")
    assert (credentials.title, credentials.claim_generator) == ("picture.png", "Vestige tests 1")
    assert credentials.trust_list == "anchors.pem"
    assert credentials.source_types == [AI]
    (action,) = credentials.actions
    assert (action.action, action.software, action.source_type) == ("c2pa.created", "Paintbot 3", AI)
    assert action.when == "2026-01-02T03:04:05Z"
    assert pointing(found) == {("source_type", "generated", "signed_and_trusted")}
    assert all(claim.origin == "C2PA" and claim.trust == "signed_and_trusted" for claim in found.claims)


def test_the_thumbnail_is_ours(reader, ai):
    scheme, encoded = read(reader, ai).credentials.thumbnail.split(",")
    assert scheme == "data:image/jpeg;base64"
    thumbnail = Image.open(io.BytesIO(base64.b64decode(encoded)))
    assert thumbnail.format == "JPEG"
    assert max(thumbnail.size) <= 160
    assert "exif" not in thumbnail.info


def test_an_intact_signature_of_somebody_not_on_the_list(ai, stranger):
    found = read(trusting(stranger), ai)
    assert (found.credentials.state, found.credentials.problems) == ("valid", [])
    statement = found.claims[0].statement
    for words in ("intact", "not on the trust list", "proves nothing"):
        assert words in statement
    assert pointing(found) == {("source_type", "generated", "signed")}


def test_without_a_list_it_says_that_none_was_configured(ai):
    found = read(CredentialReader(), ai)
    assert (found.credentials.state, found.credentials.trust_list) == ("valid", "none")
    assert "whom to trust was not configured" in found.claims[0].statement


def test_changed_pixels_make_it_unsigned(reader):
    data = bytearray(signed(manifest(CREATED_BY_CAMERA), "JPEG"))
    data[-60] ^= 1
    found = read(reader, bytes(data))
    assert found.credentials.state == "invalid"
    assert "assertion.dataHash.mismatch" in found.credentials.problems[0]
    assert "changed after it was signed" in found.credentials.problems[0]
    assert {claim.trust for claim in found.claims} == {"unsigned"}
    assert pointing(found) == {("source_type", "camera", "unsigned")}


def test_credentials_of_another_picture_do_not_hold(reader, ai):
    # The manifest of one PNG before the pixels of another one.
    other = plain(seed=9)
    at = ai.index(b"caBX") - 4
    chunk = ai[at : at + 12 + int.from_bytes(ai[at : at + 4], "big")]
    assert read(reader, other[:33] + chunk + other[33:]).credentials.state == "invalid"


def test_camera_then_edited(reader):
    camera = signed(manifest(CREATED_BY_CAMERA))
    assert pointing(read(reader, camera)) == {("source_type", "camera", "signed_and_trusted")}
    found = read(reader, edited_from(camera, ADJUSTED))
    (ingredient,) = found.credentials.ingredients
    assert (ingredient.relationship, ingredient.state) == ("parentOf", "trusted")
    assert ingredient.source_types == [CAMERA]
    assert {points_to for _, points_to, _ in pointing(found)} == {"edited"}


def test_a_generated_ingredient_does_not_make_the_picture_generated(reader, ai):
    edited = read(reader, edited_from(ai, ADJUSTED))
    assert edited.credentials.ingredients[0].source_types == [AI]
    assert {points_to for _, points_to, _ in pointing(edited)} == {"edited"}
    placed = {"action": "c2pa.placed", "parameters": {"ingredientIds": ["it"]}}
    description = {"title": "cat", "relationship": "componentOf", "label": "it"}
    composed = read(
        reader, signed(manifest(CREATED_BY_CAMERA, placed), ingredients=[(description, "PNG", ai)])
    )
    assert composed.credentials.state == "trusted"
    assert "generated" not in {points_to for _, points_to, _ in pointing(composed)}
    assert "edited" in {points_to for _, points_to, _ in pointing(composed)}


def test_a_generated_original_that_was_only_converted_is_generated(reader, ai):
    found = read(reader, edited_from(edited_from(ai, kind="PNG"), {"action": "c2pa.converted"}))
    assert pointing(found) == {("source_type", "generated", "signed_and_trusted")}
    # Two steps back, and in between it was edited.
    found = read(reader, edited_from(edited_from(ai, ADJUSTED, kind="PNG"), {"action": "c2pa.converted"}))
    assert "generated" not in {points_to for _, points_to, _ in pointing(found)}


def test_one_generated_step_is_an_edit(reader):
    fill = {"action": "c2pa.edited", "digitalSourceType": AI}
    found = read(reader, signed(manifest(CREATED_BY_CAMERA, fill)))
    assert found.credentials.source_types == [CAMERA, AI]
    assert {points_to for _, points_to, _ in pointing(found)} == {"camera", "edited"}


def test_a_statement_about_an_ingredient_is_worth_its_own_signature(stranger):
    theirs = signed(manifest(CREATED_BY_CAMERA), by=stranger)
    found = read(trusting(authority()), edited_from(theirs))
    assert (found.credentials.state, found.credentials.ingredients[0].state) == ("trusted", "valid")
    assert pointing(found) == {("source_type", "camera", "signed")}


def test_a_tampered_ingredient_says_nothing(reader):
    data = bytearray(signed(manifest(CREATED_BY_CAMERA)))
    data[data.rindex(b"IDAT") + 400] ^= 1
    found = read(reader, edited_from(bytes(data)))
    assert found.credentials.ingredients[0].state == "invalid"
    assert not pointing(found)


def test_claim_version_one(reader):
    work = {
        "@context": "https://schema.org",
        "@type": "CreativeWork",
        "author": [{"@type": "Person", "name": "Jo"}],
    }
    definition = manifest(
        CREATED_BY_AI,
        claim_version=1,
        claim_generator="old/1",
        assertions=[{"label": "stds.schema-org.CreativeWork", "data": work}],
    )
    found = read(reader, signed(definition))
    assert found.credentials.state == "trusted"
    assert pointing(found) == {("source_type", "generated", "signed_and_trusted")}
    assert "C2PA names the author Jo." in {claim.statement for claim in found.claims}


def test_an_expired_certificate():
    for seconds in (2, 8, 30):  # longer if signing was too slow to fall into its life
        brief = Authority(lifetime=dt.timedelta(seconds=seconds))
        try:
            data = signed(manifest(CREATED_BY_AI), by=brief)
        except c2pa.C2paError:
            continue
        break
    until = brief.leaf.not_valid_after_utc.timestamp()
    time.sleep(max(0, until - time.time()) + 1.1)
    found = read(trusting(brief), data)
    assert found.credentials.state == "invalid"
    assert any("signingCredential.expired" in problem for problem in found.credentials.problems)
    assert {claim.trust for claim in found.claims} == {"unsigned"}


def test_threads_with_different_lists(ai, stranger):
    theirs = signed(manifest(CREATED_BY_AI), by=stranger)
    readers = {"ours": trusting(authority()), "theirs": trusting(stranger), "none": CredentialReader()}
    expected = {
        "ours": ["trusted", "valid"],
        "theirs": ["valid", "trusted"],
        "none": ["valid", "valid"],
    }
    got = {name: [] for name in readers}

    def work(name):
        for _ in range(5):
            got[name].append([read(readers[name], data).credentials.state for data in (ai, theirs)])

    threads = [threading.Thread(target=work, args=(name,)) for name in readers for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == {name: [expected[name]] * 10 for name in readers}


class _Counting(http.server.BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_GET(self):
        self.asked.append(self.path)
        self.send_error(404)

    def do_POST(self):
        self.do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    _Counting.asked.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Counting) as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{found.server_port}/store.c2pa"
        found.shutdown()
        thread.join()


def test_a_remote_manifest_is_never_fetched(reader, server):
    data = signed(manifest(CREATED_BY_AI), "JPEG", remote=server, embed=False)
    found = read(reader, data)
    assert found.credentials.state == "unreadable"
    assert found.credentials.remote == server
    assert "not fetched" in found.claims[0].statement
    # Not even if the library is led to look for it: the block is there but is no manifest.
    facts = decode(data).facts.model_copy(update={"has_c2pa": True})
    again = reader.read(data, facts, decode(data).metadata)
    assert again.credentials.state == "unreadable"
    assert _Counting.asked == []
    # The library does ask when nobody forbids it, so this test can fail.
    with pytest.raises(c2pa.C2paError):
        c2pa.Reader("image/jpeg", io.BytesIO(data), context=c2pa.Context())
    assert _Counting.asked == ["/store.c2pa"]


def test_a_remote_manifest_is_fetched_where_that_is_asked_for(server, monkeypatch):
    builder = c2pa.Builder(manifest(CREATED_BY_AI), context=c2pa.Context())
    builder.set_remote_url(server)
    builder.set_no_embed()
    out = io.BytesIO()
    store = builder.sign(authority().signer(), "image/png", io.BytesIO(plain("PNG")), out)

    def give(self):
        self.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(store)))
        self.end_headers()
        self.wfile.write(store)

    data = out.getvalue()
    fetching = CredentialReader(trusting(authority()).trust, fetch=True)
    missing = read(fetching, data)
    assert missing.credentials.state == "unreadable"
    assert "Nothing readable came from" in missing.credentials.problems[0]
    monkeypatch.setattr(_Counting, "do_GET", give)
    found = read(fetching, data)
    assert (found.credentials.state, found.credentials.remote) == ("trusted", server)
    assert "generated" in {claim.points_to for claim in found.claims}
    assert _Counting.asked == ["/store.c2pa"] * 2


def test_an_embedded_manifest_wins_over_a_remote_one(reader, server):
    found = read(reader, signed(manifest(CREATED_BY_AI), "JPEG", remote=server))
    assert (found.credentials.state, found.credentials.remote) == ("trusted", server)
    assert _Counting.asked == []


def test_nobody_is_asked_whether_a_certificate_was_revoked(server):
    watched = Authority(ocsp=server)
    data = signed(manifest(CREATED_BY_AI), by=watched)
    _Counting.asked.clear()
    assert read(trusting(watched), data).credentials.state == "trusted"
    assert _Counting.asked == []
    # Again with the library as it would be if it were allowed to.
    config = {
        "verify": {"ocsp_fetch": True, "verify_trust": True},
        "trust": {"trust_anchors": watched.anchors},
    }
    c2pa.Reader("image/png", io.BytesIO(data), context=c2pa.Context.from_dict(config))
    assert _Counting.asked


def test_pictures_without_credentials_never_meet_the_library(reader, monkeypatch):
    def refuse(*_):
        raise AssertionError("the library was asked")

    quiet = CredentialReader()
    monkeypatch.setattr(quiet._store, "read", refuse)
    assert read(quiet, plain()) is None
    assert read(quiet, plain("JPEG")) is None


def test_a_reference_into_the_file_is_no_remote_manifest():
    def packet(value):
        return RawMetadata(
            xmp=(
                '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
                'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
                f'xmlns:dcterms="http://purl.org/dc/terms/" dcterms:provenance="{value}"/></rdf:RDF>'
                "</x:xmpmeta>"
            ).encode()
        )

    assert remote_manifest(packet("self#jumbf=c2pa/urn:uuid:1")) is None
    assert remote_manifest(packet("https://example.org/m")) == "https://example.org/m"
    assert remote_manifest(packet("javascript:alert(1)")) is None


def test_without_the_package_it_says_how_to_install_it(ai, monkeypatch):
    monkeypatch.setattr(ours.importlib.util, "find_spec", lambda name: None)
    found = read(CredentialReader(), ai)
    assert found.credentials.state == "unreadable"
    assert "pip install c2pa-python" in found.claims[0].statement


def test_a_crash_and_a_hang_become_a_sentence(ai, monkeypatch):
    reader = trusting(authority())
    child = reader._store._running()
    child.kill()
    child.wait()
    assert read(reader, ai).credentials.state == "trusted"  # one that died between pictures is replaced

    start = c2pa_process.subprocess.Popen

    def fake(code):
        def run(command, **options):
            return start([command[0], "-c", f"import sys; print('ready', flush=True); {code}"], **options)

        monkeypatch.setattr(c2pa_process.subprocess, "Popen", run)

    fake("sys.stdin.buffer.readline(); sys.exit(3)")
    crashed = read(CredentialReader(), ai).credentials
    assert crashed.state == "unreadable"
    assert "crashed" in crashed.problems[0]
    fake("import time; time.sleep(60)")
    hung = read(CredentialReader(limits=Limits(max_seconds=0.3)), ai).credentials
    assert hung.state == "unreadable"
    assert "longer than the limit of 0.3 seconds" in hung.problems[0]


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    at=st.integers(0, 6000),
    new=st.binary(min_size=1, max_size=40),
    cut=st.booleans(),
)
def test_damaged_manifests_never_raise(reader, ai, at, new, cut):
    start = ai.index(b"caBX") + 4
    length = int.from_bytes(ai[start - 8 : start - 4], "big")
    store = ai[start : start + length]
    at = at % length
    store = store[:at] if cut else store[:at] + new + store[at + len(new) :]
    damaged = ai[: start - 8] + len(store).to_bytes(4, "big") + b"caBX" + store + b"\0\0\0\0"
    damaged += ai[start + length + 4 :]
    picture = decode(plain())
    facts = picture.facts.model_copy(update={"has_c2pa": True})
    found = reader.read(damaged, facts, picture.metadata)
    if found.credentials.state == "trusted":  # a few bytes of the outer boxes mean nothing
        assert found == read(reader, ai)
    else:
        assert found.credentials.state in ("invalid", "unreadable")
        assert found.credentials.problems
        assert {claim.trust for claim in found.claims} == {"unsigned"}
