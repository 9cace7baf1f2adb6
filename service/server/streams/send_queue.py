"""Events that wait for one client: bounded, because a client may not read."""

import asyncio
from collections.abc import Awaitable, Callable

from service.server.streams.messages import ServerEvent
from service.spotting.config import ProtocolError


class SendQueue:
    """Events go out in order; `on_full` is called with the error when `limit` of them wait."""

    def __init__(self, limit: int, on_full: Callable[[ProtocolError], None]) -> None:
        self._limit, self._on_full = limit, on_full
        self._queue: asyncio.Queue[Callable[[], ServerEvent] | None] = asyncio.Queue()

    def put(self, event: ServerEvent) -> None:
        self.put_lazy(lambda: event)

    def put_lazy(self, factory: Callable[[], ServerEvent]) -> None:
        """An event that is made at its hand-over to the socket."""
        if self._queue.qsize() < self._limit:
            self._queue.put_nowait(factory)
        else:
            error = f"expected messages to be read, got {self._limit} that are not"
            self._on_full(ProtocolError("slow_reader", error))

    def end(self, last: ServerEvent | None = None) -> None:
        """There will be no more: `send_all` returns after `last`, which is queued however many wait."""
        if last is not None:
            self._queue.put_nowait(lambda: last)
        self._queue.put_nowait(None)

    def close(self) -> None:
        """The stream is over: nothing here keeps it, and no garbage collection has to find it."""
        self._on_full = _ignore

    async def send_all(self, send: Callable[[ServerEvent], Awaitable[None]]) -> None:
        """Send every event until the end."""
        while (factory := await self._queue.get()) is not None:
            await send(factory())


def _ignore(error: ProtocolError) -> None:
    """What a closed stream does with an event too many."""
