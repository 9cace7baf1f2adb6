"""A stream to the server for programs without asyncio: clients/connection.py with the same names, every call waits.

Owns the thread that the connection runs on. Several threads may use one stream, for instance one that sends and one
that hears.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy.typing as npt
from anyio.from_thread import BlockingPortal, start_blocking_portal

from clients import connection
from clients.connection import Event


class Stream:
    """An open stream. `for event in stream` waits for each event and ends where the server closes in good order."""

    def __init__(self, portal: BlockingPortal, stream: connection.Connection) -> None:
        self._call, self._stream = portal.call, stream

    @property
    def ready(self) -> Event:
        return self._stream.ready

    def send(self, audio: bytes | npt.NDArray[Any]) -> None:
        self._call(self._stream.send, audio)

    def update(self, **config: object) -> None:
        self._call(lambda: self._stream.update(**config))

    def reset(self) -> None:
        self._call(self._stream.reset)

    def flush(self) -> None:
        self._call(self._stream.flush)

    def keepalive(self) -> None:
        self._call(self._stream.keepalive)

    def close(self) -> None:
        self._call(self._stream.close)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        try:
            return self._call(self._stream.__anext__)
        except StopAsyncIteration:
            raise StopIteration from None


@contextmanager
def connect(url: str, **config: object) -> Iterator[Stream]:
    """Open a stream with these settings, ready for audio; leave it where the block ends. Raises as the other does."""
    opening = connection.connect(url, **config)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(opening) as stream:
        yield Stream(portal, stream)
