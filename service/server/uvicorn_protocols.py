"""uvicorn's server and protocols, with an end to all that a client may leave open: a request's head, a stream."""

import asyncio
from collections.abc import Callable
from socket import socket
from time import monotonic
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request
from websockets.protocol import State

from service.server.messages import DRAINING
from service.server.stream import AUDIO, Take
from service.server.websocket_frames import binary_frame

HELD = 16  # messages taken from a client before the app has asked for them
ABORT_S = 10.0  # after a stream, for its client to take what was sent and to close too
MAX_HEAD = 2**16  # bytes of a request before its body; what comes in one piece may be longer


class RequestProtocol(HttpToolsProtocol):
    """uvicorn would wait for ever for the rest of a request's head, and keep all of it."""

    def __init__(self, head_timeout_s: float, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_timeout_s, self._head_bytes = head_timeout_s, 0
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._head_bytes += len(data)
        if self._late and self._head_bytes > MAX_HEAD:
            self.send_400_response("Invalid HTTP request received.")

    def on_headers_complete(self) -> None:
        self._have_head()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._have_head()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        self._have_head()
        self._head_bytes = 0
        self._late = self.loop.call_later(self._head_timeout_s, self.transport.close)

    def _have_head(self) -> None:
        if self._late:
            self._late.cancel()
            self._late = None


class StreamProtocol(WebSocketsSansIOProtocol):
    """uvicorn's, with an end to every stream, and a shorter way for audio.

    It would close a stream at once on shutdown: this tells the app, which says its summary and closes. It would wait
    for ever for a client that takes nothing: this lets it go. It would stop and start reading around every message:
    this does so when HELD of them wait. It would parse every frame with several generators, queue its message and wake
    a task for it: this calls what the app left in the scope's extension AUDIO with plain binary frames, unless that
    returns False, other messages wait, or the parser is not between frames. It would call it a fault of the app to send
    to a client that it has itself closed on, for frames that are none: this says the client is gone.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.audio: dict[str, Take] = {}

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:  # else it was no handshake
            self.scope["extensions"] = {**(self.scope.get("extensions") or {}), AUDIO: self.audio}  # type: ignore[dict-item]

    def data_received(self, data: bytes) -> None:
        start = 0
        if (take := self.audio.get("take")) and self.queue.empty() and self._between_frames():
            while (frame := binary_frame(data, start)) and take(frame[0]):
                start = frame[1]
        if start < len(data):
            super().data_received(data[start:])

    def _between_frames(self) -> bool:
        """Whether the library's parser waits for a new frame of a new message; False where that can't be told."""
        waiting: Any = self.conn.parser
        while inner := waiting.gi_yieldfrom:
            waiting = inner
        fresh = waiting.__name__ == "at_eof" and not self.conn.reader.buffer
        return fresh and self.conn.state is State.OPEN and getattr(self.conn, "current_size", 0) is None

    def send_receive_event_to_app(self) -> None:
        paused, self.read_paused = self.read_paused, True
        super().send_receive_event_to_app()
        self.read_paused = paused
        if not paused and self.queue.qsize() >= HELD:
            self.read_paused = True
            self.transport.pause_reading()

    async def send(self, message: Any) -> None:
        await self.writable.wait()
        if self.handshake_complete and self.close_sent:
            raise ClientDisconnected
        await super().send(message)

    def shutdown(self) -> None:
        if self.handshake_complete and not self.close_sent:
            self.queue.put_nowait({"type": "websocket.disconnect", "code": DRAINING})
        else:
            super().shutdown()

    def on_task_complete(self, task: "asyncio.Task[None]") -> None:
        super().on_task_complete(task)
        self.loop.call_later(ABORT_S, self.transport.abort)  # does nothing to one that is closed


class DrainingServer(uvicorn.Server):
    """uvicorn would stop listening at once on shutdown: this listens while streams end, so that /readyz says 503."""

    def __init__(self, config: uvicorn.Config, drain: Callable[[], None]) -> None:
        super().__init__(config)
        self._drain = drain

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        self._drain()
        end = monotonic() + (self.config.timeout_graceful_shutdown or 0)
        for stream in self._streams():
            stream.shutdown()
        while self._streams() and not self.force_exit and monotonic() < end:
            await asyncio.sleep(0.02)
        self.config.timeout_graceful_shutdown = max(0, round(end - monotonic()))
        await super().shutdown(sockets)

    def _streams(self) -> list[StreamProtocol]:
        return [one for one in self.server_state.connections if isinstance(one, StreamProtocol)]
