import base64
import hashlib
import io
import itertools
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from score_samples import made_up

from vestige.errors import VestigeError
from vestige.evaluation import plots
from vestige.evaluation.page import Figure, Gallery, Section, Tile, write_page
from vestige.evaluation.page.parts import section
from vestige.evaluation.table import Table
from vestige.evaluation.thumbnails import thumbnail

HOSTILE = (
    '"><script>alert(1)</script><img src=http://evil.example/x onerror=alert(1)> $title \u202egpj \x1b[31m'
)
VOID = {"img", "meta", "link", "input", "br"}


class Page(HTMLParser):
    """Every tag with its attributes, the texts outside styles and scripts, and whether tags are nested."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.open, self.text, self.script = [], [], [], ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

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


@pytest.fixture(scope="module")
def parts():
    buffer = io.BytesIO()
    Image.new("RGB", (300, 200), (10, 120, 200)).save(buffer, "PNG")
    tile = Tile(thumbnail(buffer.getvalue()), f"{HOSTILE}.png", HOSTILE, "0.93", "likely_generated")
    scores = made_up(HOSTILE, each=30)
    return [
        "Read the intervals first.",
        HOSTILE,
        Table(HOSTILE, ["model", HOSTILE], [[HOSTILE, "0.5"]] * 4, HOSTILE),
        Figure(plots.roc([scores], draws=10), HOSTILE),
        # The very same drawing once more: ids must still differ.
        Figure(plots.roc([scores], draws=10), alt=HOSTILE),
        Figure(plots.source_bars(scores)),
        Gallery(HOSTILE, [tile, Tile(tile.image, "b.png", "camera", "0.41")], HOSTILE),
        Gallery("None", []),
    ]


@pytest.fixture(scope="module")
def source(parts, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "deeper" / "index.html"
    sections = [Section("All models", parts), Section("All models", ["Again."]), Section(HOSTILE, [])]
    write_page(
        path,
        title=HOSTILE,
        intro=["One.", HOSTILE],
        sections=sections,
        versions={"vestige": "0.1.0", HOSTILE: HOSTILE},
    )
    assert [file.name for file in path.parent.iterdir()] == ["index.html"]
    return path.read_text("utf-8")


def test_page_is_well_formed_and_accessible(source):
    page = Page(source)
    assert page.open == []
    assert page.of("html") == [{"lang": "en"}]
    assert all(attrs.get("alt") for attrs in page.of("img"))
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in page.of("svg"))
    for landmark in ("header", "nav", "main", "footer", "title", "h1"):
        assert len(page.of(landmark)) == 1
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for _, attrs in page.tags:
        assert attrs.get("aria-labelledby", ids[0]) in ids
    # What scrolls can be reached from the keyboard and has a name.
    boxes = [attrs for attrs in page.of("div") if attrs.get("class") == "table"]
    assert boxes
    assert all(box["tabindex"] == "0" and box["role"] == "region" and box["aria-label"] for box in boxes)


def test_headings_are_in_order(source):
    levels = [int(tag[1]) for tag, _ in Page(source).tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_contents_lead_to_every_section(source):
    page = Page(source)
    links = [attrs["href"][1:] for attrs in page.of("a") if attrs["href"] != "#main"]
    assert links == [attrs["aria-labelledby"] for attrs in page.of("section")]
    assert links[:2] == ["s-all-models", "s-all-models-2"]


def test_nothing_refers_outside(source):
    page = Page(source)
    ids = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    for tag, attrs in page.tags:
        for name, value in attrs.items():
            if name in {"src", "href", "xlink:href", "srcset", "action", "data", "poster"}:
                assert value.startswith(("data:", "#")), (tag, name, value)
                assert not value.startswith("#") or value[1:] in ids
            for target in re.findall(r"url\(([^)]*)\)", value or ""):
                assert target[0] == "#"
                assert target[1:] in ids
            assert not name.startswith("on")
    styles = "".join(re.findall(r"<style>(.*?)</style>", source, re.DOTALL))
    assert not re.search(r"url\(|@import|https?:", styles)
    assert not re.search(r"fetch|XMLHttp|import|https?:|eval|innerHTML", page.script)
    assert not {tag for tag, _ in page.tags} & {"iframe", "object", "embed", "form", "base"}


def test_policy_allows_the_one_script_only(source):
    page = Page(source)
    assert len(page.of("script")) == 1
    policy = next(attrs["content"] for attrs in page.of("meta") if "http-equiv" in attrs)
    digest = base64.b64encode(hashlib.sha256(page.script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_hostile_texts_are_shown_and_do_nothing(source):
    page = Page(source)
    assert "<script>alert" not in source
    assert not set("\x1b\u202e") & set(source)
    shown = "".join(page.text)
    assert shown.count('"><script>alert(1)</script><img src=http://evil.example/x') >= 10
    assert "\\u202egpj \\x1b[31m" in shown


def test_pictures_are_inside_with_what_is_known_of_them(source):
    page = Page(source)
    first = page.of("img")[0]["src"]
    picture = Image.open(io.BytesIO(base64.b64decode(first.removeprefix("data:image/jpeg;base64,"))))
    assert picture.size == (160, 107)
    tiles = re.findall(r"<li><img.*?</li>", source, re.DOTALL)
    assert len(tiles) == 2
    assert '<span class="verdict generated">called generated</span>' in tiles[0]
    assert "verdict" not in tiles[1]
    for words in ("camera", "0.41", "b.png"):
        assert words in tiles[1]
    assert "There are none." in page.text


def test_figures_in_a_row_stand_side_by_side(parts):
    drawing = parts[3]
    html = section(Section("s", [drawing, drawing, "Between.", drawing]), "x")
    assert [part.count("<figure>") for part in html.split('<div class="figures">')] == [0, 2, 1]
    assert html.index("Between.") < html.rindex('<div class="figures">')


def test_alternative_text_replaces_what_the_plot_says(parts):
    html = section(Section("s", [Figure(parts[3].svg, alt='A "curve" \\1')]), "x")
    assert html.count("aria-label=") == 1
    assert 'aria-label="A &quot;curve&quot; \\1"' in html
    kept = section(Section("s", [Figure(parts[3].svg)]), "x")
    assert "AUROC 0." in re.search(r'aria-label="([^"]*)"', kept)[1]


def test_same_input_same_bytes(parts, tmp_path):
    for name in ("a", "b"):
        write_page(tmp_path / name, title="T", intro=[], sections=[Section("S", parts)], versions={"x": "1"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert b"\r" not in (tmp_path / "a").read_bytes()


def test_what_the_page_is_can_be_said(tmp_path):
    told = {"title": "T", "intro": [], "sections": [Section("S", ["Text."])], "versions": {}}
    write_page(tmp_path / "a", **told)
    write_page(tmp_path / "b", **told, kicker=HOSTILE, closing=f"Made by hand {HOSTILE}.")
    first, second = ((tmp_path / name).read_text("utf-8") for name in "ab")
    assert '<p class="kicker">Vestige benchmark</p>' in first
    assert "<p>Everything here was made from per-picture scores alone. This page is one file;" in first
    assert "benchmark" not in second
    assert "scores alone" not in second
    assert "".join(Page(second).text).count('"><script>alert(1)</script>') == 2
    assert len(Page(second).of("script")) == 1


@settings(max_examples=20, deadline=None)
@given(st.text(), st.text(), st.text())
def test_any_text_gives_a_whole_page(tmp_path_factory, title, heading, text):
    path = tmp_path_factory.mktemp("any") / "page.html"
    table = Table(text, [title], [[heading]])
    write_page(
        path, title=title, intro=[text], sections=[Section(heading, [text, table])], versions={title: text}
    )
    page = Page(path.read_text("utf-8"))
    assert page.open == []
    assert len(page.of("script")) == 1
    if title.isprintable():
        assert title in "".join(page.text)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(VestigeError, match=r"cannot write .*index\.html"):
        write_page(tmp_path / "file" / "index.html", title="T", intro=[], sections=[], versions={})
