"""Who may come in: requests in work, requests that wait, and the bytes that all of them hold."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from vestige.apps.server.refusals import RefusalError


class Ticket:
    """The place of one admitted request; `Gate.admit` gives it and takes it back."""

    def __init__(self, gate: "Gate") -> None:
        self._gate = gate
        self.held = 0

    def hold(self, count: int) -> None:
        """Take so many bytes of the memory that all requests share.

        Raises:
            RefusalError: busy, it is full.
        """
        if self._gate.held + count > self._gate.most_held:
            raise RefusalError("busy", "The server holds as many uploads as it has room for; try again soon.")
        self.held += count
        self._gate.held += count

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn to be worked on, and keep it."""
        async with self._gate.slots:
            self._gate.working += 1
            try:
                yield
            finally:
                self._gate.working -= 1


class Gate:
    """Counts requests and bytes; used in one event loop.

    A request is admitted before its body is read, and its turn comes only when the body is there: slow
    clients take places in the queue and never keep the network idle.

    Args:
        concurrent: requests worked on at a time.
        queue: requests beside them that may send their body or wait.
        most_held: bytes of bodies in memory.
    """

    def __init__(self, concurrent: int, queue: int, most_held: int) -> None:
        self.slots = asyncio.Semaphore(concurrent)
        self.places = concurrent + queue
        self.most_held = most_held
        self.admitted = 0
        self.working = 0
        self.held = 0

    @property
    def waiting(self) -> int:
        """Requests that were admitted and are not worked on yet."""
        return self.admitted - self.working

    @asynccontextmanager
    async def admit(self) -> AsyncIterator[Ticket]:
        """Let a request in, until the block ends.

        Raises:
            RefusalError: busy, all places are taken.
        """
        if self.admitted >= self.places:
            raise RefusalError("busy", "The queue of this server is full; try again soon.")
        self.admitted += 1
        ticket = Ticket(self)
        try:
            yield ticket
        finally:
            self.admitted -= 1
            self.held -= ticket.held
