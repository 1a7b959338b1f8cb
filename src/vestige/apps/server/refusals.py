"""How requests are refused: one shape, one status for each code."""

import json
from collections.abc import Iterable
from typing import Literal, get_args

from starlette.responses import Response

from vestige.errors import ImageError, ImageErrorCode

RefusalCode = Literal[
    "bad_multipart",
    "disconnected",
    "no_token",
    "not_found",
    "unknown_model",
    "method_not_allowed",
    "slow_body",
    "length_required",
    "too_large",
    "too_many_files",
    "unsupported_media_type",
    "bad_query",
    "bad_form",
    "url_refused",
    "fetch_failed",
    "busy",
    "timeout",
    "shutting_down",
    "model_not_ready",
    "internal",
]
STATUS: dict[str, int] = {
    "bad_multipart": 400,
    "disconnected": 400,
    "no_token": 401,
    "not_found": 404,
    "unknown_model": 404,
    "method_not_allowed": 405,
    "slow_body": 408,
    "length_required": 411,
    "too_large": 413,
    "too_many_files": 422,
    "unsupported_media_type": 415,
    "bad_query": 422,
    "bad_form": 422,
    "url_refused": 422,
    "fetch_failed": 422,
    "busy": 429,
    "timeout": 503,
    "shutting_down": 503,
    "model_not_ready": 503,
    "internal": 500,
}
RETRY_SECONDS = 2  # a batch takes less; sooner would only come back to the same queue
_RETRY = {"Retry-After": str(RETRY_SECONDS)}
_HEADERS: dict[str, dict[str, str]] = {
    "no_token": {"WWW-Authenticate": 'Bearer realm="vestige"'},
    "busy": _RETRY,
    "timeout": _RETRY,
    "shutting_down": _RETRY,
}
IMAGE_CODES: tuple[str, ...] = get_args(ImageErrorCode)


class RefusalError(Exception):
    """A whole request that is not served.

    Attributes:
        code: what is wrong, stable, for machines; also one of `vestige.errors.ImageErrorCode`, for the routes
            that take a single picture.
        reason: one sentence for people.
        status: of the answer.
    """

    def __init__(self, code: str, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.status = STATUS[code] if status is None else status
        self.headers = dict(_HEADERS.get(code, {}))

    @classmethod
    def of_picture(cls, error: ImageError) -> "RefusalError":
        """The refusal of a request whose only picture cannot be used."""
        return cls(error.code, error.reason, picture_status([error.code]))

    def response(self) -> Response:
        """The answer."""
        body = json.dumps({"error": {"code": self.code, "reason": self.reason}}, ensure_ascii=False)
        return Response(body, self.status, self.headers, "application/json")


def picture_status(codes: Iterable[str]) -> int:
    """The status of an answer about pictures of which none could be read, from the codes of their errors."""
    found = set(codes)
    if found == {"too_large"}:
        return 413
    return 415 if found == {"unsupported"} else 422
