"""Progress of long steps on a terminal; quiet lines elsewhere."""

import sys
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import track

T = TypeVar("T")


class Progress:
    """A bar on a terminal, a line every 30 seconds otherwise."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(file=sys.stderr)

    def say(self, text: str) -> None:
        """One line."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def track(self, items: Sequence[T], what: str) -> Iterator[T]:
        """Go through items and show how far."""
        if self.console.is_terminal:
            yield from track(items, what, console=self.console)
            return
        last = time.monotonic()
        for number, item in enumerate(items):
            if time.monotonic() - last > 30:
                last = time.monotonic()
                self.say(f"{what}: {number} of {len(items)}")
            yield item
