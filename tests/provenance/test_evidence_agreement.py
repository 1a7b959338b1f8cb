"""Lines of evidence and whether they agree."""

import itertools

import pytest

from vestige.provenance.agreement import compare
from vestige.results import Claim, Credentials, Evidence, Verdict

EVIDENCE = Evidence(logit=1, probability=0.7, spread=0, thresholds=(0.2, 0.8), views=[])
GENERATED, REAL = Verdict.LIKELY_GENERATED, Verdict.LIKELY_REAL
PARTLY, UNSURE = Verdict.PARTLY_GENERATED, Verdict.INCONCLUSIVE


def claim(points_to=None, origin="EXIF", trust="unsigned", kind="source_type", statement=None):
    statement = statement or f"{origin} says {points_to}."
    return Claim(origin=origin, kind=kind, statement=statement, points_to=points_to, trust=trust)


def signed(points_to, trust="signed_and_trusted"):
    return [
        claim(None, "C2PA", trust, "credential", "C2PA credentials are intact."),
        claim(points_to, "C2PA", trust),
    ]


CREDENTIALS = Credentials(state="trusted")


def state(verdict, *claims, credentials=None, evidence=EVIDENCE):
    return compare(verdict, evidence, list(claims), credentials).agreement.state


@pytest.mark.parametrize(
    ("verdict", "points_to", "expected"),
    [
        (GENERATED, "generated", "agree"),
        (PARTLY, "generated", "agree"),
        (REAL, "generated", "disagree"),
        (UNSURE, "generated", "only_claims"),
        (GENERATED, "camera", "disagree"),
        (PARTLY, "camera", "disagree"),
        (REAL, "camera", "agree"),
        (UNSURE, "camera", "only_claims"),
        (GENERATED, "edited", "only_pixels"),
        (REAL, "edited", "only_pixels"),
        (UNSURE, "edited", "only_claims"),
        (GENERATED, None, "only_pixels"),
        (REAL, None, "only_pixels"),
        (UNSURE, None, "nothing"),
    ],
)
def test_every_pair_of_pixels_and_claim(verdict, points_to, expected):
    assert state(verdict, claim(points_to)) == expected
    assert state(verdict, *signed(points_to), credentials=CREDENTIALS) == expected


@pytest.mark.parametrize("verdict", list(Verdict))
def test_without_claims_it_says_that_this_proves_nothing(verdict):
    found = compare(verdict, EVIDENCE, [], None)
    assert "proves nothing" in found.agreement.sentence
    assert [line.origin for line in found.lines] == ["pixels"]


@pytest.mark.parametrize("verdict", list(Verdict))
def test_claims_that_contradict_each_other_never_agree(verdict):
    claims = [*signed("generated"), claim("camera")]
    found = compare(verdict, EVIDENCE, claims, CREDENTIALS)
    assert found.agreement.state == "disagree"
    assert (
        "C2PA says that it is generated and EXIF says that it comes from a camera" in found.agreement.sentence
    )


def test_lines_stand_in_the_order_of_trust():
    claims = [claim("camera"), claim("edited", "XMP"), *signed("camera"), claim("generated")]
    lines = compare(REAL, EVIDENCE, claims, CREDENTIALS).lines
    assert [(line.origin, line.points_to, line.trust) for line in lines] == [
        ("pixels", "real", "measured"),
        ("C2PA", "camera", "signed_and_trusted"),
        ("EXIF", "camera", "unsigned"),
        ("XMP", "edited", "unsigned"),
        ("EXIF", "generated", "unsigned"),
    ]
    assert lines[1].says == "C2PA credentials are intact. C2PA says camera."


def test_camera_then_edited_is_one_line_that_says_edited():
    claims = [*signed("camera"), claim("edited", "C2PA", "signed_and_trusted")]
    (_, line) = compare(REAL, EVIDENCE, claims, CREDENTIALS).lines
    assert (line.points_to, line.trust) == ("edited", "signed_and_trusted")
    assert "C2PA says camera. C2PA says edited." in line.says
    assert state(GENERATED, *claims, credentials=CREDENTIALS) == "only_pixels"


def test_what_is_signed_is_not_passed_over():
    claims = [*signed("edited"), claim("generated", "XMP")]
    for verdict in Verdict:
        sentence = compare(verdict, EVIDENCE, claims, CREDENTIALS).agreement.sentence
        assert "weak evidence" in sentence
        assert "What is signed says only that the picture was edited." in sentence


def test_credentials_that_do_not_hold_stand_with_plain_metadata():
    claims = [claim("camera"), *signed("generated", "unsigned")]
    lines = compare(UNSURE, EVIDENCE, claims, Credentials(state="invalid")).lines
    assert {line.trust for line in lines[1:]} == {"unsigned"}


@pytest.mark.parametrize(
    ("trust", "words"),
    [
        ("unsigned", "weak evidence"),
        ("signed", "anyone can sign"),
        ("signed_and_trusted", "strong evidence"),
    ],
)
def test_the_sentence_says_what_the_statement_is_worth(trust, words):
    for verdict in Verdict:
        assert words in compare(verdict, EVIDENCE, signed("camera", trust), CREDENTIALS).agreement.sentence


def test_a_model_of_the_file_agrees_with_nothing():
    by_file = EVIDENCE.model_copy(update={"looked_at": "file"})
    for verdict in Verdict:
        assert state(verdict, claim("generated"), evidence=by_file) == "only_claims"
        assert state(verdict, evidence=by_file) == "nothing"
    assert compare(REAL, by_file, [], None).lines[0].origin == "file"


def test_every_combination_gives_a_sentence():
    ways = [None, "generated", "camera", "edited"]
    for verdict, one, other in itertools.product(Verdict, ways, ways):
        found = compare(verdict, EVIDENCE, [*signed(one), claim(other)], CREDENTIALS)
        assert found.agreement.sentence.endswith(".")
        assert len(found.agreement.sentence) < 500
