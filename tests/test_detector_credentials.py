"""Content credentials in a scan: they stand beside the pixels and change nothing of them."""

import io

import pytest
from PIL import Image

from signed_pictures import CREATED_BY_AI, CREATED_BY_CAMERA, authority, manifest, signed
from vestige import Detector
from vestige.errors import ConfigError


def flat(value, kind="PNG"):
    """A picture that the brightness model finds real (dark) or generated (bright)."""
    buffer = io.BytesIO()
    Image.new("RGB", (96, 80), (value,) * 3).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def anchors(tmp_path):
    file = tmp_path / "anchors.pem"
    file.write_text(authority().anchors)
    return file


def test_a_scan_has_credentials_lines_and_agreement(package, anchors, tmp_path):
    path = tmp_path / "signed.png"
    path.write_bytes(signed(manifest(CREATED_BY_CAMERA), data=flat(230)))
    detector = Detector.load(package, trust_anchors=anchors)
    for source in (path, path.read_bytes(), memoryview(path.read_bytes())):
        report = detector.scan(source)
        assert report.credentials.state == "trusted"
        assert report.credentials.trust_list.startswith("anchors.pem (1 certificate")
        assert [line.origin for line in report.lines] == ["pixels", "C2PA"]
        assert report.agreement.state == "disagree"
        assert "c2pa-python" in report.versions
    assert report.row()["claims"].startswith("C2PA says that the picture was captured from real life")


@pytest.mark.parametrize("value", [20, 127, 230])
def test_credentials_change_neither_verdict_nor_probability(package, anchors, value):
    detector = Detector.load(package, trust_anchors=anchors)
    plain = detector.scan(flat(value))
    assert plain.credentials is None
    for action in (CREATED_BY_AI, CREATED_BY_CAMERA):
        report = detector.scan(signed(manifest(action), data=flat(value)))
        assert report.credentials.state == "trusted"
        assert (report.verdict, report.evidence) == (plain.verdict, plain.evidence)


def test_missing_credentials_prove_nothing_and_say_so(package):
    report = Detector.load(package).scan(flat(230))
    assert report.agreement.state == "only_pixels"
    assert "proves nothing" in report.agreement.sentence


def test_the_variable_is_the_default(package, anchors, monkeypatch):
    monkeypatch.setenv("VESTIGE_TRUST_ANCHORS", str(anchors))
    data = signed(manifest(CREATED_BY_AI))
    assert Detector.load(package).scan(data).credentials.state == "trusted"
    monkeypatch.setenv("VESTIGE_TRUST_ANCHORS", "")
    assert Detector.load(package).scan(data).credentials.state == "valid"


def test_a_list_that_cannot_be_read_is_refused_before_any_picture(package, tmp_path):
    with pytest.raises(ConfigError, match="missing"):
        Detector.load(package, trust_anchors=tmp_path / "missing.pem")


def test_many_pictures_at_once_keep_their_own_credentials(package, anchors):
    data = [
        signed(manifest(CREATED_BY_AI), seed=1),
        flat(20),
        signed(manifest(CREATED_BY_CAMERA), seed=2),
    ] * 4
    reports = list(Detector.load(package, trust_anchors=anchors).scan_many(data))
    types = [
        report.credentials and report.credentials.source_types[0].rpartition("/")[2] for report in reports
    ]
    assert types == ["trainedAlgorithmicMedia", None, "digitalCapture"] * 4


def test_an_unreadable_picture_has_no_agreement(package):
    (report,) = Detector.load(package).scan_many([b"nothing"])
    assert report.error
    assert (report.credentials, report.lines, report.agreement) == (None, [], None)
