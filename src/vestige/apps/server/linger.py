"""A refusal that comes before the body was read must reach a client that is still sending it."""

import asyncio
import contextlib
from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Over = Callable[[], bool]

SECONDS = 3.0
IDLE = 0.5  # seconds without a byte: this client is not sending
MOST = 256 * 2**20  # bytes


class Linger:
    """Middleware: after such an answer, the rest of the body is thrown away for a moment.

    Then the connection is closed. To close it at once would reset it, and many clients would lose the answer.

    Args:
        app: what comes after.
        seconds, most: how long, and how many bytes of the body.
    """

    def __init__(self, app: ASGIApp, seconds: float = SECONDS, most: int = MOST) -> None:
        self._app = app
        self._seconds = seconds
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or not _has_body(scope):
            await self._app(scope, receive, send)
            return
        ended = False

        async def watched() -> Message:
            nonlocal ended
            message = await receive()
            ended = ended or message["type"] != "http.request" or not message.get("more_body", False)
            return message

        async def closing(message: Message) -> None:
            if ended:
                await send(message)
            elif message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Connection"] = "close"
                await send(message)
            elif message.get("more_body", False) or _waits(scope):
                await send(message)
            else:
                await send({**message, "more_body": True})
                await self._discard(watched, lambda: ended)
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self._app(scope, watched, closing)

    async def _discard(self, receive: Receive, over: Over) -> None:
        async def read() -> None:
            thrown = 0
            while not over() and thrown < self._most:
                message = await asyncio.wait_for(receive(), IDLE)
                thrown += len(message.get("body", b""))

        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(read(), self._seconds)


def _has_body(scope: Scope) -> bool:
    headers = dict(scope["headers"])
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0").strip(b"0 ") != b""


def _waits(scope: Scope) -> bool:
    """Whether the client sends its body only when it is told to, which it was not."""
    return bool(dict(scope["headers"]).get(b"expect", b"").lower() == b"100-continue")
