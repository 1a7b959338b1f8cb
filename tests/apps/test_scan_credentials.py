"""`vestige scan --trust-anchors`."""

import json

from test_scan_command import scan

from signed_pictures import CREATED_BY_AI, authority, manifest, signed


def test_the_list_decides_who_is_trusted(package, tmp_path):
    picture, anchors = tmp_path / "a.png", tmp_path / "anchors.pem"
    picture.write_bytes(signed(manifest(CREATED_BY_AI)))
    anchors.write_text(authority().anchors)
    (without,) = json.loads(scan(package, "--json", picture).stdout)
    (trusted,) = json.loads(scan(package, "--json", "--trust-anchors", anchors, picture).stdout)
    assert without["credentials"]["state"] == "valid"
    assert trusted["credentials"]["state"] == "trusted"
    assert {key: without[key] for key in ("verdict", "probability")} == {
        key: trusted[key] for key in ("verdict", "probability")
    }
    assert trusted["lines"][1]["trust"] == "signed_and_trusted"


def test_a_missing_list_is_one_sentence(package, tmp_path):
    done = scan(package, "--trust-anchors", tmp_path / "gone.pem", tmp_path)
    assert done.returncode == 2
    assert done.stdout == b""
    assert done.stderr.decode().splitlines()[-1].startswith("vestige: cannot read trust list")
    assert b"Traceback" not in done.stderr
