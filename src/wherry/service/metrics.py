"""Numbers for Prometheus: of the requests, and of what the libraries of this process count."""

from __future__ import annotations

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Meters:
    """The numbers of one application. Paths are those of the endpoints, so that names do not multiply them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ["method", "path"]
        self._requests = Counter(
            "wherry_http_requests", "Requests answered", [*labels, "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "wherry_http_seconds", "From request to the end of its answer", labels, buckets=_BUCKETS,
            registry=self.registry,
        )  # fmt: skip
        self.under_way = Gauge("wherry_http_under_way", "Requests under way", registry=self.registry)
        self.routes = Gauge("wherry_open_routes", "Routes held open", registry=self.registry)

    def answered(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count one request."""
        self._requests.labels(method, path, str(status)).inc()
        self._seconds.labels(method, path).observe(seconds)

    def page(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry) + generate_latest(REGISTRY)
