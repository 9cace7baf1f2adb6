"""A stand-in for the server on the real `websockets` library: sends what a test scripts, keeps what it receives."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

CONFIG = {
    "sample_rate": 16000,
    "encoding": "pcm_s16le",
    "channels": 1,
    "mode": "continuous",
    "refractory_s": 0.5,
    "scores_every_ms": 0,
}
MODEL = {"name": "fake", "frame_ms": 10.0}
LIMITS = {"max_message_bytes": 65536, "max_backlog_s": 2.0, "idle_timeout_s": 30.0}
LATENCY = {"algorithmic_ms": 52.5, "queue_ms": 0.8, "compute_ms": 0.2, "server_ms": 1.1}
SUMMARY = {"type": "summary", "audio_s": 1.0, "frames": 100, "detections": 0, "latency": {"p50_ms": None}}
Message = dict[str, Any]

SAMPLE_BYTES = {"pcm_s16le": 2, "pcm_f32le": 4}


def detection(label: str, audio_time_s: float, crossed: bool = True) -> Message:
    return {
        "type": "detection",
        "id": 0,
        "label": label,
        "score": 0.97,
        "threshold": 0.9,
        "crossed": crossed,
        "frame": round(audio_time_s * 100),
        "audio_time_s": audio_time_s,
        "latency": LATENCY,
    }


class FakeStream:
    """The server's end of one stream."""

    def __init__(self, socket: ServerConnection, limits: Message, chunk_ms: float | None) -> None:
        self.socket = socket
        self.limits = {**LIMITS, **limits}
        self.advice = {} if chunk_ms is None else {"chunk_ms": chunk_ms}
        self.config: Message = dict(CONFIG)
        self.texts: list[Message] = []
        self.sizes: list[int] = []  # sizes of the binary messages in bytes
        self.audio = b""

    async def send(self, **message: object) -> None:
        await self.socket.send(json.dumps(message))

    async def ready(self) -> None:
        """Take the configure message and answer it."""
        await self.receive()
        await self.send(type="ready", model=MODEL, config=self.config, limits=self.limits, **self.advice)

    async def receive(self) -> Message | bytes:
        """The next message, kept; settings in it are applied."""
        message = await self.socket.recv()
        if isinstance(message, bytes):
            self.sizes.append(len(message))
            self.audio += message
            return message
        text: Message = json.loads(message)
        self.texts.append(text)
        if text["type"] in ("configure", "update"):
            self.config |= {key: value for key, value in text.items() if key != "type"}
        return text

    @property
    def received_s(self) -> float:
        """Seconds of audio received."""
        frame = SAMPLE_BYTES[self.config["encoding"]] * self.config["channels"]
        return float(len(self.audio) / frame / self.config["sample_rate"])


async def until_flush(stream: FakeStream) -> None:
    """Receive all up to the flush and answer it with a summary."""
    message: Message | bytes = b""
    while isinstance(message, bytes) or message["type"] != "flush":
        message = await stream.receive()
    await stream.send(**SUMMARY)


Script = Callable[[FakeStream], Awaitable[None]]


@dataclass(frozen=True)
class Refusal:
    """An answer to a handshake that opens no stream."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = "because of the test"


@asynccontextmanager
async def fake_server(
    script: Script, refusals: list[Refusal] | None = None, chunk_ms: float | None = None, **limits: float
) -> AsyncIterator[tuple[str, list[FakeStream]]]:
    """A server that is ready at once and then follows `script` on every stream: its address and the streams so far.

    Handshakes get the `refusals` first, one per handshake.
    """
    streams: list[FakeStream] = []

    async def handle(socket: ServerConnection) -> None:
        streams.append(FakeStream(socket, limits, chunk_ms))
        await streams[-1].ready()
        await script(streams[-1])
        await socket.wait_closed()

    def refuse(socket: ServerConnection, request: Request) -> Response | None:
        if not refusals:
            return None
        refusal = refusals.pop(0)
        response = socket.respond(HTTPStatus(refusal.status), refusal.body)
        for name, value in refusal.headers.items():
            response.headers.pop(name, None)
            response.headers[name] = value
        return response

    async with serve(handle, "127.0.0.1", 0, process_request=refuse) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}/v1/stream", streams
