"""A live source through a server: its blocks up, its detections down, and another stream where one breaks off.

Owns the connection and its reconnecting. Knows nothing of devices or terminals. Times that it tells are audio time
since the source began, whatever was dropped or reconnected in between.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol, Self

import numpy as np

from clients.connection import Connection, ConnectionLost, Event, ServerError, ServerUnreachableError, connect
from clients.microphone import Block

FIRST_DELAY_S, LONGEST_DELAY_S = 0.5, 30.0  # before another try; doubled with each
STEADY_S = 10.0  # a stream that lasted so long: the next delay is the first again
CLOSE_S = 5.0  # for the server to decide on the rest
DIGITS = 6  # of a time


class Source(Protocol):
    """Where the audio comes from: clients/microphone.py, or a test."""

    sample_rate: int

    def stop(self) -> None:
        """Give no more than what was heard up to now."""

    def __aiter__(self) -> Self: ...

    async def __anext__(self) -> Block: ...


class Listener:
    """`tell` gets each event, `hear` each block that was taken from the source."""

    def __init__(
        self,
        source: Source,
        url: str,
        settings: Mapping[str, object],
        tell: Callable[[Event], None],
        hear: Callable[[Block], None],
    ) -> None:
        self._source, self._url, self._tell, self._on_block = source, url, tell, hear
        self._settings = {**settings, "sample_rate": source.sample_rate, "encoding": "pcm_s16le"}
        self._stopping = asyncio.Event()
        self._delay_s = FIRST_DELAY_S
        self._clock = 0.0  # audio time minus `time.monotonic`, at the latest block
        self._heard = self._dropped = 0  # samples of the source so far, those that were dropped among them
        self._origin: int | None = None  # of them, those before this stream
        self._detections = self._streams = 0
        self._latency: Event = {}

    def stop(self) -> None:
        """Have the rest decided on and end."""
        self._stopping.set()
        self._source.stop()

    async def run(self) -> None:
        """Until stopped. Raises ServerError where the server would refuse again, NoMicrophone where the source ends."""
        while not self._stopping.is_set():
            try:
                async with connect(self._url, **self._settings) as stream:
                    self._streams += 1
                    self._tell(stream.ready)
                    await self._converse(stream)
            except (ServerError, ServerUnreachableError) as error:
                if _is_final(error):
                    raise
                await self._wait(error)
        self._tell(self._summary())

    async def _wait(self, error: ServerError | ServerUnreachableError) -> None:
        """Tell what happened and wait before another try."""
        again = "" if self._stopping.is_set() else f"; trying again in {self._delay_s:g} s"
        code = error.code if isinstance(error, ServerError) else "unreachable"
        message = error.message if isinstance(error, ServerError) else str(error)
        self._tell({"type": "error", "code": code, "message": message + again, "fatal": False})
        with suppress(TimeoutError):
            async with asyncio.timeout(self._delay_s):
                await self._stopping.wait()
        self._delay_s = min(2 * self._delay_s, LONGEST_DELAY_S)

    async def _converse(self, stream: Connection) -> None:
        """One stream, up to the server's last word; ServerError where that comes before the source's end."""
        self._origin = None
        steady_at = time.monotonic() + STEADY_S
        try:
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(self._send(stream))
                async for event in stream:
                    self._hear(event)
                sending.cancel()
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            if time.monotonic() > steady_at:
                self._delay_s = FIRST_DELAY_S
        if not self._stopping.is_set():
            raise ServerError("closed", "expected the stream to stay open, got a closed connection")

    async def _send(self, stream: Connection) -> None:
        with suppress(ConnectionLost):  # the hearing side tells why
            async for block in self._source:
                lost = self._take(block)
                if self._origin is None:
                    self._origin = block.start
                elif lost:  # silence in its place, so that the server's time is the source's
                    await stream.send(np.zeros(lost, np.int16))
                await stream.send(block.samples)
            self._stopping.set()
            await stream.close()
            await asyncio.sleep(CLOSE_S)
            raise ServerError("closed", f"expected a summary within {CLOSE_S:g} s, got none")

    def _take(self, block: Block) -> int:
        """Move the clocks on to the end of a block; tell and return how many samples were lost before it."""
        lost = block.start - self._heard
        if lost or block.overflow:
            self._dropped += lost
            self._tell({"type": "dropped", "audio_s": self._seconds(lost), "by_device": block.overflow})
        self._heard = block.start + len(block.samples)
        self._clock = self._seconds(self._heard) - block.heard_at
        self._on_block(block)
        return lost

    def _hear(self, event: Event) -> None:
        """Tell an event of the server in the time of the source."""
        if event["type"] == "detection":
            self._detections += 1
            at = self._seconds(self._origin or 0) + event["audio_time_s"]
            lag_s = time.monotonic() + self._clock - at
            event |= {"audio_time_s": round(at, DIGITS), "lag_ms": round(1000 * lag_s, 1)}
        if event["type"] == "summary":
            self._latency = event["latency"]
        elif event["type"] != "ready":
            self._tell(event)

    def _summary(self) -> Event:
        return {
            "type": "summary",
            "audio_s": self._seconds(self._heard),
            "dropped_s": self._seconds(self._dropped),
            "detections": self._detections,
            "reconnects": max(0, self._streams - 1),
            "latency": self._latency,
        }

    def _seconds(self, samples: int) -> float:
        return round(samples / self._source.sample_rate, DIGITS)


def _is_final(error: ServerError | ServerUnreachableError) -> bool:
    """Whether the same request would be refused again: wrong settings, no permission, nothing there."""
    return isinstance(error, ServerError) and (
        error.code in ("bad_value", "unknown_model") or error.code.startswith("http_4")
    )
