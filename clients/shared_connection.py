"""Many streams to the server over one socket, for gateways: `/v1/streams` of docs/protocol.md. Owns the socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from clients.connection import OpeningConnection
from clients.errors import ConnectionLostError
from clients.handshake import open_socket
from clients.shared_wire import SharedSender, SharedWire
from clients.wire import Event, Wire

IDS = 2**32  # number of ids that streams may have


class SharedConnection:
    """An open socket, from `connect_shared`; `open` gives streams, which are those of clients/connection.py.

    What streams send in one turn of the event loop goes out in one message. The events of a stream wait for it in any
    number, so that no stream holds up another: iterate over each.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._sender = socket, SharedSender(socket)
        self._wires: dict[int, SharedWire] = {}
        self._next_id = 0
        self._closed: ConnectionClosed | None = None
        self._reading = asyncio.create_task(self._read())

    def open(self, **config: object) -> OpeningConnection:
        """Open a stream and wait until the server is ready for its audio.

        Args:
            **config: settings of the stream, as docs/protocol.md lists them: `sample_rate` in Hz, `speed`, ...

        Returns:
            An object to await or to enter; either gives a Connection. Leaving it leaves the socket open.

        Raises:
            ServerError: the server refuses the stream; the others go on.
            ConnectionLostError: the socket is closed.
        """
        return OpeningConnection(self._open_wire, config)

    async def keepalive(self) -> None:
        """Keep a socket without streams open. Raises ConnectionLostError."""
        try:
            await self._sender.send_text({"type": "keepalive"})
        except ConnectionClosed as closed:
            raise ConnectionLostError(closed) from closed

    async def close(self) -> None:
        """Close the socket; events of its streams that the server has not sent yet are lost."""
        await self._socket.close()
        await self._reading

    async def _open_wire(self) -> Wire:
        if self._closed:
            raise ConnectionLostError(self._closed) from self._closed
        while self._next_id in self._wires:
            self._next_id = (self._next_id + 1) % IDS
        wire = self._wires[self._next_id] = SharedWire(self._sender, self._next_id)
        self._next_id = (self._next_id + 1) % IDS
        return wire

    async def _read(self) -> None:
        """Hand every event to its stream until the socket closes."""
        try:
            while True:
                event: Event = json.loads(await self._socket.recv())
                stream = event.get("stream", -1)  # an error may have none
                if wire := self._wires.get(stream):  # else its stream has ended
                    wire.put(event)
                if event["type"] == "ended":
                    self._wires.pop(stream, None)
        except ConnectionClosed as closed:
            self._closed = closed
            for wire in self._wires.values():
                wire.end(closed)


@asynccontextmanager
async def connect_shared(url: str) -> AsyncIterator[SharedConnection]:
    """Open a socket for many streams, and close it at the end of the `async with` block.

    API key and proxies are taken from the environment, as for `clients.connection.connect`.

    Args:
        url: ws:// or wss:// address of the server's streams, `/v1/streams`.

    Returns:
        A context manager that gives a SharedConnection.

    Raises:
        ServerUnreachableError: no server answers there.
        ServerError: the server refuses the socket.
    """
    shared = SharedConnection(await open_socket(url))
    try:
        yield shared
    finally:
        await shared.close()
