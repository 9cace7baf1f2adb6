"""What an operator watches, as Prometheus metrics; a registry for each app.

Workers behind one port share theirs through a directory (prometheus_client's multiprocess mode): each answers for all.
"""

import os
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from service.spotting.engine import InferenceTiming
from service.spotting.file_result import FileResult

SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0)
SHARED = "PROMETHEUS_MULTIPROC_DIR"  # set in the environment of a worker before it imports prometheus_client
COUNT_EVERY_S = 1.0  # of a stream's audio: a counter is too expensive for every message
STREAMS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Metrics:
    """Every metric of one app, under one registry."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)  # CPU time, memory, file descriptors
        self.streams = Gauge("kws_streams", "Streams open now", registry=registry, multiprocess_mode="livesum")
        limit = "Streams that may be open at once"
        self.streams_limit = Gauge("kws_streams_limit", limit, registry=registry, multiprocess_mode="livesum")
        self.rejected = Counter("kws_rejected", "Requests and streams refused", ["reason"], registry=registry)
        self.errors = Counter("kws_errors", "Errors sent to clients, files and streams", ["code"], registry=registry)
        self.audio = Counter("kws_audio_seconds", "Audio received on streams", registry=registry)
        self.dropped = Counter("kws_dropped_audio_seconds", "Audio received and never decided on", registry=registry)
        self.detections = Counter("kws_detections", "Labels detected on streams", ["label"], registry=registry)
        self.files = Counter("kws_files", "Files classified", registry=registry)
        self.batch = Histogram("kws_batch_streams", "Streams that shared a run", buckets=STREAMS, registry=registry)
        self.compute = Histogram("kws_compute_seconds", "One run of the model", buckets=SECONDS, registry=registry)
        longest = ", of the stream that waited longest in a run"
        self.queue = Histogram(
            "kws_queue_seconds", f"From a message's arrival to its run{longest}", buckets=SECONDS, registry=registry
        )
        self.server = Histogram(
            "kws_server_seconds", f"From a message's arrival to its scores{longest}", buckets=SECONDS, registry=registry
        )
        self.captures = Counter(
            "kws_captures", "Clips kept, by kind, or the reason why not", ["result"], registry=registry
        )
        self.reloads = Counter("kws_reloads", "Reloads of models and keys", ["result"], registry=registry)
        labels = ("name", "version", "sha256", "default")
        info = "1: a model that is served, 0: one that was served before"
        self._info = Gauge("kws_model_info", info, labels, registry=registry, multiprocess_mode="livemax")
        self._models: list[tuple[str, ...]] = []

    def record_models(self, models: Iterable[tuple[str, str, str, bool]]) -> None:
        """Record the models that are served from now on: name, version, sha256, whether it is the default."""
        for labels in self._models:
            self._info.labels(*labels).set(0)
        self._models = [(*identity, str(default).lower()) for *identity, default in models]
        for labels in self._models:
            self._info.labels(*labels).set(1)

    def record_run(self, timing: InferenceTiming, now: float) -> None:
        """Record a run of the model whose scores came back at `now`."""
        self.batch.observe(timing.streams)
        self.compute.observe(timing.ended - timing.began)
        self.queue.observe(timing.began - timing.waiting_since)
        self.server.observe(now - timing.waiting_since)

    def record_files(self, results: list[FileResult]) -> None:
        """Record the results of classified files."""
        self.files.inc(len(results))
        for result in results:
            if result.error:
                self.errors.labels(result.error.code).inc()

    def text(self) -> bytes:
        """Everything in the text format of Prometheus."""
        if SHARED not in os.environ:
            return generate_latest(self._registry)
        all_workers = CollectorRegistry()
        MultiProcessCollector(all_workers)  # type: ignore[no-untyped-call]
        return generate_latest(all_workers)


class AudioCounter:
    """The audio of one stream in the metrics of the server."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._uncounted_s = 0.0

    def add(self, received_s: float) -> None:
        """Audio of this length came in."""
        self._uncounted_s += received_s
        if self._uncounted_s >= COUNT_EVERY_S:
            self.close()

    def close(self) -> None:
        """Count what has not been counted."""
        self._metrics.audio.inc(self._uncounted_s)
        self._uncounted_s = 0.0
