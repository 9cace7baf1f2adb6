"""A WebSocket client that keeps everything it receives."""

import asyncio
import json
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
            while True:
                self.received.append(json.loads(await asyncio.wait_for(self.socket.recv(), 10)))
        return self.socket.close_code, self.received[-1] if self.received else {}

    @property
    def detections(self) -> list[dict[str, Any]]:
        return [message for message in self.received if message["type"] == "detection"]


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
