from service.telemetry.metrics import AudioCounter, Metrics


def audio_seconds(metrics: Metrics) -> float:
    lines = metrics.text().decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("kws_audio_seconds_total "))


def test_audio_is_counted_every_second_and_at_the_end() -> None:
    metrics = Metrics()
    counter = AudioCounter(metrics)
    for _ in range(9):
        counter.add(0.1)
    assert audio_seconds(metrics) == 0
    for _ in range(3):
        counter.add(0.1)
    assert 0.9 < audio_seconds(metrics) < 1.2
    counter.close()
    assert round(audio_seconds(metrics), 6) == 1.2
