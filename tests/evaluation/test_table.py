import itertools
import re
import xml.etree.ElementTree as ET
from html import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vestige.evaluation.table import Table

TABLE = Table(
    "Ranking", ["model", "AUROC", "interval"], [["first 0.1.0", "0.800", "0.767-0.832"]], "By picture."
)
LINES = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]), min_size=1, max_size=20)


def test_markdown_is_a_pipe_table_and_the_note():
    assert TABLE.markdown().split("\n") == [
        "| model | AUROC | interval |",
        "|---|---|---|",
        "| first 0.1.0 | 0.800 | 0.767-0.832 |",
        "",
        "By picture.",
    ]


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("a|b", r"a\|b"),
        ("two\nlines", "two lines"),
        ("[x](http://a.b)", r"\[x\](http://a.b)"),
        ("<b>", r"\<b\>"),
        ("&lt;", r"\&lt;"),
        ("$x_1$", r"\$x\_1\$"),
        ("\x1b[31m", r"\\x1b\[31m"),
        ("0.19 [0.12, 0.29]", "0.19 [0.12, 0.29]"),
        ("-0.5", "-0.5"),
        ("4 (9%)", "4 (9%)"),
        ("nan", "nan"),
        ("", ""),
    ],
)
def test_markdown_cells_are_escaped_and_figures_are_not(cell, written):
    line = Table("t", ["a", "b"], [["x", cell]]).markdown().split("\n")[2]
    assert line == f"| x | {written} |"


@given(st.lists(st.lists(LINES, min_size=3, max_size=3), max_size=4))
def test_markdown_keeps_its_shape(rows):
    lines = Table("t", ["a", "b", "c"], rows).markdown().split("\n")
    assert len(lines) == 2 + len(rows)
    for line in lines:
        assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) == 4


@given(LINES, st.lists(st.lists(LINES, min_size=2, max_size=2), max_size=4), LINES)
def test_html_is_well_formed_and_says_the_same(title, rows, note):
    root = ET.fromstring(f"<div>{Table(title, ['a', 'b'], rows, note).html()}</div>")
    table = root.find("table")
    assert [[cell.tag for cell in row] for row in table.iter("tr")] == [
        ["th", "th"],
        *[["th", "td"]] * len(rows),
    ]
    if all(text.isprintable() for text in [title, note, *itertools.chain(*rows)]):
        assert "".join(table.find("caption").itertext()) == title
        assert [["".join(cell.itertext()) for cell in row] for row in table.find("tbody")] == rows
        assert root.find("p").text == note


def test_html_has_caption_and_scopes():
    html = TABLE.html()
    assert html.count('scope="col"') == 3
    assert html.count('scope="row"') == 1
    assert "<caption><span>Ranking</span></caption>" in html
    assert '<p class="note">By picture.</p>' in html


def test_html_escapes_every_text():
    bad = '<script>"&'
    html = Table(bad, [bad, bad], [[bad, bad]], bad).html()
    assert "<script" not in html
    assert html.count(escape(bad)) == 6


def test_only_columns_of_figures_stand_right():
    html = Table(
        "t", ["g", "n", "mixed", "word"], [["a", "12 %", "0.5", "x"], ["b", "–", "none", "y"]]
    ).html()
    assert re.findall(r'<td class="figure">([^<]*)', html) == ["12 %", "–"]


def test_rows_of_another_length_are_refused():
    with pytest.raises(ValueError, match="table 't': 2 columns, but a row has 1"):
        Table("t", ["a", "b"], [["x"]])
