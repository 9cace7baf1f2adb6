"""Where the time of one stream went: when each piece of audio came, how long its decision took. Reads no clock."""

from array import array
from collections import deque

from service.spotting.engine import InferenceTiming
from service.spotting.events import Message

NEWEST = 256  # decisions that the percentiles are over


class LatencyTracker:
    """Times in are `time.perf_counter` seconds; times out are milliseconds."""

    def __init__(self, algorithmic_ms: float) -> None:
        self._algorithmic_ms = algorithmic_ms
        self._arrivals: deque[tuple[int, float]] = deque()  # frames there were once a message had come, when it came
        self._server_ms = array("f", bytes(4 * NEWEST))  # the newest of `_decisions`, going round
        self._decisions = 0

    def arrived(self, frames: int, at: float) -> None:
        """A message came that makes it `frames` frames in all."""
        self._arrivals.append((frames, at))

    def pop_receive_time(self, frame: int) -> float:
        """When the message came that held the newest sample of `frame`. Frames are asked for in order."""
        while self._arrivals[0][0] <= frame:
            self._arrivals.popleft()
        return self._arrivals[0][1]

    def decided(self, seconds: float) -> None:
        """A piece of audio took so long from its arrival to the decision on it."""
        self._server_ms[self._decisions % NEWEST] = 1000 * seconds
        self._decisions += 1

    def reset(self) -> None:
        """The stream begins again: frames at 0, and nothing decided yet."""
        self._arrivals.clear()
        self._decisions = 0

    def latency(self, arrived: float, run: InferenceTiming, now: float) -> Message:
        """The `latency` of a detection: its parts up to `now`, the hand-over to the socket."""
        parts = {
            "algorithmic_ms": self._algorithmic_ms,
            "queue_ms": 1000 * (run.began - arrived),
            "compute_ms": 1000 * (run.ended - run.began),
            "server_ms": 1000 * (now - arrived),
        }
        return {name: round(ms, 3) for name, ms in parts.items()}

    def percentiles(self) -> Message:
        """The `latency` of a summary; null where nothing was decided."""
        ordered = sorted(self._server_ms[: min(self._decisions, NEWEST)])
        return {f"p{p}_ms": round(ordered[len(ordered) * p // 100], 3) if ordered else None for p in (50, 95, 99)}
