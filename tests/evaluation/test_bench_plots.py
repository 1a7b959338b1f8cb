import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from html import unescape

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from score_samples import made_up, scores_of
from sklearn import metrics as sklearn_metrics

from vestige.errors import DataError
from vestige.evaluation import plots
from vestige.evaluation.metrics import auroc, draws, pr_curve, recall_at_fpr, roc_curve
from vestige.evaluation.plots import curves, groups, sheet, sweeps
from vestige.evaluation.plots.calibration import shares
from vestige.evaluation.plots.ranking import banded

HOSTILE = '<script>alert("1")</script> & $x^2$ \x1b[31m \u202egpj \ufffe 画像'
NAN = float("nan")


def texts(svg: str) -> str:
    """All that is written in a plot, read as XML; one text a line."""
    root = ET.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert {element.tag.split("}")[1] for element in root.iter()}.isdisjoint({"script", "a", "image"})
    return "\n".join("".join(element.itertext()) for element in root.iter() if element.tag.endswith("}text"))


def ladder(scores):
    steps = [(0.0, [scores]), (90.0, [scores]), (50.0, [replace(scores, logits=-scores.logits)])]
    return {"JPEG quality": steps, "blur": steps[:2]}


EVERY = {
    "roc": lambda scores: plots.roc([scores], draws=20),
    "roc_low": lambda scores: plots.roc_low([scores], draws=20),
    "precision_recall": lambda scores: plots.precision_recall([scores], draws=20),
    "histogram": plots.histogram,
    "reliability": plots.reliability,
    "generator_bars": lambda scores: plots.generator_bars(scores, draws=20),
    "source_bars": plots.source_bars,
    "robustness": lambda scores: plots.robustness(ladder(scores), draws=20),
}


@pytest.mark.parametrize("name", EVERY)
def test_plots_are_whole_and_say_what_and_how_many(name):
    scores = made_up(each=60, condition="web/1")
    svg = EVERY[name](scores)
    text = texts(svg)
    # Line breaks within titles depend on their length.
    words = re.sub(r"\s", " ", text)
    assert "brightness 1.0" in words
    assert (
        "60 real pictures" in words if name == "source_bars" else "60 real / 60 generated pictures" in words
    )
    assert "made-up" in words
    assert ("web/1" in words) == (name != "robustness")
    assert svg == EVERY[name](scores)
    assert not re.search(r"\d{4}-\d\d-\d\dT|Matplotlib|<metadata", svg)
    # Nothing is fetched: no address but the two names of XML vocabularies.
    assert set(re.findall(r"https?://[^\"' ]+", svg)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert min(float(size) for size in re.findall(r"font-size: ([\d.]+)px", svg)) >= 11


@pytest.mark.parametrize("name", EVERY)
def test_hostile_names_stay_text(name):
    scores = made_up(HOSTILE, each=20, groups=[HOSTILE] * 40, data=HOSTILE, condition="_$", distance=1)
    text = texts(EVERY[name](scores))
    assert not set("\x1b\u202e\ufffe") & set(text)


@settings(max_examples=25, deadline=None)
@given(st.text(), st.text())
def test_any_text_makes_valid_xml(title, sentence):
    svg = sheet.message(title, sentence)
    texts(svg)
    svg.encode("utf-8")


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize(
    "scores",
    [
        scores_of([], []),
        scores_of([0] * 12, range(12)),
        scores_of([1] * 12, range(12)),
        scores_of([0, 1], [0, 1]),
        scores_of([0, 1] * 20, [0.0] * 40),
        scores_of([0, 1] * 20, [-np.inf, np.inf] * 20, probabilities=[0.0, 1.0] * 20),
        scores_of([0, 1] * 20, range(40), probabilities=[NAN] * 40, thresholds=(NAN, NAN)),
        scores_of([0, 1] * 20, [NAN] * 40),
        scores_of([0, 1] * 20, [NAN] * 20 + [1.0] * 20),
    ],
    ids=["empty", "real", "generated", "pair", "tied", "infinite", "uncalibrated", "nan", "some-nan"],
)
def test_whatever_is_missing_a_plot_is_made(name, scores):
    assert texts(EVERY[name](scores))


@pytest.mark.parametrize(
    ("svg", "sentence"),
    [
        (plots.roc([]), "No model was given."),
        (plots.roc([scores_of([], [])]), "brightness 1.0: no picture was scored."),
        (plots.roc([scores_of([0] * 9, range(9))]), "no generated picture was scored."),
        (plots.precision_recall([scores_of([1] * 9, range(9))]), "no real picture was scored."),
        (plots.generator_bars(scores_of([0, 1], [NAN, 1])), "1 scores are not numbers."),
        (plots.histogram(scores_of([0, 1], [0, 1], probabilities=[NAN, NAN])), "gives no probabilities."),
        (
            plots.reliability(scores_of([0, 1], [0, 1], probabilities=[NAN, 1])),
            "1 pictures have no probability.",
        ),
        (plots.source_bars(scores_of([1], [0])), "there is no real picture."),
        (plots.source_bars(scores_of([0], [0], verdicts=[""])), "this model gives no verdicts."),
        (plots.robustness({}), "no change was scored on both real and generated pictures."),
    ],
)
def test_a_sentence_says_why_nothing_is_drawn(svg, sentence):
    assert sentence in texts(svg).replace("\n", " ")


def test_a_model_that_cannot_be_drawn_stays_in_the_legend():
    svg = plots.roc([made_up("good 1", each=30), scores_of([0] * 5, range(5), model="half 1")], draws=10)
    assert "half 1\nno generated picture was scored" in texts(svg)
    assert re.search(r"good 1\n0\.\d{3} \(30 / 30\)", texts(svg))


def test_figures_in_the_legend_are_those_of_the_metrics():
    scores = made_up(each=50)
    assert f"{sklearn_metrics.roc_auc_score(scores.labels, scores.logits):.3f} (50 / 50)" in texts(
        plots.roc([scores], draws=5)
    )
    assert f"{sklearn_metrics.average_precision_score(scores.labels, scores.logits):.3f} (50 / 50)" in texts(
        plots.precision_recall([scores], draws=5)
    )


def test_scores_of_different_conditions_do_not_share_a_plot():
    with pytest.raises(ValueError, match="one data set under one condition"):
        plots.roc([made_up(), made_up(condition="web/1")])


def test_settings_of_the_user_change_nothing_and_are_left_alone():
    scores = made_up(each=20)
    expected = plots.reliability(scores)
    with matplotlib.rc_context({"font.size": 31, "svg.fonttype": "path", "axes.grid": False}):
        assert plots.reliability(scores) == expected
        assert matplotlib.rcParams["font.size"] == 31


def test_pyplot_is_never_loaded():
    code = "import sys, vestige.evaluation.plots; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Four real pictures at 0.1, 0.2, 0.3, 0.6 and four generated ones at 0.4, 0.5, 0.6, 0.9, worked out by hand.
LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1])
SCORES = np.array([0.1, 0.2, 0.3, 0.6, 0.4, 0.5, 0.6, 0.9])


def test_roc_read_along_a_grid_by_hand():
    x, y = roc_curve(LABELS, SCORES)
    # Operating points (0, 1/4), (1/4, 2/4) tied, (1/4, 3/4), (1/4, 1), then along the top.
    grid = np.array([0, 0.125, 0.25, 0.5, 1])
    assert curves.along(x, y, grid).tolist() == [0.25, 0.375, 1, 1, 1]
    assert curves.within(x, y, grid).tolist() == [0.25, 0.25, 1, 1, 1]


def test_precision_read_along_a_grid_by_hand():
    x, y = pr_curve(LABELS, SCORES)
    # Found 1/4: 1 of 1 right; 2/4 with the tied real one: 2 of 3; 3/4: 3 of 4; all: 4 of 5.
    assert curves.reaching(x, y, np.array([0.1, 0.25, 0.3, 0.5, 0.75, 1])) == pytest.approx(
        [1, 1, 2 / 3, 2 / 3, 3 / 4, 4 / 5]
    )


def test_areas_under_what_is_drawn_are_the_metrics():
    scores = made_up(each=80)
    fine = np.linspace(0, 1, 100_001)
    roc = curves.along(*roc_curve(scores.labels, scores.logits), fine)
    precision = curves.reaching(*pr_curve(scores.labels, scores.logits), fine)
    assert roc.mean() == pytest.approx(sklearn_metrics.roc_auc_score(scores.labels, scores.logits), abs=1e-4)
    assert precision.mean() == pytest.approx(
        sklearn_metrics.average_precision_score(scores.labels, scores.logits), abs=1e-4
    )


def test_low_end_agrees_with_recall_at_fpr():
    scores = made_up(each=90)
    logits = scores.logits.round(1)  # with ties
    rates = np.array([1 / 90, 0.01, 0.05, 3 / 90, 0.5])
    found = curves.within(*roc_curve(scores.labels, logits), rates)
    assert found.tolist() == [recall_at_fpr(scores.labels, logits, rate) for rate in rates]


def test_band_covers_the_curve_and_is_wider_with_larger_clusters():
    scores = made_up(each=100)
    grid = np.linspace(0.05, 0.95, 19)
    curve = curves.along(*roc_curve(scores.labels, scores.logits), grid)
    widths = []
    for size in (1, 20):
        clusters = [f"{label}-{number // size}" for number, label in enumerate(scores.labels)]
        logits = np.sort(scores.logits[:100]).tolist() + np.sort(scores.logits[100:]).tolist()
        some = replace(scores, logits=np.array(logits))
        found = curves.band(some, roc_curve, curves.along, grid, draws(scores.labels, clusters, 200, seed=1))
        assert found is not None
        assert (found.low <= curve + 1e-9).all()
        assert (curve <= found.high + 1e-9).all()
        widths.append((found.high - found.low).mean())
    assert widths[1] > 1.5 * widths[0]
    assert curves.band(scores, roc_curve, curves.along, grid, []) is None


def test_who_gets_a_band():
    assert banded([0.5, 0.6, NAN, 0.7]) == {0, 1, 3}
    assert banded([0.5, 0.6, 0.9, 0.7, 0.8]) == {0, 2}
    assert banded([0.95, 0.6, 0.9, 0.7, 0.8]) == {0, 2}
    assert banded([NAN, 0.6, 0.9, 0.7, 0.8, 0.1]) == {2}


def test_bands_are_drawn_for_two_of_many_models():
    def bands(count):
        svg = plots.roc([made_up(f"m{n}", each=20, seed=n) for n in range(count)], draws=10)
        return len(re.findall(r'id="FillBetweenPolyCollection_\d+"|id="PolyCollection_\d+"', svg))

    assert (bands(4), bands(6)) == (4, 2)


def test_generators_against_their_own_real_pictures():
    # Generator a scores above camera x and below camera y; b is named with nothing, c is small.
    labels = [0] * 20 + [1] * 35
    names = ["x"] * 10 + ["y"] * 10 + ["a"] * 12 + ["b"] * 20 + ["c"] * 3
    logits = [0.0] * 10 + [2.0] * 10 + [1.0] * 12 + [3.0] * 20 + [9.0] * 3
    against = [""] * 20 + ["x"] * 12 + [""] * 20 + ["x;y"] * 3
    scores = scores_of(labels, logits, groups=names, compare_with=against)
    found = {one.name: one for one in groups.generators(scores, draws=50)}
    assert list(found) == ["a", "b", "c"]
    assert (found["a"].generated, found["a"].real, found["a"].auroc.value) == (12, 10, 1.0)
    assert (found["b"].generated, found["b"].real, found["b"].auroc.value) == (20, 20, 1.0)
    assert (found["c"].generated, found["c"].real) == (3, 20)
    assert np.isnan(found["c"].auroc.value)
    other = replace(scores, compare_with=["", *["y"] * 54])
    assert groups.generators(other, draws=50)[0].auroc.value == 0.0
    assert "c  ·  3 / 20\nfewer than 10 pictures" in texts(plots.generator_bars(scores, draws=50))


def test_generator_with_two_official_comparisons_is_refused():
    scores = made_up(each=20, compare_with=[""] * 20 + ["camera-0", "camera-1"] * 10)
    with pytest.raises(DataError, match="name different real groups"):
        plots.generator_bars(scores)


def test_sources_by_hand():
    verdicts = ["likely_generated"] * 2 + ["inconclusive"] * 5 + ["likely_real"] * 3 + ["likely_real"] * 4
    scores = scores_of(
        [0] * 14 + [1], [0] * 15, groups=["b"] * 10 + ["a"] * 4 + ["g"], verdicts=[*verdicts, ""]
    )
    assert groups.sources(scores) == [
        groups.Source("b", 10, (0.2, 0.5, 0.3)),
        groups.Source("a", 4, (0.0, 0.0, 1.0)),
    ]
    assert "b  ·  10\n20% / 50% / 30%" in texts(plots.source_bars(scores))


def test_one_accusation_in_a_thousand_does_not_read_as_none():
    verdicts = ["likely_generated"] + ["likely_real"] * 999
    scores = scores_of([0] * 1000, [0] * 1000, verdicts=verdicts)
    assert "0.1% / 0% / 99.9%" in texts(plots.source_bars(scores))


def test_histogram_counts_by_hand():
    scores = scores_of([0, 0, 0, 0, 1], [0] * 5, probabilities=[0, 0.1, 0.5, 1, 0.75])
    edges = np.linspace(0, 1, 5)
    assert shares(scores, 0, edges).tolist() == [0.5, 0, 0.25, 0.25]
    assert shares(scores, 1, edges).tolist() == [0, 0, 0, 1]


def test_histogram_names_the_band_if_there_is_one():
    assert "inconclusive: 0.2 to 0.8" in texts(plots.histogram(made_up(each=20)))
    assert "inconclusive" not in texts(plots.histogram(made_up(each=20, thresholds=(NAN, NAN))))


def test_reliability_shows_the_count_of_each_bin():
    probabilities = [0.05] * 11 + [0.55] * 7 + [0.95] * 3
    svg = plots.reliability(scores_of([0, 1, 1] * 7, [0] * 21, probabilities=probabilities))
    counts = re.findall(r"^\d+$", texts(svg), re.MULTILINE)[-10:]
    assert counts == ["11", "0", "0", "0", "0", "7", "0", "0", "0", "3"]
    assert "0.0 to 0.1: 11 pictures" in svg


def test_robustness_lines_by_hand():
    good = scores_of([0] * 10 + [1] * 10, range(20), model="a")
    bad = replace(good, logits=-good.logits)
    half = scores_of([0] * 10, range(10), model="b")
    found = sweeps.lines([(0, [good, half]), (90, [good]), (50, [bad, half])], draws=20)
    assert list(found) == ["a", "b"]
    assert (found["a"].reference, found["a"].levels) == (1.0, [90, 50])
    assert [one.value for one in found["a"].intervals] == [1.0, 0.0]
    assert np.isnan(found["b"].reference)
    assert found["b"].levels == [50]
    assert np.isnan(found["b"].intervals[0].value)


def test_unchanged_pictures_scored_once_are_the_reference_of_all():
    plain, own, changed = (made_up(each=20, seed=seed) for seed in range(3))
    found = {"none": [(0.0, [plain])], "jpeg": [(90.0, [changed])], "blur": [(0.0, [own]), (1.0, [changed])]}
    assert sweeps.with_reference(found) == {
        "jpeg": [(0.0, [plain]), (90.0, [changed])],
        "blur": [(0.0, [own]), (1.0, [changed])],
    }
    svg = plots.robustness(found, draws=10)
    assert not {"none", "0"} & set(texts(svg).split("\n"))
    assert f"jpeg, brightness 1.0: unchanged {auroc(plain.labels, plain.logits):.3f}" in svg
    assert "Nothing to draw" in texts(plots.robustness({"none": found["none"]}))


def test_robustness_intervals_hold_the_value():
    scores = made_up(each=60)
    (line,) = sweeps.lines([(1, [scores])], draws=100).values()
    assert line.intervals[0].value == auroc(scores.labels, scores.logits)
    assert line.intervals[0].low < line.intervals[0].value < line.intervals[0].high


def test_alternative_text_holds_the_figures():
    svg = plots.robustness(ladder(made_up(each=30)), draws=10)
    name = unescape(re.search(r'aria-label="([^"]*)"', svg)[1])
    assert re.search(r"JPEG quality, brightness 1.0: unchanged 0\.\d+, at 90 0\.\d+, at 50 0\.\d+", name)


def luminance(color):
    parts = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_colours_stand_out_on_light_and_on_dark():
    # WCAG 2.2: contrast 4.5 for text, 3 for lines; grid lines are meant to be faint.
    white, black = luminance("#ffffff") + 0.05, luminance("#1d1f24") + 0.05
    for light, dark in sheet.ON_DARK.items():
        needed = {sheet.LINE: 1.2, sheet.UNSURE: 3}.get(light, 4.5)
        assert white / (luminance(light) + 0.05) >= needed, light
        assert (luminance(dark) + 0.05) / black >= needed, dark


def test_every_colour_drawn_has_one_for_dark():
    for draw in EVERY.values():
        svg = draw(made_up(each=20)).split("</style>", 1)[1]
        drawn = set(re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", svg))
        assert drawn <= set(sheet.ON_DARK)


def test_first_models_can_be_told_apart_without_colour():
    looks = [(one.dashes, one.marker) for one in map(sheet.stroke, range(32))]
    assert len(set(looks)) == 32


@given(st.text(max_size=60), st.integers(5, 30))
def test_fitted_text_is_never_too_long(text, limit):
    found = sheet.fit(text, limit)
    assert sheet.columns(found) <= limit
    if found != sheet.plain(text):
        assert "…" in found


def test_long_names_keep_both_ends():
    assert sheet.fit("stable-diffusion-3.5-large-turbo", 15) == "stable-…e-turbo"
