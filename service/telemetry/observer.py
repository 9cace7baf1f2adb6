"""What watches a stream besides its client: metrics and captures."""

from typing import Protocol

from service.spotting.audio import Pcm
from service.spotting.config import ResolvedConfig
from service.spotting.events import Confirmed, Detection
from service.spotting.metadata import FrameScores
from service.telemetry.metrics import Metrics

COUNT_EVERY_S = 1.0  # seconds of audio: a counter is too expensive for every message


class StreamObserver(Protocol):
    """Is called on the event loop, in the order in which things happen to one stream."""

    def on_audio(self, hops: Pcm, received_s: float) -> None:
        """`received_s` of audio came in; `hops` [samples] go to the model."""

    def on_detection(self, event: Detection | Confirmed) -> None:
        """The stream reports a detection."""

    def on_scores(self, scores: FrameScores, config: ResolvedConfig) -> None:
        """Scores of the next frames, [frames, labels], after the detections in them."""

    def reset(self) -> None:
        """The stream starts again at frame 0."""

    def close(self) -> None:
        """The stream is over."""


class StreamMetrics:
    """One stream in the metrics of the server."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._uncounted_s = 0.0

    def on_audio(self, hops: Pcm, received_s: float) -> None:
        self._uncounted_s += received_s
        if self._uncounted_s >= COUNT_EVERY_S:
            self.close()

    def on_detection(self, event: Detection | Confirmed) -> None:
        self._metrics.detections.labels(event.label).inc()

    def on_scores(self, scores: FrameScores, config: ResolvedConfig) -> None:
        """The engine counts its runs."""

    def reset(self) -> None:
        """The audio of before stays counted."""

    def close(self) -> None:
        self._metrics.audio.inc(self._uncounted_s)
        self._uncounted_s = 0.0
