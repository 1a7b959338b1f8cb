"""Content credentials and lines of evidence in every kind of report."""

import io
import json

import pytest
from report_samples import HOSTILE, make_report
from rich.console import Console
from test_report_html import Page

from vestige.reports.html_card import card
from vestige.reports.records import json_line, record_of, report_of
from vestige.reports.terminal import print_reports
from vestige.results import (
    Agreement,
    Claim,
    CredentialAction,
    CredentialIngredient,
    Credentials,
    EvidenceLine,
)

THUMBNAIL = "data:image/jpeg;base64,AAAA"
CREDENTIALS = Credentials(
    state="trusted",
    problems=["A step is odd (odd.code)."],
    signer="Sig Ner",
    issuer="Signers Ltd",
    signed_at="2026-02-03T04:05:06+00:00",
    claim_generator="Cam 1",
    title="cat.jpg",
    actions=[CredentialAction(action="c2pa.created", software="Cam 1", description="the shot")],
    ingredients=[CredentialIngredient(title="dog.jpg", relationship="componentOf", state="invalid")],
    source_types=["http://example.org/digitalCapture"],
    thumbnail=THUMBNAIL,
    trust_list="roots.pem",
)


def make_signed(credentials=CREDENTIALS, state="disagree", trust="signed_and_trusted"):
    return make_report(
        credentials=credentials,
        claims=[
            Claim(
                origin="C2PA", kind="source_type", statement="C2PA says so.", points_to="edited", trust=trust
            )
        ],
        lines=[
            EvidenceLine(origin="pixels", says="The pixels lean.", points_to="generated", trust="measured"),
            EvidenceLine(origin="C2PA", says="C2PA says so.", points_to="camera", trust=trust),
        ],
        agreement=Agreement(state=state, sentence="Pixels and file quarrel."),
    )


def text_of(report):
    page = Page(card(report, None, 1))
    assert not page.open
    return " ".join("".join(page.text).split()), page


def pictures(page):
    """All but the heat map."""
    return [image for image in page.of("img") if image["class"] != "heat"]


def printed(report, width=100):
    out = io.StringIO()
    print_reports([report], Console(file=out, width=width))
    return " ".join(out.getvalue().split())


def test_the_card_shows_lines_credentials_and_agreement():
    text, page = text_of(make_signed())
    for words in (
        "Evidence side by side",
        "The pixels lean.",
        "Points to: generated, measured",
        "Points to: a camera, signed, by a signer on a trust list",
        "Pixels and file quarrel.",
        "They hold, and the signer is on the trust list.",
        "Sig Ner (Signers Ltd)",
        "2026-02-03T04:05:06+00:00",
        "A step is odd (odd.code).",
        "Steps (1)",
        "c2pa.created Cam 1, the shot",
        "Ingredients (1)",
        "includes dog.jpg: its credentials do not hold",
        "roots.pem",
        "Anyone can write or remove what is not signed",
    ):
        assert words in text, words
    assert [image["src"] for image in pictures(page)] == [THUMBNAIL]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"state": "valid"}, "the signer is not on the trust list: the name may be anyone's"),
        ({"state": "valid", "trust_list": "none"}, "Whom to trust was not configured"),
        ({"state": "invalid"}, "They do not hold"),
        ({"state": "unreadable"}, "They could not be read"),
        ({"state": "unreadable", "remote": "https://example.org"}, "They lie elsewhere and were not fetched"),
    ],
)
def test_states_in_words_in_card_and_terminal(changes, words):
    report = make_signed(CREDENTIALS.model_copy(update=changes))
    assert words in text_of(report)[0]
    assert words in printed(report)


def test_an_untrusted_name_is_only_what_the_file_says():
    assert (
        "Signer, as the file says"
        in text_of(make_signed(CREDENTIALS.model_copy(update={"state": "valid"})))[0]
    )
    assert "Signer, as the file says" not in text_of(make_signed())[0]


def test_the_terminal_says_who_signed_and_that_they_disagree():
    text = printed(make_signed())
    assert "content credentials (C2PA): signed by Sig Ner (Signers Ltd)." in text
    assert "file says: C2PA says so (signed, trusted)" in text
    assert "Pixels and file quarrel." in text
    assert "quarrel" not in printed(make_signed(state="agree"))


def hostile():
    return Credentials(
        state="valid",
        problems=[HOSTILE],
        signer=HOSTILE,
        issuer=HOSTILE,
        signed_at=HOSTILE,
        claim_generator=HOSTILE,
        title=HOSTILE,
        actions=[
            CredentialAction(action=HOSTILE, software=HOSTILE, source_type=HOSTILE, description=HOSTILE)
        ],
        ingredients=[CredentialIngredient(title=HOSTILE, format=HOSTILE, relationship=HOSTILE)],
        source_types=[HOSTILE],
        thumbnail='data:image/jpeg;base64,AAAA" onerror="alert(1)',
        remote="javascript:" + HOSTILE,
        trust_list=HOSTILE,
    )


def test_nothing_hostile_gets_out():
    report = make_signed(hostile()).model_copy(
        update={
            "lines": [EvidenceLine(origin=HOSTILE, says=HOSTILE, trust="unsigned")],
            "agreement": Agreement(state="agree", sentence=HOSTILE),
        }
    )
    _, page = text_of(report)
    assert not page.of("script")
    assert not pictures(page)
    assert not page.of("a")
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    assert "\x1b[31m" not in printed(report)


def test_records_keep_all_of_it():
    for report in (make_signed(), make_signed(hostile()), make_report()):
        record = json.loads(json_line(record_of(report)))
        assert report_of(record) == report


def test_older_records_have_none_of_it():
    record = record_of(make_report())
    for key in ("credentials", "lines", "agreement"):
        del record[key]
    assert report_of(record) == make_report()
