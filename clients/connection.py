"""One stream to the server: samples and requests up, events down, as docs/protocol.md says.

Knows nothing of files, microphones or time.
"""

from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK

from clients.errors import ConnectionLostError, ServerError, ServerUnreachableError, StreamError
from clients.handshake import open_socket
from clients.wire import Event, SocketWire, Wire
from service.spotting.audio import FULL_SCALE

__all__ = [
    "Connection",
    "ConnectionLostError",
    "Event",
    "ServerError",
    "ServerUnreachableError",
    "StreamError",
    "connect",
    "encode",
]


class Connection:
    """An open stream, from `connect`. `async for event in connection` gives the events as they are on the wire.

    The iteration ends when the server closes in good order. It raises ServerError for a fatal error of the server and
    ConnectionLostError where the connection breaks off.

    Attributes:
        ready: the server's last `ready` message: model, config and limits.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.ready: Event = {}

    async def send(self, audio: bytes | npt.NDArray[Any]) -> None:
        """Send audio of any length, cut to the server's message limit.

        Args:
            audio: bytes in the encoding of the stream, or samples that `encode` takes.

        Raises:
            ConnectionLostError: the connection is closed; the iteration says why.
            ValueError: samples that do not fit the encoding.
        """
        data = audio if isinstance(audio, bytes) else encode(audio, self.ready["config"]["encoding"])
        with _closed_as_lost():
            await self._wire.send_audio(data, self.ready["limits"]["max_message_bytes"])

    async def update(self, **config: object) -> None:
        """Change settings of the running stream; a `ready` event answers.

        Args:
            **config: `keywords`, `threshold`, `speed`, `refractory_s` or `scores_every_ms`.

        Raises:
            ConnectionLostError: the connection is closed.
        """
        await self._request("update", **config)

    async def reset(self) -> None:
        """Forget the audio so far: frames and times start from 0. Raises ConnectionLostError."""
        await self._request("reset")

    async def flush(self) -> None:
        """Decide on everything sent so far; the last events and a `summary` follow. Raises ConnectionLostError."""
        await self._request("flush")

    async def keepalive(self) -> None:
        """Keep an idle stream open. Raises ConnectionLostError."""
        await self._request("keepalive")

    async def close(self) -> None:
        """Flush and close; the last events and a `summary` follow, then no more. Raises ConnectionLostError."""
        await self._request("close")

    async def leave(self) -> None:
        """End the stream now; events that the server has not sent yet are lost."""
        await self._wire.leave()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        try:
            event = await self._wire.receive()
        except ConnectionClosedOK:
            raise StopAsyncIteration from None
        except ConnectionClosed as closed:
            raise ConnectionLostError(closed) from closed
        if event["type"] == "error" and event["fatal"]:
            raise ServerError(event["code"], event["message"], retry_after_s=event.get("retry_after_s"))
        if event["type"] == "ready":
            self.ready = event
        return event

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.leave()

    async def _request(self, kind: str, **fields: object) -> None:
        with _closed_as_lost():
            await self._wire.send_request(kind, **fields)


@contextmanager
def _closed_as_lost() -> Iterator[None]:
    try:
        yield
    except ConnectionClosed as closed:
        raise ConnectionLostError(closed) from closed


class OpeningConnection:
    """A stream that is to be opened: a Connection once awaited, or for the length of an `async with` block."""

    def __init__(self, open_wire: Callable[[], Awaitable[Wire]], config: dict[str, object]) -> None:
        self._open_wire, self._config = open_wire, config

    def __await__(self) -> Generator[Any, None, Connection]:
        return self._connect().__await__()

    async def __aenter__(self) -> Connection:
        self._connection = await self
        return self._connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.leave()

    async def _connect(self) -> Connection:
        connection = Connection(await self._open_wire())
        try:
            with suppress(ConnectionLostError):  # the server's answer below says why
                await connection._request("configure", **self._config)
            while not connection.ready:
                await anext(connection)
        except StopAsyncIteration:
            raise ServerError("closed", "expected a ready message, got a closed connection") from None
        except BaseException:
            await connection.leave()
            raise
        return connection


def connect(url: str, **config: object) -> OpeningConnection:
    """Open a stream and wait until the server is ready for audio.

    `async with connect(url) as stream` leaves the stream at the end of the block; `stream = await connect(url)` leaves
    that to the caller. An API key is taken from the environment variable RC_API_KEY. Proxies of the environment apply
    (HTTP_PROXY, HTTPS_PROXY, NO_PROXY), but never to this machine itself.

    Args:
        url: ws:// or wss:// address of the server's stream.
        **config: settings of the stream, as docs/protocol.md lists them: `sample_rate` in Hz, `speed`, `keywords`, ...

    Returns:
        An object to await or to enter; either gives a Connection.

    Raises:
        ServerUnreachableError: no server answers there; its message names the proxy, if one was on the way.
        ServerError: the server refuses the stream. `retryable` and `retry_after_s` say whether and when to try again.
    """

    async def open_wire() -> Wire:
        return SocketWire(await open_socket(url))

    return OpeningConnection(open_wire, config)


def encode(samples: npt.NDArray[Any], encoding: str) -> bytes:
    """Encode samples for the wire; too large values are clamped, never wrapped.

    Args:
        samples: [n] or [n, channels], floats in -1..1 or int16.
        encoding: `pcm_s16le` or `pcm_f32le`; int16 samples only for the former.

    Returns:
        Little-endian PCM, channels interleaved.

    Raises:
        ValueError: the samples do not fit the encoding.
    """
    if encoding == "pcm_f32le" and samples.dtype.kind == "f":
        return samples.astype("<f4").tobytes()
    if encoding == "pcm_s16le" and samples.dtype.kind == "f":
        samples = np.clip(np.rint(samples * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    if encoding == "pcm_s16le" and samples.dtype == np.int16:
        return samples.astype("<i2").tobytes()
    raise ValueError(f"expected bytes, or floats for pcm_f32le or pcm_s16le, got {samples.dtype} for {encoding}")
