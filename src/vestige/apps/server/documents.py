"""What `/openapi.json` says beyond types: bodies, statuses, examples."""

from collections.abc import Iterable
from typing import Any

from vestige.apps.server.answers import RefusalAnswer, ScanAnswer
from vestige.apps.server.multipart import FIELD
from vestige.apps.server.refusals import STATUS
from vestige.results import ROW_FIELDS

_BINARY = {"type": "string", "format": "binary"}
_REASONS = {
    "bad_multipart": "The form is broken: it does not follow RFC 7578.",
    "disconnected": "The connection was closed before the body was complete.",
    "no_token": "This server asks for a token: send Authorization: Bearer TOKEN.",
    "unknown_model": "This server has no such model; it has first.",
    "slow_body": "The body did not arrive within 30 seconds.",
    "length_required": "The request has neither a body nor a Content-Length.",
    "too_large": "The body is longer than the limit of 134217728 bytes a request.",
    "too_many_files": "A request may have 16 pictures at most.",
    "unsupported_media_type": "The body must be a picture (image/... or application/octet-stream) or "
    "multipart/form-data with the field files.",
    "bad_query": "map: must be true or false.",
    "bad_form": "The form has no picture: send one or more in the field files.",
    "url_refused": "The host of this URL is not on this server's list.",
    "fetch_failed": "The URL was answered with status 404.",
    "busy": "The queue of this server is full; try again soon.",
    "timeout": "The answer was not ready within 60 seconds.",
    "shutting_down": "The server is stopping and takes no new requests.",
    "model_not_ready": "The model clip 1.0 lacks its tower on this server: get it with vestige fetch clip.",
}
_WORDS = {
    400: "The request is broken.",
    401: "The server asks for a token.",
    404: "There is no such model.",
    408: "The body came too slowly.",
    411: "The request does not say how long its body is.",
    413: "Too many bytes or pixels.",
    415: "Not a picture of a known format, or a body of another kind.",
    422: "Damaged pictures, or a request that makes no sense.",
    429: "The server is busy; try again after the seconds in Retry-After.",
    503: "It took too long, the server is stopping, or the model cannot run.",
}
_RETRY = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
_CHALLENGE = {"WWW-Authenticate": {"description": "The scheme, Bearer.", "schema": {"type": "string"}}}
_NOTHING: dict[str, Any] = dict.fromkeys(ROW_FIELDS) | {
    "schema_version": 1,
    "thresholds": None,
    "reasons": [],
    "views": [],
    "heat_map": None,
    "looked_at": None,
    "claims_detail": [],
    "facts": None,
    "versions": {"vestige": "1.0"},
    "credentials": None,
    "lines": [],
    "agreement": None,
}
REPORT_EXAMPLE: dict[str, Any] = _NOTHING | {
    "path": "photo.jpg",
    "verdict": "inconclusive",
    "probability": 0.58,
    "logit": 0.31,
    "spread": 0.4,
    "model": "first 1.0",
    "width": 640,
    "height": 480,
    "format": "JPEG",
    "thresholds": [0.12, 0.93],
    "views": [{"x": 0, "y": 0, "width": 224, "height": 224, "logit": 0.31}],
    "reasons": ["The probability lies between the thresholds."],
    "looked_at": "pixels",
}
SCAN_EXAMPLE: dict[str, Any] = {"schema_version": 1, "reports": [REPORT_EXAMPLE], "maps": [None]}
_UNREAD_REPORT: dict[str, Any] = _NOTHING | {
    "path": "notes.txt",
    "model": "first 1.0",
    "error_code": "unsupported",
    "error": "The file looks like plain text.",
}
UNREAD_EXAMPLE: dict[str, Any] = {"schema_version": 1, "reports": [_UNREAD_REPORT], "maps": [None]}


def upload_body(most_files: int, *, required: bool = True) -> dict[str, Any]:
    """The request body of the routes that take pictures, for `openapi_extra`."""
    form = {
        "type": "object",
        "properties": {FIELD: {"type": "array", "items": _BINARY, "minItems": 1, "maxItems": most_files}},
        "required": [FIELD],
        "additionalProperties": False,
    }
    content = {
        "multipart/form-data": {"schema": form},
        "image/*": {"schema": _BINARY},
        "application/octet-stream": {"schema": _BINARY},
    }
    return {"requestBody": {"required": required, "content": content}}


def refusals(statuses: Iterable[int], *, unread: bool = False) -> dict[int | str, dict[str, Any]]:
    """The statuses that a route may refuse with, for `responses`.

    Args:
        statuses: of the answers.
        unread: 413, 415 and 422 may also be an answer with reports, of which all are errors.
    """
    return {status: _refusal(status, unread and status in (413, 415, 422)) for status in statuses}


def _refusal(status: int, unread: bool) -> dict[str, Any]:
    examples: dict[str, Any] = {
        code: {"value": {"error": {"code": code, "reason": reason}}}
        for code, reason in _REASONS.items()
        if STATUS[code] == status
    }
    if unread and status == 415:
        examples["no picture could be read"] = {"value": UNREAD_EXAMPLE}
    found: dict[str, Any] = {
        "model": ScanAnswer | RefusalAnswer if unread else RefusalAnswer,
        "description": _WORDS[status],
        "content": {"application/json": {"examples": examples}},
    }
    if status == 401:
        found["headers"] = _CHALLENGE
    elif status == 429:
        found["headers"] = _RETRY
    return found


def binary(media_type: str, words: str) -> dict[str, Any]:
    """An answer that is a file, for `responses`."""
    return {"description": words, "content": {media_type: {"schema": _BINARY}}}
