"""What waits to be told to one client: bounded, because a client may not read."""

import asyncio
import json
from collections.abc import Awaitable, Callable

from service.spotting.config import ProtocolError
from service.spotting.events import Message


class SendQueue:
    """Messages go out in order; `on_full` is called with the error when `limit` of them wait."""

    def __init__(self, limit: int, on_full: Callable[[ProtocolError], None]) -> None:
        self._limit, self._on_full = limit, on_full
        self._queue: asyncio.Queue[Callable[[], Message] | None] = asyncio.Queue()

    def put(self, message: Message) -> None:
        self.put_lazy(lambda: message)

    def put_lazy(self, make: Callable[[], Message]) -> None:
        """A message that is made at its hand-over to the socket."""
        if self._queue.qsize() < self._limit:
            self._queue.put_nowait(make)
        else:
            error = f"expected messages to be read, got {self._limit} that are not"
            self._on_full(ProtocolError("slow_reader", error))

    def end(self, last: Message | None = None) -> None:
        """There will be no more: `send_all` returns after the last, which goes in however many wait."""
        if last is not None:
            self._queue.put_nowait(lambda: last)
        self._queue.put_nowait(None)

    async def send_all(self, send: Callable[[str], Awaitable[None]]) -> None:
        while (make := await self._queue.get()) is not None:
            await send(json.dumps(make(), separators=(",", ":")))
