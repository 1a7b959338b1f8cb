"""Pictures of several requests in one batch."""

import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError
from pathlib import Path

import numpy as np
import pytest
from serve_samples import write_package

from vestige import Detector
from vestige.apps.server.batching import ModelThread
from vestige.detector import BATCH, Prepared, Scanned


class Watched(Detector):
    """Waits for a signal before each batch, and takes note of it."""

    go: threading.Event
    batches: list[list[str]]
    poison: float | None = None

    def scan_prepared(self, waiting: Sequence[Prepared]) -> list[Scanned]:
        assert self.go.wait(60)
        if any(len(item.inputs) and item.inputs.mean() == self.poison for item in waiting):
            raise RuntimeError("poison")
        self.batches.append([len(item.inputs) for item in waiting])
        return super().scan_prepared(waiting)


@pytest.fixture
def detector(tmp_path: Path) -> Watched:
    found = Watched.load(write_package(tmp_path / "model"))
    assert isinstance(found, Watched)
    found.go, found.batches = threading.Event(), []
    return found


def grey(detector: Detector, level: int, side: int = 64) -> Prepared:
    return detector.prepare(np.full((side, side, 3), level, np.uint8))


def test_what_gathers_while_the_model_works_goes_together(detector: Watched) -> None:
    seen: list[tuple[int, int]] = []
    thread = ModelThread(detector, lambda pictures, views: seen.append((pictures, views)))
    levels = list(range(0, 250, 10))
    first = thread.submit(grey(detector, 255))
    while not seen:  # it is at work now, and waits
        threading.Event().wait(0.001)
    answers = [thread.submit(grey(detector, level)) for level in levels]
    detector.go.set()
    assert first.result(60).report.logit == pytest.approx(4.0, abs=1e-5)
    for level, answer in zip(levels, answers, strict=True):
        assert answer.result(60).report.logit == pytest.approx(8 * (level / 255 - 0.5), abs=1e-4)
    thread.close()
    assert seen == [(1, 1), (BATCH, BATCH), (len(levels) - BATCH, len(levels) - BATCH)]
    assert [len(batch) for batch in detector.batches] == [pictures for pictures, _ in seen]


def test_a_picture_scores_alike_in_company_and_alone(detector: Watched) -> None:
    detector.go.set()
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (100, 130, 3), np.uint8) for _ in range(9)]
    together = detector.scan_prepared([detector.prepare(picture) for picture in pictures])
    for picture, scanned in zip(pictures, together, strict=True):
        alone = detector.scan(picture)
        assert scanned.report.logit == pytest.approx(alone.logit, abs=1e-5)
        assert scanned.report.verdict == alone.verdict


def test_one_bad_picture_costs_its_neighbours_nothing(detector: Watched) -> None:
    detector.poison = 7.0
    thread = ModelThread(detector, lambda *_: None)
    answers = [thread.submit(grey(detector, level)) for level in (200, 7, 50)]
    detector.go.set()
    assert answers[0].result(60).report.probability > 0.5
    with pytest.raises(RuntimeError, match="poison"):
        answers[1].result(60)
    assert answers[2].result(60).report.probability < 0.5
    thread.close()


def test_who_gave_up_is_left_out(detector: Watched) -> None:
    seen: list[int] = []
    thread = ModelThread(detector, lambda pictures, _: seen.append(pictures))
    first = thread.submit(grey(detector, 100))
    while not seen:
        threading.Event().wait(0.001)
    rest = [thread.submit(grey(detector, level)) for level in (10, 20, 30)]
    assert rest[1].cancel()
    detector.go.set()
    assert first.result(60)
    assert [rest[index].result(60).report.verdict is not None for index in (0, 2)] == [True, True]
    with pytest.raises(CancelledError):
        rest[1].result(60)
    thread.close()
    assert seen == [1, 2]


def test_closing_finishes_what_waits(detector: Watched) -> None:
    thread = ModelThread(detector, lambda *_: None)
    answers = [thread.submit(grey(detector, level)) for level in range(40)]
    detector.go.set()
    thread.close()
    assert all(answer.done() for answer in answers)
    assert thread.submit(grey(detector, 1)).result(60), "it starts anew"
    thread.close()


def test_a_picture_that_cannot_be_read_gets_its_report(detector: Watched) -> None:
    detector.go.set()
    good, bad = detector.scan_prepared([grey(detector, 200), detector.prepare(b"words")])
    assert good.report.verdict is not None
    assert bad.report.error is not None
    assert bad.report.error.code == "unsupported"
