"""clients/connection.py against a server that follows a script of the test."""

import asyncio
import re

import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection, serve

from clients.connection import ConnectionLostError, ServerError, ServerUnreachableError, connect, encode
from service.spotting.audio import to_float
from service.spotting.pcm import PcmDecoder
from tests.support.fake_server import FakeStream, detection, fake_server, until_flush


async def test_settings_go_up_first_and_ready_comes_back() -> None:
    async with fake_server(until_flush) as (url, streams), connect(url, mode="utterance", threshold=0.5) as stream:
        assert streams[0].texts == [{"type": "configure", "mode": "utterance", "threshold": 0.5}]
        assert stream.ready["config"]["mode"] == "utterance"


async def test_connect_can_be_awaited_and_leaving_closes_the_socket() -> None:
    async with fake_server(until_flush) as (url, streams):
        async with await connect(url) as stream:
            assert stream.ready["config"]["mode"] == "continuous"
        await asyncio.wait_for(streams[0].socket.wait_closed(), 5)


async def test_requests_are_those_of_the_protocol_and_close_ends_the_iteration() -> None:
    async def script(stream: FakeStream) -> None:
        while await stream.receive() != {"type": "close"}:
            pass
        await stream.send(**detection("yes", 0.5))
        await stream.socket.close(1000)

    async with fake_server(script) as (url, streams), connect(url) as stream:
        await stream.update(speed="fast")
        await stream.keepalive()
        await stream.reset()
        await stream.flush()
        await stream.close()
        assert [event["label"] async for event in stream] == ["yes"]
        assert streams[0].texts[1:] == [
            {"type": "update", "speed": "fast"},
            {"type": "keepalive"},
            {"type": "reset"},
            {"type": "flush"},
            {"type": "close"},
        ]


async def test_audio_is_cut_to_the_message_limit_and_arrives_whole() -> None:
    async with fake_server(until_flush, max_message_bytes=1000) as (url, streams), connect(url) as stream:
        sent = np.arange(1234, dtype=np.int16)
        await stream.send(sent)
        await stream.send(b"\x01")
        await stream.flush()
        assert (await anext(stream))["type"] == "summary"
        assert streams[0].audio == sent.tobytes() + b"\x01"
        assert streams[0].sizes == [1000, 1000, 468, 1]


async def test_a_new_ready_replaces_the_old_one() -> None:
    async def script(stream: FakeStream) -> None:
        await stream.receive()
        await stream.send(type="ready", config=stream.config, limits=stream.limits)

    async with fake_server(script) as (url, _), connect(url) as stream:
        await stream.update(scores_every_ms=100)
        assert (await anext(stream))["type"] == "ready"
        assert stream.ready["config"]["scores_every_ms"] == 100


async def test_a_fatal_error_is_raised_and_another_is_an_event() -> None:
    async def script(stream: FakeStream) -> None:
        await stream.send(type="error", code="odd", message="one byte too many", fatal=False)
        await stream.send(type="error", code="overloaded", message="expected 2 s, got 3 s", fatal=True)

    async with fake_server(script) as (url, _), connect(url) as stream:
        assert (await anext(stream))["code"] == "odd"
        with pytest.raises(ServerError, match=r"^overloaded: expected 2 s, got 3 s$") as caught:
            await anext(stream)
        assert caught.value.code == "overloaded"


async def test_refused_settings_are_raised_by_connect() -> None:
    async def handle(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send('{"type":"error","code":"bad_value","message":"mode: expected a or b, got c","fatal":true}')
        await socket.close(1008)

    async with serve(handle, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        with pytest.raises(ServerError, match="bad_value: mode: expected a or b, got c"):
            await connect(url, mode="c")


async def test_a_refusal_that_comes_before_the_settings_are_sent_is_raised_too() -> None:
    async def handle(socket: ServerConnection) -> None:
        await socket.send('{"type":"error","code":"unknown_model","message":"expected a, got b","fatal":true}')
        await socket.close(1008)

    async with serve(handle, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        with pytest.raises(ServerError, match=r"^unknown_model: expected a, got b$"):
            await connect(url)


async def test_a_connection_that_breaks_off_differs_from_one_that_ends() -> None:
    async def script(stream: FakeStream) -> None:
        await stream.socket.close(1011, "fault")

    async with fake_server(script) as (url, _), connect(url) as stream:
        with pytest.raises(ConnectionLostError, match=r"expected the stream to stay open, got: received 1011 .* fault"):
            await anext(stream)
        with pytest.raises(ConnectionLostError):
            await stream.send(b"\0\0")


async def test_no_server_at_the_address() -> None:
    async with fake_server(until_flush) as (url, _):
        pass
    with pytest.raises(ServerUnreachableError, match=re.escape(f"expected a server at {url}, got: ")):
        await connect(url)
    with pytest.raises(ServerUnreachableError, match=r"expected an address such as ws://.*, got 'localhost:8000'"):
        await connect("localhost:8000")


def test_the_server_decodes_what_was_encoded() -> None:
    samples = np.array([0, 1, -1, 12345, 32767, -32768], np.int16)
    floats = samples.astype(np.float32) / 32768
    assert encode(samples, "pcm_s16le") == encode(floats, "pcm_s16le")
    for encoding in ("pcm_s16le", "pcm_f32le"):
        assert np.array_equal(to_float(PcmDecoder(encoding, 1).push(encode(floats, encoding))), floats)


def test_samples_beyond_full_scale_are_clamped_not_wrapped() -> None:
    assert encode(np.array([1.5, -1.5]), "pcm_s16le") == np.array([32767, -32768], "<i2").tobytes()


def test_samples_of_another_type_are_an_error() -> None:
    with pytest.raises(ValueError, match="got int16 for pcm_f32le"):
        encode(np.zeros(3, np.int16), "pcm_f32le")
