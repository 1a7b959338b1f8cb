"""What all sinks promise, and each text format by itself."""

import csv
import io
import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from report_samples import HOSTILE, hostile_report, make_error, make_picture, make_report, reports

from vestige.errors import ConfigError, VestigeError
from vestige.reports import FORMATS, CsvSink, JsonlSink, JsonSink, Sink, format_of, open_sink, report_of
from vestige.reports.sinks import unguarded
from vestige.results import ROW_FIELDS

TEXT_FORMATS = ("jsonl", "json", "csv")


def read_paths(format, target):
    """Paths that a finished output holds, read with other means than the sink's own."""
    if format == "jsonl":
        return [json.loads(line)["path"] for line in target.read_text("utf-8").splitlines()]
    if format == "json":
        return [record["path"] for record in json.loads(target.read_text("utf-8"))]
    if format == "csv":
        with open(target, encoding="utf-8", newline="") as file:
            return [row["path"] for row in csv.DictReader(file)]
    if format == "parquet":
        pq = pytest.importorskip("pyarrow.parquet")
        return pq.read_table(target)["path"].to_pylist()
    lines = (target / ".parts" / "index.jsonl").read_text("utf-8").splitlines()
    page = (target / "index.html").read_text("utf-8")
    assert page.count("<article") == len(lines)
    assert page.rstrip().endswith("</html>")
    return [json.loads(line)["path"] for line in lines]


def journal_of(format, target):
    return {
        "parquet": target.with_name(target.name + ".part.jsonl"),
        "html": target / ".parts" / "index.jsonl",
    }.get(format, target)


@pytest.fixture(params=FORMATS)
def format(request):
    if request.param == "parquet":
        pytest.importorskip("pyarrow")
    return request.param


@pytest.fixture
def target(tmp_path, format):
    return tmp_path / ("out" if format == "html" else f"out.{format}")


def fill(sink, names):
    for name in names:
        sink.write(make_error(name) if name.startswith("bad") else make_report(name), make_picture())


def test_holds_what_was_written_once(format, target):
    with open_sink(target) as sink:
        assert isinstance(sink, Sink)
        fill(sink, ["a.jpg", "bad.jpg", "a.jpg", "b.jpg"])
        assert sink.done == {"a.jpg", "bad.jpg", "b.jpg"}
    assert read_paths(format, target) == ["a.jpg", "bad.jpg", "b.jpg"]


def test_no_reports_make_a_valid_output(format, target):
    open_sink(target).close()
    assert read_paths(format, target) == []


@pytest.mark.parametrize("interrupted", [True, False])
def test_resumes_after_close(format, target, interrupted):
    sink = open_sink(target)
    fill(sink, ["a.jpg", "bad.jpg"])
    sink.close(interrupted=interrupted)
    assert read_paths(format, target) == ["a.jpg", "bad.jpg"]

    with open_sink(target, resume=True, model="patch 1") as sink:
        assert sink.done == {"a.jpg", "bad.jpg"}
        fill(sink, ["a.jpg", "bad.jpg", "c.jpg"])
    assert read_paths(format, target) == ["a.jpg", "bad.jpg", "c.jpg"]
    assert not list(target.parent.glob("**/*.tmp"))
    if format == "parquet":
        assert not journal_of(format, target).exists()


def test_resuming_nothing_starts_anew(format, target):
    with open_sink(target, resume=True) as sink:
        assert sink.done == set()
        fill(sink, ["a.jpg"])
    assert read_paths(format, target) == ["a.jpg"]


def test_resumes_after_a_kill_at_any_byte(format, target):
    """A kill leaves a prefix of the rows' file: whole rows are kept, the torn one is written again."""
    sink = open_sink(target)
    fill(sink, ["a.jpg", 'b "\n,.jpg', "c.jpg"])
    journal = journal_of(format, target)
    whole = journal.read_bytes()
    if format != "parquet":
        sink.close()
        whole = journal.read_bytes()
    step = max(1, len(whole) // (10 if format == "html" else 40))
    for length in [*range(0, len(whole), step), len(whole) - 1, len(whole)]:
        journal.write_bytes(whole[:length])
        resumed = open_sink(target, resume=True)
        assert resumed.done <= {"a.jpg", 'b "\n,.jpg', "c.jpg"}
        assert len(resumed.done) >= whole[:length].count(b'"patch 1"') - 1
        fill(resumed, ["a.jpg", 'b "\n,.jpg', "c.jpg"])
        resumed.close(interrupted=True)
        assert sorted(read_paths(format, target)) == ["a.jpg", 'b "\n,.jpg', "c.jpg"]


def test_without_resume_overwrites(format, target):
    with open_sink(target) as sink:
        fill(sink, ["a.jpg", "b.jpg"])
    with open_sink(target) as sink:
        assert sink.done == set()
        fill(sink, ["c.jpg"])
    assert read_paths(format, target) == ["c.jpg"]


def test_refuses_to_mix_models(format, target):
    with open_sink(target) as sink:
        fill(sink, ["a.jpg"])
    with pytest.raises(ConfigError, match=r"'patch 1'.*'other 2'"):
        open_sink(target, resume=True, model="other 2")
    sink = open_sink(target, resume=True)
    with pytest.raises(ConfigError, match=r"'patch 1'.*'other 2'"):
        sink.write(make_report("b.jpg", model="other 2"), None)
    sink.close()
    assert read_paths(format, target) == ["a.jpg"]


def test_refuses_to_resume_a_foreign_file(format, target):
    journal = journal_of(format, target)
    journal.parent.mkdir(parents=True, exist_ok=True)
    journal.write_text("dear diary,\ntoday\n")
    with pytest.raises(ConfigError, match="cannot resume"):
        open_sink(target, resume=True)
    assert journal.read_text() == "dear diary,\ntoday\n"


def test_hostile_texts_and_undecodable_names_come_back(format, target):
    undecodable = os.fsdecode(b"caf\xe9.jpg")
    with open_sink(target) as sink:
        sink.write(hostile_report(), make_picture())
        sink.write(make_report(undecodable, model=HOSTILE), None)
    with open_sink(target, resume=True, model=HOSTILE) as sink:
        assert sink.done == {"dir/" + HOSTILE, undecodable}


def test_rows_leave_the_process_at_once(format, target):
    sink = open_sink(target)
    for count in range(1, 4):
        fill(sink, [f"{count}.jpg"])
        assert journal_of(format, target).read_text("utf-8").count(".jpg") == count
    sink.close()


@pytest.mark.parametrize("folder", ["made/on/the/way"])
def test_makes_missing_folders(tmp_path, folder):
    with JsonlSink(tmp_path / folder / "out.jsonl") as sink:
        fill(sink, ["a.jpg"])
    assert (tmp_path / folder / "out.jsonl").exists()


@pytest.mark.parametrize("kind", TEXT_FORMATS)
def test_unusable_paths_are_refused_at_once(tmp_path, kind):
    with pytest.raises(ConfigError, match="cannot write"):
        open_sink(tmp_path, kind)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write"):
        open_sink(tmp_path / "file" / f"out.{kind}")


@pytest.mark.parametrize("kind", TEXT_FORMATS)
def test_devices_and_links(tmp_path, kind):
    with open_sink(os.devnull, kind) as sink:
        fill(sink, ["a.jpg", "b.jpg"])
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("old")
    link.symlink_to(real)
    with open_sink(link, kind) as sink:
        fill(sink, ["a.jpg"])
    assert link.is_symlink()
    assert read_paths(kind, real) == ["a.jpg"]


def test_a_full_disk_is_one_sentence():
    if not os.path.exists("/dev/full"):
        pytest.skip("the system has no /dev/full")
    sink = JsonlSink("/dev/full")
    with pytest.raises(VestigeError, match="cannot write /dev/full"):
        sink.write(make_report())


def test_json_is_valid_after_every_row(tmp_path):
    path = tmp_path / "out.json"
    sink = JsonSink(path)
    assert json.loads(path.read_text("utf-8")) == []
    for count in range(1, 4):
        fill(sink, [f"{count}.jpg"])
        assert len(json.loads(path.read_text("utf-8"))) == count
    sink.close(interrupted=True)
    assert [report_of(record) for record in json.loads(path.read_text("utf-8"))] == [
        make_report(f"{count}.jpg") for count in range(1, 4)
    ]


@pytest.mark.parametrize("kind", TEXT_FORMATS)
def test_streams(kind, tmp_path):
    stream = io.StringIO()
    with open_sink(stream, kind) as sink:
        fill(sink, ["a.jpg", "b.jpg"])
    assert not stream.closed
    (tmp_path / "copy").write_text(stream.getvalue(), "utf-8")
    assert read_paths(kind, tmp_path / "copy") == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize("kind", TEXT_FORMATS)
def test_streams_of_a_small_encoding(kind):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="cp1252", newline="")
    with open_sink(stream, kind) as sink:
        sink.write(make_report("東京.jpg"))
    assert rb"\u6771\u4eac.jpg" in raw.getvalue()


def test_what_a_stream_cannot_take():
    with pytest.raises(ConfigError, match="needs a format"):
        open_sink(io.StringIO())
    for kind in ("html", "parquet"):
        with pytest.raises(ConfigError, match="stream"):
            open_sink(io.StringIO(), kind)


def test_formats_by_ending():
    assert [format_of(name) for name in ("a.JSONL", "b.json", "c.csv", "d.parquet", "folder")] == list(
        FORMATS
    )
    with pytest.raises(ConfigError, match=r"\.xlsx"):
        format_of("a.xlsx")
    with pytest.raises(ConfigError, match="unknown output format"):
        open_sink("a", "xlsx")


def test_csv_cells_of_other_hands(tmp_path):
    """A spreadsheet may have saved the file anew: byte order mark, other quoting, other line ends."""
    path = tmp_path / "out.csv"
    row = ["a.jpg", "inconclusive", *[""] * 3, "patch 1", *[""] * (len(ROW_FIELDS) - 6)]
    path.write_bytes(
        b"\xef\xbb\xbf" + ",".join(ROW_FIELDS).encode() + b"\r\n" + ",".join(row).encode() + b"\r\n"
    )
    with CsvSink(path, resume=True) as sink:
        assert sink.done == {"a.jpg"}


def test_csv_stops_formulas_and_leaves_numbers(tmp_path):
    path = tmp_path / "out.csv"
    names = ["=cmd|'/C calc'!A0", "+1", "-1", "@x", "\tx", "'=x", "plain"]
    low = make_report(evidence=make_report().evidence.model_copy(update={"logit": -4.5}))
    with CsvSink(path) as sink:
        for name in names:
            sink.write(low.model_copy(update={"path": name}))
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == ["'" + name for name in names[:-1]] + ["plain"]
    assert {row["logit"] for row in rows} == {"-4.5"}
    assert b",-4.5," in path.read_bytes()
    with CsvSink(path, resume=True) as sink:
        assert sink.done == set(names)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(reports, max_size=4, unique_by=lambda report: report.path))
def test_csv_reads_back_with_the_csv_module(tmp_path, drawn):
    path = tmp_path / "any.csv"
    with CsvSink(path) as sink:
        for report in drawn:
            sink.write(report)
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, strict=True))
    assert len(rows) == len(drawn)
    for row, report in zip(rows, drawn, strict=True):
        assert float(row["probability"]) == report.probability
        assert row["model"] == report.model
        assert row["logit"] not in ("nan", "inf", "-inf")
        if not any("\ud800" <= char <= "\udfff" or char in "\x00\\" for char in report.path):
            assert unguarded(row["path"]) == report.path
    held = sink.done
    if not any("\\u" in path or "\x00" in path for path in held):
        with CsvSink(path, resume=True) as again:
            assert again.done == held
