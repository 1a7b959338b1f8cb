"""The file that says whom to trust."""

import pytest

from signed_pictures import authority
from vestige.errors import ConfigError
from vestige.provenance.trust import load_trust_list


@pytest.fixture(autouse=True)
def no_variable(monkeypatch):
    monkeypatch.delenv("VESTIGE_TRUST_ANCHORS", raising=False)


def test_no_list_is_shipped():
    assert load_trust_list().anchors == ""
    assert load_trust_list().name == "none"


def test_a_list_with_remarks(tmp_path):
    file = tmp_path / "roots.pem"
    file.write_text(f"# Autorité\n{authority().anchors}\n# again\n{authority().anchors}", encoding="utf-8")
    found = load_trust_list(file)
    assert found.anchors.count("BEGIN CERTIFICATE") == 2
    assert found.name.startswith("roots.pem (2 certificates, SHA-256 ")


def test_the_variable_is_used_where_no_file_is_named(tmp_path, monkeypatch):
    file = tmp_path / "roots.pem"
    file.write_text(authority().anchors)
    monkeypatch.setenv("VESTIGE_TRUST_ANCHORS", str(file))
    assert load_trust_list().name.startswith("roots.pem (1 certificate,")
    monkeypatch.setenv("VESTIGE_TRUST_ANCHORS", str(tmp_path / "gone.pem"))
    assert load_trust_list(file).name.startswith("roots.pem")
    with pytest.raises(ConfigError, match=r"gone\.pem"):
        load_trust_list()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "no certificates here",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n",
        "{whole}-----BEGIN CERTIFICATE-----\nMIIB",
    ],
)
def test_what_is_no_list_is_refused_in_one_sentence(tmp_path, content):
    file = tmp_path / "bad.pem"
    file.write_text(content.replace("{whole}", authority().anchors))
    with pytest.raises(ConfigError) as refused:
        load_trust_list(file)
    assert "bad.pem" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_folder_is_no_list(tmp_path):
    with pytest.raises(ConfigError, match="cannot read trust list"):
        load_trust_list(tmp_path)
