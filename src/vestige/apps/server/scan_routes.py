"""`/v1/...`: pictures in, reports, pages and signatures out."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from vestige.apps.server.addresses import AllowList
from vestige.apps.server.answers import ModelsAnswer, PageLimits, ScanAnswer
from vestige.apps.server.documents import SCAN_EXAMPLE, binary, refusals, upload_body
from vestige.apps.server.fetching import Fetcher
from vestige.apps.server.gate import Gate, Ticket
from vestige.apps.server.models import Models
from vestige.apps.server.page_report import page
from vestige.apps.server.queries import NoQuery, ReportQuery, ScanQuery, UrlScanQuery
from vestige.apps.server.refusals import RefusalError, picture_status
from vestige.apps.server.scanning import Scanner
from vestige.apps.server.settings import ServerSettings
from vestige.apps.server.signatures import Signatures
from vestige.apps.server.uploads import Upload, receive
from vestige.detector import Scanned
from vestige.reports.overlay import overlay
from vestige.reports.records import json_line, record_of
from vestige.results import SCHEMA_VERSION, ImageReport

Work = Callable[[list[Upload]], Awaitable[Response]]
_JSON = "application/json"
_COMMON = (400, 401, 408, 411, 413, 415, 422, 429, 503)
# The page brings its own styles and script and is meant to be kept: opened from here, it may do nothing.
_PAGE_HEADERS = {
    "Content-Disposition": 'attachment; filename="vestige-report.html"',
    "Content-Security-Policy": "sandbox; default-src 'none'",
}


class Desk:
    """Takes requests with pictures, one after another through gate, body, turn and work.

    Args:
        settings: limits.
        gate: shared by all routes.
        fetcher: None: no pictures are fetched.
    """

    def __init__(self, settings: ServerSettings, gate: Gate, fetcher: Fetcher | None) -> None:
        self._settings = settings
        self._gate = gate
        self._fetcher = fetcher

    async def serve(self, request: Request, work: Work, url: str = "") -> Response:
        """Receive pictures and work on them within the limits.

        Raises:
            RefusalError: whatever keeps the request from being served.
        """
        async with self._gate.admit() as ticket:
            uploads = [] if url else await receive(request, self._settings, ticket)

            async def in_turn() -> Response:
                found = [await self._fetch(request, ticket, url)] if url else uploads
                async with ticket.turn():
                    if await request.is_disconnected():
                        raise RefusalError("disconnected", "The connection was closed before its turn came.")
                    return await work(found)

            seconds = self._settings.request_seconds
            try:
                return await asyncio.wait_for(in_turn(), seconds)
            except asyncio.TimeoutError:
                raise RefusalError(
                    "timeout", f"The answer was not ready within {seconds:g} seconds."
                ) from None

    async def _fetch(self, request: Request, ticket: Ticket, url: str) -> Upload:
        if self._fetcher is None:
            raise RefusalError("url_refused", "This server fetches no pictures.")
        if request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers:
            raise RefusalError("bad_query", "url: the request has a body, too; send one of them.")
        self._fetcher.check(url)
        ticket.hold(self._settings.max_picture_bytes)  # it may be that long
        return await asyncio.to_thread(self._fetcher.fetch, url)


def make_router(
    settings: ServerSettings, models: Models, gate: Gate, scanner: Scanner, signatures: Signatures
) -> APIRouter:
    """The routes under `/v1`."""
    router = APIRouter(prefix="/v1")
    allowed = AllowList(settings.allow_urls)
    fetcher = Fetcher(allowed, settings.max_picture_bytes, settings.fetch_seconds) if allowed else None
    desk = Desk(settings, gate, fetcher)
    scan_query: Any = UrlScanQuery if allowed else ScanQuery

    @router.post(
        "/scan",
        summary="Judge pictures",
        openapi_extra=upload_body(settings.max_files, required=not allowed),
        responses={
            200: {"model": ScanAnswer, "content": {_JSON: {"example": SCAN_EXAMPLE}}},
            **refusals((*_COMMON, 404), unread=True),
        },
    )
    async def scan(request: Request, query: Annotated[scan_query, Query()]) -> Response:
        """One picture as the body, or several in the field `files` of a form.

        Reports come in the order of the pictures; one that cannot be read gets a report with an error. If
        none can be read, the status says so.
        """
        models.find(query.model)

        async def work(uploads: list[Upload]) -> Response:
            scanned = await scanner.scan(uploads, query.model, heat_map=query.map)
            return await scanner.workers.run(_answer, [report for report, _ in scanned])

        return await desk.serve(request, work, getattr(query, "url", ""))

    @router.post(
        "/report",
        summary="Judge pictures, as a page",
        openapi_extra=upload_body(settings.max_files),
        responses={
            200: binary("text/html", "The page that `vestige scan --html` writes, as one file."),
            **refusals((*_COMMON, 404), unread=True),
        },
    )
    async def report(request: Request, query: Annotated[ReportQuery, Query()]) -> Response:
        """As `/v1/scan`; the answer is a page that loads nothing, or JSON if no picture could be read."""
        models.find(query.model)

        async def work(uploads: list[Upload]) -> Response:
            scanned = await scanner.scan(uploads, query.model, heat_map=query.map, previews=True)
            return await scanner.workers.run(_page, scanned)

        return await desk.serve(request, work)

    @router.post(
        "/signature",
        summary="Draw a picture's signature",
        openapi_extra=upload_body(1),
        responses={
            200: binary("image/png", "What the extractor sees, amplified about a middle grey."),
            **refusals(_COMMON),
        },
    )
    async def signature(request: Request, query: Annotated[NoQuery, Query()]) -> Response:
        """One picture, as the body or in the field `files`. It gives no verdict."""
        signatures.check()

        async def work(uploads: list[Upload]) -> Response:
            if len(uploads) != 1:
                raise RefusalError("too_many_files", "A signature is drawn of one picture at a time.")
            return Response(await signatures.draw(uploads[0]), media_type="image/png")

        return await desk.serve(request, work)

    @router.get(
        "/models",
        summary="What the server has",
        responses={
            200: {"model": ModelsAnswer},
            **refusals((401, 422, 503)),
        },
    )
    async def list_models(query: Annotated[NoQuery, Query()]) -> Response:
        """The models with what their cards say of them, and the limits of a request."""
        answer = ModelsAnswer(
            models=models.entries(),
            limits=PageLimits(
                picture_bytes=settings.max_picture_bytes,
                request_bytes=settings.max_request_bytes,
                pixels=settings.max_pixels,
                signature_pixels=settings.signature_limits.max_pixels,
                files=settings.max_files,
            ),
            signatures=models.extractor is not None,
            urls=bool(allowed),
        )
        return Response(answer.model_dump_json(), media_type=_JSON)

    return router


def _answer(reports: Sequence[ImageReport]) -> Response:
    """The answer with reports, and with maps where they have any."""
    body = {
        "schema_version": SCHEMA_VERSION,
        "reports": [record_of(report) for report in reports],
        "maps": [_map(report) for report in reports],
    }
    return Response(json_line(body), _status(reports), media_type=_JSON)


def _map(report: ImageReport) -> str | None:
    if report.evidence is None or report.evidence.heat_map is None or report.facts is None:
        return None
    return overlay(report.evidence.heat_map, report.facts.width, report.facts.height)


def _page(scanned: Sequence[Scanned]) -> Response:
    reports = [report for report, _ in scanned]
    if _status(reports) != 200:
        return _answer(reports)
    return Response(page(scanned), headers=_PAGE_HEADERS, media_type="text/html")


def _status(reports: Sequence[ImageReport]) -> int:
    errors = [report.error.code for report in reports if report.error is not None]
    return picture_status(errors) if len(errors) == len(reports) else 200
