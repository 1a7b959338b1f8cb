"""From the body of a request to pictures in memory. Nothing is written to disk, and no more is held than
the settings allow: a body that grows too long is refused while it arrives."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request

from vestige.apps.server.gate import Ticket
from vestige.apps.server.labels import label
from vestige.apps.server.multipart import Form
from vestige.apps.server.refusals import RefusalError
from vestige.apps.server.settings import ServerSettings
from vestige.errors import ImageError

MULTIPART = "multipart/form-data"
OCTETS = "application/octet-stream"


@dataclass(frozen=True)
class Upload:
    """One picture of a request.

    Attributes:
        label: what it is called in the answer.
        data: the bytes of the file; empty where there is an error.
        error: why its bytes were not kept.
    """

    label: str
    data: bytes
    error: ImageError | None = None


async def receive(request: Request, settings: ServerSettings, ticket: Ticket) -> list[Upload]:
    """Read the body of a request: one picture, or a form with several.

    Raises:
        RefusalError: the body is too long, too slow, of another kind, or broken.
    """
    kind = media_type(request)
    _check_length(request, settings)
    chunks = _counted(request, settings, ticket)
    reading = _form(request, chunks, settings) if kind == MULTIPART else _raw(chunks, settings)
    try:
        return await asyncio.wait_for(reading, settings.body_seconds)
    except asyncio.TimeoutError:
        raise RefusalError(
            "slow_body", f"The body did not arrive within {settings.body_seconds:g} seconds."
        ) from None
    except ClientDisconnect:
        raise RefusalError(
            "disconnected", "The connection was closed before the body was complete."
        ) from None


def media_type(request: Request) -> str:
    """The kind of the body: `MULTIPART`, an image type, or `OCTETS` (also where nothing is said).

    Raises:
        RefusalError: it is of another kind.
    """
    kind = request.headers.get("content-type", OCTETS).split(";")[0].strip().lower()
    if kind in (MULTIPART, OCTETS) or kind.startswith("image/"):
        return kind
    raise RefusalError(
        "unsupported_media_type",
        "The body must be a picture (image/... or application/octet-stream) or multipart/form-data with the "
        "field files.",
    )


def _check_length(request: Request, settings: ServerSettings) -> None:
    said = request.headers.get("content-length")
    if said is None:
        if "transfer-encoding" not in request.headers:
            raise RefusalError("length_required", "The request has neither a body nor a Content-Length.")
    elif said.isascii() and said.isdigit() and int(said[:20]) > settings.max_request_bytes:
        raise _too_long(settings)


def _too_long(settings: ServerSettings) -> RefusalError:
    return RefusalError(
        "too_large", f"The body is longer than the limit of {settings.max_request_bytes} bytes a request."
    )


async def _counted(request: Request, settings: ServerSettings, ticket: Ticket) -> AsyncIterator[bytes]:
    """The chunks of the body, each within the limits of the request and of the server."""
    length = 0
    async for chunk in request.stream():
        length += len(chunk)
        if length > settings.max_request_bytes:
            raise _too_long(settings)
        ticket.hold(len(chunk))
        yield chunk


async def _raw(chunks: AsyncIterator[bytes], settings: ServerSettings) -> list[Upload]:
    data = bytearray()
    async for chunk in chunks:
        if len(data) + len(chunk) > settings.max_picture_bytes:
            raise RefusalError.of_picture(too_long_picture(settings))
        data += chunk
    return [Upload(label("", 1), bytes(data))]


async def _form(request: Request, chunks: AsyncIterator[bytes], settings: ServerSettings) -> list[Upload]:
    form = Form(request.headers["content-type"], settings.max_files, settings.max_picture_bytes)
    async for chunk in chunks:
        form.feed(chunk)
    return [
        Upload(label(part.name, number), *_content(part.take(), settings))
        for number, part in enumerate(form.finish(), 1)
    ]


def _content(data: bytes | None, settings: ServerSettings) -> tuple[bytes, ImageError | None]:
    return (b"", too_long_picture(settings)) if data is None else (data, None)


def too_long_picture(settings: ServerSettings) -> ImageError:
    """What is said of a picture with too many bytes."""
    return ImageError(
        "too_large", f"The file is longer than the limit of {settings.max_picture_bytes} bytes."
    )
