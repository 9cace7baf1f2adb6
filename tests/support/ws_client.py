"""WebSocket clients that keep everything they receive."""

import asyncio
import json
import struct
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed


class Client:
    """A WebSocket client that keeps every message it receives."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.received: list[dict[str, Any]] = []

    async def send(self, data: bytes, chunk: int) -> None:
        for start in range(0, len(data), chunk):
            await self.socket.send(data[start : start + chunk])

    async def ask(self, kind: str, **fields: object) -> None:
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def until(self, kind: str) -> dict[str, Any]:
        """Receive messages up to one of this type."""
        while True:
            message: dict[str, Any] = json.loads(await asyncio.wait_for(self.socket.recv(), 10))
            self.received.append(message)
            if message["type"] == kind:
                return message

    async def closed(self) -> tuple[int | None, dict[str, Any]]:
        """Receive to the end: the close code and the last message."""
        with suppress(ConnectionClosed):
            while True:  # the library itself waits up to 10 s for the end of the connection
                self.received.append(json.loads(await asyncio.wait_for(self.socket.recv(), 20)))
        return self.socket.close_code, self.received[-1] if self.received else {}

    @property
    def detections(self) -> list[dict[str, Any]]:
        return [message for message in self.received if message["type"] == "detection"]


class SharedSocketClient(Client):
    """The same for many streams on one socket; `of` has the events of each stream."""

    def __init__(self, socket: ClientConnection) -> None:
        super().__init__(socket)
        self.of: defaultdict[int | None, list[dict[str, Any]]] = defaultdict(list)

    async def send_audio(self, *blocks: tuple[int, bytes]) -> None:
        """One message."""
        await self.socket.send(b"".join(block(stream, audio) for stream, audio in blocks))

    async def stream_until(self, stream: int | None, kind: str) -> dict[str, Any]:
        """Receive up to an event of this type of this stream; None stands for those without a stream."""
        seen = 0
        while True:
            for event in self.of[stream][seen:]:
                seen += 1
                if event["type"] == kind:
                    return event
            message: dict[str, Any] = json.loads(await asyncio.wait_for(self.socket.recv(), 10))
            self.of[message.get("stream")].append(message)

    async def until_closed(self) -> int | None:
        """Receive to the end: the close code."""
        code, _ = await self.closed()
        for message in self.received:
            self.of[message.get("stream")].append(message)
        return code


def block(stream: int, audio: bytes) -> bytes:
    """Audio of a stream as it is in a binary message."""
    return struct.pack("<II", stream, len(audio)) + audio


@asynccontextmanager
async def shared_client(url: str) -> AsyncIterator[SharedSocketClient]:
    async with connect(url, compression=None) as socket:
        yield SharedSocketClient(socket)


@asynccontextmanager
async def client(url: str) -> AsyncIterator[Client]:
    async with connect(url, compression=None) as socket:
        yield Client(socket)


async def stream(url: str, data: bytes, chunk: int = 1280) -> Client:
    """Send it all, flush, close; returns the client with all it received."""
    async with client(url) as connected:
        await connected.send(data, chunk)
        await connected.ask("close")
        code, last = await connected.closed()
    assert (code, last["type"]) == (1000, "summary"), connected.received
    return connected


def facts(event: Any) -> tuple[Any, ...]:
    """What must be the same of an event on the wire, of one in process, and of a file's result."""
    fields = event if isinstance(event, dict) else asdict(event)
    return fields["label"], fields["frame"], fields["crossed"], round(fields["score"], 4)
