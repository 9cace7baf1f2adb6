"""One stream of a socket that many streams share: its messages as they wait for it, its events on their way out."""

from asyncio import Queue
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any

from websockets.frames import CloseCode

from service.server.streams.client import AudioTap
from service.server.streams.messages import Control, Ended, ServerEvent, encode
from service.spotting.config import ProtocolError

MAX_WAITING = 256  # messages of one stream

Received = bytes | Control | Exception


class SharedClient:
    """A StreamClient. It has a queue of its own, so that a stream that waits holds no other up."""

    settings: Mapping[str, Any] = MappingProxyType({})  # its first message is a `configure`

    def __init__(
        self,
        stream: int,
        host: str | None,
        max_bytes: int,
        send: Callable[[str], Awaitable[None]],
        on_ended: Callable[["SharedClient"], None],
    ) -> None:
        """`max_bytes` of audio may wait; `on_ended` is called before the last event goes out."""
        self.stream, self.host, self.tap = stream, host, AudioTap()
        self.ended = False
        self._max_bytes, self._send, self._on_ended = max_bytes, send, on_ended
        self._waiting: Queue[Received] = Queue()
        self._waiting_messages = self._waiting_bytes = 0
        self._full = False

    def offer(self, audio: bytes) -> None:
        """Audio from the socket: to the stream at once where it can take it."""
        if self._waiting_messages or not self.tap.offer(audio):
            self.put(audio)

    def put(self, message: bytes | Control) -> None:
        """A message that waits its turn. The stream fails once too many wait, and takes no more."""
        if self._full:
            return
        self._waiting_bytes += len(message) if isinstance(message, bytes) else 0
        if self._waiting_messages >= MAX_WAITING or self._waiting_bytes > self._max_bytes:
            most = f"at most {MAX_WAITING} messages and {self._max_bytes} bytes"
            self.fail(ProtocolError("too_fast", f"expected {most} of a stream to wait, got more; send it at its pace"))
        else:
            self._waiting.put_nowait(message)
            self._waiting_messages += 1

    def fail(self, error: Exception) -> None:
        """End the stream with this error once it has acted on the messages before."""
        self._full = True
        self._waiting.put_nowait(error)
        self._waiting_messages += 1

    async def receive(self) -> bytes | Control:
        message = await self._waiting.get()
        self._waiting_messages -= 1
        if isinstance(message, Exception):
            raise message
        self._waiting_bytes -= len(message) if isinstance(message, bytes) else 0
        return message

    async def send(self, event: ServerEvent) -> None:
        await self._send(encode(event, self.stream))

    async def close(self, code: CloseCode, reason: str) -> None:
        self._on_ended(self)
        await self._send(encode(Ended(code, reason), self.stream))
        self.ended = True
