"""Score the pictures of a manifest with a model package, through the detector that users run; resumable."""

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any

from vestige.data.manifest import Row
from vestige.detector import Detector
from vestige.errors import DataError, ImageError
from vestige.evaluation.protocols import Condition, LeftOut, conditions
from vestige.evaluation.scores import LEFT_OUT, SCORED, UNREADABLE, write_scores
from vestige.images.limits import PATIENT
from vestige.inference.package import ModelPackage
from vestige.progress import Progress
from vestige.results import ImageReport

CHUNK = 32  # pictures between two writes: what a kill costs at most
DIGITS = 6  # more would differ from one processor to the next


@dataclass(frozen=True)
class Job:
    """What one file of scores holds; `data` is the name of the data set."""

    package: ModelPackage
    data: str
    rows: list[Row]
    condition: Condition


def score(job: Job, basis: str, out: Path, progress: Progress, workers: int = 1) -> None:
    """Score all pictures of a job and write them as `out`, a Parquet file.

    Lines go to a file beside it as pictures are scored; a killed run continues there.

    Args:
        basis: hash of all that the scores follow from; a file of lines with another one is begun anew.
        workers: processes; 1 scores in this one, with a thread for each processor.
    """
    lines = _Lines(out, basis)
    chunks = [job.rows[start : start + CHUNK] for start in range(lines.count, len(job.rows), CHUNK)]
    what = f"{job.package.card.title} on {job.data}, {job.condition.title}"
    with lines, _scorer(job, workers, chunks) as scored:
        for _, found in zip(progress.track(chunks, what), scored, strict=True):
            lines.add(found)
    rows = list(lines.rows())
    if [row["path"] for row in rows] != [row.name for row in job.rows]:
        lines.remove()
        raise DataError(
            f"{out}: what was scored is not what the manifest lists; does another bench write there? "
            "Begin again"
        )
    write_scores(out, rows, basis)
    lines.remove()


class _scorer:  # noqa: N801 - reads as a function
    """Results of all chunks, in order, from this process or from several."""

    def __init__(self, job: Job, workers: int, chunks: list[list[Row]]) -> None:
        self.job, self.chunks = job, chunks
        self.pool = (
            # Spawned and not forked: the parent may hold threads of ONNX Runtime.
            ProcessPoolExecutor(workers, get_context("spawn"), _start, (job.package,))
            if workers > 1 and len(chunks) > 1
            else None
        )

    def __enter__(self) -> Iterator[list[dict[str, Any]]]:
        title, data, condition = self.job.package.card.title, self.job.data, self.job.condition
        if self.pool is None:
            detector = Detector(self.job.package, limits=PATIENT)
            return (score_chunk(detector, title, data, condition, chunk) for chunk in self.chunks)
        return iter(self.pool.map(partial(_work, title, data, condition.name), self.chunks))

    def __exit__(self, *_: object) -> None:
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)


_detector: Detector | None = None


def _start(package: ModelPackage) -> None:
    global _detector
    _detector = Detector(package, limits=PATIENT, threads=1)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that is killed cannot stop its workers: they watch it themselves."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(title: str, data: str, condition: str, chunk: list[Row]) -> list[dict[str, Any]]:
    assert _detector is not None
    # By name: a pipeline need not be something that can be sent to another process.
    (found,) = conditions([condition])
    return score_chunk(_detector, title, data, found, chunk)


def score_chunk(
    detector: Detector, model: str, data: str, condition: Condition, chunk: Sequence[Row]
) -> list[dict[str, Any]]:
    """Rows of scores for some rows of a manifest, in their order; none is lost, whatever is wrong with it."""
    with ThreadPoolExecutor(2) as pool:
        delivered = list(pool.map(partial(_deliver, condition), chunk))
    reports = detector.scan_many([content for content in delivered if not isinstance(content, Exception)])
    found = []
    for row, content in zip(chunk, delivered, strict=True):
        values: dict[str, Any]
        if isinstance(content, LeftOut):
            values = {"status": LEFT_OUT, "reason": str(content)}
        elif isinstance(content, ImageError):
            values = {"status": UNREADABLE, "reason": content.reason}
        elif isinstance(content, Exception):
            values = {"status": UNREADABLE, "reason": str(content)}
        else:
            values = _values(next(reports))
        known = {
            "model": model,
            "data": data,
            "condition": condition.title,
            "path": row.name,
            "label": row.label,
            "group": row.group,
            "picture": row.picture,
            "compare_with": row.compare_with,
            "kind": row.kind,
        }
        found.append(known | values)
    return found


def _deliver(condition: Condition, row: Row) -> Path | bytes | Exception:
    try:
        return condition.apply(row.content(), row.name)
    except (ImageError, LeftOut, DataError) as error:
        return error


def _values(report: ImageReport) -> dict[str, Any]:
    if report.error is not None:
        return {"status": UNREADABLE, "reason": report.error.reason}
    assert report.evidence is not None
    assert report.facts is not None
    assert report.verdict is not None
    evidence = report.evidence
    return {
        "status": SCORED,
        "logit": round(evidence.logit, DIGITS),
        "probability": round(evidence.probability, DIGITS),
        "low": evidence.thresholds[0],
        "high": evidence.thresholds[1],
        "verdict": report.verdict.value,
        "spread": round(evidence.spread, DIGITS),
        "width": report.facts.width,
        "height": report.facts.height,
        "format": report.facts.format,
        "deviation": None if evidence.deviation is None else round(evidence.deviation, DIGITS),
    }


class _Lines:
    """The file of lines that a scoring leaves behind while it runs: its basis first, then one row a line."""

    def __init__(self, out: Path, basis: str) -> None:
        self.path = out.with_name(out.name + ".lines")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        kept = self._whole_lines(basis)
        self.count = len(kept) - 1
        self.path.write_text("".join(kept), encoding="utf-8")

    def _whole_lines(self, basis: str) -> list[str]:
        first = json.dumps({"basis": basis}) + "\n"
        if not self.path.exists():
            return [first]
        found = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        # A kill may leave half a line at the end.
        whole = [line for line in found if line.endswith("\n")]
        return whole if whole[:1] == [first] else [first]

    def __enter__(self) -> "_Lines":
        self._file = self.path.open("a", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def rows(self) -> Iterator[dict[str, Any]]:
        lines = self.path.read_text(encoding="utf-8").splitlines()[1:]
        return (json.loads(line) for line in lines)

    def remove(self) -> None:
        self.path.unlink()
