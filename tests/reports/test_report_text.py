import json
import unicodedata

from hypothesis import given
from report_samples import hostile_report, make_report, reports, texts

from vestige.reports.records import Record, json_line, record_of, report_of
from vestige.reports.sinks import guarded, unguarded
from vestige.reports.text import from_utf8, shorten, to_utf8, visible
from vestige.results import ROW_FIELDS


@given(texts)
def test_nothing_hidden_is_left_in_visible_text(text):
    shown = visible(text)
    assert not {unicodedata.category(char) for char in shown} & {"Cc", "Cs", "Zl", "Zp"}
    assert "\u202e" not in shown
    shown.encode("utf-8")


def test_visible_text_keeps_what_people_read():
    assert visible("naïve 東京 👩\u200d💻.jpg") == "naïve 東京 👩\u200d💻.jpg"
    assert visible("a\x1b[0m\nb\u202e") == "a\\x1b[0m\\nb\\u202e"
    assert visible("a\nb", keep="\n") == "a\nb"


def test_shorten_says_what_was_cut():
    assert shorten("abc", 3) == "abc"
    assert shorten("abcdef", 3) == "abc [cut: 3 more characters]"


@given(texts)
def test_utf8_form_can_be_encoded_and_undone(text):
    to_utf8(text).encode("utf-8")
    if "\\u" not in text:
        assert from_utf8(to_utf8(text)) == text


@given(texts)
def test_guard_stops_formulas_and_can_be_undone(text):
    cell = guarded(text)
    assert unguarded(cell) == text
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


def test_record_has_the_row_first_and_loses_nothing():
    for report in (make_report(), hostile_report()):
        record = record_of(report)
        assert tuple(record)[: len(ROW_FIELDS)] == ROW_FIELDS
        assert record["claims_detail"][0]["kind"]
        assert len(record["views"]) == 2
        assert report_of(record) == report
        assert json.loads(Record.model_validate_json(json_line(record)).model_dump_json()) == record


def test_a_record_says_that_only_the_file_was_looked_at():
    report = make_report()
    file_only = report.model_copy(
        update={"evidence": report.evidence.model_copy(update={"looked_at": "file"})}
    )
    assert report_of(record_of(file_only)) == file_only
    older = record_of(report)
    del older["looked_at"]
    assert report_of(older) == report


@given(reports)
def test_json_lines_are_one_line_of_utf8_without_nan(report):
    line = json_line(record_of(report))
    line.encode("utf-8")
    assert "\n" not in line


def refuse(constant):
    raise AssertionError(f"{constant} is not JSON")


@given(reports)
def test_json_lines_hold_no_nan(report):
    assert json.loads(json_line(record_of(report)), parse_constant=refuse)["path"] == report.path
