"""Reports in the terminal: a table that grows row by row, for 80 columns and up, with or without colour."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from vestige.images.picture import Picture
from vestige.reports.sinks import BaseSink
from vestige.reports.text import shorten, visible
from vestige.reports.wording import (
    INCONCLUSIVE_MEANS,
    KINDS,
    PARTLY_MEANS,
    SCORE_IS_NO_PROOF,
    TITLES,
    Kind,
    credentials_words,
    kind_of,
    percents,
    signer_words,
    tension,
)
from vestige.results import ImageReport, Verdict

_SYMBOLS: dict[Kind, tuple[str, str]] = {  # and what stands for it where only ASCII can be shown
    "generated": ("◆", "#"),
    "partly": ("◈", "%"),
    "inconclusive": ("◐", "?"),
    "real": ("○", "o"),
    "unreadable": ("×", "x"),
}
_STYLES: dict[Kind, str] = {
    "generated": "bold dark_orange3",
    "partly": "bold medium_violet_red",
    "inconclusive": "bold",
    "real": "bold dodger_blue1",
    "unreadable": "dim",
}
_WIDE = 120  # from here on notes get a column of their own
_NARROW = 72  # below, the file's format and size have none
_GAP = 2
_VERDICT, _PROBABILITY, _FILE = 19, 16, 16
_NOTE_LIMIT = 400


class TerminalSink(BaseSink):
    """Prints a row for each report as it comes, and a summary at the end.

    Args:
        console: where to print; its width and colours are kept to.
    """

    def __init__(self, console: Console | None = None) -> None:
        super().__init__("the terminal")
        self._console = console or Console()
        self._counts: Counter[Kind] = Counter()

    def _append(self, report: ImageReport, picture: Picture | None) -> None:
        layout = _Layout.of(self._console)  # anew each time: a window may have been resized
        if not self._counts:
            _print(self._console, _header(layout))
        self._counts[kind_of(report)] += 1
        for line in _rows(report, layout, self._console.options.ascii_only):
            _print(self._console, line)

    def _finish(self, interrupted: bool) -> None:
        for line in _summary(self._counts, interrupted):
            _print(self._console, line)


def print_reports(reports: Iterable[ImageReport], console: Console | None = None) -> None:
    """Print a list of reports with its summary. Streams: a generator is printed as it goes."""
    with TerminalSink(console) as sink:
        for report in reports:
            sink.write(report)


def _print(console: Console, what: Table | Text | Padding) -> None:
    console.print(what, highlight=False, markup=False, emoji=False)


@dataclass(frozen=True)
class _Layout:
    """Widths of the columns in terminal cells; 0 for a column that has no room.

    The longest verdict has two lines.
    """

    picture: int
    file: int
    notes: int

    @classmethod
    def of(cls, console: Console) -> "_Layout":
        file = _FILE if console.width >= _NARROW else 0
        wide = console.width >= _WIDE
        left = console.width - _VERDICT - _PROBABILITY - file - _GAP * (2 + bool(file) + wide)
        notes = left // 2 if wide else 0
        return cls(max(left - notes, 10), file, notes)

    def row(self, picture: Text, verdict: Text, probability: Text, file: Text, notes: Text) -> Table:
        """A table of one row, so that rows can be printed as they come and still stand in columns."""
        table = Table.grid(padding=(0, _GAP, 0, 0))
        cells = []
        widths = (self.picture, _VERDICT, _PROBABILITY, self.file)
        for width, cell in zip(widths, (picture, verdict, probability, file), strict=True):
            if width:
                table.add_column(width=width, no_wrap=cell is not verdict, overflow="ellipsis")
                cells.append(cell)
        if self.notes:
            table.add_column(width=self.notes, overflow="fold")
            cells.append(notes)
        table.add_row(*cells)
        return table


def _header(layout: _Layout) -> Table:
    names = ("Picture", "Verdict", "Probability", "File", "Notes")
    return layout.row(*(Text(name, style="bold underline") for name in names))


def _rows(report: ImageReport, layout: _Layout, ascii_only: bool) -> Iterator[Table | Padding]:
    kind = kind_of(report)
    notes = Text("\n").join(Text(shorten(visible(note), _NOTE_LIMIT, "...")) for note in _notes(report))
    yield layout.row(
        Text(_tail(visible(report.path), layout.picture, ascii_only)),
        Text(f"{_symbol(kind, ascii_only)} {TITLES[kind].lower()}", style=_STYLES[kind]),
        Text(_probability(report, ascii_only)),
        Text(_file(report), style="dim"),
        notes,
    )
    if notes and not layout.notes:
        notes.stylize("dim")
        yield Padding(notes, (0, 0, 0, 4))


def _symbol(kind: Kind, ascii_only: bool) -> str:
    return _SYMBOLS[kind][1 if ascii_only else 0]


def _probability(report: ImageReport, ascii_only: bool) -> str:
    if report.evidence is None:
        return ""
    low, probability, high = percents(report.evidence)
    band = f"({low[:-1]}-{high})"
    return f"{probability:>4} {band if ascii_only else band.replace('-', '–')}"


def _file(report: ImageReport) -> str:
    facts = report.facts
    return f"{visible(facts.format)} {facts.width}x{facts.height}" if facts else ""


def _notes(report: ImageReport) -> Iterator[str]:
    if report.error:
        yield report.error.reason
    if report.verdict is Verdict.PARTLY_GENERATED and report.evidence:
        yield from report.evidence.reasons
    if report.credentials:
        signer = signer_words(report.credentials)
        holds = report.credentials.state in ("trusted", "valid")
        by = f"{'signed by' if holds else 'in the name of'} {signer}. " if signer else ""
        yield f"content credentials (C2PA): {by}{credentials_words(report.credentials)}"
        yield from report.credentials.problems[:1]
    for claim in report.claims:
        # An edit is news only where somebody signed it.
        if claim.points_to in ("generated", "camera") or (claim.points_to and claim.trust != "unsigned"):
            trust = {"unsigned": "unsigned", "signed": "signed", "signed_and_trusted": "signed, trusted"}
            yield f"file says: {claim.statement.rstrip('.')} ({trust[claim.trust]})"
    if clash := _clash(report):
        yield clash


def _clash(report: ImageReport) -> str | None:
    if report.agreement is None:  # a report of an earlier version
        return tension(report)
    return report.agreement.sentence if report.agreement.state == "disagree" else None


def _tail(text: str, width: int, ascii_only: bool) -> str:
    """The end of a path, which tells files apart, in at most `width` terminal cells."""
    if cell_len(text) <= width:
        return text
    mark = "..." if ascii_only else "…"
    room = width - cell_len(mark)
    start = len(text)
    while start > 0 and (room := room - cell_len(text[start - 1])) >= 0:
        start -= 1
    return mark + text[start:]


def _summary(counts: Counter[Kind], interrupted: bool) -> Iterator[Text]:
    total = counts.total()
    yield Text()
    if interrupted:
        yield Text("Stopped early: not all pictures were examined.", style="bold")
    heading = Text(f"{total} picture{'' if total == 1 else 's'}", style="bold")
    outcomes = [
        Text(f"{counts[kind]} {TITLES[kind].lower()}", _STYLES[kind]) for kind in KINDS if counts[kind]
    ]
    yield Text(": ").join([heading, Text(", ").join(outcomes)]) if outcomes else heading
    if counts["partly"]:
        yield Text(PARTLY_MEANS, style="dim")
    yield Text(f"{INCONCLUSIVE_MEANS} {SCORE_IS_NO_PROOF} In brackets: the inconclusive band.", style="dim")
