"""Wyoming, the protocol of Home Assistant's voice assistants, for wake words: a client's audio is one of our streams.

A wake word is a keyword of the server's default model.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from websockets.frames import CloseCode
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event
from wyoming.server import AsyncEventHandler, AsyncServer
from wyoming.wake import Detect, Detection, NotDetected

from service.server.state import ServerState
from service.server.streams.client import ClientGoneError
from service.server.streams.messages import Control, ErrorEvent, ServerEvent, TimedDetection, TimedSummary
from service.server.streams.stream import serve
from service.server.wyoming.connection import WyomingConnection
from service.server.wyoming.events import AudioTimeline, audio_format, is_audio, timestamp_ms
from service.spotting.config import ProtocolError, parse_config
from service.spotting.pcm import WIDTHS

log = logging.getLogger("uvicorn.error")


@asynccontextmanager
async def serving(uri: str, state: ServerState) -> AsyncIterator[None]:
    """Listen on `uri`, tcp://HOST:PORT, for as long as the block lasts."""
    server = AsyncServer.from_uri(uri)
    await server.start(partial(WyomingHandler, state))
    log.info("Wyoming running on %s", uri)
    try:
        yield
    finally:
        await server.stop()


class WyomingHandler(AsyncEventHandler):
    """The streams of one connection, one after another: `audio-start` begins the next.

    `audio-stop` ends a stream, and so do a while without audio and an error; after an error the connection ends too.
    """

    def __init__(self, state: ServerState, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader, writer)
        self._state, self._connection = state, WyomingConnection(state, reader, writer)
        self._ended = asyncio.Event()

    async def run(self) -> None:
        try:
            with suppress(ClientGoneError):
                await self._serve_streams()
                await self._connection.drain_input()
        finally:
            self.writer.close()
            self._ended.set()

    async def stop(self) -> None:
        await super().stop()
        await self._ended.wait()

    async def handle_event(self, event: Event) -> bool:
        """Act on an event between streams."""
        await self._connection.handle(event)
        return True

    async def _serve_streams(self) -> None:
        stream: WyomingStream | None = None
        try:
            while stream is None or stream.ended_well:
                stream = await self._next_stream(after=stream)
                with self._state.stream():
                    await serve(stream, self._state)
        except ProtocolError as error:
            self._state.metrics.errors.labels(error.code).inc()
            await self._connection.write(Error(str(error), error.code))

    async def _next_stream(self, after: "WyomingStream | None") -> "WyomingStream":
        """Answer events until there is audio. Raises ClientGoneError and ProtocolError."""
        while not is_audio(event := await self._connection.read()):
            await self.handle_event(event)
            if AudioStop.is_type(event.type) and not (after and after.detected):
                await self._connection.write(NotDetected())
        if reason := self._state.refusal():
            raise ProtocolError(reason, f"expected room for another stream, got none: {reason}")
        self._connection.next_event = event if AudioChunk.is_type(event.type) else None
        return WyomingStream(self._connection, event)


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
            await self._connection.handle(event)
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
