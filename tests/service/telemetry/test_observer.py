import numpy as np

from service.spotting.events import Detection
from service.telemetry.metrics import Metrics
from service.telemetry.observer import StreamMetrics

NO_HOPS = np.zeros(0, np.float32)


def value(metrics: Metrics, name: str) -> float:
    return next(float(line.split()[1]) for line in metrics.text().decode().splitlines() if line.startswith(name + " "))


def test_audio_is_counted_every_second_and_at_the_end() -> None:
    metrics = Metrics()
    observer = StreamMetrics(metrics)
    for _ in range(9):
        observer.on_audio(NO_HOPS, 0.1)
    assert value(metrics, "kws_audio_seconds_total") == 0
    for _ in range(3):
        observer.on_audio(NO_HOPS, 0.1)
    assert 0.9 < value(metrics, "kws_audio_seconds_total") < 1.2
    observer.close()
    assert round(value(metrics, "kws_audio_seconds_total"), 6) == 1.2


def test_detections_are_counted_by_label() -> None:
    metrics = Metrics()
    StreamMetrics(metrics).on_detection(Detection(1, "yes", 0.9, 0.8, True, 10, 0.1))
    assert value(metrics, 'kws_detections_total{label="yes"}') == 1
