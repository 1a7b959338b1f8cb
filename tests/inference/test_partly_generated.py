"""From the maps of the scored views to the verdict on parts."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests_support import card

from conftest import SIZE, brightness_graph
from vestige.detector import Detector
from vestige.inference.card import Localisation, ModelCard
from vestige.inference.localisation import Parts, find_parts, part_words, partly_generated, shares
from vestige.inference.verdict import judge
from vestige.reports import record_of, report_of
from vestige.results import Verdict, ViewScore

MAPPED = {"logit": "logit", "map": "map"}
BAND = (0.2, 0.8)


def rule(**changes: Any) -> dict[str, Any]:
    return {
        "calibration": {"slope": 1.0, "intercept": 0.0, "data": "none", "real": 9, "generated": 9},
        "threshold": 0.7,
        "minimum_share": 0.1,
        "maximum_share": 0.6,
        "maximum_rest": 0.3,
        "fpr": 0.01,
        **changes,
    }


def mapped(**changes: Any) -> ModelCard:
    return card(outputs=MAPPED, localisation=rule(), **changes)


def views(*logits: float) -> list[ViewScore]:
    return [ViewScore(x=0, y=0, width=64, height=64, logit=logit) for logit in logits]


REAL, UNSURE, GENERATED = views(-4.0), views(0.0), views(4.0)


@pytest.mark.parametrize("scored", [REAL, UNSURE, GENERATED])
@pytest.mark.parametrize(
    ("share", "rest", "partly"),
    [
        (0.1, 0.3, True),  # the limits belong to the part
        (0.6, 0.3, True),
        (0.3, 0.0, True),
        (0.0999, 0.1, False),
        (0.6001, 0.1, False),
        (0.3, 0.3001, False),  # a patchy map
        (0.0, 0.1, False),
        (1.0, math.nan, False),
        (0.3, math.nan, False),
    ],
)
def test_the_map_decides_on_parts_whatever_the_pooled_logit(
    scored: list[ViewScore], share: float, rest: float, partly: bool
) -> None:
    parts = Parts(share, rest, "at the lower left")
    found, evidence = judge(mapped(), scored, BAND, side=500, parts=parts)
    plain, before = judge(card(), scored, BAND, side=500)
    assert evidence.generated_share == share
    assert (evidence.logit, evidence.probability) == (before.logit, before.probability)
    if partly:
        assert found == Verdict.PARTLY_GENERATED
        assert evidence.reasons == [part_words(parts)]
    else:
        assert found == plain
        assert evidence.reasons == before.reasons


def test_all_cells_are_no_part_even_where_the_card_has_no_upper_limit() -> None:
    assert not partly_generated(Parts(1.0, math.nan), Localisation.model_validate(rule(maximum_share=1)))


def test_views_may_disagree_about_a_picture_of_which_a_part_is_generated() -> None:
    strict = mapped(abstention={"low": 0.2, "high": 0.8, "max_spread": 1.0})
    split = views(6.0, -6.0)
    found, evidence = judge(strict, split, BAND, side=500, parts=Parts(0.3, 0.1))
    assert found == Verdict.PARTLY_GENERATED
    assert len(evidence.reasons) == 1
    assert judge(strict, split, BAND, side=500, parts=Parts(0.0, 0.1))[0] == Verdict.INCONCLUSIVE


def test_pictures_that_are_not_fit_to_be_judged_stay_inconclusive() -> None:
    parts = Parts(0.3, 0.1)
    found, evidence = judge(mapped(), GENERATED, BAND, side=31, parts=parts)
    assert found == Verdict.INCONCLUSIVE
    assert [reason[:27] for reason in evidence.reasons] == ["The picture is too small to"]
    limited = card(
        outputs={**MAPPED, "deviation": "odd"},
        abstention={"low": 0.2, "high": 0.8, "max_deviation": 2.0},
        localisation=rule(),
    )
    assert judge(limited, REAL, BAND, 500, deviation=1.9, parts=parts)[0] == Verdict.PARTLY_GENERATED
    for deviation in (2.1, math.nan):
        found, evidence = judge(limited, REAL, BAND, 500, deviation=deviation, parts=parts)
        assert found == Verdict.INCONCLUSIVE
        assert "unlike" in evidence.reasons[0]
        assert evidence.generated_share == 0.3


def test_a_card_without_localisation_says_nothing_of_parts() -> None:
    found, evidence = judge(card(outputs=MAPPED), REAL, BAND, side=500, parts=Parts(0.3, 0.1))
    assert found == Verdict.LIKELY_REAL
    assert evidence.generated_share is None


@pytest.mark.parametrize(
    ("outputs", "localisation", "words"),
    [
        ({"logit": "logit"}, rule(), r"localisation is given but outputs\.map is null"),
        (MAPPED, rule(minimum_share=0.7), r"minimum_share \(0\.7\) must not lie above maximum_share"),
        (MAPPED, rule(minimum_share=0), "greater than 0"),
        (MAPPED, rule(maximum_share=1.1), "less than or equal to 1"),
        (MAPPED, rule(threshold=1.5), "less than or equal to 1"),
        (MAPPED, rule(quantile=1), "Extra inputs"),
    ],
)
def test_cards_that_make_no_sense_are_refused(
    outputs: dict[str, str], localisation: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        card(outputs=outputs, localisation=localisation)


def test_cards_without_localisation_read_as_before() -> None:
    assert "localisation" not in json.loads(card().model_dump_json())
    assert ModelCard.model_validate_json(mapped().model_dump_json()) == mapped()
    assert json.loads(mapped().model_dump_json())["localisation"] == rule(
        calibration={"kind": "platt", **rule()["calibration"]}
    )


def test_shares_by_hand() -> None:
    share, rest = shares([[0.9, 0.7], [0.1, 0.3], [0.699, 0.5]], 0.7)
    assert share == pytest.approx(2 / 6)
    assert rest == pytest.approx((0.1 + 0.3 + 0.699 + 0.5) / 4)
    share, rest = shares([0.8], 0.7)
    assert share == 1
    assert math.isnan(rest)


def test_cells_of_all_views_count_and_those_beyond_the_picture_do_not() -> None:
    """Views of 64 px with cells of 16 px on a picture of 100 x 40 px: of four rows three lie on it."""
    maps = np.zeros((2, 4, 4))
    maps[:, 3] = 1  # from 48 px on: reflected
    maps[1, 0, 3] = 1  # 84 to 100 px
    maps[0, 1, 1] = 0.5
    found = find_parts(maps, [(0, 0), (36, 0)], 64, 100, 40, 0.7)
    assert found.share == pytest.approx(1 / 24)
    assert found.rest == pytest.approx(0.5 / 23)
    assert found.where == "at the upper right"


@pytest.mark.parametrize(
    ("marked", "where"),
    [
        ((slice(0, 3), slice(0, 3)), "at the upper left"),
        ((slice(4, 5), slice(4, 5)), "in the centre"),
        ((slice(3, 6), slice(6, 9)), "at the middle right"),
        ((slice(6, 9), slice(3, 6)), "at the lower centre"),
        ((slice(6, 9), slice(0, 9)), "in the lower third"),
        ((slice(3, 6), slice(0, 9)), "at half height"),
        ((slice(0, 9), slice(6, 9)), "in the right third"),
        ((slice(0, 9), slice(3, 6)), "at half width"),
        ((slice(0, 9), slice(0, 9)), ""),
    ],
)
def test_where_the_part_lies(marked: tuple[slice, slice], where: str) -> None:
    maps = np.zeros((1, 9, 9))
    maps[0][marked] = 1
    found = find_parts(maps, [(0, 0)], 90, 90, 90, 0.7)
    assert found.where == where
    words = part_words(found)
    assert (f", most of it {where};" in words) == bool(where)


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.0042, "about 0.42%"),
        (0.063, "about 6.3%"),
        (0.127, "about 13%"),
        (0.99, "about 99%"),
        (0.9901, "more than 99%"),
        (0.9999, "more than 99%"),
    ],
)
def test_the_share_in_words_is_neither_none_nor_all(share: float, words: str) -> None:
    assert f", {words} of" in part_words(Parts(share, 0.1))


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        (0.0, "; in the rest the mean probability is below 1%."),
        (0.0099, "; in the rest the mean probability is below 1%."),
        (0.12, "; in the rest the mean probability is 12%."),
        (0.66, "; in the rest the mean probability is 66%."),  # a card may allow that
        (math.nan, " of the area looked at resembles generated pictures."),
    ],
)
def test_the_rest_in_words(rest: float, words: str) -> None:
    assert part_words(Parts(0.3, rest)).endswith(words)


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 9), st.integers(1, 9))
def test_every_picture_has_cells_to_look_at(width: int, height: int, rows: int, columns: int) -> None:
    found = find_parts(np.full((1, rows, columns), 0.9), [(0, 0)], 64, width, height, 0.7)
    assert found.share == 1
    assert math.isnan(found.rest)


def halved(bright: int = 32) -> np.ndarray:
    """A dark picture of 128 x 128 px with a bright strip at its left."""
    pixels = np.full((128, 128, 3), 20, np.uint8)
    pixels[:, :bright] = 240
    return pixels


def test_a_scan_says_partly_and_where(make_package: Callable[..., Path]) -> None:
    package = make_package(brightness_graph(with_map=True), outputs=MAPPED, localisation=rule())
    detector = Detector.load(package)
    plain, with_heat = detector.scan(halved()), detector.scan(halved(), heat_map=True)
    assert plain.verdict == with_heat.verdict == Verdict.PARTLY_GENERATED
    assert plain.generated_share == with_heat.generated_share == 0.25
    assert plain.evidence is not None
    assert with_heat.evidence is not None
    assert with_heat.evidence.model_copy(update={"heat_map": None}) == plain.evidence
    assert plain.evidence.reasons == [
        "By the model's own map, about 25% of the area looked at resembles generated pictures, most of it in "
        "the left third; in the rest the mean probability is 3%."
    ]
    assert detector.scan(halved(4)).verdict == Verdict.LIKELY_REAL
    assert detector.scan(halved(120)).verdict == Verdict.LIKELY_GENERATED
    together = list(detector.scan_many([halved(), halved(0), halved(), halved(128)]))
    assert [report.verdict for report in together] == [
        Verdict.PARTLY_GENERATED,
        Verdict.LIKELY_REAL,
        Verdict.PARTLY_GENERATED,
        Verdict.LIKELY_GENERATED,
    ]
    assert [report.generated_share for report in together] == [0.25, 0, 0.25, 1]


def test_maps_have_a_calibration_of_their_own(make_package: Callable[..., Path]) -> None:
    """Bright cells have a logit of 8 * (240/255 - 0.5) = 3.53; shifted by -9 none is generated any more."""
    shifted = rule(calibration={**rule()["calibration"], "intercept": -9.0})
    package = make_package(brightness_graph(with_map=True), outputs=MAPPED, localisation=shifted)
    report = Detector.load(package).scan(halved(), heat_map=True)
    assert report.generated_share == 0
    assert report.verdict != Verdict.PARTLY_GENERATED
    assert report.evidence is not None
    assert report.evidence.heat_map is not None
    expected = 1 / (1 + math.exp(9 - 8 * (240 / 255 - 0.5)))
    assert report.evidence.heat_map.probabilities[0][0] == pytest.approx(expected, abs=1e-4)
    pooled = 8 * ((240 * 0.25 + 20 * 0.75) / 255 - 0.5)
    assert report.logit == pytest.approx(pooled, abs=1e-4)


def test_records_keep_it_and_older_ones_can_be_read(make_package: Callable[..., Path]) -> None:
    package = make_package(brightness_graph(with_map=True), outputs=MAPPED, localisation=rule())
    report = Detector.load(package).scan(halved())
    record = json.loads(json.dumps(record_of(report)))
    assert (record["verdict"], record["generated_share"]) == ("likely_partly_generated", 0.25)
    assert report_of(record) == report
    del record["generated_share"]
    assert report_of(record).generated_share is None
    assert report.verdict is not None
    assert report.verdict.words == "likely partly generated"


def test_models_without_a_map_say_nothing_of_parts(package: Path) -> None:
    report = Detector.load(package).scan(np.full((SIZE, SIZE, 3), 51, np.uint8))
    assert report.generated_share is None
    assert report.row()["generated_share"] is None


def test_whole_and_part_are_both_calls_of_generated() -> None:
    assert [verdict for verdict in Verdict if verdict.says_generated] == [
        Verdict.LIKELY_GENERATED,
        Verdict.PARTLY_GENERATED,
    ]
