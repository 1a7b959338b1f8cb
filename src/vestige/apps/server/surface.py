"""What every answer goes through: security headers, figures, one line of log, and errors of ours."""

import logging
import time
from collections.abc import Iterable

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vestige.apps.server.metrics import Metrics
from vestige.apps.server.refusals import RefusalError

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

log = logging.getLogger("vestige.server")


class Surface:
    """The outermost middleware.

    Args:
        app: what comes after.
        metrics: told of each request.
        routes: paths of all routes; others are counted together, and never logged by name, since a client
            may have put anything there.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, routes: Iterable[str]) -> None:
        self._app = app
        self._metrics = metrics
        self._routes = frozenset(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        status = 0

        async def dressed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _dress(message, scope["path"])
            await send(message)

        try:
            await self._app(scope, receive, dressed)
        except Exception:
            # Of requests, nothing but the route: what clients send is not for the log.
            log.exception("internal error at %s", self._route(scope["path"]))
            if status:
                raise
            refusal = RefusalError("internal", "Something went wrong in the server; this is a bug of ours.")
            await refusal.response()(scope, receive, dressed)
        finally:
            self._note(scope, status, time.perf_counter() - start)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        route = self._route(scope["path"])
        self._metrics.request(method, route, status, seconds)
        log.info("%s %s %d %.3f s", method, route, status, seconds)

    def _route(self, path: str) -> str:
        if path in self._routes:
            return path
        return "/static" if path.startswith("/static/") else "unknown"


def _dress(message: Message, path: str) -> None:
    headers = MutableHeaders(scope=message)
    for name, value in _HEADERS.items():
        headers.setdefault(name, value)
    headers.setdefault(
        "Cache-Control", "no-cache" if path == "/" or path.startswith("/static/") else "no-store"
    )
