"""What an operator watches, as Prometheus metrics; a registry for each app."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from service.classify import Result
from service.protocol import Message

SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0)
STREAMS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Metrics:
    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)  # CPU time, memory, file descriptors
        self.streams = Gauge("kws_streams", "Streams open now", registry=registry)
        self.rejected = Counter("kws_rejected", "Requests and streams refused", ["reason"], registry=registry)
        self.errors = Counter("kws_errors", "Errors sent to clients, files and streams", ["code"], registry=registry)
        self.audio = Counter("kws_audio_seconds", "Audio received on streams", registry=registry)
        self.dropped = Counter("kws_dropped_audio_seconds", "Audio received and never decided on", registry=registry)
        self.detections = Counter("kws_detections", "Labels detected on streams", ["label"], registry=registry)
        self.files = Counter("kws_files", "Files classified", registry=registry)
        self.batch = Histogram("kws_batch_streams", "Streams that shared a run", buckets=STREAMS, registry=registry)
        self.compute = Histogram("kws_compute_seconds", "One run of the model", buckets=SECONDS, registry=registry)
        self.queue = Histogram(
            "kws_queue_seconds", "From a message's arrival to the run that took it", buckets=SECONDS, registry=registry
        )
        self.decide = Histogram(
            "kws_server_seconds", "From a message's arrival to the decision on it", buckets=SECONDS, registry=registry
        )

        self.captures = Counter("kws_captures", "Clips kept, by kind, or why not", ["result"], registry=registry)
        self.reloads = Counter("kws_reloads", "Reloads of models and keys", ["result"], registry=registry)
        self._info = Gauge(
            "kws_model_info", "Models served", ["name", "version", "sha256", "default"], registry=registry
        )

    def models(self, described: list[Message]) -> None:
        """These are served now, as /v1/models describes them."""
        self._info.clear()
        for one in described:
            default = str(one["default"]).lower()
            self._info.labels(one["name"], one["version"], one["sha256"], default).set(1)

    def classified(self, results: list[Result]) -> None:
        self.files.inc(len(results))
        for result in results:
            if "error" in result:
                self.errors.labels(result["error"]["code"]).inc()

    def text(self) -> bytes:
        return generate_latest(self._registry)
