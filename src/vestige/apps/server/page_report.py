"""The report page of one request, in memory: nothing about uploads is written to disk."""

from collections import Counter
from collections.abc import Sequence

from vestige.detector import Scanned
from vestige.reports.html import HtmlSink
from vestige.reports.html_card import card
from vestige.reports.wording import kind_of


class _MemoryPage(HtmlSink):
    """The page that `vestige scan --html` writes, without the folder."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._models: dict[str, None] = {}
        self._versions: dict[str, str] = {}

    def text(self, scanned: Sequence[Scanned]) -> str:
        cards = []
        for number, (report, picture) in enumerate(scanned, 1):
            cards.append(card(report, picture, number))
            self._count({"kind": kind_of(report), "model": report.model, "versions": report.versions})
        head, tail = self._frame(interrupted=False)
        return "".join([head, *cards, tail])


def page(scanned: Sequence[Scanned]) -> str:
    """One self-contained page about pictures, in their order.

    Args:
        scanned: reports, each with its picture or a preview of it.
    """
    return _MemoryPage().text(scanned)
