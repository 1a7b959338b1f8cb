"""The application: settings in, FastAPI out. Running it is another file's matter."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

import vestige
from vestige.apps.server import plain_routes, scan_routes
from vestige.apps.server.gate import Gate
from vestige.apps.server.guard import Guard, Life
from vestige.apps.server.linger import Linger
from vestige.apps.server.metrics import Metrics
from vestige.apps.server.models import Models
from vestige.apps.server.queries import refused
from vestige.apps.server.refusals import RefusalError
from vestige.apps.server.scanning import Scanner
from vestige.apps.server.settings import ServerSettings
from vestige.apps.server.signatures import Signatures
from vestige.apps.server.surface import Surface

ABOUT = (
    "Tells AI-generated pictures from real ones, and says so when it cannot be known. A score is a hint and "
    "no proof. Uploads are judged in memory and not kept."
)
_PROBLEMS = {
    404: ("not_found", "There is no such page."),
    405: ("method_not_allowed", "Not with this method."),
}


def create_app(settings: ServerSettings) -> FastAPI:
    """An application that serves models.

    `app.state` has `models`, `gate`, `metrics`, `settings` and `life`, whose `stopping` refuses new work.

    Raises:
        ModelPackageError: a model cannot be loaded.
        ConfigError: two models have the same name, or an allowed host is none.
    """
    models, metrics, life = Models(settings), Metrics(), Life()
    gate = Gate(settings.concurrent, settings.queue, settings.max_held_bytes)
    scanner = Scanner(models, settings.decoders, metrics)
    signatures = Signatures(models.extractor, settings.signature_limits)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        scanner.close()
        signatures.close()

    # Its own documentation pages load scripts from elsewhere.
    app = FastAPI(
        title="Vestige",
        version=vestige.__version__,
        description=ABOUT,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.state.life, app.state.models, app.state.gate = life, models, gate
    app.state.metrics, app.state.settings = metrics, settings
    app.include_router(scan_routes.make_router(settings, models, gate, scanner, signatures))
    app.include_router(plain_routes.make_router(life, metrics))
    app.add_exception_handler(RefusalError, _refused)
    app.add_exception_handler(RequestValidationError, _bad_query)
    app.add_exception_handler(HTTPException, _http)
    metrics.watch("queue_length", "Requests that were admitted and wait.", lambda: gate.waiting)
    metrics.watch("requests_in_work", "Requests that are worked on.", lambda: gate.working)
    metrics.watch("held_bytes", "Bytes of bodies in memory.", lambda: gate.held)
    # The last added is the outermost.
    app.add_middleware(Guard, life=life, token=settings.token)
    app.add_middleware(Linger)
    app.add_middleware(Surface, metrics=metrics, routes=[*app.openapi()["paths"], "/", "/openapi.json"])
    if settings.token is not None:
        _document_token(app)
    return app


def _document_token(app: FastAPI) -> None:
    document: dict[str, Any] = app.openapi()
    document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    for path, operations in document["paths"].items():
        if path.startswith("/v1/"):
            for operation in operations.values():
                operation["security"] = [{"token": []}]


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusalError)
    return error.response()


async def _bad_query(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return refused(error).response()


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code, reason = _PROBLEMS.get(error.status_code, ("internal", "The request failed."))
    refusal = RefusalError(code, reason, error.status_code)
    refusal.headers.update(error.headers or {})
    return refusal.response()
