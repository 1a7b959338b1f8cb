import base64
import hashlib
import io
import itertools
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image
from report_samples import (
    HOSTILE,
    hostile_report,
    make_error,
    make_partly,
    make_picture,
    make_report,
    reports,
)

from vestige.errors import ConfigError
from vestige.reports.html import HtmlSink
from vestige.reports.html_card import card
from vestige.reports.overlay import overlay, thumbnail
from vestige.reports.wording import KINDS
from vestige.results import HeatMap

VOID = {"img", "meta", "link", "input", "br", "path"}


class Page(HTMLParser):
    """Every tag with its attributes, the texts, and whether tags are nested properly."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.open, self.text, self.script = [], [], [], ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.script += data
        elif self.open and self.open[-1] != "style":
            self.text.append(data)

    def of(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture
def source(tmp_path):
    with HtmlSink(tmp_path) as sink:
        sink.write(make_report("a.jpg", 0.93), make_picture())
        sink.write(make_report("b.jpg", 0.5), make_picture(200, 20))
        sink.write(make_report("c.jpg", 0.03), None)
        sink.write(make_error("d.jpg"), None)
        sink.write(hostile_report(), make_picture())
    return (tmp_path / "index.html").read_text("utf-8")


def test_page_is_well_formed_and_accessible(source):
    page = Page(source)
    assert page.open == []
    assert page.of("html") == [{"lang": "en"}]
    assert all(attrs.get("alt") for attrs in page.of("img"))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for attrs in page.of("label"):
        assert attrs.get("for", ids[0]) in ids
    for _, attrs in page.tags:
        assert attrs.get("aria-labelledby", ids[0]) in ids
    headings = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(headings))


def test_page_asks_the_network_for_nothing(source):
    page = Page(source)
    for tag, attrs in page.tags:
        for name in ("src", "href", "srcset", "action", "data", "poster", "background", "xlink:href"):
            value = attrs.get(name, "data:")
            assert value.startswith(("data:", "#")), (tag, name, value)
        assert not any(name.startswith("on") for name in attrs)
    css = source[source.index("<style>") : source.index("</style>")]
    assert "url(" not in css
    assert "@import" not in css
    assert not {tag for tag, _ in page.tags} & {"iframe", "object", "embed", "form", "base", "a"} - {"a"}


def test_policy_allows_the_one_script_and_nothing_else(source):
    page = Page(source)
    policy = next(attrs["content"] for attrs in page.of("meta") if attrs.get("http-equiv"))
    digest = base64.b64encode(hashlib.sha256(page.script.encode("utf-8")).digest()).decode()
    assert len(page.of("script")) == 1
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline';")


def test_texts_of_files_stay_texts(source):
    page = Page(source)
    assert "alert" not in page.script
    assert "\x1b" not in source
    assert "\u202e" not in source
    assert "\\x1b[31m\\u202egpj.exe" in "".join(page.text)
    assert not any("javascript:" in str(value) for _, attrs in page.tags for value in attrs.values())


@settings(max_examples=40, deadline=None)
@given(reports)
def test_any_report_makes_a_well_formed_card(report):
    page = Page(card(report, None, 1))
    assert page.open == []
    assert [tag for tag, _ in page.tags].count("article") == 1
    assert "script" not in {tag for tag, _ in page.tags}


def test_page_says_what_it_must(source):
    text = " ".join("".join(Page(source).text).split())
    for words in (
        "5 pictures examined, 4 judged",
        "patch 1",
        "How to read this",
        "is an answer",
        "not a proof",
        "What the file says of itself",
        "Anyone can write or remove this",
        "What this verdict does not mean",
        "the data end before the picture does",
        "No preview was kept",
        "about 85, 4:2:0, baseline",
        "the views agree closely (2 views",
    ):
        assert words in text, words
    assert "stopped early" not in text


def test_a_deviation_is_shown_where_there_is_one():
    plain = make_report()
    said = plain.evidence.model_copy(update={"deviation": 1.234})
    assert "Deviation" not in card(plain, None, 1)
    assert "Deviation: 1.23 on the model" in card(make_report(evidence=said), None, 1)


def test_a_partial_verdict_has_a_place_of_its_own(tmp_path, source):
    with HtmlSink(tmp_path / "parts") as sink:
        sink.write(make_partly(), make_picture())
        sink.write(make_report("whole.jpg"), make_picture())
    partly = (tmp_path / "parts" / "index.html").read_text("utf-8")
    page = Page(partly)
    text = " ".join("".join(page.text).split())
    assert [attrs["value"] for attrs in page.of("button")] == ["all", "generated", "partly"]
    assert "1 likely partly generated" in text
    assert "calibrated probability that the picture as a whole is generated" in text
    assert "about 11% of the area" in text
    assert "Parts:" not in text
    assert "It does not say that the rest is real." in text
    assert 'id="icon-partly"' in partly
    # Pages without one do not speak of it among their counts.
    assert '<li class="partly">' in partly
    assert '<li class="partly">' not in source
    assert "Parts:" not in source
    told = make_report(evidence=make_report().evidence.model_copy(update={"generated_share": 0.004}))
    assert "Parts: &lt;1% of the area looked at resembles generated pictures" in card(told, None, 1)


def test_a_partial_verdict_is_sorted_with_the_generated_ones():
    low = make_partly()
    high = low.evidence.model_copy(update={"probability": 0.9})
    odd = low.evidence.model_copy(update={"probability": float("nan")})
    found = [
        re.search('data-lean="(.*?)"', card(report, None, 1))
        for report in (low, make_partly(evidence=high), make_partly(evidence=odd), make_report())
    ]
    assert [match and match[1] for match in found] == ["0.800000", "0.900000", "0.800000", None]


def test_the_legend_says_what_the_map_is_made_of():
    scores, own = card(make_report(), make_picture(), 1), card(make_partly(), make_picture(), 1)
    assert "Made of the scores of patches" in scores
    assert "own map" not in scores
    assert "The model&#x27;s own map" in own
    assert "Made of the scores of patches" not in own
    assert "Leans most to generated at the lower right (95%)" in own


def test_every_outcome_has_a_symbol_and_colours_for_light_dark_and_paper(source):
    for kind in KINDS:
        assert f'<symbol id="icon-{kind}"' in source
        assert source.count(f"--{kind}: #") == 3
        assert f".{kind} {{ --tone" in source


def test_interrupted_page_says_so(tmp_path):
    sink = HtmlSink(tmp_path)
    sink.write(make_report(), make_picture())
    sink.close(interrupted=True)
    assert "stopped early" in (tmp_path / "index.html").read_text("utf-8")


def test_model_name_cannot_break_the_template(tmp_path):
    with HtmlSink(tmp_path) as sink:
        sink.write(make_report(model="$cards\n${css} $nothing"), None)
    source = (tmp_path / "index.html").read_text("utf-8")
    assert source.count("<article") == 1
    assert "${css} $nothing" in source


def test_leaves_a_foreign_page_alone(tmp_path):
    (tmp_path / "index.html").write_text("<h1>My site</h1>")
    with pytest.raises(ConfigError, match="was not written by Vestige"):
        HtmlSink(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["index.html"]


def test_missing_card_of_an_earlier_run(tmp_path):
    with HtmlSink(tmp_path) as sink:
        sink.write(make_report(), None)
    (tmp_path / ".parts" / "000001.html").unlink()
    with pytest.raises(ConfigError, match="missing"):
        HtmlSink(tmp_path, resume=True)


def decode(uri, kind):
    head, _, data = uri.partition(",")
    assert head == f"data:image/{kind};base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


@pytest.mark.parametrize(("height", "width"), [(900, 1200), (40, 60), (1, 3000), (3000, 1)])
def test_thumbnail_fits_and_never_grows(height, width):
    uri, *size = thumbnail(np.zeros((height, width, 3), np.uint8))
    image = decode(uri, "jpeg")
    assert list(image.size) == size
    assert max(size) == min(480, max(height, width))


def test_overlay_is_clear_near_a_half_and_coloured_by_side():
    image = decode(overlay(HeatMap(probabilities=[[0.02, 0.5, 0.98]] * 3, origin="model"), 300, 200), "png")
    assert image.mode == "RGBA"
    assert image.size == (240, 160)
    pixels = np.asarray(image)
    left, middle, right = pixels[80, 10], pixels[80, 120], pixels[80, 229]
    assert left[2] > left[0]
    assert left[3] > 150
    assert middle[3] == 0
    assert right[0] > right[2]
    assert right[3] > 150


@pytest.mark.parametrize("cells", [[], [[]], [[0.5]], [[0.1, 0.2], [0.3]], [[float("nan"), 0.2]]])
def test_no_overlay_where_there_is_nothing_to_show(cells):
    assert overlay(HeatMap(probabilities=cells, origin="patches"), 100, 100) is None


def test_large_maps_make_small_overlays():
    rng = np.random.default_rng(0)
    cells = rng.random((1500, 1000)).tolist()
    assert len(overlay(HeatMap(probabilities=cells, origin="model"), 4000, 6000)) < 80_000


def test_long_texts_are_cut_and_say_so(tmp_path):
    claim = make_report().claims[0].model_copy(update={"value": "x" * 50_000})
    assert "[cut: 30000 more characters]" in card(make_report(claims=[claim]), None, 1)
    assert HOSTILE not in card(make_report(claims=[claim]), None, 1)


def test_a_probability_that_is_no_number_gets_no_marker():
    evidence = make_report().evidence.model_copy(update={"probability": float("nan")})
    source = card(make_report(evidence=evidence), None, 1)
    assert "nan" not in source
    assert 'data-probability=""' in source
    assert 'class="marker"' not in source
