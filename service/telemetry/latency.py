"""The latency breakdown of one stream: when each piece of audio was received, how long its decision took.

Reads no clock: every time comes from the caller.
"""

from array import array
from collections import deque
from dataclasses import dataclass

from service.spotting.engine import InferenceTiming

NEWEST = 256  # decisions that the percentiles are over
DIGITS = 3  # decimal places of a time in milliseconds


@dataclass(frozen=True)
class Latency:
    """Where the time of one detection went; `queue_ms` and `compute_ms` are parts of `server_ms`."""

    algorithmic_ms: float
    queue_ms: float
    compute_ms: float
    server_ms: float


@dataclass(frozen=True)
class LatencyPercentiles:
    """The server's time over the newest decisions; None when there was no decision."""

    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


class LatencyTracker:
    """Times in are `time.perf_counter` seconds; times out are milliseconds."""

    def __init__(self, algorithmic_ms: float) -> None:
        self._algorithmic_ms = algorithmic_ms
        self._received: deque[tuple[int, float]] = deque()  # total frames after a message, when it was received
        self._server_ms = array("f", bytes(4 * NEWEST))  # ring buffer of the newest decisions
        self._decisions = 0

    def mark_received(self, frames: int, received_at: float, is_decided: bool = False) -> None:
        """A message was received that makes it `frames` frames in all; whether all before it has been decided on."""
        if is_decided:
            self._received.clear()
        self._received.append((frames, received_at))

    def pop_receive_time(self, frame: int) -> float:
        """When the message was received that held the newest sample of `frame`; frames must be asked for in order."""
        while self._received[0][0] <= frame:
            self._received.popleft()
        return self._received[0][1]

    def record_decision(self, frame: int, now: float) -> float:
        """The stream has been decided on up to `frame`; returns the seconds since the newest audio in it came."""
        seconds = now - self.pop_receive_time(frame)
        self._server_ms[self._decisions % NEWEST] = 1000 * seconds
        self._decisions += 1
        return seconds

    def reset(self) -> None:
        """The stream begins again: frames at 0, and no decision yet."""
        self._received.clear()
        self._decisions = 0

    def latency(self, received_at: float, run: InferenceTiming, now: float) -> Latency:
        """The breakdown of a detection up to `now`, its hand-over to the socket."""
        return Latency(
            algorithmic_ms=round(self._algorithmic_ms, DIGITS),
            queue_ms=round(1000 * (run.began - received_at), DIGITS),
            compute_ms=round(1000 * (run.ended - run.began), DIGITS),
            server_ms=round(1000 * (now - received_at), DIGITS),
        )

    def percentiles(self) -> LatencyPercentiles:
        """The percentiles over the newest decisions since the last reset."""
        ordered = sorted(self._server_ms[: min(self._decisions, NEWEST)])
        if not ordered:
            return LatencyPercentiles(None, None, None)
        return LatencyPercentiles(*(round(ordered[len(ordered) * p // 100], DIGITS) for p in (50, 95, 99)))
