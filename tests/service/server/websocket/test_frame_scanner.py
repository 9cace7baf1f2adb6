"""What this server receives of a WebSocket is what the plain library receives, however the bytes are cut."""

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from uvicorn.server import ServerState
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from service.server.websocket.client_adapter import AUDIO_TAP
from service.server.websocket.frame_scanner import FrameScanner
from service.server.websocket.uvicorn_protocols import StreamProtocol

HEAD = (
    b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
MAX_BYTES = 200  # longest message


@dataclass(frozen=True)
class Received:
    """Whole messages in order, and the code of the Close frame that the server sends, if any."""

    messages: list[bytes | str]
    close: int | None


def wire(opcode: int, payload: bytes, fin: bool = True, masked: bool = True, rsv: int = 0) -> bytes:
    """A frame, valid or not."""
    size = len(payload)
    head = bytes([fin << 7 | rsv << 4 | opcode])
    length = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2)
    key = b"\x01\x82\x03\xf4"
    body = bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))
    if not masked:
        return head + length + payload
    return head + bytes([length[0] | 0x80]) + length[1:] + key + body


VALID = st.one_of(
    st.builds(wire, st.just(2), st.binary(max_size=150)),
    st.builds(wire, st.just(2), st.binary(max_size=150)),
    st.builds(wire, st.just(1), st.text(max_size=40).map(str.encode)),
    st.builds(wire, st.sampled_from([9, 10]), st.binary(max_size=125)),
    st.builds(
        lambda kind, first, rest: wire(kind, first, fin=False) + wire(0, rest),
        st.sampled_from([1, 2]),
        st.binary(max_size=90).filter(lambda data: data.isascii()),
        st.binary(max_size=90).filter(lambda data: data.isascii()),
    ),
    st.builds(lambda first, ping, rest: wire(2, first, fin=False) + wire(9, ping) + wire(0, rest), *[st.binary()] * 3),
)
ENDS = st.one_of(
    st.just(wire(8, b"\x03\xe8")),
    st.just(wire(8, b"")),
    st.just(wire(8, b"\x00\x01")),
    st.just(wire(1, b"\xff\xfe")),
    st.just(wire(1, b"\xc3", fin=False) + wire(0, b"\xa9")),
    st.just(wire(1, b"\xc3", fin=False) + wire(0, b"x")),
    st.just(wire(2, bytes(MAX_BYTES + 1))),
    st.just(wire(2, bytes(150), fin=False) + wire(0, bytes(100))),
    st.just(wire(2, b"x", fin=False) + wire(2, b"y")),
    st.just(wire(0, b"alone")),
    st.builds(wire, st.integers(0, 15), st.binary(max_size=130), st.booleans(), st.booleans(), st.integers(0, 7)),
    st.binary(max_size=30),
)
FRAMES = st.lists(st.one_of(VALID, VALID, VALID, VALID, ENDS), max_size=12)


class FakeTransport(asyncio.Transport):
    """Takes what is written; is closing from `close` on."""

    def __init__(self) -> None:
        super().__init__()
        self.closing = False

    def write(self, data: Any) -> None: ...

    def close(self) -> None:
        self.closing = True

    abort = close

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


@dataclass
class App:
    """Keeps every message, in the way of a stream: by its tap while it waits for the next one, if it has one."""

    with_tap: bool
    messages: list[bytes | str] = field(default_factory=list)
    tapped: int = 0
    waiting: bool = False

    def take(self, data: bytes) -> bool:
        if not self.waiting or len(data) > MAX_BYTES:
            return False
        self.messages.append(data)
        self.tapped += 1
        return True

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        if self.with_tap:
            scope["extensions"][AUDIO_TAP].attach(self.take)
        while True:
            self.waiting = True
            message = await receive()
            self.waiting = False
            if message["type"] == "websocket.disconnect":
                return
            text: str | None = message.get("text")
            self.messages.append(message["bytes"] if text is None else text)


class AlwaysPause(random.Random):
    def random(self) -> float:
        return 0.0


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def by_this_server(pieces: list[bytes], app: App, pause: random.Random) -> Received:
    options: dict[str, Any] = {"ws": StreamProtocol, "ws_max_size": MAX_BYTES, "ws_per_message_deflate": False}
    config = uvicorn.Config(app, lifespan="off", log_config=None, **options)
    config.load()
    config.loaded_app = app  # without uvicorn's layers around it
    protocol, transport = StreamProtocol(config=config, server_state=ServerState(), app_state={}), FakeTransport()
    protocol.connection_made(transport)
    protocol.data_received(HEAD)
    await settle()
    for piece in pieces:
        if transport.closing:
            break
        protocol.data_received(piece)
        if pause.random() < 0.5:
            await settle()
    await settle()
    protocol.connection_lost(None)
    protocol.stop_keepalive()
    await settle()
    sent = protocol.conn.close_sent
    return Received(app.messages, sent.code if sent else None)


def by_the_library(pieces: list[bytes]) -> Received:
    protocol = ServerProtocol(max_size=MAX_BYTES)
    protocol.receive_data(HEAD)
    (request,) = protocol.events_received()
    protocol.send_response(protocol.accept(request))  # type: ignore[arg-type]
    messages: list[bytes | str] = []
    opcode, data = Opcode.BINARY, b""
    for piece in pieces:
        if protocol.state is not State.OPEN:
            break
        protocol.receive_data(piece)
        for frame in protocol.events_received():
            if not isinstance(frame, Frame) or frame.opcode in (Opcode.PING, Opcode.PONG, Opcode.CLOSE):
                continue
            opcode, data = (opcode, data) if frame.opcode is Opcode.CONT else (frame.opcode, b"")
            data += bytes(frame.data)
            if frame.fin:
                try:
                    messages.append(data.decode() if opcode is Opcode.TEXT else data)
                except UnicodeDecodeError:
                    return Received(messages, protocol.close_sent.code if protocol.close_sent else 1007)
    return Received(messages, protocol.close_sent.code if protocol.close_sent else None)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(frames=FRAMES, seed=st.integers(0, 2**16), cuts=st.integers(0, 8), with_tap=st.booleans())
def test_any_frames_cut_anywhere_give_the_messages_of_the_library(
    frames: list[bytes], seed: int, cuts: int, with_tap: bool
) -> None:
    data, chance = b"".join(frames), random.Random(seed)  # noqa: S311
    at = sorted(chance.randrange(len(data) + 1) for _ in range(cuts))
    pieces = [data[start:end] for start, end in zip([0, *at], [*at, len(data)], strict=True) if start < end]
    got = asyncio.run(by_this_server(pieces, App(with_tap), chance))
    assert got == by_the_library(pieces)


@pytest.mark.parametrize("with_tap", [False, True])
async def test_the_tap_gets_whole_binary_messages_and_nothing_else(with_tap: bool) -> None:
    app = App(with_tap)
    parts = [
        wire(2, b"one"),
        wire(1, b"text"),
        wire(2, b"t", fin=False),
        wire(0, b"wo"),
        wire(9, b""),
        wire(2, b"three"),
    ]
    got = await by_this_server(parts, app, AlwaysPause())
    assert got.messages == [b"one", "text", b"two", b"three"]
    assert app.tapped == (2 if with_tap else 0)  # a message in fragments goes the usual way


@pytest.mark.parametrize("size", [0, 1, 125, 126, 640, 65535])
def test_a_whole_frame_gives_its_payload_and_its_end(size: int) -> None:
    payload = bytes(i % 251 for i in range(size))
    data = b"before" + by_the_client(payload) + b"after"
    assert FrameScanner().binary_message(data, 6) == (payload, len(data) - 5)


def test_a_frame_that_is_cut_anywhere_is_left_alone() -> None:
    for size in (5, 200):
        data = by_the_client(bytes(size))
        scanner = FrameScanner()
        assert [scanner.binary_message(data[:cut], 0) for cut in range(len(data))] == [None] * len(data)


def test_frames_of_any_other_kind_are_left_alone() -> None:
    others = [
        by_the_client(b"{}", Opcode.TEXT),
        by_the_client(b"x", Opcode.PING),
        by_the_client(b"", Opcode.CLOSE),
        by_the_client(b"part", fin=False),
        by_the_client(b"rest", Opcode.CONT),
        b"\xc2" + by_the_client(b"extended")[1:],
        by_the_client(bytes(65536)),
        wire(2, b"not masked", masked=False),
    ]
    scanner = FrameScanner()
    assert [scanner.binary_message(data, 0) for data in others] == [None] * len(others)


@pytest.mark.parametrize("step", [1, 2, 3, 7, 10**6])
def test_the_scanner_is_between_messages_where_one_begins_and_nowhere_else(step: int) -> None:
    """Frames of every length of header, a message in fragments with a ping between them, a Close at the end."""
    messages = [by_the_client(bytes(size), Opcode.TEXT) for size in (0, 5, 125, 126, 65536)]
    first, ping, rest = (
        by_the_client(b"a", fin=False),
        by_the_client(b"p", Opcode.PING),
        by_the_client(b"b", Opcode.CONT),
    )
    messages += [first + ping + rest, by_the_client(b"", Opcode.PONG)]
    scanner = FrameScanner()
    for message in messages:
        assert scanner.between_messages
        for start in range(0, len(message), step):
            assert scanner.between_messages == (start == 0)
            scanner.follow(message[start : start + step])
    scanner.follow(by_the_client(b"", Opcode.CLOSE))
    assert not scanner.between_messages


def by_the_client(data: bytes, opcode: Opcode = Opcode.BINARY, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True)
