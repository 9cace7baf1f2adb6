"""Recordings through a server: each is sent at its pace and flushed at its end, and its events come back.

Owns the connection, which stays for the next recording of the same rate and channels, with a `reset` in between.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from clients.connection import Connection, ConnectionLostError, Event, ServerError, connect
from clients.decisions import DECISIONS
from clients.pace import Pace
from clients.sound_file import Recording

WINDOW_SHARE = 0.5  # share of the server's backlog limit: audio without a score that full pace keeps on the way
REPORTS_PER_WINDOW = 5  # how often, in that much audio, the server is asked to send its scores

OnEvent = Callable[[Event], None]


@dataclass(frozen=True)
class PlayerOptions:
    """How to play: the server's address, the settings of the stream, the pace."""

    url: str
    mode: str = "continuous"
    speed: str = "balanced"
    realtime: bool = True  # as a microphone would; else as fast as the server decides
    chunk_s: float = 0.04  # audio in one message
    early: bool = False  # early detections, each confirmed or retracted


class Player:
    """Plays one recording after another; leave it to close the connection."""

    def __init__(self, options: PlayerOptions) -> None:
        self._options = options
        self._connection: Connection | None = None
        self._format: dict[str, object] = {}  # the audio settings of the connection

    async def play(self, recording: Recording, on_event: OnEvent) -> None:
        """Send it and report its events up to the summary. Raises AudioError and StreamError."""
        connection = await self._connect(recording)
        pace = Pace(0.0 if self._options.realtime else _window_s(connection))
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._send(recording, connection, pace))
                await self._receive(connection, pace, on_event)
        except ExceptionGroup as group:
            await self.close()  # half a recording is in it
            raise group.exceptions[0] from None

    async def close(self) -> None:
        """Close the connection; the next recording opens another."""
        connection, self._connection = self._connection, None
        if connection:
            await connection.leave()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _connect(self, recording: Recording) -> Connection:
        """The open connection after a reset, or a new one where the audio has another format."""
        audio_format = {"sample_rate": recording.sample_rate, "channels": recording.channels, "encoding": "pcm_f32le"}
        if self._connection and self._format == audio_format:
            with suppress(ConnectionLostError):
                await self._connection.reset()
                return self._connection
        await self.close()
        settings: dict[str, object] = {"mode": self._options.mode, "speed": self._options.speed}
        if self._options.early:
            settings["early"] = True
        connection = await connect(self._options.url, **settings, **audio_format)
        self._connection, self._format = connection, audio_format
        return connection

    async def _send(self, recording: Recording, connection: Connection, pace: Pace) -> None:
        """Send piece by piece until the recording ends or the answer is known, then flush."""
        sent_s = 0.0
        with suppress(ConnectionLostError):  # the receiving side says why
            if not self._options.realtime:
                await connection.update(scores_every_ms=_window_s(connection) / REPORTS_PER_WINDOW * 1000)
            for block in recording.blocks(self._options.chunk_s):
                sent_s += len(block) / recording.sample_rate
                if not await pace.wait(sent_s):
                    break
                await connection.send(block)
            await connection.flush()

    async def _receive(self, connection: Connection, pace: Pace, on_event: OnEvent) -> None:
        """Report decisions, errors and the summary, which is the last."""
        async for event in connection:
            kind = event["type"]
            if kind == "scores":
                pace.scored(event["audio_time_s"])
            if kind in DECISIONS and self._options.realtime:
                event["lag_ms"] = round(pace.lag_ms(event["audio_time_s"]), 1)
            if kind == "detection" and self._options.mode == "utterance":
                pace.stop()
            if kind in (*DECISIONS, "error", "summary"):
                on_event(event)
            if kind == "summary":
                return
        raise ServerError("closed", "expected a summary, got a closed connection")


def _window_s(connection: Connection) -> float:
    limit: float = connection.ready["limits"]["max_backlog_s"]
    return WINDOW_SHARE * limit
