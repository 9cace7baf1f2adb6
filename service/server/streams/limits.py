"""Limits of one stream: silence on the line, how long it is open, audio that waits for its scores."""

import asyncio
import math
import random
from collections.abc import Coroutine
from time import perf_counter
from typing import Any, NoReturn, TypeVar

from service.spotting.config import ProtocolError
from service.spotting.engine import EngineSlot

STREAM_S_JITTER = 0.25  # share of the longest time by which streams are shorter, so that they do not end together

T = TypeVar("T")


class StreamTimeOverError(Exception):
    """A stream was open for as long as it may be."""


def draw_stream_s(max_stream_s: float | None) -> float:
    """How long one stream may be open, in seconds of the connection: by chance up to STREAM_S_JITTER less."""
    if max_stream_s is None:
        return math.inf
    return max_stream_s * random.uniform(1 - STREAM_S_JITTER, 1)  # noqa: S311 (spreads load, guards nothing)


class ActivityLimits:
    """How long a stream may be without a message from its client, and how long it may be open."""

    def __init__(self, idle_timeout_s: float, stream_s: float = math.inf) -> None:
        self._idle_timeout_s, self._stream_s = idle_timeout_s, stream_s
        self._opened_at = self.received_at = perf_counter()  # received_at: when the latest message came

    def mark_received(self) -> None:
        """A message came."""
        self.received_at = perf_counter()

    async def watch(self) -> NoReturn:
        """Raises ProtocolError after too long a silence, StreamTimeOverError at the end of the stream's time."""
        while True:
            now = perf_counter()
            idle_left_s = self.received_at + self._idle_timeout_s - now
            left_s = self._opened_at + self._stream_s - now
            if left_s <= 0:
                raise StreamTimeOverError
            if idle_left_s <= 0:
                expected = f"expected a message within {self._idle_timeout_s:g} s, got none"
                raise ProtocolError("idle_timeout", expected)
            await asyncio.sleep(min(idle_left_s, left_s))

    async def within(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`. Raises what `watch` raises when a limit is passed before it is there."""
        working, watching = asyncio.ensure_future(work), asyncio.ensure_future(self.watch())
        try:
            await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
            return working.result() if working.done() else watching.result()
        finally:
            working.cancel()
            watching.cancel()
            await asyncio.gather(working, watching, return_exceptions=True)


class BacklogLimit:
    """How much audio of a stream may wait for its scores, and how long any of it may wait."""

    def __init__(self, slot: EngineSlot, max_backlog_s: float, sample_rate: int) -> None:
        self._slot, self._max_s = slot, max_backlog_s
        self._max_samples = max_backlog_s * sample_rate
        self._progress = asyncio.Event()

    def is_full(self) -> bool:
        return self._slot.samples > self._max_samples

    async def wait_for_room(self) -> None:
        """Raises ProtocolError when that takes too long."""
        if self.is_full():
            await self._wait(self._max_samples)

    async def wait_until_empty(self) -> None:
        """Raises ProtocolError when that takes too long."""
        if self._slot.samples:
            await self._wait(0)

    def mark_scored(self, took_s: float) -> ProtocolError | None:
        """Scores came back after `took_s`; returns the error of a stream whose audio waited too long for them."""
        self._progress.set()
        return self._overloaded() if took_s > self._max_s else None

    def _overloaded(self) -> ProtocolError:
        return ProtocolError("overloaded", f"expected to decide on audio within {self._max_s:g} s, it took longer")

    async def _wait(self, samples: float) -> None:
        try:
            async with asyncio.timeout(self._max_s):
                while self._slot.samples > samples:
                    self._progress.clear()
                    self._slot.level = 0.0  # so that scores are handed over, whatever they are
                    await self._progress.wait()
        except TimeoutError:
            raise self._overloaded() from None
