"""One connection of Wyoming: its events in and out, and answers to those that are not about a stream."""

import asyncio
import logging
import socket
from contextlib import suppress

from wyoming.event import Event, Eventable, async_write_event
from wyoming.info import Describe
from wyoming.ping import Ping, Pong
from wyoming.wake import Detect

from service.server.state import ServerState
from service.server.streams.client import ClientGoneError
from service.server.wyoming.events import EventReader, describe_wake_words
from service.telemetry.logs import log_event

LINGER_S = 1.0  # time for a client to read an error before the connection ends


class WyomingConnection:
    """What the streams of one connection share."""

    def __init__(self, state: ServerState, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._state, self._reader, self._writer = state, reader, writer
        self._events = EventReader(reader, state.settings.max_message_bytes)
        self.keywords: list[str] | None = None  # to detect; None: all
        self.next_event: Event | None = None  # already read, but for the next stream
        peer = writer.get_extra_info("peername")
        self.host = str(peer[0]) if isinstance(peer, tuple) else None
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    async def read(self) -> Event:
        """The next event. Raises ClientGoneError, and ProtocolError for what is not an event."""
        event, self.next_event = self.next_event, None
        return event or await self._events.read()

    async def write(self, event: Eventable) -> None:
        """Raises ClientGoneError."""
        try:
            await async_write_event(event.event(), self._writer)
        except OSError as error:
            raise ClientGoneError from error

    async def handle(self, event: Event) -> None:
        """Act on an event that is not audio, within a stream or without. Raises ClientGoneError."""
        if Describe.is_type(event.type):
            await self.write(describe_wake_words(self._state.models.get(None).model.metadata))
        elif Ping.is_type(event.type):
            await self.write(Pong(Ping.from_event(event).text))
        elif Detect.is_type(event.type):
            self.keywords = self._known(Detect.from_event(event).names)

    async def drain_input(self) -> None:
        """Read on for LINGER_S at most: to close with audio unread would reset the connection and lose the error."""
        if self._writer.is_closing():
            return
        with suppress(OSError, TimeoutError):
            self._writer.write_eof()
            async with asyncio.timeout(LINGER_S):
                while await self._reader.read(1 << 16):
                    pass

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
