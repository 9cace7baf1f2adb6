from service.spotting.engine import InferenceTiming
from service.telemetry.latency import NEWEST, LatencyTracker


def test_a_frame_came_with_the_message_that_completed_it() -> None:
    ledger = LatencyTracker(35.0)
    ledger.arrived(2, at=1.0)
    ledger.arrived(5, at=2.0)
    ledger.arrived(6, at=3.0)
    assert [ledger.pop_receive_time(frame) for frame in (0, 1, 2, 4, 4, 5)] == [1.0, 1.0, 2.0, 2.0, 2.0, 3.0]
    ledger.reset()
    ledger.arrived(1, at=9.0)
    assert ledger.pop_receive_time(0) == 9.0


def test_latency_has_its_parts_in_milliseconds() -> None:
    assert LatencyTracker(35.0).latency(
        arrived=1.0, run=InferenceTiming(1.001, 1.002, 1.005, streams=3), now=1.0061234
    ) == {
        "algorithmic_ms": 35.0,
        "queue_ms": 2.0,
        "compute_ms": 3.0,
        "server_ms": 6.123,
    }


def test_percentiles_are_over_the_newest_decisions() -> None:
    ledger = LatencyTracker(35.0)
    assert ledger.percentiles() == {"p50_ms": None, "p95_ms": None, "p99_ms": None}
    ledger.decided(1e6)
    for ms in range(NEWEST):
        ledger.decided(ms / 1000)
    assert ledger.percentiles() == {"p50_ms": 128.0, "p95_ms": 243.0, "p99_ms": 253.0}
    ledger.reset()
    assert ledger.percentiles() == {"p50_ms": None, "p95_ms": None, "p99_ms": None}
