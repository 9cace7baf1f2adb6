"""Sockets that are left open, against a real server."""

import asyncio
import socket
import time
from pathlib import Path

import httpx
import pytest
from uvicorn.protocols.utils import ClientDisconnected

from service.server.uvicorn_protocols import StreamProtocol
from tests.support.server import Running, serving
from tests.support.speech import pcm, say
from tests.support.ws_client import client, stream

HALVES = [
    b"",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\n",
    b"GET /v1/stream HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /again",
]


def opened(running: Running, data: bytes) -> socket.socket:
    host, port = running.address.split(":")
    one = socket.create_connection((host, int(port)), timeout=5)
    one.sendall(data)
    return one


async def test_half_open_handshakes_end_and_a_stream_beside_them_does_not(models_dir: Path) -> None:
    with serving(models_dir, handshake_timeout_s=0.5) as running:
        halves = [opened(running, HALVES[i % len(HALVES)]) for i in range(100)]
        one = await stream(running.ws(), pcm(say("yes", "no")))
        assert [event["label"] for event in one.detections] == ["yes", "no"]
        for half in halves:
            while await asyncio.to_thread(half.recv, 4096):
                pass  # the server closes it
            half.close()
        assert not running.server.server_state.connections


async def test_a_stream_and_a_request_may_outlast_the_time_for_a_head(models_dir: Path) -> None:
    with serving(models_dir, handshake_timeout_s=0.2) as running:
        data = pcm(say("yes", "no"))
        halves = iter((data[: len(data) // 2], data[len(data) // 2 :]))
        async with client(running.ws()) as one:
            await one.send(next(halves), 1280)
            await asyncio.sleep(0.4)
            await one.send(next(halves), 1280)
            await one.ask("close")
            assert (await one.closed())[0] == 1000
        with httpx.Client(base_url=running.http) as http:
            for _ in range(3):
                assert http.get("/healthz").status_code == 200
                time.sleep(0.1)


def test_a_head_without_end_is_cut(server: Running) -> None:
    one = opened(server, b"GET /healthz HTTP/1.1\r\n")
    with pytest.raises(OSError):  # closed while it writes
        for number in range(10_000):
            one.sendall(b"X-%d: %s\r\n" % (number, b"x" * 1000))
    one.close()


async def test_to_send_on_a_socket_that_uvicorn_has_closed_is_no_fault_of_the_app() -> None:
    """As it does for frames that are none; tests/stress/fuzz.py comes upon it."""
    closed = StreamProtocol.__new__(StreamProtocol)
    closed.writable, closed.disconnected, closed.initial_response = asyncio.Event(), False, None
    closed.writable.set()
    closed.handshake_complete = closed.close_sent = True
    with pytest.raises(ClientDisconnected):
        await closed.send({"type": "websocket.send", "text": "late"})
