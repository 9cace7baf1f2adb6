"""What this server changes in uvicorn, by subclasses of these three; pyproject.toml bounds its version at both sides.

- `HttpToolsProtocol`: it would wait indefinitely for the rest of a request's head and keep all of it, lose what comes
  in one piece with the head of a WebSocket handshake, and wait for the body of a handshake that has one.
- `WebSocketsSansIOProtocol`: it would neither answer nor close a handshake that its WebSocket library cannot parse, and
  fail on shutdown while there is one; drop the messages that come in one piece with a broken frame; log a traceback
  for text that is not UTF-8; drop the answers to a client that has half-closed its connection; close every stream at
  once on shutdown, where this lets the app finish it; wait indefinitely for a client that takes nothing; pause and
  resume reading around every message; parse every frame of audio by several generators and wake a task for it, where
  this offers its payload to the stream's AudioTap first; and report as a fault of the app that it sends to a client
  which uvicorn itself has closed on.
- `Server` (in draining_server.py): it would stop listening at once on shutdown, where this listens while streams end,
  so that /readyz says 503; one connection that fails to shut down would stop the shutdown of all others; and it would
  end by the signal itself.

`server/workers.py` has uvicorn's supervisor of workers, `telemetry/logs.py` its formatter.
"""

import asyncio
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode
from websockets.http11 import Request

from service.server.streams.client import AudioTap
from service.server.websocket.client_adapter import AUDIO_TAP
from service.server.websocket.frame_scanner import FrameScanner

MAX_QUEUED = 16  # messages taken from a client before the app has asked for them
ABORT_S = 10.0  # after a stream, for its client to take what was sent and to close too
MAX_HEAD = 2**16  # bytes of a request before its body; what comes in one piece may be longer
MAX_EARLY = 2**16  # bytes of a WebSocket client taken before its handshake is answered
VERSION = "13"  # version of the WebSocket protocol


class RequestParser(httptools.HttpRequestParser):
    """Keeps what came in one piece with the head of an upgrade."""

    rest = b""

    def feed_data(self, data: Any) -> None:
        try:
            super().feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self.rest = data[upgrade.args[0] :]
            raise


class RequestProtocol(HttpToolsProtocol):
    """HTTP, and the head of a WebSocket handshake."""

    def __init__(self, head_timeout_s: float, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.parser = self._parser = RequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self._head_timeout_s, self._head_bytes = head_timeout_s, 0
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._start_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._head_bytes += len(data)
        if self._head_timer and self._head_bytes > MAX_HEAD:
            self.send_400_response("Invalid HTTP request received.")

    def on_headers_complete(self) -> None:
        cycle = self.cycle
        super().on_headers_complete()
        if self.cycle is not cycle:
            self._end_head()
        elif any(_announces_body(*header) for header in self.headers):
            self.send_400_response("expected a WebSocket handshake without a body")
        elif self.scope["http_version"] != "1.1":
            self.send_400_response("expected a WebSocket handshake over HTTP/1.1")

    def handle_websocket_upgrade(self) -> None:
        self._end_head()
        if self.transport.is_closing():
            return
        if self.cycle and not self.cycle.response_complete:
            self.send_400_response("expected a WebSocket handshake after the answer to the request before it")
            return
        rest = self._parser.rest
        super().handle_websocket_upgrade()
        if rest and not self.transport.is_closing():
            protocol = self.transport.get_protocol()
            protocol.data_received(rest)  # type: ignore[attr-defined]

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        try:
            super().shutdown()
        except Exception:
            _abandon(self)

    def _start_head(self) -> None:
        self._end_head()
        self._head_bytes = 0
        self._head_timer = self.loop.call_later(self._head_timeout_s, self.transport.close)

    def _end_head(self) -> None:
        if self._head_timer:
            self._head_timer.cancel()
            self._head_timer = None


class StreamProtocol(WebSocketsSansIOProtocol):
    """A WebSocket connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tap = AudioTap()
        self._scanner = FrameScanner()
        self._early = bytearray()  # came before the handshake was answered
        self._input_ended = False

    # The handshake

    def data_received(self, data: bytes) -> None:
        if self.handshake_complete:
            self._receive(data)
        elif self.handshake_initiated:
            self._early += data
            if len(self._early) > MAX_EARLY:
                self.transport.pause_reading()
        else:
            super().data_received(data)
            if not self.handshake_initiated:  # the library could not parse it, and says nothing
                self._refuse("expected a WebSocket handshake with short lines and without a body")

    def handle_connect(self, event: Request) -> None:
        if event.headers.get_all("Sec-WebSocket-Version") != [VERSION]:
            self.handshake_initiated = True
            return self._refuse(f"Sec-WebSocket-Version: expected {VERSION}")
        super().handle_connect(event)
        if not self.close_sent:  # else it was no handshake
            self.scope["extensions"] = {**(self.scope.get("extensions") or {}), AUDIO_TAP: self.tap}  # type: ignore[dict-item]
        return None

    def _refuse(self, reason: str) -> None:
        self.handshake_complete = self.close_sent = True
        body = f"{reason}\n".encode()
        head = f"HTTP/1.1 400 Bad Request\r\nSec-WebSocket-Version: {VERSION}\r\nConnection: close\r\n"
        kind = f"Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n\r\n"
        self.transport.write((head + kind).encode() + body)
        self.transport.close()

    def _receive_early(self) -> None:
        """Take what came before the answer to the handshake."""
        early, self._early = bytes(self._early), bytearray()
        if len(early) > MAX_EARLY:
            self.transport.resume_reading()
        if early:
            self._receive(early)
        if self._input_ended:
            self._queue_disconnect(CloseCode.ABNORMAL_CLOSURE)

    # Messages

    def _receive(self, data: bytes) -> None:
        """Offer audio to the stream while nothing else waits; the library gets the rest."""
        start = 0
        if self.tap.is_attached and self.queue.empty():
            while (
                start < len(data)
                and (message := self._scanner.binary_message(data, start))
                and self.tap.offer(message[0])
            ):
                start = message[1]
        if start < len(data):
            self._receive_by_library(data[start:])

    def _receive_by_library(self, data: bytes) -> None:
        """Handle whole frames, and only then that what follows them is none."""
        self._scanner.follow(data)
        self.conn.receive_data(data)
        self.handle_events()
        if self.conn.parser_exc is not None and not self.close_sent:
            self.handle_parser_exception()

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text" and not _is_utf8(b"".join(self.frames)) and not self.close_sent:
            self.logger.debug("%s - text that is not UTF-8", self.client)
            self.conn.fail(CloseCode.INVALID_DATA, "text that is not UTF-8")
            return self.handle_parser_exception()
        paused, self.read_paused = self.read_paused, True
        super().send_receive_event_to_app()
        self.read_paused = paused
        if not paused and self.queue.qsize() >= MAX_QUEUED:
            self.read_paused = True
            self.transport.pause_reading()
        return None

    async def send(self, message: Any) -> None:
        await self.writable.wait()
        if self.handshake_complete and self.close_sent:
            raise ClientDisconnected
        await super().send(message)
        if message["type"] == "websocket.accept" and self.handshake_complete:
            self._receive_early()

    # The end

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client sends no more; but for TLS, which knows no such thing, it may still read."""
        self._input_ended = True
        if self.handshake_complete:
            self._queue_disconnect(CloseCode.ABNORMAL_CLOSURE)
        return self.scheme == "ws"

    def shutdown(self) -> None:
        try:
            if self.close_sent:
                super().shutdown()
            else:  # the app sends its summary, or refuses the handshake
                self._queue_disconnect(CloseCode.SERVICE_RESTART)
        except Exception:
            _abandon(self)

    def on_task_complete(self, task: "asyncio.Task[None]") -> None:
        super().on_task_complete(task)
        if self._input_ended:  # the client's half of the closing handshake will not come
            self.transport.close()
        self.loop.call_later(ABORT_S, self.transport.abort)  # does nothing to one that is closed

    def _queue_disconnect(self, code: CloseCode) -> None:
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code})


def _announces_body(name: bytes, value: bytes) -> bool:
    return name == b"transfer-encoding" or (name == b"content-length" and value.strip() != b"0")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _abandon(protocol: RequestProtocol | StreamProtocol) -> None:
    """No single connection may stop the loop over all of them."""
    protocol.logger.exception("a connection failed to shut down")
    protocol.transport.abort()
