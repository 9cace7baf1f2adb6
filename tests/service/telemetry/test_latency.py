from service.spotting.engine import InferenceTiming
from service.telemetry.latency import NEWEST, Latency, LatencyPercentiles, LatencyTracker


def test_a_frame_was_received_with_the_message_that_completed_it() -> None:
    tracker = LatencyTracker(35.0)
    tracker.mark_received(2, 1.0)
    tracker.mark_received(5, 2.0)
    tracker.mark_received(6, 3.0)
    assert [tracker.pop_receive_time(frame) for frame in (0, 1, 2, 4, 4, 5)] == [1.0, 1.0, 2.0, 2.0, 2.0, 3.0]
    tracker.reset()
    tracker.mark_received(1, 9.0)
    assert tracker.pop_receive_time(0) == 9.0


def test_latency_has_its_parts_in_milliseconds() -> None:
    run = InferenceTiming(1.001, 1.002, 1.005, streams=3)
    assert LatencyTracker(35.0).latency(1.0, run, now=1.0061234) == Latency(35.0, 2.0, 3.0, 6.123)


def test_percentiles_are_over_the_newest_decisions() -> None:
    tracker = LatencyTracker(35.0)
    assert tracker.percentiles() == LatencyPercentiles(None, None, None)
    tracker.mark_received(1, 0.0)
    assert tracker.record_decision(0, 1e6) == 1e6
    for ms in range(NEWEST):
        tracker.record_decision(0, ms / 1000)
    assert tracker.percentiles() == LatencyPercentiles(128.0, 243.0, 253.0)
    tracker.reset()
    assert tracker.percentiles() == LatencyPercentiles(None, None, None)


def test_what_has_been_decided_on_is_forgotten_with_the_next_message() -> None:
    tracker = LatencyTracker(35.0)
    tracker.mark_received(2, 1.0)
    tracker.mark_received(5, 2.0, is_decided=True)
    assert tracker.pop_receive_time(0) == tracker.pop_receive_time(4) == 2.0
