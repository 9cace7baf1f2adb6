"""Handshakes, half-open and half-closed connections, and what no client may do to the others, on real sockets."""

import asyncio
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.server import ServerState
from websockets.frames import Frame, Opcode

from service.server.websocket.client_adapter import WebSocketClient
from service.server.websocket.uvicorn_protocols import MAX_EARLY, RequestProtocol, StreamProtocol
from tests.support.server import Running, serving
from tests.support.server_process import command
from tests.support.speech import pcm, synthesize
from tests.support.tone_model import write_model
from tests.support.ws_client import Client, client, stream

YES = pcm(synthesize("yes"))
YES_NO = pcm(synthesize("yes", "no"))
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
VERSION = "Sec-WebSocket-Version: 13\r\n"


def handshake(query: str = "", more: str = KEY + VERSION, method: str = "GET", protocol: str = "HTTP/1.1") -> bytes:
    """A finished head."""
    head = f"{method} /v1/stream{query} {protocol}\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    return f"{head}{more}\r\n".encode()


GOOD = handshake("?mode=continuous")
HALF_OPEN = [
    b"",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\n",
    b"GET /v1/stream HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /again",
]
REFUSED = {
    "a long query": handshake("?x=" + "y" * 8300),
    "a long header": handshake(more=KEY + VERSION + "X-Long: " + "y" * 9000 + "\r\n"),
    "many headers": handshake(more=KEY + VERSION + "".join(f"X-{i}: y\r\n" for i in range(140))),
    "a body": handshake(more=KEY + VERSION + "Content-Length: 3\r\n") + b"abc",
    "half a body": handshake(more=KEY + VERSION + "Content-Length: 9\r\n") + b"abc",
    "no body yet": handshake(more=KEY + VERSION + "Content-Length: 3\r\n"),
    "a chunked body": handshake(more=KEY + VERSION + "Transfer-Encoding: chunked\r\n") + b"3\r\nabc\r\n0\r\n\r\n",
    "no chunk yet": handshake(more=KEY + VERSION + "Transfer-Encoding: chunked\r\n"),
    "no version": handshake(more=KEY),
    "another version": handshake(more=KEY + "Sec-WebSocket-Version: 8\r\n"),
    "two versions": handshake(more=KEY + VERSION + VERSION),
    "no key": handshake(more=VERSION),
    "a short key": handshake(more="Sec-WebSocket-Key: abcd\r\n" + VERSION),
    "two keys": handshake(more=KEY + KEY + VERSION),
    "another method": handshake(method="POST"),
    "an old protocol": handshake(protocol="HTTP/1.0"),
    "a path beyond ASCII": handshake("/\u00e9"),
}
STATUS = {"another method": 405}


def connect(address: str, data: bytes) -> socket.socket:
    host, port = address.split(":")
    connection = socket.create_connection((host, int(port)), timeout=5)
    connection.sendall(data)
    return connection


def read_to_end(connection: socket.socket) -> bytes:
    with connection:
        parts = []
        while part := connection.recv(1 << 16):
            parts.append(part)
        return b"".join(parts)


def frame(data: bytes, opcode: Opcode = Opcode.BINARY) -> bytes:
    return Frame(opcode, data).serialize(mask=True)


def control(kind: str) -> bytes:
    return frame(json.dumps({"type": kind}).encode(), Opcode.TEXT)


def read_answer(connection: socket.socket) -> tuple[list[dict[str, Any]], int | None]:
    """What a server sends until its Close frame, or the end of the connection."""
    data = b""
    with connection:
        while part := connection.recv(1 << 16):
            data += part
            events, code = parse_answer(data)
            if code is not None:
                return events, code
    return parse_answer(data)


def parse_answer(answer: bytes) -> tuple[list[dict[str, Any]], int | None]:
    """The events of the server, and the code of its Close frame."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101"), head
    events: list[dict[str, Any]] = []
    while len(rest) > 1:
        size, start = rest[1], 2
        if size == 126:
            size, start = int.from_bytes(rest[2:4]), 4
        payload, opcode, rest = rest[start : start + size], rest[0] & 15, rest[start + size :]
        if opcode == Opcode.CLOSE:
            return events, int.from_bytes(payload[:2])
        if opcode == Opcode.TEXT:
            events.append(json.loads(payload))
    return events, None


def labels(events: list[dict[str, Any]]) -> list[str]:
    return [event["label"] for event in events if event["type"] == "detection"]


# Handshakes


@pytest.mark.parametrize("kind", REFUSED)
def test_a_handshake_that_is_refused_is_answered_and_closed(server: Running, kind: str) -> None:
    head, _, body = read_to_end(connect(server.address, REFUSED[kind])).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % STATUS.get(kind, 400)), head
    assert body


@pytest.mark.parametrize("kind", ["no version", "another version", "two versions"])
def test_the_version_of_the_protocol_is_in_the_answer_to_another(server: Running, kind: str) -> None:
    answer = read_to_end(connect(server.address, REFUSED[kind]))
    assert b"\r\nSec-WebSocket-Version: 13\r\n" in answer
    assert answer.endswith(b"\r\n\r\nSec-WebSocket-Version: expected 13\n")


@pytest.mark.parametrize("pause_s", [0, 0.02])
@pytest.mark.parametrize("size", [1, 20, 10**6])
def test_audio_right_behind_the_handshake_is_not_lost(server: Running, size: int, pause_s: float) -> None:
    """In one piece with the head, or before the answer; frames cut anywhere."""
    data = b"".join(frame(YES[start : start + 1280]) for start in range(0, len(YES), 1280)) + control("close")
    first = 10**6 if size > len(data) else 1300 + size
    connection = connect(server.address, GOOD + data[:first])
    time.sleep(pause_s)
    connection.sendall(data[first:])
    events, code = read_answer(connection)
    assert (labels(events), events[-1]["audio_s"], code) == (["yes"], len(YES) / 32000, 1000)


def test_a_handshake_behind_a_request_that_is_not_answered_yet_is_refused(server: Running) -> None:
    answer = read_to_end(connect(server.address, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" + GOOD))
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_a_handshake_may_follow_a_request_on_its_connection(server: Running) -> None:
    connection = connect(server.address, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = b""
    while not answer.endswith(b'{"alive":true}'):
        answer += connection.recv(1 << 16)
    connection.sendall(GOOD + frame(YES) + control("close"))
    assert labels(read_answer(connection)[0]) == ["yes"]


async def test_what_comes_before_the_answer_is_held_and_bounded() -> None:
    """The protocol alone: nothing is given to the library before the handshake is accepted."""
    protocol = StreamProtocol.__new__(StreamProtocol)
    paused: list[bool] = []

    class Transport:
        def pause_reading(self) -> None:
            paused.append(True)

    protocol.transport, protocol.handshake_complete, protocol.handshake_initiated = Transport(), False, True  # type: ignore[assignment]
    protocol._early = bytearray()
    protocol.data_received(bytes(MAX_EARLY))
    assert not paused
    protocol.data_received(b"x")
    assert paused


def test_half_open_handshakes_end_and_a_stream_beside_them_does_not(models_dir: Path) -> None:
    with serving(models_dir, handshake_timeout_s=0.5) as running:
        half_open = [connect(running.address, HALF_OPEN[i % len(HALF_OPEN)]) for i in range(100)]
        beside = asyncio.run(stream(running.ws(), YES_NO))
        assert [event["label"] for event in beside.detections] == ["yes", "no"]
        for connection in half_open:
            read_to_end(connection)  # the server closes it
        assert not running.server.server_state.connections


async def test_a_stream_and_a_request_may_outlast_the_time_for_a_head(models_dir: Path) -> None:
    with serving(models_dir, handshake_timeout_s=0.2) as running:
        async with client(running.ws()) as slow:
            await slow.send(YES_NO[: len(YES_NO) // 2], 1280)
            await asyncio.sleep(0.4)
            await slow.send(YES_NO[len(YES_NO) // 2 :], 1280)
            await slow.ask("close")
            assert (await slow.closed())[0] == 1000
        async with httpx.AsyncClient(base_url=running.http) as http:
            for _ in range(3):
                assert (await http.get("/healthz")).status_code == 200
                await asyncio.sleep(0.1)


def test_a_head_without_end_is_cut(server: Running) -> None:
    connection = connect(server.address, b"GET /healthz HTTP/1.1\r\n")
    with connection, pytest.raises(OSError):  # noqa: PT011, PT012 (closed while it writes)
        for number in range(10_000):
            connection.sendall(b"X-%d: %s\r\n" % (number, b"x" * 1000))


# Messages


@contextmanager
def uvicorn_log(level: int) -> Iterator[list[logging.LogRecord]]:
    records: list[logging.LogRecord] = []
    handler = logging.Handler(level)
    handler.emit = records.append  # type: ignore[method-assign, assignment]
    logger = logging.getLogger("uvicorn.error")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    yield records
    logger.removeHandler(handler)
    logger.setLevel(before)


def test_text_that_is_not_utf8_is_closed_with_1007_and_no_traceback(server: Running) -> None:
    with uvicorn_log(logging.DEBUG) as records:
        data = GOOD + frame(YES) + frame(b"\xff\xfe", Opcode.TEXT) + frame(YES)
        _, code = read_answer(connect(server.address, data))
    assert code == 1007
    about = [record for record in records if record.getMessage().endswith(" - text that is not UTF-8")]
    assert [record.levelname for record in about] == ["DEBUG"]
    assert not [record for record in records if record.exc_info or record.levelno > logging.INFO]


@pytest.mark.parametrize(("last", "code"), [("close", 1000), ("flush", None)])
def test_a_client_that_has_half_closed_its_connection_gets_its_answers(
    server: Running, last: str, code: int | None
) -> None:
    connection = connect(server.address, GOOD + frame(YES_NO[:60000]) + frame(YES_NO[60000:]) + control(last))
    connection.shutdown(socket.SHUT_WR)
    began = time.monotonic()
    events, got = read_answer(connection)
    assert (labels(events), events[-1]["type"], got) == (["yes", "no"], "summary", code)
    assert time.monotonic() - began < 5  # it does not wait for a Close frame that cannot come


async def test_audio_does_not_wake_the_task_of_its_stream(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """The direct way for audio: its messages are not among those that the stream receives."""
    received: list[bool] = []
    receive = WebSocketClient.receive

    async def count(self: WebSocketClient) -> Any:
        message = await receive(self)
        received.append(isinstance(message, bytes))
        return message

    monkeypatch.setattr(WebSocketClient, "receive", count)
    async with client(server.ws(mode="continuous")) as live:
        await live.until("ready")
        for start in range(0, len(YES), 640):
            await live.socket.send(YES[start : start + 640])
            await asyncio.sleep(0.002)
        await live.ask("close")
        await live.closed()
    assert [event["label"] for event in live.detections] == ["yes"]
    assert received.count(False) == 1
    assert received.count(True) <= len(YES) / 640 / 10


async def test_to_send_on_a_socket_that_uvicorn_has_closed_is_not_an_error() -> None:
    """As it does for frames that are none; tests/stress/fuzz.py comes upon it."""
    closed = StreamProtocol.__new__(StreamProtocol)
    closed.writable, closed.disconnected, closed.initial_response = asyncio.Event(), False, None
    closed.writable.set()
    closed.handshake_complete = closed.close_sent = True
    with pytest.raises(ClientDisconnected):
        await closed.send({"type": "websocket.send", "text": "late"})


# Shutdown


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
async def test_no_handshake_holds_a_descriptor_or_stops_the_shutdown(tmp_path: Path) -> None:
    """Ninety of every refused kind, whole and half, then SIGTERM with 50 live streams."""
    write_model(tmp_path)
    kinds = [*REFUSED.values(), *HALF_OPEN]
    log = tmp_path / "log"
    async with AsyncExitStack() as stack:
        process, address = stack.enter_context(command(tmp_path, "--handshake-timeout-s", "0.5", log=log))
        await stream(f"ws://{address}/v1/stream", YES)
        await asyncio.sleep(0.2)
        before = descriptors(process.pid)
        heads = [head if i % 2 else head[: len(head) // 2] for head in kinds for i in range(90)]
        for start in range(0, len(heads), 400):
            connections = [connect(address, head) for head in heads[start : start + 400]]
            await asyncio.gather(*(asyncio.to_thread(wait_for_end, connection) for connection in connections))
        assert descriptors(process.pid) <= before + 1
        live: list[Client] = [await stack.enter_async_context(client(f"ws://{address}/v1/stream")) for _ in range(50)]
        for speaker in live:
            await speaker.send(YES, 1280)
            await speaker.until("detection")
        held = [connect(address, head) for head in kinds]
        process.send_signal(signal.SIGTERM)
        for speaker in live:
            code, last = await speaker.closed()
            assert (code, last["type"], last["detections"]) == (1012, "summary", 1)
        assert await asyncio.to_thread(process.wait, 15) == 0
        for connection in held:
            connection.close()
    assert "Traceback" not in log.read_text()


def wait_for_end(connection: socket.socket) -> None:
    connection.settimeout(10)
    try:
        read_to_end(connection)
    except ConnectionResetError:
        connection.close()


class BrokenTransport(asyncio.Transport):
    """Fails to close; counts how often it is aborted."""

    def __init__(self) -> None:
        super().__init__()
        self.aborted = 0

    def close(self) -> None:
        raise AssertionError("no")

    def abort(self) -> None:
        self.aborted += 1


@pytest.mark.parametrize("protocol", [RequestProtocol, StreamProtocol])
async def test_a_connection_that_fails_to_shut_down_is_aborted(protocol: Any) -> None:
    """The loop over all of them must go on."""
    config = uvicorn.Config(lambda: None, log_config=None)
    config.load()
    timeout = (1.0,) if protocol is RequestProtocol else ()
    failing = protocol(*timeout, config=config, server_state=ServerState(), app_state={})
    failing.transport, failing.close_sent = BrokenTransport(), True
    with uvicorn_log(logging.ERROR) as records:
        failing.shutdown()
    assert failing.transport.aborted == 1
    assert [record.getMessage() for record in records] == ["a connection failed to shut down"]
