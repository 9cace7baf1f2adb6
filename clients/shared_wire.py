"""A stream's way to the server over a socket that many streams share: blocks of audio up, its own events down."""

import asyncio
import json
import struct
from contextlib import suppress

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, ConnectionClosedOK
from websockets.frames import Close, CloseCode

from clients.wire import Event

BLOCK_HEADER = struct.Struct("<II")  # id of the stream, bytes of audio


class SharedSender:
    """Sends in the order of the calls; blocks that come in one turn of the event loop go out in one message."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._lock = asyncio.Lock()
        self._blocks: list[bytes] = []  # blocks of the next message
        self._max_message_bytes = 0
        self._flushing: asyncio.Task[None] | None = None

    async def send_block(self, stream: int, audio: bytes, max_message_bytes: int) -> None:
        """Send one block. Raises ConnectionClosed."""
        self._blocks.append(BLOCK_HEADER.pack(stream, len(audio)) + audio)
        self._max_message_bytes = max_message_bytes
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())
        await asyncio.shield(self._flushing)  # a caller that is cancelled takes no other with it

    async def send_text(self, message: Event) -> None:
        """Send a text message behind the blocks before it. Raises ConnectionClosed."""
        async with self._lock:
            await self._send_blocks()
            await self._socket.send(json.dumps(message))

    async def _flush(self) -> None:
        self._flushing = None
        async with self._lock:
            await self._send_blocks()

    async def _send_blocks(self) -> None:
        """Send the blocks that wait in as few messages as the limit allows."""
        blocks, self._blocks = self._blocks, []
        message, size = list[bytes](), 0
        for block in blocks:
            if size + len(block) > self._max_message_bytes:
                await self._socket.send(b"".join(message))
                message, size = [], 0
            message.append(block)
            size += len(block)
        if message:
            await self._socket.send(b"".join(message))


class SharedWire:
    """A Wire: one stream of a shared socket."""

    def __init__(self, sender: SharedSender, stream: int) -> None:
        self._sender, self._stream = sender, stream
        self._events: asyncio.Queue[Event | ConnectionClosed] = asyncio.Queue()
        self._error: Event | None = None  # a fatal one, until the stream has ended
        self._closed: ConnectionClosed | None = None

    def put(self, event: Event) -> None:
        """An event of the stream from the socket."""
        if event["type"] == "ended":
            close = Close(event["code"], event["reason"])
            is_normal = close.code == CloseCode.NORMAL_CLOSURE
            self.end((ConnectionClosedOK if is_normal else ConnectionClosedError)(close, None), event["retry_after_s"])
        elif event["type"] == "error" and event["fatal"]:
            self._error = event
        else:
            self._events.put_nowait(event)

    def end(self, closed: ConnectionClosed, retry_after_s: float | None = None) -> None:
        """The stream has ended, or the socket is closed."""
        if self._error:
            self._events.put_nowait({**self._error, "retry_after_s": retry_after_s})
        self._closed = closed
        self._events.put_nowait(closed)

    async def send_audio(self, data: bytes, max_message_bytes: int) -> None:
        """Send audio of any length in messages of at most `max_message_bytes`."""
        step = max_message_bytes - BLOCK_HEADER.size
        for start in range(0, len(data), step):
            self._check_open()
            await self._sender.send_block(self._stream, data[start : start + step], max_message_bytes)

    async def send_request(self, kind: str, **fields: object) -> None:
        """Send a text message of this type."""
        self._check_open()
        await self._sender.send_text({"type": kind, "stream": self._stream, **fields})

    async def receive(self) -> Event:
        """The next event of the server."""
        event = await self._events.get()
        if isinstance(event, ConnectionClosed):
            self._events.put_nowait(event)  # for the next call
            raise event
        return event

    async def leave(self) -> None:
        """End the stream now."""
        with suppress(ConnectionClosed):
            await self.send_request("reset")  # nothing more is to be decided
            await self.send_request("close")

    def _check_open(self) -> None:
        if self._closed:
            raise self._closed
