"""A stream over a WebSocket."""

from collections.abc import Mapping
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.frames import CloseCode

from service.server.state import ServerState
from service.server.streams.client import AudioTap, ClientGoneError
from service.server.streams.messages import Control, ServerEvent, encode, parse_control
from service.server.streams.stream import serve
from service.spotting.config import ProtocolError

AUDIO_TAP = "rc.audio_tap"  # extension of the ASGI scope: this connection's AudioTap


async def serve_websocket(socket: WebSocket, server: ServerState) -> None:
    """Accept a handshake and serve its stream."""
    try:
        await socket.accept()
        await serve(WebSocketClient(socket, server.settings.max_message_bytes), server)
    except WebSocketDisconnect:
        return  # before it was accepted


class WebSocketClient:
    """A StreamClient: text messages are requests and events, binary ones are audio."""

    def __init__(self, socket: WebSocket, max_message_bytes: int) -> None:
        self._socket, self._max_bytes = socket, max_message_bytes
        self.host = socket.client.host if socket.client else None
        self.settings: Mapping[str, Any] = socket.query_params
        self.tap: AudioTap | None = (socket.scope.get("extensions") or {}).get(AUDIO_TAP)

    async def receive(self) -> bytes | Control:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise ClientGoneError(message["code"])
        audio: bytes | None = message.get("bytes")
        if audio is not None:
            self._check_size(len(audio))
            return audio
        self._check_size(len(message["text"].encode()))
        return parse_control(message["text"])

    async def send(self, event: ServerEvent) -> None:
        try:
            await self._socket.send_text(encode(event))
        except WebSocketDisconnect as gone:
            raise ClientGoneError(gone.code) from gone

    async def close(self, code: CloseCode, reason: str) -> None:
        try:
            await self._socket.close(code, reason)
        except WebSocketDisconnect as gone:
            raise ClientGoneError(gone.code) from gone

    def _check_size(self, size: int) -> None:
        if size > self._max_bytes:
            raise ProtocolError("too_big", f"message: expected at most {self._max_bytes} bytes, got {size}")
