"""The front door of the Python API: load a model package, scan pictures.

detector = Detector.load()
report = detector.scan("photo.jpg")
for report in detector.scan_many(paths):
    ...
"""

import os
import platform
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

import vestige
from vestige.errors import ImageError
from vestige.images import Limits, Picture, decode, file_facts
from vestige.images.decode import Source, read_file
from vestige.images.views import dense_grid, extract, patch_grid
from vestige.inference import heatmap, localisation
from vestige.inference.card import FactsView, ModelCard
from vestige.inference.package import DEFAULT_MODEL, ModelPackage, load_package
from vestige.inference.session import Scores, Session, default_threads
from vestige.inference.verdict import calibrate, judge, thresholds
from vestige.provenance import read_claims
from vestige.provenance.agreement import compare
from vestige.provenance.c2pa import CredentialReader, library_version
from vestige.provenance.claims import merged
from vestige.provenance.trust import load_trust_list
from vestige.provenance.visible_marks import read_marks
from vestige.results import Claim, Credentials, Evidence, ImageReport, ScanError, Verdict, ViewScore

BATCH = 16  # patches per run of the network: throughput is flat from here on, memory is not
MAP_CELLS = 64  # patches at most for one heat map

# What the network is given: patches, uint8 [N, size, size, 3], or facts of files, float32 [N, F].
Inputs: TypeAlias = npt.NDArray[np.uint8 | np.float32]


class Scanned(NamedTuple):
    """A report together with the picture it is about; None if the picture could not be read."""

    report: ImageReport
    picture: Picture | None


@dataclass
class _Prepared:
    """A picture on its way: cut into patches (or its file put into numbers), waiting for its scores."""

    name: str
    picture: Picture | None
    claims: list[Claim]
    corners: list[tuple[int, int]]
    scored: int  # the first `scored` views decide, the others are for the map
    inputs: Inputs
    error: ImageError | None = None
    credentials: Credentials | None = None


# For those who mix pictures of several origins, such as a server; made by `Detector.prepare`.
Prepared: TypeAlias = _Prepared


class Detector:
    """Scans pictures with one model package.

    Args:
        package: a checked model package.
        fpr: call a picture generated from the operating point at this false positive rate on.
        threshold: or from this probability on; default: the upper edge of the card's abstention band.
        limits: what is too large or too slow to be read.
        threads: threads of the network; default: the processors at hand.
        trust_anchors: PEM file with the roots of those whose content credentials (C2PA) are trusted; default:
            the file that VESTIGE_TRUST_ANCHORS names, else nobody.
        fetch_manifests: get content credentials that a file only names from the network; off by default.

    Raises:
        ConfigError: `fpr` or `threshold` do not fit, or `trust_anchors` cannot be read.
        ModelPackageError: ONNX Runtime cannot run the package.
    """

    def __init__(
        self,
        package: ModelPackage,
        *,
        fpr: float | None = None,
        threshold: float | None = None,
        limits: Limits | None = None,
        threads: int | None = None,
        trust_anchors: str | Path | None = None,
        fetch_manifests: bool = False,
    ) -> None:
        self.card: ModelCard = package.card
        self.band = thresholds(package.card, fpr, threshold)
        self.limits = limits or Limits()
        self._credentials = CredentialReader(
            load_trust_list(trust_anchors), self.limits, fetch=fetch_manifests
        )
        self._session = Session(package, threads)

    @classmethod
    def load(
        cls, model: str | Path = DEFAULT_MODEL, *, tower: str | Path | None = None, **options: Any
    ) -> "Detector":
        """Load a shipped model by name or a package by the path of its folder; options as for the class.

        Args:
            tower: file of the frozen weights, for a package that does not contain them; default: where
                `vestige fetch` and VESTIGE_TOWERS put it. Nothing is ever downloaded here.

        Raises:
            ModelPackageError: no such model, the package is damaged or does not fit, or its tower is not on
                this computer.
        """
        return cls(load_package(model, tower), **options)

    @cached_property
    def versions(self) -> dict[str, str]:
        """Versions of what shaped the scores; part of every report."""
        import onnxruntime
        import PIL

        return {
            "vestige": vestige.__version__,
            "onnxruntime": onnxruntime.__version__,
            "pillow": PIL.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        }

    def scan(self, source: Source, *, heat_map: bool = False) -> ImageReport:
        """Judge one picture.

        Args:
            source: path, bytes of a file, PIL image, or array (uint8 [H, W, 3] and the other forms that
                `vestige.images.decode` takes).
            heat_map: also look at patches all over the picture, and show the model's own map of them, or
                their scores if it gives none; the verdict stays the same. A model that looks at the file only
                has no places to show and gives no heat map.

        Raises:
            ImageError: the picture cannot be read; `code` and `reason` say why.
        """
        prepared = self._prepare(source, heat_map)
        if prepared.error is not None:
            raise prepared.error
        return self._report(prepared, self._run([prepared.inputs])[0])

    def scan_many(self, sources: Iterable[Source], *, heat_map: bool = False) -> Iterator[ImageReport]:
        """Judge many pictures, in order, as they come; unreadable ones become reports with an `error`."""
        for scanned in self.stream(sources, heat_map=heat_map):
            yield scanned.report

    def stream(
        self, sources: Iterable[Source], *, heat_map: bool = False, keep_pictures: bool = False
    ) -> Iterator[Scanned]:
        """Like `scan_many`, and with `keep_pictures` each picture beside its report.

        Decoding runs ahead in threads while the network works; patches of neighbouring pictures share a
        batch. Only a few pictures are in memory at a time.
        """
        waiting: list[_Prepared] = []
        for prepared in self._prepare_ahead(sources, heat_map, keep_pictures):
            waiting.append(prepared)
            if sum(len(item.inputs) for item in waiting) >= BATCH:
                yield from self._finish(waiting)
                waiting = []
        if waiting:
            yield from self._finish(waiting)

    def prepare(self, source: Source, *, heat_map: bool = False, keep_picture: bool = False) -> Prepared:
        """Read one picture and cut it into views, without judging it; any thread may call this.

        A picture that cannot be read raises nothing: its report, too, comes from `scan_prepared`.
        """
        return self._prepare(source, heat_map, keep_picture)

    def scan_prepared(self, waiting: Sequence[Prepared]) -> list[Scanned]:
        """Judge pictures that were prepared, in their order; their views share batches."""
        return list(self._finish(list(waiting)))

    def _prepare_ahead(
        self, sources: Iterable[Source], heat_map: bool, keep_pictures: bool
    ) -> Iterator[_Prepared]:
        workers = min(default_threads(), 4)
        with ThreadPoolExecutor(workers, thread_name_prefix="vestige-decode") as pool:
            ahead: deque[Future[_Prepared]] = deque()
            try:
                for source in sources:
                    ahead.append(pool.submit(self._prepare, source, heat_map, keep_pictures))
                    # A batch ahead of the network, no more: every entry may hold a whole picture.
                    if len(ahead) > 2 * workers:
                        yield ahead.popleft().result()
                while ahead:
                    yield ahead.popleft().result()
            finally:
                for future in ahead:
                    future.cancel()

    def _prepare(self, source: Source, heat_map: bool, keep_picture: bool = True) -> _Prepared:
        name = _name(source)
        try:
            # Read once: content credentials are about the bytes.
            if isinstance(source, str | os.PathLike):
                source = read_file(source, self.limits)
            picture = decode(source, self.limits)
        except ImageError as error:
            return _Prepared(name, None, [], [], 0, np.empty(0, np.uint8), error)
        corners, scored, inputs = self._look(picture, heat_map)
        data = bytes(source) if isinstance(source, bytes | bytearray | memoryview) else None
        found = self._credentials.read(data, picture.facts, picture.metadata)
        plain = [*read_claims(picture.metadata), *read_marks(picture.pixels)]
        claims = merged(found.claims if found else [], plain)
        if not keep_picture:
            picture = Picture(np.empty((0, 0, 3), np.uint8), picture.facts)
        credentials = found.credentials if found else None
        return _Prepared(name, picture, claims, corners, scored, inputs, credentials=credentials)

    def _look(self, picture: Picture, heat_map: bool) -> tuple[list[tuple[int, int]], int, Inputs]:
        """Corners of the views, how many of them decide, and what the network is given of each."""
        views = self.card.views
        if isinstance(views, FactsView):
            return [(0, 0)], 1, file_facts.vector(picture.facts)[None]
        height, width = picture.pixels.shape[:2]
        corners = patch_grid(width, height, views.size, views.count)
        scored = len(corners)
        if heat_map:
            corners = corners + dense_grid(width, height, views.size, views.size // 2, MAP_CELLS)
        return corners, scored, np.stack([extract(picture.pixels, x, y, views.size) for x, y in corners])

    def _finish(self, waiting: list[_Prepared]) -> Iterator[Scanned]:
        scores = self._run([item.inputs for item in waiting])
        for item, found in zip(waiting, scores, strict=True):
            kept = item.picture if item.picture is not None and item.picture.pixels.size else None
            yield Scanned(self._report(item, found), kept)

    def _run(self, groups: list[Inputs]) -> list[Scores]:
        """Score the views of several pictures together; one `Scores` per picture."""
        readable = [group for group in groups if len(group)]
        if not readable:
            return [Scores(np.empty(0, np.float32)) for _ in groups]
        inputs = np.concatenate(readable)
        parts = [self._session.run(inputs[start : start + BATCH]) for start in range(0, len(inputs), BATCH)]
        together = Scores.joined(parts)
        ends = np.cumsum([len(group) for group in groups])
        return [together.part(end - len(group), end) for group, end in zip(groups, ends, strict=True)]

    def _report(self, item: _Prepared, scores: Scores) -> ImageReport:
        common: dict[str, Any] = {"path": item.name, "model": self.card.title, "versions": self.versions}
        if item.picture is None or item.error is not None:
            error = item.error or ImageError("internal", "The picture was lost on its way.")
            return ImageReport(**common, error=ScanError(code=error.code, reason=error.reason))
        verdict, evidence = self._judge(item, scores)
        if item.credentials is not None:
            common["versions"] = self.versions | {"c2pa-python": library_version()}
        compared = compare(verdict, evidence, item.claims, item.credentials)
        return ImageReport(
            **common,
            verdict=verdict,
            evidence=evidence,
            claims=item.claims,
            facts=item.picture.facts,
            credentials=item.credentials,
            lines=compared.lines,
            agreement=compared.agreement,
        )

    def _judge(self, item: _Prepared, scores: Scores) -> tuple[Verdict, Evidence]:
        assert item.picture is not None
        facts, scored = item.picture.facts, item.scored
        # The facts of the file are one view of the whole picture.
        shown = self.card.views
        size = max(facts.width, facts.height) if isinstance(shown, FactsView) else shown.size
        views = [
            ViewScore(
                x=x, y=y, width=min(size, facts.width), height=min(size, facts.height), logit=float(logit)
            )
            for (x, y), logit in zip(item.corners[:scored], scores.logit[:scored], strict=True)
        ]
        rule = self.card.localisation
        heat = None
        if len(item.corners) > scored:
            heat = heatmap.build(
                facts.width,
                facts.height,
                size,
                item.corners[scored:],
                scores.part(scored),
                self.card.calibration if rule is None else rule.calibration,
            )
        parts = None
        if rule is not None and scores.map is not None:
            # Of the views that decide alone, so that asking for a heat map changes no verdict.
            parts = localisation.find_parts(
                calibrate(scores.map[:scored], rule.calibration),
                item.corners[:scored],
                size,
                facts.width,
                facts.height,
                rule.threshold,
            )
        found = scores.deviation
        deviation = None if found is None else float(found[:scored].mean(dtype=np.float64))
        return judge(self.card, views, self.band, min(facts.width, facts.height), heat, deviation, parts)


def _name(source: Source) -> str:
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    if isinstance(source, Image.Image):
        return getattr(source, "filename", "") or "<image>"
    return "<bytes>" if isinstance(source, bytes | bytearray | memoryview) else "<array>"
