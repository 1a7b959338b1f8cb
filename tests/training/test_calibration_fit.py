"""Calibration, operating points and the abstention band from held-out logits."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestige.errors import DataError
from vestige.inference.card import Calibration
from vestige.inference.verdict import calibrate
from vestige.training.calibration import HeldOut, abstention, fit_platt, operating_points, read_held_out

IDENTITY = Calibration(slope=1, intercept=0, data="", real=0, generated=0)


def held_out(real: list[float], generated: list[float]) -> HeldOut:
    labels = np.array([0] * len(real) + [1] * len(generated), dtype=np.int64)
    return HeldOut(labels, [""] * len(labels), np.array([*real, *generated], dtype=float))


def test_known_slope_and_intercept_are_found() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0.5, 1.5, 200_000)
    chance = 1 / (1 + np.exp(-(1.7 * logits - 0.6)))
    labels = (rng.random(len(logits)) < chance).astype(np.int64)
    # Balanced classes move the intercept by the log odds of the classes.
    odds = labels.mean() / (1 - labels.mean())
    found = fit_platt(HeldOut(labels, [], logits), "made up")
    assert found.slope == pytest.approx(1.7, abs=0.03)
    assert found.intercept == pytest.approx(-0.6 - np.log(odds), abs=0.03)
    assert (found.real, found.generated) == ((labels == 0).sum(), (labels == 1).sum())


def test_a_model_without_skill_says_one_half() -> None:
    found = fit_platt(held_out([1.0, 2.0, 3.0], [0.0, 1.0, 2.0]), "made up")
    assert calibrate(np.array([-50.0, 50.0]), found) == pytest.approx(0.5, abs=0.02)
    assert calibrate(1.0, found) > calibrate(0.0, found)
    assert found.data.startswith("made up; no better than chance there")


def test_operating_points_by_hand() -> None:
    sample = held_out(list(np.linspace(-3, 3, 200)), [5.0])
    at_1, at_5 = operating_points(sample, IDENTITY)
    real = calibrate(sample.logits[:200], IDENTITY)
    assert (at_1.fpr, at_5.fpr) == (0.01, 0.05)
    assert (real >= at_1.threshold).sum() == 2
    assert (real >= at_5.threshold).sum() == 10


scores = st.lists(
    st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0, 3.0]) | st.floats(-6, 6), min_size=1, max_size=80
)


@given(scores, scores)
def test_rates_hold_with_ties_and_few_pictures(real: list[float], generated: list[float]) -> None:
    sample = held_out(real, generated)
    points = operating_points(sample, IDENTITY)
    band = abstention(sample, IDENTITY, points)
    found_real, found_generated = calibrate(real, IDENTITY), calibrate(generated, IDENTITY)
    for point in points:
        assert (found_real >= point.threshold).mean() <= point.fpr
        lower = np.nextafter(point.threshold, 0)
        assert (found_real >= lower).mean() > point.fpr, "the threshold is the lowest that holds the rate"
    assert (found_generated <= band.low).mean() <= 0.10
    assert band.low <= band.high == points[1].threshold


def test_held_out_files(tmp_path: Path) -> None:
    path = tmp_path / "held-out.csv"
    with pytest.raises(DataError, match="was the run finished"):
        read_held_out(path)
    path.write_text("path,label,group,logit\na,0,g,-1.5\nb,1,h,2\n")
    found = read_held_out(path)
    assert (found.labels.tolist(), found.groups, found.logits.tolist()) == ([0, 1], ["g", "h"], [-1.5, 2.0])
    path.write_text("path,label,group,logit\na,0,g,-1.5\n")
    with pytest.raises(DataError, match="one class only"):
        read_held_out(path)
