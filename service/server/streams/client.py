"""What a stream needs of its client, whatever protocol it speaks."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from websockets.frames import CloseCode

from service.server.streams.messages import Control, ServerEvent

AudioCallback = Callable[[bytes], bool]  # takes one binary message at once, or returns False: it has to wait its turn


class ClientGoneError(Exception):
    """No more messages come; `code` is SERVICE_RESTART when the server itself is about to stop."""

    def __init__(self, code: int = CloseCode.ABNORMAL_CLOSURE) -> None:
        super().__init__(f"the client is gone: {code}")
        self.code = code


class AudioTap:
    """Where a protocol offers whole binary messages to a stream without waking its task."""

    def __init__(self) -> None:
        self.offer: AudioCallback = _refuse  # whether the stream takes a message
        self.is_attached = False

    def attach(self, callback: AudioCallback) -> None:
        self.offer, self.is_attached = callback, True

    def detach(self) -> None:
        self.offer, self.is_attached = _refuse, False


def _refuse(data: bytes) -> bool:
    """What nobody takes directly has to wait its turn."""
    return False


class StreamClient(Protocol):
    """One client of a stream. A new stream of the same connection has a new one."""

    @property
    def host(self) -> str | None: ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """Those that came before any message; empty when the first message may be a `configure`."""

    @property
    def tap(self) -> AudioTap | None: ...

    async def receive(self) -> bytes | Control:
        """The next message: audio or a request. Raises ClientGoneError, and ProtocolError for a bad message."""

    async def send(self, event: ServerEvent) -> None:
        """Raises ClientGoneError."""

    async def close(self, code: CloseCode, reason: str) -> None:
        """The end of the stream. `reason` is the code of its error, or empty. Raises ClientGoneError."""
