"""Health, figures, and the page with its files."""

from importlib import resources
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

import vestige
from vestige.apps.server.answers import HealthAnswer
from vestige.apps.server.documents import refusals
from vestige.apps.server.guard import Life
from vestige.apps.server.metrics import MEDIA_TYPE, Metrics
from vestige.apps.server.queries import NoQuery
from vestige.apps.server.refusals import RefusalError

_KINDS = {
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
    "png": "image/png",
    "ico": "image/x-icon",
    "woff2": "font/woff2",
    "txt": "text/plain",
}


def make_router(life: Life, metrics: Metrics) -> APIRouter:
    """The routes outside `/v1`."""
    router = APIRouter()
    files = page_files()

    @router.get(
        "/healthz", summary="Is it alive?", responses={200: {"model": HealthAnswer}, **refusals((422,))}
    )
    async def healthz(query: Annotated[NoQuery, Query()]) -> Response:
        """200 as long as the process answers."""
        return _health(life, 200)

    @router.get(
        "/readyz",
        summary="Does it take requests?",
        responses={
            200: {"model": HealthAnswer},
            503: {"model": HealthAnswer, "description": "The server is stopping."},
            **refusals((422,)),
        },
    )
    async def readyz(query: Annotated[NoQuery, Query()]) -> Response:
        """200 when requests are taken, 503 when the server is stopping."""
        return _health(life, 503 if life.stopping else 200)

    @router.get(
        "/metrics",
        summary="Figures for Prometheus",
        responses={
            200: {"description": "Text format.", "content": {"text/plain": {"schema": {"type": "string"}}}},
            **refusals((422,)),
        },
    )
    async def figures(query: Annotated[NoQuery, Query()]) -> Response:
        """Requests, seconds, queue, pictures by outcome, sizes of batches."""
        return Response(metrics.text(), headers={"Content-Type": MEDIA_TYPE})

    @router.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def index() -> Response:
        return _file(files, "index.html")

    @router.api_route("/static/{name}", methods=["GET", "HEAD"], include_in_schema=False)
    async def static(name: str) -> Response:
        return _file(files, name)

    return router


def page_files() -> dict[str, bytes]:
    """The files of the page by name, read once: the package may lie in an archive."""
    folder = resources.files("vestige.apps.server").joinpath("static")
    if not folder.is_dir():
        return {}
    return {
        entry.name: entry.read_bytes()
        for entry in folder.iterdir()
        if entry.is_file() and entry.name.rpartition(".")[2] in _KINDS
    }


def _health(life: Life, status: int) -> Response:
    answer = HealthAnswer(status="stopping" if life.stopping else "ok", version=vestige.__version__)
    return Response(answer.model_dump_json(), status, media_type="application/json")


def _file(files: dict[str, bytes], name: str) -> Response:
    if name not in files:
        raise RefusalError("not_found", "There is no such page.")
    return Response(files[name], media_type=_KINDS[name.rpartition(".")[2]])
