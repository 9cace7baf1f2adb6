"""Wyoming, the protocol of Home Assistant's voice assistants, for wake words: a client's audio is one of our streams.

A wake word is a keyword of the server's default model. `wyoming_events.py` reads the events of a connection.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from websockets.frames import CloseCode
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event, Eventable
from wyoming.info import Describe
from wyoming.ping import Ping, Pong
from wyoming.server import AsyncEventHandler, AsyncServer
from wyoming.wake import Detect, Detection, NotDetected

from service.server.client import ClientGoneError
from service.server.messages import Control, ErrorEvent, ServerEvent, TimedDetection, TimedSummary
from service.server.state import ServerState
from service.server.stream import serve
from service.server.wyoming_events import AudioTimeline, EventReader, audio_format, describe_wake_words, timestamp_ms
from service.spotting.config import ProtocolError, parse_config
from service.spotting.pcm import WIDTHS
from service.telemetry.logs import log_event

LINGER_S = 1.0  # for a client to read an error before the connection ends

log = logging.getLogger("uvicorn.error")


@asynccontextmanager
async def serving(uri: str, state: ServerState) -> AsyncIterator[None]:
    """Listen on `uri`, tcp://HOST:PORT, for as long as the block lasts."""
    server = AsyncServer.from_uri(uri)
    await server.start(partial(WyomingConnection, state))
    log.info("Wyoming running on %s", uri)
    try:
        yield
    finally:
        await server.stop()


class WyomingConnection(AsyncEventHandler):
    """One connection and its streams, one after another: `audio-start` begins the next.

    `audio-stop` ends a stream, and so do a while without audio and an error; after an error the connection ends too.
    """

    def __init__(self, state: ServerState, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader, writer)
        self._state = state
        self._events = EventReader(reader, state.settings.max_message_bytes)
        self._ended = asyncio.Event()
        self.keywords: list[str] | None = None  # to detect; None: all
        self.next_event: Event | None = None  # already read, but for the next stream
        peer = writer.get_extra_info("peername")
        self.host = str(peer[0]) if isinstance(peer, tuple) else None
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    async def run(self) -> None:
        try:
            with suppress(ClientGoneError):
                await self._serve_streams()
                await self._drain_input()
        finally:
            self.writer.close()
            self._ended.set()

    async def stop(self) -> None:
        await super().stop()
        await self._ended.wait()

    async def read(self) -> Event:
        """The next event. Raises ClientGoneError, and ProtocolError for what is no event."""
        event, self.next_event = self.next_event, None
        return event or await self._events.read()

    async def write(self, event: Eventable) -> None:
        """Raises ClientGoneError."""
        try:
            await self.write_event(event.event())
        except OSError as error:
            raise ClientGoneError from error

    async def handle_event(self, event: Event) -> bool:
        """Events that are not audio, within a stream or without."""
        if Describe.is_type(event.type):
            await self.write(describe_wake_words(self._state.models.get(None).model.metadata))
        elif Ping.is_type(event.type):
            await self.write(Pong(Ping.from_event(event).text))
        elif Detect.is_type(event.type):
            self.keywords = self._known(Detect.from_event(event).names)
        return True

    async def _serve_streams(self) -> None:
        try:
            stream = await self._next_stream()
            while True:
                with self._state.stream():
                    await serve(stream, self._state)
                if not stream.ended_well:
                    return
                stream = await self._next_stream(after=stream)
        except ProtocolError as error:
            self._state.metrics.errors.labels(error.code).inc()
            await self.write(Error(str(error), error.code))

    async def _next_stream(self, after: "WyomingStream | None" = None) -> "WyomingStream":
        """Answer events until there is audio. Raises ClientGoneError and ProtocolError."""
        while not is_audio(event := await self.read()):
            await self.handle_event(event)
            if AudioStop.is_type(event.type) and not (after and after.detected):
                await self.write(NotDetected())
        if reason := self._state.refusal():
            raise ProtocolError(reason, f"expected room for another stream, got none: {reason}")
        self.next_event = event if AudioChunk.is_type(event.type) else None
        return WyomingStream(self, event)

    def _known(self, names: list[str] | None) -> list[str] | None:
        """The names that the model has; when it has none of them, that is an error of the stream."""
        if not isinstance(names, list):
            return names
        keywords = self._state.models.get(None).model.metadata.keywords
        known = [name for name in names if name in keywords]
        if known and len(known) < len(names):
            unknown = [name for name in names if name not in keywords]
            log_event("unknown wake words", logging.WARNING, client=self.host, unknown=unknown, known=keywords)
        return known or names or None

    async def _drain_input(self) -> None:
        """Read on for LINGER_S at most: to close with audio unread would reset the connection and lose the error."""
        if self.writer.is_closing():
            return
        with suppress(OSError, TimeoutError):
            self.writer.write_eof()
            async with asyncio.timeout(LINGER_S):
                while await self.reader.read(1 << 16):
                    pass


class WyomingStream:
    """A StreamClient: the audio of a connection from an `audio-start`, or a first `audio-chunk`, to its end."""

    tap = None

    def __init__(self, connection: WyomingConnection, first: Event) -> None:
        self._connection, self.host = connection, connection.host
        self._format = audio_format(first)
        self.settings: Mapping[str, Any] = {**self._format, "keywords": connection.keywords}
        config, _ = parse_config(self.settings)
        self._bytes_per_s = WIDTHS[config.encoding] * config.channels * config.sample_rate
        self._timeline = AudioTimeline(timestamp_ms(first))
        self._received_bytes = 0
        self.detected = False
        self.ended_well = False  # the connection goes on

    async def receive(self) -> bytes | Control:
        while not is_audio(event := await self._connection.read()):
            if AudioStop.is_type(event.type):
                return Control("close", {})
            await self._connection.handle_event(event)
            if Detect.is_type(event.type):
                return Control("update", {"keywords": self._connection.keywords})
        if AudioStart.is_type(event.type) or audio_format(event) != self._format:
            self._connection.next_event = event
            self.ended_well = True
            raise ClientGoneError
        data = event.payload or b""
        self._timeline.mark(self._received_bytes / self._bytes_per_s, timestamp_ms(event))
        self._received_bytes += len(data)
        return data

    async def send(self, event: ServerEvent) -> None:
        if isinstance(event, TimedDetection):
            self.detected = True
            await self._connection.write(Detection(event.label, self._timeline.timestamp_ms(event.audio_time_s)))
        elif isinstance(event, TimedSummary) and not self.detected:
            await self._connection.write(NotDetected())
        elif isinstance(event, ErrorEvent) and event.code != "idle_timeout":
            await self._connection.write(Error(event.message, event.code))

    async def close(self, code: CloseCode, reason: str) -> None:
        self.ended_well = code == CloseCode.NORMAL_CLOSURE or reason == "idle_timeout"


def is_audio(event: Event) -> bool:
    return bool(AudioStart.is_type(event.type) or AudioChunk.is_type(event.type))
