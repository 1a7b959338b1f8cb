"""Figures for Prometheus. Labels are words of ours, never of a request."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from vestige.results import ImageReport

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_COUNTS = (1, 2, 4, 8, 16, 32, 64, 96)


class Metrics:
    """The figures of one server, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "vestige_requests", "Requests answered.", ["method", "route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "vestige_request_seconds",
            "Seconds from the head of a request to the end of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._pictures = Counter(
            "vestige_pictures",
            "Pictures by outcome: a verdict, or the code of an error.",
            ["outcome"],
            registry=self._registry,
        )
        self._batch_pictures = Histogram(
            "vestige_batch_pictures", "Pictures in one run.", buckets=_COUNTS, registry=self._registry
        )
        self._batch_views = Histogram(
            "vestige_batch_views", "Views in one run.", buckets=_COUNTS, registry=self._registry
        )

    def watch(self, name: str, words: str, value: Callable[[], float]) -> None:
        """Show a value of the moment."""
        Gauge(f"vestige_{name}", words, registry=self._registry).set_function(value)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request; `method` and `route` must come from short lists."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def picture(self, report: ImageReport) -> None:
        """Count a picture."""
        outcome = report.error.code if report.error else report.verdict.value if report.verdict else "none"
        self._pictures.labels(outcome).inc()

    def batch(self, pictures: int, views: int) -> None:
        """Count a run of the network."""
        self._batch_pictures.observe(pictures)
        self._batch_views.observe(views)

    def text(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self._registry)
