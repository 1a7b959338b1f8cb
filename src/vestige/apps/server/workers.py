"""A pool of threads that can be ended and starts again when there is work."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Workers:
    """Runs functions in a few threads, for one event loop.

    Args:
        count: of the threads.
        name: what they are called.
    """

    def __init__(self, count: int, name: str) -> None:
        self._count = count
        self._name = name
        self._pool: ThreadPoolExecutor | None = None

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What a function gives; if the wait is cancelled before its turn came, it is not called."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._count, thread_name_prefix=f"vestige-{self._name}")
        return await asyncio.wrap_future(self._pool.submit(work, *args, **kwargs))

    def close(self) -> None:
        """Finish what waits, and end the threads."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()
