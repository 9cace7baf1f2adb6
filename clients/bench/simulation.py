"""A fleet of servers in seconds of simulated time: streams come and go, servers are added, drained and lost.

What a server carries and costs is measured (sizing.py); how people use it and how often machines fail is assumed, in
`Traffic` and `Churn`. Clients behave as clients/reconnecting.py does.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from clients.bench.sizing import TARGET, Measured
from clients.continuation import CONTEXT_S
from clients.reconnecting import UNDECIDED_S
from clients.retry import Backoff
from service.server.streams.limits import STREAM_S_JITTER
from service.settings import Settings

DAY_S = 86400
MAX_BACKLOG_S = Settings().max_backlog_s  # a server that is further behind ends its streams with 1013
NOWHERE = -1  # the server of a stream that waits for its next try


@dataclass(frozen=True)
class Traffic:
    """Streams: how many are open at the same time at the peak, for how long each, and how deep the night is."""

    streams: int = 10_000
    session_s: float = 3600.0  # on average; the lengths are exponential
    night: float = 0.5  # share of the peak


@dataclass(frozen=True)
class Policy:
    """What the operator sets."""

    max_stream_s: float | None = 3600.0
    balance: Literal["least", "random"] = "least"
    target: float = TARGET  # share of a server's streams that the autoscaler holds
    down_after_s: float = 1800.0  # the autoscaler looks this far back before it takes servers away
    down_every_s: float = 300.0
    down_share: float = 0.05  # share of the servers, each time
    grace_s: float = 35.0  # from the order to end a server to its end: no new streams, then SIGTERM


@dataclass(frozen=True)
class Churn:
    """What happens to servers."""

    start_s: float = (
        40.0  # from the autoscaler's decision to a server that is ready, the machine and the image included
    )
    failures_per_day: float = 1 / 30  # failures of one server, without warning
    deploys: tuple[float, ...] = (10.0,)  # hours of the day
    zone_fails_at: float | None = None  # hour of the day at which a third of the servers is lost


@dataclass
class DayResult:
    """What came of it."""

    stream_hours: float = 0.0
    server_hours: float = 0.0
    sessions: int = 0
    broken: int = 0  # streams that went on elsewhere: moved, drained or lost their server
    overloaded: int = 0  # those of them that were closed with 1013
    refused: int = 0  # tries that found no server with room
    lost: int = 0  # streams that were longer without a server than their client keeps audio
    lost_s: float = 0.0
    fullest: float = 0.0  # server, share of its streams


class Fleet:
    """The state of a fleet; `step` lets a second pass."""

    def __init__(
        self, measured: Measured, traffic: Traffic, policy: Policy, churn: Churn, servers: int = 0, seed: int = 0
    ) -> None:
        self.measured, self.traffic, self.policy, self.churn = measured, traffic, policy, churn
        self.rng, self.now, self.result = np.random.default_rng(seed), 0.0, DayResult()
        count = servers or self._wanted(traffic.streams * self._curve())
        self.ready_at = np.zeros(count)
        self.drain_at = np.full(count, np.inf)  # when a server ends
        self.queue_s = np.zeros(count)  # CPU time of work that waits
        self.counts = np.zeros(count, np.int64)
        self.server = np.zeros(0, np.int64)  # index of each stream's server
        self.ends_at, self.moves_at, self.left_at, self.try_at, self.delay_s = (np.zeros(0) for _ in range(5))
        self._wanted_before = [count]
        self._down_at = 0.0
        self.open(round(traffic.streams * self._curve()))
        self._place()

    def run(self, seconds: float) -> DayResult:
        """Let this much time pass."""
        for _ in range(round(seconds)):
            self.step()
        return self.result

    def step(self) -> None:
        """A second."""
        self.now += 1.0
        self._churn()
        self._scale()
        self.step_streams()
        self._work()
        self._count()

    def step_streams(self) -> None:
        """Streams end, come, are moved and placed."""
        self._keep(self.ends_at > self.now)
        self._arrive()
        self._break(np.flatnonzero(self.moves_at <= self.now))
        self._place()

    def open(self, count: int) -> None:
        """New sessions, each looking for a server now."""
        self.server = np.concatenate([self.server, np.full(count, NOWHERE)])
        lengths = self.rng.exponential(self.traffic.session_s, count) if self.traffic.session_s < math.inf else math.inf
        self.ends_at = np.concatenate([self.ends_at, self.now + np.broadcast_to(lengths, count)])
        self.moves_at = np.concatenate([self.moves_at, np.full(count, np.inf)])
        self.left_at = np.concatenate([self.left_at, np.full(count, self.now)])
        self.try_at = np.concatenate([self.try_at, np.full(count, self.now)])
        self.delay_s = np.concatenate([self.delay_s, np.full(count, Backoff.first_s)])
        self.result.sessions += count

    def add_servers(self, count: int, start_s: float) -> None:
        """Servers that are ready after this time."""
        self.ready_at = np.concatenate([self.ready_at, np.full(count, self.now + start_s)])
        self.drain_at = np.concatenate([self.drain_at, np.full(count, np.inf)])
        self.queue_s = np.concatenate([self.queue_s, np.zeros(count)])
        self.counts = np.concatenate([self.counts, np.zeros(count, np.int64)])

    # Streams

    def _keep(self, kept: npt.NDArray[np.bool_]) -> None:
        """Forget the other streams."""
        gone = self.server[~kept]
        np.subtract.at(self.counts, gone[gone != NOWHERE], 1)
        for name in ("server", "ends_at", "moves_at", "left_at", "try_at", "delay_s"):
            setattr(self, name, getattr(self, name)[kept])

    def _arrive(self) -> None:
        if self.traffic.session_s < math.inf:
            self.open(int(self.rng.poisson(self.traffic.streams * self._curve() / self.traffic.session_s)))

    def _break(self, streams: npt.NDArray[np.int64]) -> None:
        """These lose their server and try again after the first delay."""
        streams = streams[self.server[streams] != NOWHERE]
        np.subtract.at(self.counts, self.server[streams], 1)
        self.server[streams], self.moves_at[streams], self.left_at[streams] = NOWHERE, np.inf, self.now
        self.delay_s[streams] = Backoff.first_s
        self._wait(streams)
        self.result.broken += len(streams)

    def _wait(self, streams: npt.NDArray[np.int64]) -> None:
        delay_s = self.delay_s[streams]
        self.try_at[streams] = self.now + delay_s * self.rng.uniform(1 - Backoff.jitter, 1, len(streams))
        self.delay_s[streams] = np.minimum(2 * delay_s, Backoff.longest_s)

    def _place(self) -> None:
        """Those whose time has come look for a server with room."""
        trying = np.flatnonzero((self.server == NOWHERE) & (self.try_at <= self.now))
        takes = (self.ready_at <= self.now) & (self.now < self.drain_at - self.policy.grace_s)
        room = np.where(takes, self.measured.max_streams - self.counts, 0)
        placed = trying[: max(0, int(room.sum()))]
        for stream in placed:
            self._open_at(stream, self._choose(room))
        refused = trying[len(placed) :]
        self._wait(refused)
        self.result.refused += len(refused)

    def _choose(self, room: npt.NDArray[np.int64]) -> int:
        """The server that the proxy takes; its room shrinks."""
        best = np.argmax(room) if self.policy.balance == "least" else self.rng.choice(np.flatnonzero(room > 0))
        room[best] -= 1
        return int(best)

    def _open_at(self, stream: int, server: int) -> None:
        away_s = self.now - self.left_at[stream]
        if away_s > UNDECIDED_S:
            self.result.lost += 1
            self.result.lost_s += away_s - UNDECIDED_S
        again_s = CONTEXT_S + min(away_s, UNDECIDED_S)
        self.queue_s[server] += (self.measured.cpu_ms_per_open + again_s * self.measured.cpu_ms_per_stream_s) / 1000
        self.server[stream] = server
        self.counts[server] += 1
        if self.policy.max_stream_s:
            self.moves_at[stream] = self.now + self.policy.max_stream_s * self.rng.uniform(1 - STREAM_S_JITTER, 1)

    # Servers

    def _churn(self) -> None:
        ready = np.flatnonzero(self.ready_at <= self.now)
        failed = ready[self.rng.random(len(ready)) < self.churn.failures_per_day / DAY_S]
        if self.churn.zone_fails_at is not None and self.now == 3600 * self.churn.zone_fails_at:
            failed = np.union1d(failed, ready[::3])
        if self.now % DAY_S in {3600 * hour for hour in self.churn.deploys}:
            self._deploy()
        self._end_servers(np.union1d(failed, np.flatnonzero(self.drain_at <= self.now)))

    def _deploy(self) -> None:
        """Replace a quarter of the servers after another, each drained once its replacement is ready."""
        old = np.flatnonzero(self.drain_at == np.inf)
        for batch, servers in enumerate(np.array_split(old, 4)):
            ready_s = (batch + 1) * (self.churn.start_s + self.policy.grace_s)
            self.drain_at[servers] = self.now + ready_s + self.policy.grace_s
            self.add_servers(len(servers), ready_s - self.policy.grace_s)

    def _end_servers(self, servers: npt.NDArray[np.int64]) -> None:
        """These are gone; their streams break."""
        if not len(servers):
            return
        self._break(np.flatnonzero(np.isin(self.server, servers)))
        kept = np.ones(len(self.counts), bool)
        kept[servers] = False
        place = np.append(np.cumsum(kept) - 1, NOWHERE)
        self.server = place[self.server]
        for name in ("ready_at", "drain_at", "queue_s", "counts"):
            setattr(self, name, getattr(self, name)[kept])

    def _wanted(self, streams: float) -> int:
        return max(3, math.ceil(streams / (self.policy.target * self.measured.max_streams)))

    def _scale(self) -> None:
        """The autoscaler: up at once, down slowly, as deploy/kubernetes sets it."""
        if self.now % 15:
            return
        self._wanted_before.append(self._wanted(len(self.server)))
        self._wanted_before = self._wanted_before[-round(self.policy.down_after_s / 15) :]
        staying = np.flatnonzero(self.drain_at == np.inf)
        missing = self._wanted_before[-1] - len(staying)
        if missing > 0:
            self.add_servers(missing, self.churn.start_s)
        spare = len(staying) - max(self._wanted_before)
        if spare > 0 and self.now >= self._down_at:
            count = min(spare, max(1, int(self.policy.down_share * len(staying))))
            self.drain_at[self.rng.choice(staying, count, replace=False)] = self.now + self.policy.grace_s
            self._down_at = self.now + self.policy.down_every_s

    def _work(self) -> None:
        """Servers compute for a second; one that falls behind too far gives up its streams."""
        work_s = self.counts * self.measured.cpu_ms_per_stream_s / 1000
        self.queue_s = np.maximum(0.0, self.queue_s + work_s - 1.0)
        late = np.flatnonzero(self.queue_s > MAX_BACKLOG_S)
        streams = np.flatnonzero(np.isin(self.server, late))
        self.result.overloaded += len(streams)
        self._break(streams)
        self.queue_s[late] = 0.0

    # What came of it

    def _count(self) -> None:
        self.result.stream_hours += len(self.server) / 3600
        self.result.server_hours += len(self.counts) / 3600
        self.result.fullest = max(self.result.fullest, float(self.counts.max()) / self.measured.max_streams)

    def _curve(self) -> float:
        """Share of the peak at this time of day; the peak is at 16:00."""
        low = self.traffic.night
        return low + (1 - low) * (0.5 + 0.5 * math.cos(2 * math.pi * (self.now / DAY_S - 16 / 24)))


def rebalance_s(measured: Measured, session_s: float, max_stream_s: float | None, limit_s: float) -> float | None:
    """Seconds until servers that were added have 90 % of the mean; None where that takes longer than `limit_s`.

    A fifth of the servers is added at once to full ones; nothing else happens.
    """
    servers = 20
    traffic = Traffic(servers * measured.max_streams, session_s, night=1.0)
    policy = Policy(max_stream_s)
    fleet = Fleet(measured, traffic, policy, Churn(failures_per_day=0, deploys=()), servers)
    if max_stream_s:  # as if they had been there for long
        fleet.moves_at = fleet.rng.uniform(0, max_stream_s, len(fleet.moves_at))
    fleet.add_servers(servers // 4, 0.0)
    while fleet.now < limit_s:
        fleet.now += 1.0
        fleet.step_streams()
        if fleet.counts[servers:].mean() >= 0.9 * fleet.counts.mean():
            return fleet.now
    return None
