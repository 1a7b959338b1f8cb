"""What comes before any route: who may ask, and whether the server still takes requests."""

import hmac
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from vestige.apps.server.refusals import RefusalError

PROTECTED = "/v1/"


@dataclass
class Life:
    """Whether the server stops. Shared by the application and what runs it."""

    stopping: bool = False


class Guard:
    """Middleware: the token, and the refusal of new work while stopping; before any body is read.

    Args:
        app: what comes after.
        life: of the server.
        token: what clients must send; None: nothing.
    """

    def __init__(self, app: ASGIApp, life: Life, token: str | None) -> None:
        self._app = app
        self._life = life
        self._token = None if token is None else token.encode("ascii")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await refusal.response()(scope, receive, send)

    def _refusal(self, scope: Scope) -> RefusalError | None:
        if not scope["path"].startswith(PROTECTED):
            return None
        if self._token is not None and not self._knows_token(scope):
            return RefusalError("no_token", "This server asks for a token: send Authorization: Bearer TOKEN.")
        if self._life.stopping:
            return RefusalError("shutting_down", "The server is stopping and takes no new requests.")
        return None

    def _knows_token(self, scope: Scope) -> bool:
        assert self._token is not None
        sent = [value for name, value in scope["headers"] if name == b"authorization"]
        if len(sent) != 1:
            return False
        scheme, _, token = sent[0].partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._token)
