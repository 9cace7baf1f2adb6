"""A stream to the server for programs without asyncio: clients/connection.py with the same names, every call waits.

Owns the thread that the connection runs on. Several threads may use one stream, for instance one that sends and one
that iterates.
"""

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, Self

import numpy.typing as npt
from anyio.from_thread import BlockingPortal, start_blocking_portal

from clients import connection, reconnecting, shared_connection
from clients.connection import ConnectionLostError, Event, ServerError, ServerUnreachableError, StreamError

__all__ = [
    "BlockingConnection",
    "BlockingSharedConnection",
    "ConnectionLostError",
    "Event",
    "ServerError",
    "ServerUnreachableError",
    "StreamError",
    "connect",
    "connect_shared",
]

AnyConnection = connection.Connection | reconnecting.ReconnectingConnection


class BlockingConnection:
    """An open stream, from `connect`. `for event in stream` waits for each event, as it is on the wire.

    The iteration ends when the server closes in good order. It raises ServerError for a fatal error of the server and
    ConnectionLostError where the connection breaks off.
    """

    def __init__(self, portal: BlockingPortal, stream: AnyConnection) -> None:
        self._call, self._stream = portal.call, stream

    @property
    def ready(self) -> Event:
        """The server's last `ready` message: model, config and limits."""
        return self._stream.ready

    def send(self, audio: bytes | npt.NDArray[Any]) -> None:
        """Send audio of any length, cut to the server's message limit.

        Args:
            audio: bytes in the encoding of the stream, or samples [n] or [n, channels], floats in -1..1 or int16.

        Raises:
            ConnectionLostError: the connection is closed; the iteration says why.
            ValueError: samples that do not fit the encoding.
        """
        self._call(self._stream.send, audio)

    def update(self, **config: object) -> None:
        """Change settings of the running stream; a `ready` event answers.

        Args:
            **config: `keywords`, `threshold`, `speed`, `refractory_s` or `scores_every_ms`.

        Raises:
            ConnectionLostError: the connection is closed.
        """
        self._call(lambda: self._stream.update(**config))

    def reset(self) -> None:
        """Forget the audio so far: frames and times start from 0. Raises ConnectionLostError."""
        self._call(self._stream.reset)

    def flush(self) -> None:
        """Decide on everything sent so far; the last events and a `summary` follow. Raises ConnectionLostError."""
        self._call(self._stream.flush)

    def keepalive(self) -> None:
        """Keep an idle stream open. Raises ConnectionLostError."""
        self._call(self._stream.keepalive)

    def close(self) -> None:
        """Flush and close; the last events and a `summary` follow, then no more. Raises ConnectionLostError."""
        self._call(self._stream.close)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        try:
            return self._call(self._stream.__anext__)
        except StopAsyncIteration:
            raise StopIteration from None


@contextmanager
def connect(url: str, *, reconnect: bool = False, **config: object) -> Iterator[BlockingConnection]:
    """Open a stream, ready for audio, and leave it at the end of the `with` block.

    API key and proxies are taken from the environment, as for `clients.connection.connect`.

    Args:
        url: ws:// or wss:// address of the server's stream.
        reconnect: go on in another stream when this one breaks off, as `clients.reconnecting` does, with its events.
        **config: settings of the stream, as docs/protocol.md lists them: `sample_rate` in Hz, `speed`, `keywords`, ...

    Returns:
        A context manager that gives a BlockingConnection.

    Raises:
        ServerUnreachableError: no server answers there; its message names the proxy, if one was on the way.
        ServerError: the server refuses the stream. `retryable` and `retry_after_s` say whether and when to try again.
    """
    opening = _opening(url, reconnect, config)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(opening) as stream:
        yield BlockingConnection(portal, stream)


def _opening(url: str, reconnect: bool, config: dict[str, Any]) -> AbstractAsyncContextManager[AnyConnection]:
    if reconnect:
        return reconnecting.connect(url, **config)
    return connection.connect(url, **config)


class BlockingSharedConnection:
    """A socket for many streams, from `connect_shared`. Each may have a thread of its own."""

    def __init__(self, portal: BlockingPortal, shared: shared_connection.SharedConnection) -> None:
        self._portal, self._shared = portal, shared

    @contextmanager
    def open(self, **config: object) -> Iterator[BlockingConnection]:
        """Open a stream, ready for audio, and leave it at the end of the `with` block.

        Args:
            **config: settings of the stream, as for `connect`.

        Returns:
            A context manager that gives a BlockingConnection.

        Raises:
            ServerError: the server refuses the stream; the socket stays open.
            ConnectionLostError: the socket is closed.
        """
        with self._portal.wrap_async_context_manager(self._shared.open(**config)) as stream:
            yield BlockingConnection(self._portal, stream)

    def keepalive(self) -> None:
        """Keep a socket without streams open. Raises ConnectionLostError."""
        self._portal.call(self._shared.keepalive)


@contextmanager
def connect_shared(url: str) -> Iterator[BlockingSharedConnection]:
    """Open a socket for many streams, and close it at the end of the `with` block.

    Args:
        url: ws:// or wss:// address of the server's streams, `/v1/streams`.

    Returns:
        A context manager that gives a BlockingSharedConnection.

    Raises:
        ServerUnreachableError: no server answers there.
        ServerError: the server refuses the socket.
    """
    opening = shared_connection.connect_shared(url)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(opening) as shared:
        yield BlockingSharedConnection(portal, shared)
