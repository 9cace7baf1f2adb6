"""A live source through a server: its audio up, its detections down, and another stream where one breaks off.

Knows nothing of devices or terminals. Times in events are audio time since the source began, whatever was dropped or
reconnected in between.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Protocol, Self

import numpy as np

from clients.chunks import ChunkBuffer
from clients.connection import Event, ServerError, StreamError
from clients.decisions import DECISIONS, is_final
from clients.microphone import Block
from clients.reconnecting import ReconnectingConnection, connect
from clients.retry import Backoff

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
        self._backoff = backoff
        self._stopping = asyncio.Event()
        self._clock = 0.0  # audio time minus `time.monotonic`, at the latest block
        self._received = self._dropped = 0  # samples of the source so far, and how many of them were dropped
        self._detections = self._reconnects = 0
        self._lost_s = 0.0
        self._latency: Event = {}

    def stop(self) -> None:
        """Let the server decide on the rest, and end."""
        self._stopping.set()
        self._source.stop()

    async def run(self) -> None:
        """Run until stopped. Raises StreamError where another try is useless, and what the source raises."""
        async with connect(self._url, live=True, backoff=self._backoff, **self._settings) as stream:
            try:
                async with asyncio.TaskGroup() as tasks:
                    sending = tasks.create_task(self._send(stream))
                    async for event in stream:
                        self._receive(event)
                    sending.cancel()
            except ExceptionGroup as group:
                error = group.exceptions[0]
                if not (self._stopping.is_set() and isinstance(error, StreamError)):
                    raise error from None
                self._lost_s += stream.undecided_s
                self._on_event({"type": "error", "code": error.code, "message": error.message, "fatal": False})
        self._on_event(self._summary())

    async def _send(self, stream: ReconnectingConnection) -> None:
        chunks = ChunkBuffer(self._source.sample_rate)
        async for block in self._source:
            if lost := self._advance(block):  # silence in its place, so that the server's time is the source's
                await stream.send(np.concatenate([chunks.flush(), np.zeros(lost, np.int16)]))
            chunk_ms = stream.ready.get("chunk_ms", 0.0)  # a server may not recommend any
            if len(chunk := chunks.push(block.samples, chunk_ms)):
                await stream.send(chunk)
        await stream.send(chunks.flush())
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
        """Pass an event on."""
        if event["type"] == "summary":
            self._latency = event["latency"]
            return
        if event["type"] in DECISIONS:
            self._detections += is_final(event)
            lag_s = time.monotonic() + self._clock - event["audio_time_s"]
            event = {**event, "lag_ms": round(1000 * lag_s, 1)}
        if event["type"] == "reconnected":
            self._reconnects += 1
            self._lost_s += event["lost_s"]
        self._on_event(event)

    def _summary(self) -> Event:
        return {
            "type": "summary",
            "audio_s": self._seconds(self._received),
            "dropped_s": self._seconds(self._dropped),
            "detections": self._detections,
            "reconnects": self._reconnects,
            "lost_s": round(self._lost_s, 3),
            "latency": self._latency,
        }

    def _seconds(self, samples: int) -> float:
        return round(samples / self._source.sample_rate, DIGITS)
