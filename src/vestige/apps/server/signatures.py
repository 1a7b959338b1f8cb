"""What the extractor sees in a picture, drawn; one at a time, and given up when nobody waits any more."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from vestige.apps.server.refusals import RefusalError
from vestige.apps.server.uploads import Upload
from vestige.apps.server.workers import Workers
from vestige.errors import ImageError
from vestige.images import Limits, decode
from vestige.inference.signature import ExtractorSession
from vestige.reports.signature_pictures import amplified, png

T = TypeVar("T")


class _GivenUpError(Exception):
    pass


class Signatures:
    """Draws signatures in a thread of its own.

    Args:
        session: None: the server has no extractor.
        limits: of the pictures.
    """

    def __init__(self, session: ExtractorSession | None, limits: Limits) -> None:
        self._session = session
        self._limits = limits
        # One: a picture takes 25 MB a megapixel, and the extractor has threads of its own.
        self._workers = Workers(1, "signature")

    def check(self) -> None:
        """Make sure that signatures can be drawn.

        Raises:
            RefusalError: the server has no extractor.
        """
        if self._session is None:
            raise RefusalError("model_not_ready", "This server has no extractor, so it draws no signatures.")

    async def draw(self, upload: Upload) -> bytes:
        """The signature of a picture about a middle grey, amplified: the bytes of a PNG of its size.

        Raises:
            RefusalError: the picture cannot be read, or there is no extractor.
        """
        self.check()
        if upload.error is not None:
            raise RefusalError.of_picture(upload.error)
        given_up = threading.Event()
        try:
            return await self._workers.run(self._draw, upload.data, given_up)
        except ImageError as error:
            raise RefusalError.of_picture(error) from error
        finally:
            given_up.set()

    def _draw(self, data: bytes, given_up: threading.Event) -> bytes:
        def track(tiles: Sequence[T], what: str) -> Iterator[T]:
            return _until(tiles, given_up)

        assert self._session is not None
        picture = decode(data, self._limits)
        found = self._session.extract(picture.pixels, track)
        drawn, _ = amplified(found.residual)
        return png(drawn)

    def close(self) -> None:
        """Finish what waits, and end."""
        self._workers.close()


def _until(items: Iterable[T], given_up: threading.Event) -> Iterator[T]:
    for item in items:
        if given_up.is_set():
            raise _GivenUpError
        yield item
