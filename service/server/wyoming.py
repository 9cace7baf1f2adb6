"""Wyoming, the protocol of Home Assistant's voice assistants, for wake words: a client's audio is one of our streams.

Owns the TCP connections, and translates their events to the messages of /v1/stream and back; what is heard, how, and
within which limits is stream.py's. A wake word is a keyword of the server's default model.
"""

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, cast

from starlette.datastructures import Address
from starlette.websockets import WebSocketDisconnect
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event, Eventable, async_read_event
from wyoming.info import Attribution, Describe, Info, WakeModel, WakeProgram
from wyoming.ping import Ping, Pong
from wyoming.server import AsyncEventHandler, AsyncServer
from wyoming.wake import Detect, Detection, NotDetected

from service.server import messages
from service.server.state import ServerState
from service.server.stream import Connection
from service.spotting.config import ProtocolError
from service.spotting.events import Message
from service.spotting.model import Metadata
from service.spotting.pcm import WIDTHS

PAPER = Attribution("Rank coding (Jeffares et al., ICLR 2022)", "https://arxiv.org/abs/2110.02865")
LINGER_S = 1.0  # for a client that is told of an error to read it
GONE = {"type": "websocket.disconnect", "code": 1006}

log = logging.getLogger("uvicorn.error")


@asynccontextmanager
async def serving(uri: str, state: ServerState) -> AsyncIterator[None]:
    """Listen on `uri`, tcp://HOST:PORT, for as long as the block lasts."""
    server = AsyncServer.from_uri(uri)
    await server.start(partial(Client, state))
    log.info("Wyoming running on %s", uri)
    try:
        yield
    finally:
        await server.stop()


class Client(AsyncEventHandler):
    """One client, and the socket of the streams that it makes, one after another: `audio-start` begins the next.

    `audio-stop` ends a stream, and so do a while without audio and an error; after an error the connection ends too.
    """

    query_params: Mapping[str, Any]  # the settings of the stream

    def __init__(self, state: ServerState, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader, writer)
        self._state = state
        self._bounded = cast(asyncio.StreamReader, _Bounded(reader, state.settings.max_message_bytes))
        self._names: list[str] | None = None  # keywords to detect; None: all
        self._ahead: Event | None = None  # read, but for the next stream
        self._origin: int | None = None  # ms: the client's timestamp where the stream begins
        self._detected = False  # something, in this stream
        self._goes_on = True  # with another stream
        self._ended = asyncio.Event()
        peer = writer.get_extra_info("peername")
        self.client = Address(*peer[:2]) if isinstance(peer, tuple) else None
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    async def run(self) -> None:
        try:
            with suppress(WebSocketDisconnect):
                await self._streams()
                await self._hear_out()
        finally:
            self.writer.close()
            self._ended.set()

    async def _streams(self) -> None:
        try:
            while self._goes_on and await self._begin():
                with self._state.stream():
                    await Connection(self, self._state).run()
        except ProtocolError as error:
            self._state.metrics.errors.labels(error.code).inc()
            await self._tell(Error(str(error), error.code))

    async def stop(self) -> None:
        await super().stop()
        await self._ended.wait()

    async def handle_event(self, event: Event) -> bool:
        """Events that are no audio, within a stream or without."""
        if Describe.is_type(event.type):
            await self._tell(_info(self._state.models.get(None).model.metadata))
        elif Ping.is_type(event.type):
            await self._tell(Pong(Ping.from_event(event).text))
        elif Detect.is_type(event.type):
            self._names = Detect.from_event(event).names or None
        elif AudioStop.is_type(event.type) and not self._detected:
            await self._tell(NotDetected())
        return True

    async def _begin(self) -> bool:
        """Answer until audio comes, with the settings of its stream; False when the client has gone."""
        while (event := await self._read()) is not None:
            if AudioStart.is_type(event.type) or AudioChunk.is_type(event.type):
                if reason := self._state.refusal():
                    raise ProtocolError(reason, f"expected room for another stream, got none: {reason}")
                self._ahead = event if AudioChunk.is_type(event.type) else None
                self.query_params = {**_format(event), "keywords": self._names}
                self._origin, self._detected = _timestamp(event), False
                return True
            await self.handle_event(event)
        return False

    # The socket of a stream: events as the messages of a WebSocket client

    async def accept(self, subprotocol: str | None = None) -> None: ...

    async def receive(self) -> Message:
        while (event := await self._read()) is not None:
            if AudioStop.is_type(event.type):
                return {"type": "websocket.receive", "text": '{"type":"close"}'}
            if AudioStart.is_type(event.type) or (AudioChunk.is_type(event.type) and not self._fits(event)):
                self._ahead = event
                return GONE
            if AudioChunk.is_type(event.type):
                if self._origin is None:
                    self._origin = _timestamp(event)
                return {"type": "websocket.receive", "bytes": event.payload or b""}
            await self.handle_event(event)
            if Detect.is_type(event.type):
                return {"type": "websocket.receive", "text": json.dumps({"type": "update", "keywords": self._names})}
        return GONE

    async def send_text(self, data: str) -> None:
        message = json.loads(data)
        if message["type"] == "detection":
            self._detected = True
            at = round((self._origin or 0) + 1000 * message["audio_time_s"])
            await self._tell(Detection(message["label"], at))
        elif message["type"] == "summary" and not self._detected:
            await self._tell(NotDetected())
        elif message["type"] == "error" and message["code"] != "idle_timeout":
            await self._tell(Error(message["message"], message["code"]))

    async def close(self, code: int = messages.NORMAL, reason: str | None = None) -> None:
        self._goes_on = code == messages.NORMAL or reason == "idle_timeout"

    def _fits(self, event: Event) -> bool:
        return _format(event).items() <= self.query_params.items()

    async def _read(self) -> Event | None:
        """The next event; None when the client has gone. Raises ProtocolError."""
        if (event := self._ahead) is not None:
            self._ahead = None
            return event
        try:
            event = await async_read_event(self._bounded)
        except (OSError, asyncio.IncompleteReadError):
            return None
        except OverflowError as error:  # no ValueError, which wyoming takes for the end of the connection
            raise ProtocolError("too_big", str(error), messages.TOO_BIG) from error
        except (AttributeError, KeyError, TypeError, RecursionError) as error:
            raise ProtocolError("bad_message", f"expected an event of Wyoming, got: {error!r}") from error
        if event is not None and not isinstance(event.data, dict):
            raise ProtocolError("bad_message", f"data: expected an object, got {event.data!r}")
        return event

    async def _hear_out(self) -> None:
        """Read on for LINGER_S at most: closing with audio unread would reset the connection, and lose the error."""
        if self.writer.is_closing():
            return
        with suppress(OSError, TimeoutError):
            self.writer.write_eof()
            async with asyncio.timeout(LINGER_S):
                while await self.reader.read(1 << 16):
                    pass

    async def _tell(self, event: Eventable) -> None:
        try:
            await self.write_event(event.event())
        except OSError as error:
            raise WebSocketDisconnect(1006) from error


class _Bounded:
    """A reader for `async_read_event` that takes no event of any length."""

    def __init__(self, reader: asyncio.StreamReader, limit: int) -> None:
        self.readline, self._reader, self._limit = reader.readline, reader, limit

    async def readexactly(self, size: int) -> bytes:
        if size > self._limit:
            raise OverflowError(f"event: expected at most {self._limit} bytes, got {size}")
        return await self._reader.readexactly(size)


def _format(event: Event) -> Message:
    """The settings that tell a stream what audio this is. Raises ProtocolError."""
    if (width := event.data.get("width")) != WIDTHS["pcm_s16le"]:
        raise ProtocolError("bad_value", f"width: expected 2 bytes a sample, got {width!r}")
    return {"sample_rate": event.data.get("rate"), "channels": event.data.get("channels")}


def _timestamp(event: Event) -> int | None:
    value = event.data.get("timestamp")
    return value if isinstance(value, int) else None


def _info(model: Metadata) -> Info:
    """One wake word program, whose models are the keywords."""
    about: Message = {"attribution": PAPER, "installed": True, "version": model.version}
    words = [
        WakeModel(name=word, phrase=word, description=f"{word} ({model.name})", languages=[], **about)
        for word in model.keywords
    ]
    description = "Keyword spotting that answers while the word is still being spoken"
    return Info(wake=[WakeProgram(name="rank-coding-kws", description=description, models=words, **about)])
