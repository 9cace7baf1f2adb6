"""How the messages of one stream travel to the server and back: over a WebSocket of its own here.

The other way is clients/shared_wire.py. Both raise ConnectionClosed once the stream or its socket is over.
"""

import json
from typing import Any, Protocol

from websockets.asyncio.client import ClientConnection

Event = dict[str, Any]  # a message of the server as it is on the wire


class Wire(Protocol):
    """One stream's way to the server."""

    async def send_audio(self, data: bytes, max_message_bytes: int) -> None:
        """Send audio of any length in messages of at most `max_message_bytes`."""

    async def send_request(self, kind: str, **fields: object) -> None:
        """Send a text message of this type."""

    async def receive(self) -> Event:
        """The next event of the server."""

    async def leave(self) -> None:
        """End the stream now; events that the server has not sent yet are lost."""


class SocketWire:
    """A Wire: a WebSocket for one stream."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    async def send_audio(self, data: bytes, max_message_bytes: int) -> None:
        """Send audio of any length in messages of at most `max_message_bytes`."""
        for start in range(0, len(data), max_message_bytes):
            await self._socket.send(data[start : start + max_message_bytes])

    async def send_request(self, kind: str, **fields: object) -> None:
        """Send a text message of this type."""
        await self._socket.send(json.dumps({"type": kind, **fields}))

    async def receive(self) -> Event:
        """The next event of the server."""
        event: Event = json.loads(await self._socket.recv())
        return event

    async def leave(self) -> None:
        """End the stream now."""
        await self._socket.close()
