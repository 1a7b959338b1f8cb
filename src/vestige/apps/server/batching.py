"""One thread for each model; pictures of all requests that wait for it share its batches."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future

from vestige.detector import BATCH, Detector, Prepared, Scanned

Observe = Callable[[int, int], None]


class ModelThread:
    """Runs one detector.

    While the network works, pictures gather; what has gathered goes into its next run, up to `BATCH` views.
    So a picture alone does not wait, and many do not wait for each other.

    Args:
        detector: used in this thread only.
        observe: told of each run: how many pictures, how many views.
    """

    def __init__(self, detector: Detector, observe: Observe) -> None:
        self._detector = detector
        self._observe = observe
        self._waiting: deque[tuple[Prepared, Future[Scanned]]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    def submit(self, prepared: Prepared) -> "Future[Scanned]":
        """Put a picture into the queue.

        Returns:
            its report; may be cancelled as long as its batch has not begun.

        """
        answer: Future[Scanned] = Future()
        with self._changed:
            if self._thread is None:
                self._closed = False
                self._thread = threading.Thread(target=self._run, name="vestige-model", daemon=True)
                self._thread.start()
            self._waiting.append((prepared, answer))
            self._changed.notify()
        return answer

    def close(self) -> None:
        """Finish what waits, and end; the next picture starts the thread anew."""
        with self._changed:
            self._closed = True
            self._changed.notify()
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while batch := self._next():
            taken = [(item, answer) for item, answer in batch if answer.set_running_or_notify_cancel()]
            if not taken:
                continue
            self._observe(len(taken), sum(len(item.inputs) for item, _ in taken))
            try:
                found = self._detector.scan_prepared([item for item, _ in taken])
            except Exception:
                # One picture must not cost its neighbours their answers.
                self._one_by_one(taken)
                continue
            for (_, answer), scanned in zip(taken, found, strict=True):
                answer.set_result(scanned)

    def _one_by_one(self, taken: list[tuple[Prepared, "Future[Scanned]"]]) -> None:
        for item, answer in taken:
            try:
                answer.set_result(self._detector.scan_prepared([item])[0])
            except Exception as error:
                answer.set_exception(error)

    def _next(self) -> list[tuple[Prepared, "Future[Scanned]"]]:
        """The pictures of the next batch, at least one; none: it is over."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            batch: list[tuple[Prepared, Future[Scanned]]] = []
            views = 0
            while self._waiting and (not batch or views + len(self._waiting[0][0].inputs) <= BATCH):
                batch.append(self._waiting.popleft())
                views += len(batch[-1][0].inputs)
            return batch
