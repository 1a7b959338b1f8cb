"""What a server allows and what it serves. One policy, on by default, settable as a whole."""

from dataclasses import dataclass, field
from pathlib import Path

from vestige.errors import ConfigError
from vestige.images import Limits
from vestige.inference.package import DEFAULT_MODEL

MIB = 2**20


@dataclass(frozen=True)
class ServerSettings:
    """Settings of one server.

    Attributes:
        models: names of shipped models or folders of packages; the first is the default.
        extractor: name or folder of the extractor behind `/v1/signature`; None: the shipped one.
        trust_anchors: PEM file with the roots of those whose content credentials (C2PA) are trusted; None: as
            for `vestige.detector.Detector`.
        token: what clients must send as `Authorization: Bearer TOKEN` to `/v1/...`; None: nothing.
        max_picture_bytes: longest picture.
        max_request_bytes: longest body of a request.
        max_held_bytes: most bytes of bodies in memory at a time, of all requests together.
        max_pixels: most pixels of a picture that is judged, checked before any of them is decoded.
        max_signature_pixels: most pixels of a picture whose signature is drawn.
        max_files: most pictures in one request.
        concurrent: requests that are worked on at a time.
        queue: requests that may wait beside them; more are refused with 429.
        body_seconds: longest time for a body to arrive.
        request_seconds: longest time from there to the answer, waiting included.
        drain_seconds: after the signal to stop, how long new requests are still answered, with 503, before
            connections are closed; gives a load balancer time to notice.
        decoders: threads that decode; None: one for each processor at hand, 4 at most.
        threads: threads of each network; None: the processors at hand.
        allow_urls: hosts, or HOST:PORT, from which `?url=` may fetch pictures; none: it is switched off.
        fetch_seconds: longest time for one such fetch, redirects included.

    Raises:
        ConfigError: values that make no sense; the message lists all of them.
    """

    models: tuple[str, ...] = (DEFAULT_MODEL,)
    extractor: str | None = None
    trust_anchors: Path | None = None
    token: str | None = field(default=None, repr=False)
    max_picture_bytes: int = 64 * MIB
    max_request_bytes: int = 128 * MIB
    max_held_bytes: int = 512 * MIB
    max_pixels: int = 50_000_000
    max_signature_pixels: int = 12_000_000
    max_files: int = 16
    concurrent: int = 8
    queue: int = 32
    body_seconds: float = 30.0
    request_seconds: float = 60.0
    drain_seconds: float = 0.0
    decoders: int | None = None
    threads: int | None = None
    allow_urls: tuple[str, ...] = ()
    fetch_seconds: float = 10.0

    def __post_init__(self) -> None:
        wrong = [
            f"{name} must be at least 1, got {value}"
            for name in _COUNTS
            if (value := getattr(self, name)) is not None and value < 1
        ]
        wrong += [
            f"{name} must be more than 0, got {value:g}"
            for name in ("body_seconds", "request_seconds", "fetch_seconds")
            if not (value := getattr(self, name)) > 0
        ]
        if self.queue < 0:
            wrong.append(f"queue must not be negative, got {self.queue}")
        if not self.drain_seconds >= 0:
            wrong.append(f"drain_seconds must not be negative, got {self.drain_seconds:g}")
        if not self.models:
            wrong.append("models must name at least one")
        if self.max_held_bytes < self.max_request_bytes:
            wrong.append(
                f"max_held_bytes ({self.max_held_bytes}) must hold at least one request "
                f"({self.max_request_bytes})"
            )
        if self.token is not None and not _sendable(self.token):
            wrong.append("token must be 8 or more printable ASCII characters without spaces")
        if wrong:
            raise ConfigError("; ".join(wrong))

    @property
    def limits(self) -> Limits:
        """What one picture may cost that is judged."""
        return Limits(max_bytes=self.max_picture_bytes, max_pixels=self.max_pixels)

    @property
    def signature_limits(self) -> Limits:
        """What one picture may cost whose signature is drawn."""
        return Limits(
            max_bytes=self.max_picture_bytes, max_pixels=min(self.max_pixels, self.max_signature_pixels)
        )


_COUNTS = (
    "max_picture_bytes",
    "max_request_bytes",
    "max_held_bytes",
    "max_pixels",
    "max_signature_pixels",
    "max_files",
    "concurrent",
    "decoders",
    "threads",
)


def read_token(path: Path) -> str:
    """The token in a file: its only line.

    Raises:
        ConfigError: the file cannot be read or is empty.
    """
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError(f"--token-file {path} cannot be read ({reason})") from error
    if not token:
        raise ConfigError(f"--token-file {path} is empty: write the token into it")
    return token


def _sendable(token: str) -> bool:
    return len(token) >= 8 and all("!" <= letter <= "~" for letter in token)
