"""clients/shared_connection.py: many streams on one socket, against the server and against scripts of it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from clients.connection import Connection, ConnectionLostError, Event, ServerError
from clients.shared_connection import connect_shared
from service.server.websocket.audio_blocks import AudioBlock, split_blocks
from service.spotting.model import Model
from service.spotting.spotter import Spotter
from tests.support.fake_server import CONFIG, LIMITS
from tests.support.server import Running, serving
from tests.support.speech import decode_pcm, pcm, synthesize
from tests.support.ws_client import facts

WORDS = [("yes",), ("no", "yes"), ("_unknown_", "no"), ("yes", "yes")]


async def send_all(stream: Connection, data: bytes, chunk: int = 640) -> None:
    for start in range(0, len(data), chunk):
        await stream.send(data[start : start + chunk])
    await stream.close()


async def test_streams_at_once_detect_what_each_detects_alone(server: Running, model: Model) -> None:
    audio = [pcm(synthesize(*words, seed=number)) for number, words in enumerate(WORDS * 5)]
    async with connect_shared(server.ws_shared) as shared, asyncio.TaskGroup() as tasks:
        streams = await asyncio.gather(*(shared.open(speed="fast") for _ in audio))
        for stream, data in zip(streams, audio, strict=True):
            tasks.create_task(send_all(stream, data))
        for stream, data in zip(streams, audio, strict=True):
            events = [event async for event in stream]
            spotter = Spotter(model, speed="fast")
            expected = spotter.push(decode_pcm(data)) + spotter.flush()
            assert [facts(event) for event in events[:-1]] == [facts(event) for event in expected]
            assert events[-1]["type"] == "summary"


async def test_a_stream_that_fails_leaves_the_others_open(server: Running) -> None:
    async with connect_shared(server.ws_shared) as shared:
        with pytest.raises(ServerError, match="bad_value: mode: expected") as caught:
            await shared.open(mode="always")
        assert not caught.value.retryable
        async with shared.open() as stream, shared.open() as failing:
            await failing.send(b"OggS" + bytes(20))
            for _ in range(2):  # it stays so
                with pytest.raises(ServerError, match="bad_audio"):
                    async for _ in failing:
                        pass
            with pytest.raises(ConnectionLostError, match="1003"):
                await failing.send(b"\0\0")
            await send_all(stream, pcm(synthesize("yes")))
            assert [event["type"] async for event in stream] == ["detection", "summary"]
            assert [event async for event in stream] == []


async def test_a_server_that_is_full_says_when_to_try_again(server: Running, models_dir: Any) -> None:
    with serving(models_dir, max_streams=1, retry_after_s=7) as running:
        async with connect_shared(running.ws_shared) as shared:
            first = await shared.open()
            with pytest.raises(ServerError, match="too_many_streams") as caught:
                await shared.open()
            assert (caught.value.retryable, caught.value.retry_after_s) == (True, 7)
            await first.leave()
            await shared.keepalive()
            while running.app.state.server.stream_count:
                await asyncio.sleep(0.01)
            await shared.open()


async def test_a_server_that_stops_breaks_off_every_stream(models_dir: Any) -> None:
    with serving(models_dir) as running:
        async with connect_shared(running.ws_shared) as shared:
            streams = [await shared.open() for _ in range(3)]
            running.server.should_exit = True
            for stream in streams:
                assert (await anext(stream))["type"] == "summary"
                with pytest.raises(ConnectionLostError, match="1012") as caught:
                    await anext(stream)
                assert caught.value.retryable
            while running.server.started and not running.server.servers:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)
            with pytest.raises(ConnectionLostError):
                await shared.open()
            with pytest.raises(ConnectionLostError):
                await shared.keepalive()


@asynccontextmanager
async def scripted(script: Callable[[ServerConnection], Awaitable[None]], **limits: float) -> Any:
    """A server that opens every stream and then follows a script: its address, and the blocks of each message."""
    messages: list[list[AudioBlock]] = []

    async def handle(socket: ServerConnection) -> None:
        async for message in socket:
            if isinstance(message, bytes):
                messages.append(split_blocks(message))
                continue
            text: Event = json.loads(message)
            if text["type"] == "configure":
                ready = {"type": "ready", "stream": text["stream"], "config": CONFIG, "limits": {**LIMITS, **limits}}
                await socket.send(json.dumps(ready))
            elif text["type"] == "flush":
                await script(socket)

    async with serve(handle, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/v1/streams", messages


async def test_audio_of_one_turn_of_the_loop_shares_messages_up_to_the_limit() -> None:
    async def script(socket: ServerConnection) -> None:
        await socket.send('{"type":"error","code":"bad_message","message":"of no stream","fatal":false}')
        await socket.send('{"type":"error","stream":99,"code":"unknown_stream","message":"","fatal":false}')
        await socket.send('{"type":"summary","stream":0}')

    async with scripted(script, max_message_bytes=100) as (url, messages), connect_shared(url) as shared:
        streams = [await shared.open() for _ in range(3)]
        await asyncio.gather(*(stream.send(bytes([number]) * 40) for number, stream in enumerate(streams)))
        await streams[1].send(b"x" * 150)
        await streams[0].flush()
        assert (await anext(streams[0]))["type"] == "summary"
        assert messages[0] == [(0, b"\0" * 40), (1, b"\1" * 40)]
        assert messages[1] == [(2, b"\2" * 40)]
        assert messages[2:] == [[(1, b"x" * 92)], [(1, b"x" * 58)]]


async def test_a_sender_that_is_cancelled_takes_no_other_with_it() -> None:
    async def script(socket: ServerConnection) -> None:
        await socket.send('{"type":"summary","stream":1}')

    async with scripted(script) as (url, messages), connect_shared(url) as shared:
        streams = [await shared.open() for _ in range(2)]
        sending = [asyncio.create_task(stream.send(b"ab")) for stream in streams]
        await asyncio.sleep(0)
        sending[0].cancel()
        await sending[1]
        await streams[1].flush()
        assert (await anext(streams[1]))["type"] == "summary"
        assert messages == [[(0, b"ab"), (1, b"ab")]]


async def test_a_socket_that_breaks_off_ends_every_stream() -> None:
    async def script(socket: ServerConnection) -> None:
        await socket.close(1011, "fault")

    async with scripted(script) as (url, _), connect_shared(url) as shared:
        streams = [await shared.open() for _ in range(2)]
        await streams[0].flush()
        for stream in streams:
            with pytest.raises(ConnectionLostError, match="1011"):
                await anext(stream)
            await stream.leave()
