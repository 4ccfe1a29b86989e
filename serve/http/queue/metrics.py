"""What the server counts of itself, for Prometheus."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    exposition,
)
from prometheus_client.openmetrics import exposition as openmetrics

if TYPE_CHECKING:
    from wgan.serve.http.queue.model import Model

OTHER = "other"  # the route of every path that is none: a label for each would be memory for whoever asks
REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
QUEUE_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
WORK_SECONDS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
BATCH_IMAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
MODEL = ("name", "digest", "format", "precision", "backend", "device")


disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each: when it began


class Metrics:
    """Counters, gauges and histograms in a registry of their own. Safe on any thread.

    The children of labels are bound once, so an observation costs about a microsecond.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)

        def histogram(name: str, text: str, buckets: Sequence[float], labels: Sequence[str] = ()) -> Histogram:
            return Histogram(f"wgan_{name}", text, labels, buckets=buckets, registry=registry)

        def counter(name: str, text: str, labels: Sequence[str] = ()) -> Counter:
            return Counter(f"wgan_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
            return Gauge(f"wgan_{name}", text, labels, registry=registry)

        self._requests = counter("requests", "Requests that were answered", ("route", "code"))
        self._seconds = histogram("request_seconds", "From a request to its answer", REQUEST_SECONDS, ("route",))
        self._waited = histogram("queue_seconds", "Of a request in the queue", QUEUE_SECONDS)
        self._inference = histogram("inference_seconds", "Of a batch in the runtime", WORK_SECONDS)
        self._encoding = histogram("encoding_seconds", "Of a batch in the encoder", WORK_SECONDS)
        self._batches = histogram("batch_images", "Images of a batch", BATCH_IMAGES)
        self._images = counter("images", "Images that were made")
        self._refusals = counter("refusals", "What got no answer of its own, by the limit that it met", ("reason",))
        self._queue = gauge("queue_images", "Images that wait to be made")
        self._connections = gauge("connections", "Connections that are open")
        self._ready = gauge("ready", "1 while the server is ready for requests")
        self._model = gauge("model_info", "1 for the generator that is served", MODEL)
        self._answered: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def request(self, route: str, code: int, seconds: float) -> None:
        """A request was answered. ``route`` is its template, or `OTHER`; never a path."""
        bound = self._answered.get((route, code))
        if bound is None:
            bound = self._requests.labels(route, str(code)), self._seconds.labels(route)
            self._answered[route, code] = bound
        counter, histogram = bound
        counter.inc()
        histogram.observe(seconds)

    def batch(self, images: int, waited: Sequence[float], inference: float, encoding: float) -> None:
        """A batch was made: its size, and seconds in the queue (of each request), in the runtime and in the encoder."""
        self._images.inc(images)
        self._batches.observe(images)
        for seconds in waited:
            self._waited.observe(seconds)
        self._inference.observe(inference)
        self._encoding.observe(encoding)

    def refused(self, reason: str) -> None:
        """A limit was met. ``reason`` is one of few words of ours."""
        self._refusals.labels(reason).inc()

    def model(self, model: "Model") -> None:
        """This generator is served from now on."""
        backend = model.backend
        metadata = backend.metadata
        self._model.clear()
        labels = (model.name, backend.digest, metadata.format, metadata.precision, backend.name, backend.device)
        self._model.labels(*labels).set(1)

    def follow(self, queued: Callable[[], int], ready: Callable[[], bool]) -> None:
        """Where the depth of the queue in images, and whether the server is ready, are asked for at each reading."""
        self._queue.set_function(queued)
        self._ready.set_function(ready)

    def connections(self, count: int) -> None:
        """So many connections are open."""
        self._connections.set(count)

    def text(self, accept: str) -> tuple[bytes, str]:
        """All of it and its media type: OpenMetrics where ``accept`` names it, else Prometheus's own text."""
        if "application/openmetrics-text" in accept:
            text: bytes = openmetrics.generate_latest(self.registry)  # type: ignore[no-untyped-call]
            return text, openmetrics.CONTENT_TYPE_LATEST
        return exposition.generate_latest(self.registry), exposition.CONTENT_TYPE_PLAIN_0_0_4


def route_of(scope: Any) -> str:
    """The template of the route that took a request, or `OTHER`."""
    return getattr(scope.get("route"), "path", OTHER)
