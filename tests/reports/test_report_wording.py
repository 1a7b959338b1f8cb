import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_samples import make_error, make_partly, make_report

from vestige.reports.wording import (
    KINDS,
    does_not_mean,
    kind_of,
    parts_words,
    percents,
    sentence,
    size_words,
    spread_words,
    tension,
    where_words,
)
from vestige.results import Claim, Evidence, HeatMap, Verdict


def evidence(probability, low=0.2, high=0.8, **changes):
    fields = {"logit": 0.0, "spread": 0.0, "views": [], **changes}
    return Evidence(probability=probability, thresholds=(low, high), **fields)


@pytest.mark.parametrize(
    ("probability", "words"),
    [
        (0.97, "97%"),
        (0.0, "<1%"),
        (0.004, "<1%"),
        (1.0, ">99%"),
        (0.7996, "79.96%"),
        (0.8, "80%"),
        (0.8004, "80.04%"),
        (math.nan, "unknown"),
    ],
)
def test_percents(probability, words):
    assert percents(evidence(probability)) == ("20%", words, "80%")


def test_percents_beside_odd_thresholds():
    assert percents(evidence(0.9991, 0.05, 0.9987)) == ("5%", "99.91%", "99.87%")


@given(st.floats(0, 1))
def test_a_probability_is_never_certain(probability):
    assert percents(evidence(probability))[1] not in ("0%", "100%")


def test_sentences_name_the_number_and_the_limit():
    assert "93%" in sentence(make_report())
    assert "80%" in sentence(make_report())
    assert "between the limits of 20%" in sentence(make_report(probability=0.5))
    assert "up to 20%" in sentence(make_report(probability=0.1))
    assert "not judged: the data end" in sentence(make_error())
    assert "31% (limits 20% and 80%); it did not decide" in sentence(make_partly())
    doubtful = make_report(probability=0.95, verdict=Verdict.INCONCLUSIVE)
    assert "reasons not to rely on it" in sentence(doubtful)


def test_every_outcome_is_explained():
    outcomes = [
        make_report(),
        make_partly(),
        make_report(probability=0.5),
        make_report(probability=0.1),
        make_error(),
    ]
    assert [kind_of(report) for report in outcomes] == list(KINDS)
    assert all(does_not_mean(kind) for kind in KINDS)


def test_spread_in_words():
    views = make_report().evidence.views
    assert "closely" in spread_words(evidence(0.5, views=views, spread=0.1))
    assert "disagree strongly" in spread_words(evidence(0.5, views=views, spread=9.0))
    assert "one view only" in spread_words(evidence(0.5, views=views[:1]))


def test_tension_between_pixels_and_claims():
    says = Claim(origin="PNG text", kind="prompt", statement="Holds a prompt.", points_to="generated")
    assert "camera" in tension(make_report())
    assert "claims to be generated" in tension(make_report(probability=0.1, claims=[says]))
    assert tension(make_report(claims=[says])) is None
    assert tension(make_report(claims=[])) is None


def test_a_camera_and_a_generated_part_are_no_contradiction():
    assert "An edited photograph can be both" in tension(make_partly())
    says = Claim(origin="PNG text", kind="prompt", statement="Holds a prompt.", points_to="generated")
    assert tension(make_partly(claims=[says])) is None


def test_a_partial_verdict_clears_nothing():
    lines = " ".join(does_not_mean("partly"))
    assert "does not say that the rest is real" in lines
    assert "nor who did it" in lines


def test_shares_in_words():
    assert parts_words(0.25).startswith("25% of the area looked at")
    assert [parts_words(share).split("%")[0] for share in (0, 0.001, 0.999, 1)] == ["0", "<1", ">99", "100"]


def test_where_in_words():
    cells = [[0.5, 0.5, 0.9], [0.5, 0.5, 0.5], [0.1, 0.5, 0.5]]
    words = where_words(HeatMap(probabilities=cells, origin="patches"))
    assert words == "Leans most to generated at the upper right (90%), least at the lower left (10%)."
    flat = [[0.95 if row > 5 and column > 5 else 0.04 for column in range(9)] for row in range(9)]
    words = where_words(HeatMap(probabilities=flat, origin="model"))
    assert words.startswith("Leans most to generated at the lower right (95%)")
    assert "even" in where_words(HeatMap(probabilities=[[0.5, 0.52]], origin="patches"))
    assert where_words(HeatMap(probabilities=[[]], origin="patches")) == "It is empty."


def test_sizes_in_words():
    assert [size_words(count) for count in (None, 12, 1_234, 65_432, 7_200_000)] == [
        "in memory",
        "12 bytes",
        "1.2 kB",
        "65 kB",
        "7.2 MB",
    ]
