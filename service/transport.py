"""uvicorn's protocols, with an end to all that a client may leave open: the head of a request, a stream."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from service.protocol import DRAINING

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
    """uvicorn's, with an end to every stream.

    It would close a stream at once on shutdown: this tells the app, which says its summary and closes. It would wait
    for ever for a client that takes nothing: this lets it go.
    """

    def shutdown(self) -> None:
        if self.handshake_complete and not self.close_sent:
            self.queue.put_nowait({"type": "websocket.disconnect", "code": DRAINING})
        else:
            super().shutdown()

    def on_task_complete(self, task: "asyncio.Task[None]") -> None:
        super().on_task_complete(task)
        self.loop.call_later(ABORT_S, self.transport.abort)  # does nothing to one that is closed
