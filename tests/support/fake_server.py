"""A stand-in for the server on the real `websockets` library: it says what a test tells it to, and keeps what came."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

CONFIG = {"sample_rate": 16000, "encoding": "pcm_s16le", "channels": 1, "mode": "continuous", "scores_every_ms": 0}
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


class Peer:
    """The server's end of one stream."""

    def __init__(self, socket: ServerConnection, limits: Message) -> None:
        self.socket = socket
        self.limits = {**LIMITS, **limits}
        self.config: Message = dict(CONFIG)
        self.texts: list[Message] = []
        self.sizes: list[int] = []  # of the binary messages
        self.audio = b""

    async def say(self, **message: object) -> None:
        await self.socket.send(json.dumps(message))

    async def ready(self) -> None:
        """Take the configure message and answer it."""
        await self.hear()
        await self.say(type="ready", config=self.config, limits=self.limits)

    async def hear(self) -> Message | bytes:
        """The next message, kept; settings in it are taken over."""
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
    def heard_s(self) -> float:
        """How much audio has come."""
        frame = SAMPLE_BYTES[self.config["encoding"]] * self.config["channels"]
        return float(len(self.audio) / frame / self.config["sample_rate"])


async def until_flush(peer: Peer) -> None:
    """Hear all up to the flush and answer it with a summary."""
    while (message := await peer.hear()) and (isinstance(message, bytes) or message["type"] != "flush"):
        await asyncio.sleep(0)
    await peer.say(**SUMMARY)


Script = Callable[[Peer], Awaitable[None]]


@asynccontextmanager
async def fake_server(script: Script, **limits: float) -> AsyncIterator[tuple[str, list[Peer]]]:
    """A server that is ready at once and then follows `script` on every stream: its address and the streams so far."""
    peers: list[Peer] = []

    async def handle(socket: ServerConnection) -> None:
        peers.append(Peer(socket, limits))
        await peers[-1].ready()
        await script(peers[-1])
        await socket.wait_closed()

    async with serve(handle, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}/v1/stream", peers
