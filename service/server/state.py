"""What all connections of a running server share: settings, models, metrics, captures and the count of streams."""

from collections.abc import Iterator
from contextlib import contextmanager

from service.server.model_registry import ModelRegistry
from service.settings import Settings
from service.telemetry.capture import open_captures
from service.telemetry.metrics import Metrics


class ServerState:
    """Raises ModelError when there is no model to serve, or a bad one."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.metrics.streams_limit.set(settings.max_streams)
        self.models = ModelRegistry(settings, self.metrics)
        self.captures = open_captures(settings, self.metrics)
        self.stream_count = self.shared_socket_count = 0
        self.draining = False

    def close(self) -> None:
        """Write the captures that wait."""
        if self.captures:
            self.captures.close()

    def drain(self) -> None:
        """Refuse new streams from now on."""
        self.draining = True

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Count one more stream while the block lasts."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    @contextmanager
    def shared_socket(self) -> Iterator[None]:
        """Count one more socket of many streams while the block lasts."""
        self.shared_socket_count += 1
        try:
            yield
        finally:
            self.shared_socket_count -= 1

    @property
    def ready(self) -> bool:
        return not self.draining and self.models.started

    def refusal(self) -> str | None:
        """The reason why no other stream can be opened now, counted; None when one can."""
        return self._refusal(self.stream_count)

    def shared_socket_refusal(self) -> str | None:
        """The same for a socket of many streams: there may be as many of them as streams."""
        return self._refusal(max(self.stream_count, self.shared_socket_count))

    def _refusal(self, count: int) -> str | None:
        full = count >= self.settings.max_streams
        if not full and self.ready:
            return None
        reason = "too_many_streams" if full else "not_ready"
        self.metrics.rejected.labels(reason).inc()
        return reason

    def _count(self, change: int) -> None:
        self.stream_count += change
        self.metrics.streams.set(self.stream_count)
