"""Progress of long steps on a terminal; quiet lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import track

T = TypeVar("T")

QUIET = 30  # seconds between two lines where there is no terminal


class Progress:
    """A bar on a terminal, a line every 30 seconds otherwise."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(file=sys.stderr)

    def __getstate__(self) -> dict[str, Any]:
        return {}  # a console belongs to its process

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.console = Console(file=sys.stderr)

    def say(self, text: str) -> None:
        """One line."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def track(self, items: Sequence[T], what: str) -> Iterator[T]:
        """Go through items and show how far."""
        if self.console.is_terminal:
            yield from track(items, what, console=self.console)
            return
        report = self.counter(what)
        for number, item in enumerate(items):
            report(number, len(items))
            yield item

    def counter(self, what: str) -> Callable[[int, int], None]:
        """A function to be called with how many are done and how many there are; a line every 30 seconds."""
        last = time.monotonic()

        def report(done: int, total: int) -> None:
            nonlocal last
            if time.monotonic() - last > QUIET:
                last = time.monotonic()
                self.say(f"{what}: {done} of {total}")

        return report
