"""One stream to the server: samples and requests up, events down, as docs/protocol.md says.

Owns the socket. Knows nothing of files, microphones or time.
"""

import json
import os
from collections.abc import Generator
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK, InvalidHandshake, InvalidStatus, InvalidURI

Event = dict[str, Any]
FULL_SCALE = 32768  # of int16, as the server decodes it


class ServerUnreachableError(Exception):
    """No server answers at that address."""


class ServerError(Exception):
    """The server refused the stream or gave it up: `code` for programs, `message` for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class ConnectionLost(ServerError):
    """The socket closed without a word of why, or before it was asked to."""

    def __init__(self, closed: ConnectionClosed) -> None:
        super().__init__("connection_lost", f"expected the stream to stay open, got: {closed}")


class Connection:
    """An open stream. `async for event in connection` gives the events as they are on the wire.

    `ready` is the server's last answer to the settings: model, config and limits. A fatal error of the
    server is raised as ServerError; the iteration ends when the server closes in good order.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.ready: Event = {}

    async def send(self, audio: bytes | npt.NDArray[Any]) -> None:
        """Send audio of any length, cut to the server's message limit: bytes as they are, arrays by `encode`."""
        data = audio if isinstance(audio, bytes) else encode(audio, self.ready["config"]["encoding"])
        limit = self.ready["limits"]["max_message_bytes"]
        for start in range(0, len(data), limit):
            await self._send(data[start : start + limit])

    async def update(self, **config: object) -> None:
        """Change settings on the way (`keywords`, `threshold`, `speed`, ...); a `ready` event answers."""
        await self._request("update", **config)

    async def reset(self) -> None:
        """Forget the audio so far."""
        await self._request("reset")

    async def flush(self) -> None:
        """Have everything decided that was sent; the last events and a `summary` follow."""
        await self._request("flush")

    async def keepalive(self) -> None:
        """Tell the server that silence on the line is meant."""
        await self._request("keepalive")

    async def close(self) -> None:
        """Flush, and have the server close; the last events and a `summary` follow, then the iteration ends."""
        await self._request("close")

    async def leave(self) -> None:
        """Close the socket now; what the server has not told yet is lost."""
        await self._socket.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        try:
            event: Event = json.loads(await self._socket.recv())
        except ConnectionClosedOK:
            raise StopAsyncIteration from None
        except ConnectionClosed as closed:
            raise ConnectionLost(closed) from closed
        if event["type"] == "error" and event["fatal"]:
            raise ServerError(event["code"], event["message"])
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
        await self._send(json.dumps({"type": kind, **fields}))

    async def _send(self, message: bytes | str) -> None:
        try:
            await self._socket.send(message)
        except ConnectionClosed as closed:
            raise ConnectionLost(closed) from closed


class connect:
    """Opens a stream at `url` (ws:// or wss://) with these settings and waits until the server is ready for audio.

    `async with connect(url) as stream`, which leaves it at the end, or `stream = await connect(url)`.
    An API key comes from the environment, RC_API_KEY.
    Raises Unreachable when nobody answers there and ServerError when the server refuses.
    """

    def __init__(self, url: str, **config: object) -> None:
        self._url, self._config = url, config

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
        connection = Connection(await _open(self._url))
        try:
            with suppress(ConnectionLost):  # what the server says below tells why
                await connection._request("configure", **self._config)
            while not connection.ready:
                await anext(connection)
        except StopAsyncIteration:
            raise ServerError("closed", "expected a ready message, got a closed connection") from None
        except BaseException:
            await connection.leave()
            raise
        return connection


async def _open(url: str) -> ClientConnection:
    try:
        key = os.environ.get("RC_API_KEY")
        headers = {"Authorization": f"Bearer {key}"} if key else None
        return await open_socket(url, compression=None, additional_headers=headers)  # audio does not deflate
    except InvalidURI as error:
        raise ServerUnreachableError(
            f"expected an address such as ws://127.0.0.1:8000/v1/stream, got {url!r}"
        ) from error
    except InvalidStatus as error:
        body = (error.response.body or b"").decode(errors="replace").strip()
        raise ServerError(f"http_{error.response.status_code}", body or error.response.reason_phrase) from error
    except (OSError, TimeoutError, InvalidHandshake) as error:
        raise ServerUnreachableError(f"expected a server at {url}, got: {error}") from error


def encode(samples: npt.NDArray[Any], encoding: str) -> bytes:
    """Samples as the wire wants them: floats in -1..1 or int16, mono [n] or [n, channels]; clamped, never wrapped."""
    if encoding == "pcm_f32le" and samples.dtype.kind == "f":
        return samples.astype("<f4").tobytes()
    if encoding == "pcm_s16le" and samples.dtype.kind == "f":
        samples = np.clip(np.rint(samples * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    if encoding == "pcm_s16le" and samples.dtype == np.int16:
        return samples.astype("<i2").tobytes()
    raise ValueError(f"expected bytes, or floats for pcm_f32le or pcm_s16le, got {samples.dtype} for {encoding}")
