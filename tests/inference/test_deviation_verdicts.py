"""A model's deviation: from the graph's output to verdicts, reports and tables."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from pydantic import ValidationError
from tests_support import card

from conftest import brightness_graph, grey_picture
from vestige.detector import Detector
from vestige.errors import ModelPackageError
from vestige.inference.package import load_package
from vestige.inference.session import Scores, Session
from vestige.inference.verdict import judge
from vestige.reports import record_of, report_of
from vestige.results import Evidence, Verdict, ViewScore

UNLIKE = "The picture is unlike the pictures that this model was calibrated on"
NAMED = {"logit": "logit", "deviation": "odd"}
GENERATED = [ViewScore(x=0, y=0, width=64, height=64, logit=4.0)]


def limited(limit: float | None, **changes: Any) -> dict[str, Any]:
    return {"outputs": NAMED, "abstention": {"low": 0.2, "high": 0.8, "max_deviation": limit}, **changes}


def graph_with_deviation(with_map: bool = False) -> bytes:
    """The brightness graph, and as deviation the brightest value of a patch."""
    model = onnx.load_from_string(brightness_graph(with_map=with_map))
    model.graph.node.append(helper.make_node("ReduceMax", ["images", "axes"], ["odd"], keepdims=0))
    model.graph.output.append(helper.make_tensor_value_info("odd", TensorProto.FLOAT, ["batch"]))
    return bytes(model.SerializeToString())


Make = Callable[..., Path]


@pytest.mark.parametrize(
    ("limit", "deviation", "verdict"),
    [
        (None, 1e6, Verdict.LIKELY_GENERATED),
        (2.0, None, Verdict.LIKELY_GENERATED),
        (2.0, 2.0, Verdict.LIKELY_GENERATED),
        (2.0, math.nextafter(2.0, 3), Verdict.INCONCLUSIVE),
        (2.0, math.inf, Verdict.INCONCLUSIVE),
        (2.0, math.nan, Verdict.INCONCLUSIVE),
    ],
)
def test_beyond_the_limit_is_inconclusive(
    limit: float | None, deviation: float | None, verdict: Verdict
) -> None:
    found, evidence = judge(card(**limited(limit)), GENERATED, (0.2, 0.8), side=500, deviation=deviation)
    assert found == verdict
    assert evidence.deviation == deviation or (math.isnan(evidence.deviation) and math.isnan(deviation))
    assert [reason[: len(UNLIKE)] for reason in evidence.reasons] == [UNLIKE] * (
        verdict == Verdict.INCONCLUSIVE
    )


def test_the_reason_stands_beside_others_and_has_both_numbers() -> None:
    found, evidence = judge(card(**limited(1.25)), GENERATED, (0.2, 0.8), side=31, deviation=3.5)
    assert found == Verdict.INCONCLUSIVE
    unlike, small = evidence.reasons
    assert unlike.startswith(UNLIKE)
    assert unlike.endswith("is 3.5, the limit is 1.25.")
    assert "too small" in small


def test_a_limit_that_cannot_be_checked_is_refused(make_package: Make) -> None:
    abstention = {"low": 0.2, "high": 0.8, "max_deviation": 1.5}
    with pytest.raises(ModelPackageError, match=r"max_deviation is 1\.5 but outputs\.deviation is null"):
        load_package(make_package(abstention=abstention))
    for limit in (0, -1):
        with pytest.raises(ValidationError, match="greater than 0"):
            card(**limited(limit))


def test_cards_without_a_deviation_read_as_before() -> None:
    plain = json.loads(card().model_dump_json())
    assert plain["outputs"] == {"logit": "logit", "map": None}
    assert plain["abstention"] == {"low": 0.2, "high": 0.8, "max_spread": None}
    with_limit = card(**limited(1.5))
    assert json.loads(with_limit.model_dump_json())["outputs"]["deviation"] == "odd"
    assert type(with_limit).model_validate_json(with_limit.model_dump_json()) == with_limit


@pytest.mark.parametrize("with_map", [False, True])
def test_the_session_keeps_the_outputs_apart(make_package: Make, with_map: bool) -> None:
    patches = np.zeros((3, 64, 64, 3), np.uint8)
    patches[1] = 51
    patches[2, 5, 7, 1] = 255
    outputs = NAMED | ({"map": "map"} if with_map else {})
    folder = make_package(graph_with_deviation(with_map), outputs=outputs)
    scores = Session(load_package(folder)).run(patches)
    assert scores.deviation is not None
    np.testing.assert_allclose(scores.deviation, [0, 0.2, 1], atol=1e-6)
    np.testing.assert_allclose(scores.logit, [-4, -2.4, -4 + 8 / (3 * 64 * 64)], atol=1e-5)
    assert (scores.map is not None) == with_map
    if scores.map is not None:
        assert scores.map.shape == (3, 64, 64)


def test_a_graph_without_the_named_output_is_refused(make_package: Make) -> None:
    with pytest.raises(ModelPackageError, match="no output 'odd'"):
        Session(load_package(make_package(outputs=NAMED)))


def test_scores_are_joined_and_cut() -> None:
    whole = Scores.joined(
        [
            Scores(np.array([count], np.float32), np.full((1, 2, 2), count), np.array([10 * count]))
            for count in (1, 2, 3)
        ]
    )
    part = whole.part(1, 3)
    assert part.logit.tolist() == [2, 3]
    assert part.deviation is not None
    assert part.deviation.tolist() == [20, 30]
    assert part.map is not None
    assert part.map[:, 0, 0].tolist() == [2, 3]
    assert whole.part(3).logit.shape == (0,)
    plain = Scores.joined([Scores(np.ones(2, np.float32))] * 2)
    assert (plain.logit.shape, plain.map, plain.deviation) == ((4,), None, None)


def test_a_pictures_deviation_is_the_mean_over_the_views_that_decide(
    make_package: Make, tmp_path: Path
) -> None:
    """Four patches of a picture with one white dot: one deviates by 1, and the map's patches do not count."""
    pixels = np.full((128, 128, 3), 51, np.uint8)
    pixels[3, 4] = 255
    flat = np.full((128, 128, 3), 102, np.uint8)
    detector = Detector.load(make_package(graph_with_deviation(), outputs=NAMED))
    for heat_map in (False, True):
        assert detector.scan(pixels, heat_map=heat_map).deviation == pytest.approx((3 * 0.2 + 1) / 4)
    together = list(detector.scan_many([flat, tmp_path / "gone.png", pixels, flat]))
    assert [report.deviation for report in together] == pytest.approx([0.4, None, 0.4, 0.4])
    assert [report.probability for report in together[::3]] == [together[0].probability] * 2


def test_a_scan_abstains_from_what_deviates(make_package: Make, tmp_path: Path) -> None:
    bright, white = (grey_picture(tmp_path / f"{level}.png", level, noise=0) for level in (230, 255))
    detector = Detector.load(make_package(graph_with_deviation(), **limited(0.95)))
    assert detector.scan(bright).verdict == Verdict.LIKELY_GENERATED
    report = detector.scan(white)
    assert report.verdict == Verdict.INCONCLUSIVE
    assert report.evidence is not None
    assert report.evidence.reasons[0].startswith(UNLIKE)
    assert report.row()["deviation"] == pytest.approx(1)


def test_records_keep_it_and_older_ones_can_be_read(make_package: Make) -> None:
    detector = Detector.load(make_package(graph_with_deviation(), outputs=NAMED))
    report = detector.scan(np.full((64, 64, 3), 51, np.uint8))
    record = json.loads(json.dumps(record_of(report)))
    assert record["deviation"] == pytest.approx(0.2)
    assert report_of(record) == report
    del record["deviation"]
    assert report_of(record).deviation is None


def test_models_that_do_not_say_are_as_before(package: Path) -> None:
    report = Detector.load(package).scan(np.full((64, 64, 3), 51, np.uint8))
    assert report.deviation is None
    assert report.row()["deviation"] is None
    assert Evidence.model_fields["deviation"].default is None
