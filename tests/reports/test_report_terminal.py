import io

import pytest
from report_samples import hostile_report, make_error, make_partly, make_report
from rich.cells import cell_len
from rich.console import Console

from vestige.reports.terminal import TerminalSink, print_reports

REPORTS = [
    make_report("folder/" * 12 + "name.jpg", 0.97),
    make_report("東京" * 30 + ".jpg", 0.5),
    make_report("c[red]bold[/red].jpg", 0.02),
    make_error("d.jpg"),
    hostile_report(),
]


def show(reports, width=80, encoding="utf-8", **options):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, newline="")
    print_reports(reports, Console(file=stream, width=width, **options))
    stream.flush()
    return raw.getvalue().decode(encoding)


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_fits_the_width_and_has_no_escapes_when_piped(width):
    text = show(REPORTS, width)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert all(cell_len(line) <= width for line in text.splitlines())
    for words in ("name.jpg", "likely generated", "inconclusive", "likely real", "could not be read"):
        assert words in text
    assert "…" in text
    assert "c[red]bold[/red].jpg" in text


def test_summary_counts_and_explains():
    text = " ".join(show(REPORTS).split())
    assert "5 pictures: 2 likely generated, 1 inconclusive, 1 likely real, 1 could not be read" in text
    assert "Inconclusive is an answer" in text
    assert "not a proof" in text
    assert "0 pictures" in show([])


def test_notes_carry_claims_and_errors():
    text = " ".join(show(REPORTS[:1] + REPORTS[3:4]).split())
    assert "file says: Made with a Box (unsigned)" in text
    assert "the data end before the picture does" in text
    assert "97% (20–80%)" in text


@pytest.mark.parametrize(
    ("width", "encoding", "symbol"), [(60, "utf-8", "◈"), (80, "ascii", "%"), (130, "utf-8", "◈")]
)
def test_a_partial_verdict_is_told_in_full(width, encoding, symbol):
    lines = show([make_partly(), make_report()], width, encoding).splitlines()
    assert all(cell_len(line) <= width for line in lines)
    first = next(number for number, line in enumerate(lines) if f"{symbol} likely partly" in line)
    column = lines[first].index(f"{symbol} likely partly")
    assert lines[first + 1][column:].startswith("generated")
    text = " ".join(" ".join(lines).split())
    assert "2 pictures: 1 likely generated, 1 likely partly generated" in text
    assert "the rest is not thereby real" not in text
    assert "which is not thereby real" in text
    assert "by the model's own map" in text.lower()
    assert "thereby" not in show([make_report()], width, encoding)


def test_colour_comes_only_from_us():
    text = show([make_report("\x1b]0;title\x07\x1b[2J.jpg")], force_terminal=True, color_system="truecolor")
    assert "\x1b[" in text
    assert "\x1b]0" not in text
    assert "\x1b[2J" not in text
    assert "\x07" not in text


def test_plain_ascii_terminals():
    text = show(REPORTS[:1], encoding="ascii")
    assert "# likely generated" in text
    assert "(20-80%)" in text


def test_rows_are_shown_as_they_come():
    out = io.StringIO()
    sink = TerminalSink(Console(file=out, width=80))
    sink.write(make_report("first.jpg"))
    assert "first.jpg" in out.getvalue()
    sink.write(make_report("first.jpg"))
    assert out.getvalue().count("first.jpg") == 1
    sink.close(interrupted=True)
    assert "Stopped early" in out.getvalue()
