"""From uploads to reports: decoding in a few threads, scores from the model's thread."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from vestige.apps.server.batching import ModelThread
from vestige.apps.server.metrics import Metrics
from vestige.apps.server.models import Models
from vestige.apps.server.uploads import Upload
from vestige.apps.server.workers import Workers
from vestige.detector import Detector, Prepared, Scanned
from vestige.images.picture import Picture
from vestige.inference.session import default_threads
from vestige.reports.overlay import THUMBNAIL_SIDE
from vestige.results import ImageReport, ScanError


class Scanner:
    """Judges the pictures of requests, in one event loop.

    Args:
        models: of the server.
        decoders: threads that decode; None: the processors at hand, 4 at most.
        metrics: told of pictures and batches.

    Attributes:
        workers: the threads that decode; answers are rendered in them, too.
    """

    def __init__(self, models: Models, decoders: int | None, metrics: Metrics) -> None:
        self._models = models
        self._metrics = metrics
        self.workers = Workers(decoders or min(default_threads(), 4), "decode")
        self._threads = {
            served.card.name: ModelThread(served.detector, metrics.batch)
            for served in models
            if served.detector is not None
        }

    async def scan(
        self, uploads: Sequence[Upload], model: str, *, heat_map: bool = False, previews: bool = False
    ) -> list[Scanned]:
        """Judge pictures, in their order; those that cannot be read get a report with an error.

        Args:
            model: name of one of the models; "" is the default.
            previews: also give each picture, no larger than a report shows it.

        Raises:
            RefusalError: there is no such model, or it cannot run.
        """
        name, detector = self._models.find(model)
        thread = self._threads[name]
        scanned = await asyncio.gather(
            *(self._one(upload, detector, thread, heat_map, previews) for upload in uploads)
        )
        for report, _ in scanned:
            self._metrics.picture(report)
        return list(scanned)

    async def _one(
        self, upload: Upload, detector: Detector, thread: ModelThread, heat_map: bool, preview: bool
    ) -> Scanned:
        if upload.error is not None:
            error = ScanError(code=upload.error.code, reason=upload.error.reason)
            report = ImageReport(
                path=upload.label, model=detector.card.title, versions=detector.versions, error=error
            )
            return Scanned(report, None)
        prepared = await self.workers.run(_prepare, detector, upload.data, heat_map, preview)
        scanned = await asyncio.wrap_future(thread.submit(prepared))
        return scanned._replace(report=scanned.report.model_copy(update={"path": upload.label}))

    def close(self) -> None:
        """Finish what waits, and end all threads."""
        self.workers.close()
        for thread in self._threads.values():
            thread.close()


def _prepare(detector: Detector, data: bytes, heat_map: bool, preview: bool) -> Prepared:
    prepared = detector.prepare(data, heat_map=heat_map, keep_picture=preview)
    if prepared.picture is None or not preview:
        return prepared
    # A whole picture may take hundreds of megabytes, and many wait at a time.
    return replace(prepared, picture=_preview(prepared.picture))


def _preview(picture: Picture) -> Picture:
    """The picture as small as the report's page shows it."""
    small = Image.fromarray(picture.pixels)
    # As `vestige.reports.overlay.thumbnail`, which then finds nothing left to do.
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return replace(picture, pixels=np.asarray(small))
