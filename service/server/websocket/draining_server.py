"""uvicorn's server with a shutdown in good order; uvicorn_protocols.py says what differs and why."""

import asyncio
import signal
import threading
from collections.abc import Callable
from socket import socket
from time import monotonic

import uvicorn

from service.server.websocket.uvicorn_protocols import StreamProtocol


class DrainingServer(uvicorn.Server):
    """Ends every stream in good order before it stops listening."""

    def __init__(self, config: uvicorn.Config, drain: Callable[[], None]) -> None:
        super().__init__(config)
        self._drain = drain

    def run(self, sockets: list[socket] | None = None) -> None:
        """Serve until a signal; uvicorn raises that again afterwards, and nothing but this is to come of it."""
        if threading.current_thread() is not threading.main_thread():
            return super().run(sockets)
        handlers = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            return super().run(sockets)
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        self._drain()
        end = monotonic() + (self.config.timeout_graceful_shutdown or 0)
        for stream in self._streams():
            stream.shutdown()
        while self._streams() and not self.force_exit and monotonic() < end:  # noqa: ASYNC110 (uvicorn has no event)
            await asyncio.sleep(0.02)
        self.config.timeout_graceful_shutdown = max(0, round(end - monotonic()))
        await super().shutdown(sockets)

    def _streams(self) -> list[StreamProtocol]:
        return [connection for connection in self.server_state.connections if isinstance(connection, StreamProtocol)]
