"""A live source through a server: its audio up, its detections down, and another stream where one breaks off.

Owns the connection and its reconnecting. Knows nothing of devices or terminals. Times in events are audio time since
the source began, whatever was dropped or reconnected in between.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol, Self

import numpy as np

from clients.connection import Connection, ConnectionLostError, Event, ServerError, StreamError, connect
from clients.decisions import DECISIONS, is_final
from clients.microphone import Block
from clients.retry import Backoff

STEADY_S = 10.0  # a stream that lasted this long resets the back-off
CLOSE_S = 5.0  # how long to wait for the server to decide on the rest
DIGITS = 6  # decimals of a time in seconds


class Source(Protocol):
    """Where the audio comes from: clients/microphone.py, or a test."""

    sample_rate: int

    def stop(self) -> None:
        """Deliver nothing beyond the audio up to now."""

    def __aiter__(self) -> Self: ...

    async def __anext__(self) -> Block: ...


class Listener:
    """Sends a source to a server until stopped: `on_event` gets each event, `on_block` each block of the source."""

    def __init__(
        self,
        source: Source,
        url: str,
        settings: Mapping[str, object],
        on_event: Callable[[Event], None],
        on_block: Callable[[Block], None],
        backoff: Backoff | None = None,
    ) -> None:
        self._source, self._url, self._on_event, self._on_block = source, url, on_event, on_block
        self._settings = {**settings, "sample_rate": source.sample_rate, "encoding": "pcm_s16le"}
        self._backoff = backoff or Backoff()
        self._stopping = asyncio.Event()
        self._clock = 0.0  # audio time minus `time.monotonic`, at the latest block
        self._received = self._dropped = 0  # samples of the source so far, and how many of them were dropped
        self._origin: int | None = None  # samples of the source before this stream
        self._detections = self._streams = 0
        self._latency: Event = {}

    def stop(self) -> None:
        """Let the server decide on the rest, and end."""
        self._stopping.set()
        self._source.stop()

    async def run(self) -> None:
        """Run until stopped. Raises StreamError where another try is useless, and what the source raises."""
        while not self._stopping.is_set():
            try:
                async with connect(self._url, **self._settings) as stream:
                    self._streams += 1
                    self._on_event(stream.ready)
                    await self._run_stream(stream)
            except StreamError as error:
                if self._is_final(error):
                    raise
                await self._wait(error)
        self._on_event(self._summary())

    def _is_final(self, error: StreamError) -> bool:
        """Whether the same request would be refused again. Where a stream was open, 404 is a server that restarts."""
        return not error.retryable and not (error.code == "http_404" and self._streams)

    async def _wait(self, error: StreamError) -> None:
        """Report what happened and wait before another try."""
        message = error.message
        delay_s = self._backoff.next_s(error.retry_after_s)
        if not self._stopping.is_set():
            message += f"; trying again in {round(delay_s, 2):g} s"
        self._on_event({"type": "error", "code": error.code, "message": message, "fatal": False})
        with suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._stopping.wait()

    async def _run_stream(self, stream: Connection) -> None:
        """One stream until the server closes it; ServerError where that comes before the source's end."""
        self._origin = None
        steady_at = time.monotonic() + STEADY_S
        try:
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(self._send(stream))
                async for event in stream:
                    self._receive(event)
                sending.cancel()
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            if time.monotonic() > steady_at:
                self._backoff.reset()
        if not self._stopping.is_set():
            raise ServerError("closed", "expected the stream to stay open, got a closed connection")

    async def _send(self, stream: Connection) -> None:
        with suppress(ConnectionLostError):  # the receiving side says why
            async for block in self._source:
                lost = self._advance(block)
                if self._origin is None:
                    self._origin = block.start
                elif lost:  # silence in its place, so that the server's time is the source's
                    await stream.send(np.zeros(lost, np.int16))
                await stream.send(block.samples)
            self._stopping.set()
            await stream.close()
            await asyncio.sleep(CLOSE_S)
            raise ServerError("closed", f"expected a summary within {CLOSE_S:g} s, got none")

    def _advance(self, block: Block) -> int:
        """Move the clocks on to the end of a block; report and return how many samples were lost before it."""
        lost = block.start - self._received
        if lost or block.overflow:
            self._dropped += lost
            self._on_event({"type": "dropped", "audio_s": self._seconds(lost), "by_device": block.overflow})
        self._received = block.start + len(block.samples)
        self._clock = self._seconds(self._received) - block.received_at
        self._on_block(block)
        return lost

    def _receive(self, event: Event) -> None:
        """Pass an event of the server on, in the time of the source."""
        if event["type"] in DECISIONS:
            self._detections += is_final(event)
            at = self._seconds(self._origin or 0) + event["audio_time_s"]
            lag_s = time.monotonic() + self._clock - at
            event |= {"audio_time_s": round(at, DIGITS), "lag_ms": round(1000 * lag_s, 1)}
        if event["type"] == "summary":
            self._latency = event["latency"]
        elif event["type"] != "ready":
            self._on_event(event)

    def _summary(self) -> Event:
        return {
            "type": "summary",
            "audio_s": self._seconds(self._received),
            "dropped_s": self._seconds(self._dropped),
            "detections": self._detections,
            "reconnects": max(0, self._streams - 1),
            "latency": self._latency,
        }

    def _seconds(self, samples: int) -> float:
        return round(samples / self._source.sample_rate, DIGITS)
