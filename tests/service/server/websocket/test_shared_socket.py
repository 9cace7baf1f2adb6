"""Many streams on one socket, as docs/protocol.md describes it, against a real server."""

import asyncio
import json
import random
import threading
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from service.server.app import create_app
from service.server.streams.stream import serve
from service.server.websocket.shared_client import MAX_WAITING
from service.settings import Settings
from service.spotting.model import Model
from service.spotting.spotter import Spotter
from tests.support.server import Running, serving
from tests.support.speech import decode_pcm, pcm, synthesize
from tests.support.ws_client import SharedSocketClient, block, facts, shared_client
from tests.support.ws_client import client as own_client

MAX_BLOCKS, MAX_PIECE = 6, 10_000  # blocks of a message and bytes of a block: together they fit
YES = pcm(synthesize("yes"))
SPEECH = pcm(synthesize("yes", "no", "_unknown_", "no"))


def alone(model: Model, data: bytes, **settings: Any) -> list[tuple[Any, ...]]:
    """The facts of the detections in the same audio, in process."""
    spotter = Spotter(model, **settings)
    return [facts(event) for event in spotter.push(decode_pcm(data)) + spotter.flush()]


def detected(socket: SharedSocketClient, stream: int) -> list[tuple[Any, ...]]:
    return [facts(event) for event in socket.of[stream] if event["type"] == "detection"]


async def open_streams(socket: SharedSocketClient, *streams: int, **settings: object) -> None:
    """Open them, and wait until each is ready."""
    for stream in streams:
        await socket.ask("configure", stream=stream, **settings)
    for stream in streams:
        await socket.stream_until(stream, "ready")


async def play(socket: SharedSocketClient, stream: int, data: bytes, chunk: int = 1280) -> dict[str, Any]:
    """Send it all and close; returns the last event."""
    for start in range(0, len(data), chunk):
        await socket.send_audio((stream, data[start : start + chunk]))
    await socket.ask("close", stream=stream)
    return await socket.stream_until(stream, "ended")


@pytest.mark.parametrize("early", [False, True])
async def test_a_stream_is_what_a_socket_of_its_own_is(server: Running, early: bool) -> None:
    async with own_client(server.ws(scores_every_ms=100, early=str(early))) as own:
        await own.send(SPEECH, 1280)
        await own.ask("close")
        await own.closed()
    async with shared_client(server.ws_shared) as socket:
        await open_streams(socket, 7, scores_every_ms=100, early=early)
        ended = await play(socket, 7, SPEECH)
    assert ended == {"type": "ended", "stream": 7, "code": 1000, "reason": "", "retry_after_s": None}
    assert list(socket.of) == [7]
    events = socket.of[7][:-1]
    assert all(list(event)[:2] == ["type", "stream"] for event in events)
    assert [steady(event) for event in events] == [steady(event) for event in own.received]
    assert any(event["type"] == "confirmed" for event in events) == early


def steady(event: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key not in ("stream", "latency", "session_id")}


@pytest.mark.parametrize("seed", range(5))
async def test_random_pieces_in_random_order_give_the_detections_of_streams_alone(
    server: Running, model: Model, seed: int
) -> None:
    """Twenty streams on one socket, some of which are reset, or fail."""
    chance = random.Random(seed)  # noqa: S311
    scripts = {stream: Script(stream, chance) for stream in chance.sample(range(2**32), 20)}
    async with shared_client(server.ws_shared) as socket:
        turns = [script for script in scripts.values() for _ in script.steps]
        chance.shuffle(turns)
        waiting: list[bytes] = []
        for script in turns:
            step = script.steps.pop(0)
            if isinstance(step, bytes):
                waiting.append(block(script.stream, step))
            if waiting and (len(waiting) == MAX_BLOCKS or not isinstance(step, bytes) or chance.random() < 0.4):
                await socket.socket.send(b"".join(waiting))
                waiting.clear()
            if isinstance(step, str):
                await socket.socket.send(step)
        for script in scripts.values():
            ended = await socket.stream_until(script.stream, "ended")
            assert (ended["code"], ended["reason"]) == script.end
            assert detected(socket, script.stream) == script.expected(model)
    assert None not in socket.of


class Script:
    """What one stream sends: pieces of audio and texts, and how it is to end."""

    def __init__(self, stream: int, chance: random.Random) -> None:
        words = [chance.choice(["yes", "no", "_unknown_"]) for _ in range(chance.randint(1, 3))]
        self.stream, self.end = stream, (1000, "")
        self.settings: dict[str, Any] = {"speed": chance.choice(["fast", "balanced"])}
        self.audio = pcm(synthesize(*words, gap_s=chance.uniform(0.1, 0.3), seed=stream))
        self.before = self.audio[: chance.randrange(0, len(self.audio), 2)] if chance.random() < 0.3 else b""
        self.steps: list[bytes | str] = [self._text("configure", **self.settings)]
        if self.before:
            self.steps += [*_cut(self.before, chance), self._text("flush"), self._text("reset")]
        self.steps += _cut(self.audio, chance)
        if chance.random() < 0.2:
            self.steps.append(self._text("update", threshold=7))
            self.end = (1008, "bad_value")
        else:
            self.steps.append(self._text("close"))

    def _text(self, kind: str, **fields: object) -> str:
        return json.dumps({"type": kind, "stream": self.stream, **fields})

    def expected(self, model: Model) -> list[tuple[Any, ...]]:
        before = alone(model, self.before, **self.settings) if self.before else []
        if self.end == (1000, ""):
            return before + alone(model, self.audio, **self.settings)
        spotter = Spotter(model, **self.settings)
        return before + [facts(event) for event in spotter.push(decode_pcm(self.audio))]  # not flushed


def _cut(data: bytes, chance: random.Random) -> list[bytes]:
    """Pieces of up to MAX_PIECE bytes; some are empty, some have half a sample."""
    every = range(MAX_PIECE, len(data), MAX_PIECE)
    at = sorted([*every, *(chance.randrange(len(data) + 1) for _ in range(chance.randint(1, 12)))])
    return [data[start:end] for start, end in zip([0, *at], [*at, len(data)], strict=True)]


async def test_a_message_may_hold_blocks_of_many_streams_and_several_of_one(server: Running, model: Model) -> None:
    async with shared_client(server.ws_shared) as socket:
        await open_streams(socket, 1, 2)
        await socket.send_audio((1, YES[:8000]), (2, YES), (1, b""), (1, YES[8000:8001]))
        await socket.send_audio((1, YES[8001:]))
        for stream in (1, 2):
            await socket.ask("close", stream=stream)
            await socket.stream_until(stream, "ended")
            assert detected(socket, stream) == alone(model, YES)


async def test_settings_of_the_socket_hold_unless_a_stream_has_its_own(server: Running) -> None:
    async with shared_client(f"{server.ws_shared}?sample_rate=8000&encoding=pcm_mulaw&colour=red") as socket:
        await open_streams(socket, 1)
        await open_streams(socket, 2, encoding="pcm_s16le")
    one, two = socket.of[1][0], socket.of[2][0]
    assert (one["config"]["sample_rate"], one["config"]["encoding"]) == (8000, "pcm_mulaw")
    assert (two["config"]["sample_rate"], two["config"]["encoding"]) == (8000, "pcm_s16le")
    assert one["warnings"] == [{"code": "unknown_key", "key": "colour"}]


FAULTS: list[tuple[dict[str, Any], dict[str, Any] | bytes, int, str, str]] = [
    ({}, {"type": "configure"}, 1008, "bad_message", "configure: expected only as the first message"),
    ({}, {"type": "sing"}, 1008, "bad_message", "type: expected configure, update, reset, flush, close, keepalive"),
    ({}, {"type": ["flush"]}, 1008, "bad_message", "type: expected configure"),
    ({}, {"type": "update", "refractory_s": -1}, 1008, "bad_value", "refractory_s: expected 0 to 60, got -1"),
    ({}, {"type": "update", "sample_rate": 8000}, 1008, "bad_value", "update: expected some of keywords, threshold"),
    ({}, b"OggS" + bytes(20), 1003, "bad_audio", "expected samples as pcm_s16le, got the header of a sound file (Ogg)"),
    ({"encoding": "pcm_f32le"}, np.full(20, np.nan, "<f4").tobytes(), 1003, "bad_audio", "expected"),
]
BAD_STARTS: list[tuple[dict[str, Any], str, str]] = [
    ({"mode": "always"}, "bad_value", "mode: expected continuous or utterance, got 'always'"),
    ({"sample_rate": 96000}, "bad_value", "sample_rate: expected 8000 to 48000, got 96000"),
    ({"model": "nonesuch"}, "unknown_model", "model: expected among other, tones, got 'nonesuch'"),
]
NO_STREAM: list[tuple[str | bytes, str, str]] = [
    ("hello", "bad_message", "expected a JSON object (audio goes in binary messages), got 'hello'"),
    ("[1]", "bad_message", "expected a JSON object, got '[1]'"),
    ('{"type":"flush"}', "bad_message", "stream: expected an id of 0 to 4294967295, got None"),
    ('{"type":"flush","stream":-1}', "bad_message", "stream: expected an id of 0 to 4294967295, got -1"),
    ('{"type":"flush","stream":4294967296}', "bad_message", "stream: expected an id"),
    ('{"type":"configure","stream":"7"}', "bad_message", "stream: expected an id of 0 to 4294967295, got '7'"),
    ('{"type":"configure","stream":true}', "bad_message", "stream: expected an id of 0 to 4294967295, got True"),
    ('{"type":"configure","stream":7.0}', "bad_message", "stream: expected an id"),
    (b"\x01\x02\x03", "bad_message", "byte 0: expected a block's header of 8 bytes, got 3"),
    (block(1, bytes(10))[:-1], "bad_message", "block of stream 1: expected 10 bytes of audio, got 9"),
    (block(1, bytes(65536)), "too_big", "message: expected at most 65536 bytes, got 65544"),
    (json.dumps({"type": "keepalive", "x": "x" * 70_000}), "too_big", "message: expected at most 65536 bytes, got"),
]


async def test_bad_input_ends_its_own_stream_and_no_other(server: Running, model: Model) -> None:
    """A healthy stream of the same socket is fed between all the bad ones, and detects what it would alone."""
    pieces = [SPEECH[start : start + 2400] for start in range(0, len(SPEECH), 2400)]
    async with shared_client(server.ws_shared) as socket:
        await open_streams(socket, 1)
        for number, (settings, message, code, name, text) in enumerate(FAULTS, 100):
            await open_streams(socket, number, **settings)
            if isinstance(message, bytes):
                await socket.send_audio((number, message))
            else:
                await socket.socket.send(json.dumps({**message, "stream": number}))
            await socket.send_audio((1, pieces.pop(0)))
            await expect_end(socket, number, code, name, text)
        for number, (settings, name, text) in enumerate(BAD_STARTS, 200):
            await socket.ask("configure", stream=number, **settings)
            await socket.send_audio((1, pieces.pop(0)))
            await expect_end(socket, number, 1008, name, text)
        for sent, name, text in NO_STREAM:
            await socket.socket.send(sent)
            await socket.send_audio((1, pieces.pop(0)))
            error = await socket.stream_until(None, "error")
            socket.of[None].clear()
            assert (error["code"], error["fatal"]) == (name, False)
            assert text in error["message"]
        await play(socket, 1, b"".join(pieces))
    assert detected(socket, 1) == alone(model, SPEECH)


async def expect_end(socket: SharedSocketClient, stream: int, code: int, name: str, text: str) -> None:
    ended = await socket.stream_until(stream, "ended")
    error = await socket.stream_until(stream, "error")
    assert (error["code"], error["fatal"]) == (name, True)
    assert text in error["message"]
    assert (ended["code"], ended["reason"]) == (code, name)


async def test_messages_for_a_stream_that_is_not_open_are_answered_and_dropped(server: Running, model: Model) -> None:
    async with shared_client(server.ws_shared) as socket:
        await open_streams(socket, 1)
        await socket.send_audio((2, b""), (1, YES), (3, YES))  # the audio of stream 1 counts
        error = await socket.stream_until(3, "error")
        assert error["message"] == "stream 3: expected one that is open, or configure"
        assert (error["code"], error["fatal"]) == ("unknown_stream", False)
        await socket.ask("flush", stream=4)
        assert (await socket.stream_until(4, "error"))["code"] == "unknown_stream"
        await socket.ask("close", stream=1)
        await socket.stream_until(1, "ended")
        await socket.send_audio((1, YES))
        assert (await socket.stream_until(1, "error"))["code"] == "unknown_stream"
    assert detected(socket, 1) == alone(model, YES)


async def test_an_id_is_free_again_once_its_stream_has_ended(models_dir: Path, model: Model) -> None:
    with serving(models_dir, max_streams=1) as running:
        async with shared_client(running.ws_shared) as socket:
            for _ in range(20):
                await open_streams(socket, 5)
                assert (await play(socket, 5, YES))["code"] == 1000
                assert detected(socket, 5) == alone(model, YES)
                socket.of.clear()


async def test_every_stream_counts_and_one_too_many_is_refused_alone(models_dir: Path) -> None:
    with serving(models_dir, max_streams=3, retry_after_s=7) as running:
        async with shared_client(running.ws_shared) as socket, own_client(running.ws(speed="fast")) as own:
            await own.until("ready")
            await open_streams(socket, 1, 2)
            await socket.ask("configure", stream=3)
            ended = await socket.stream_until(3, "ended")
            assert (ended["code"], ended["reason"], ended["retry_after_s"]) == (1013, "too_many_streams", 7)
            error = await socket.stream_until(3, "error")
            assert (error["code"], error["fatal"]) == ("too_many_streams", True)
            with pytest.raises(InvalidStatus) as refused:
                await connect(running.ws_shared)
            assert (refused.value.response.status_code, refused.value.response.headers["Retry-After"]) == (503, "7")
            assert "\nkws_streams 3.0" in httpx.get(f"{running.http}/metrics").text
            await play(socket, 1, YES)
            await open_streams(socket, 3)
        async with asyncio.timeout(5):
            while running.app.state.server.stream_count:
                await asyncio.sleep(0.02)


async def test_sockets_without_streams_are_limited_too(models_dir: Path) -> None:
    with serving(models_dir, max_streams=2) as running:
        async with shared_client(running.ws_shared), shared_client(running.ws_shared) as socket:
            with pytest.raises(InvalidStatus) as refused:
                await connect(running.ws_shared)
            assert refused.value.response.status_code == 503
            await open_streams(socket, 1, 2)  # sockets take no place of a stream
        async with asyncio.timeout(5):
            while running.app.state.server.shared_socket_count:
                await asyncio.sleep(0.02)


async def test_each_stream_has_its_own_time_limits_and_an_empty_socket_too(models_dir: Path) -> None:
    with serving(models_dir, idle_timeout_s=1.0) as running:
        async with shared_client(running.ws_shared) as socket:
            await open_streams(socket, 1, 2)
            for _ in range(4):
                await socket.ask("keepalive", stream=1)
                await asyncio.sleep(0.35)
            await expect_end(socket, 2, 1008, "idle_timeout", "expected a message within 1 s, got none")
            assert [event["type"] for event in socket.of[1]] == ["ready"]
            await play(socket, 1, YES)
            for _ in range(4):
                await socket.ask("keepalive")
                await asyncio.sleep(0.35)
            await open_streams(socket, 3)
            assert await socket.until_closed() == 1008
            assert socket.received[-1]["code"] == "idle_timeout"
            assert "stream" not in socket.received[-1]


async def test_a_stream_whose_time_is_over_ends_with_its_summary_and_may_be_opened_again(models_dir: Path) -> None:
    with serving(models_dir, max_stream_s=0.4) as running:
        async with shared_client(running.ws_shared) as socket:
            for _ in range(2):
                await open_streams(socket, 1)
                await socket.send_audio((1, YES))
                ended = await socket.stream_until(1, "ended")
                assert (ended["code"], ended["reason"]) == (1012, "")
                assert [event["type"] for event in socket.of[1]] == ["ready", "detection", "summary", "ended"]
                socket.of.clear()


async def test_a_stream_far_ahead_of_the_server_fails_alone(
    models_dir: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast, release = Model.advance, threading.Event()
    with serving(models_dir, max_backlog_s=5) as running:
        async with shared_client(running.ws_shared) as socket:
            await open_streams(socket, 1, 2)
            monkeypatch.setattr(Model, "advance", lambda *args: [release.wait(5), fast(*args)][1])
            await socket.send_audio((1, YES), (2, YES))
            await socket.ask("flush", stream=2)  # its messages wait from here on
            for _ in range(MAX_WAITING + 1):
                await socket.send_audio((2, YES[:320]), (1, b""))
            await socket.ask("keepalive")
            release.set()
            await expect_end(socket, 2, 1008, "too_fast", f"expected at most {MAX_WAITING} messages and 1048576 bytes")
            await play(socket, 1, SPEECH)
    assert detected(socket, 1) == alone(model, YES + SPEECH)


async def test_drain_ends_every_stream_with_its_summary_and_then_the_socket(models_dir: Path) -> None:
    with serving(models_dir) as running:
        async with shared_client(running.ws_shared) as socket, shared_client(running.ws_shared) as empty:
            await open_streams(socket, 1, 2)
            await socket.send_audio((1, YES), (2, YES[:3200]))
            await socket.stream_until(1, "detection")
            running.server.should_exit = True
            assert await socket.until_closed() == 1012
            assert await empty.until_closed() == 1012
    for stream, audio_s in ((1, 0.9), (2, 0.1)):
        summary, ended = socket.of[stream][-2:]
        assert (summary["type"], summary["audio_s"]) == ("summary", audio_s)
        assert (ended["type"], ended["code"]) == ("ended", 1012)


async def test_streams_of_a_client_that_is_gone_are_gone(server: Running) -> None:
    async with shared_client(server.ws_shared) as socket:
        await open_streams(socket, *range(10))
        await socket.send_audio(*((stream, YES) for stream in range(10)))
        socket.socket.transport.abort()
    async with asyncio.timeout(5):
        while server.app.state.server.stream_count or server.app.state.server.shared_socket_count:
            await asyncio.sleep(0.02)


async def test_a_client_that_half_closes_behind_close_gets_the_answers(server: Running, model: Model) -> None:
    async with shared_client(server.ws_shared) as socket:
        await open_streams(socket, 1)
        await socket.send_audio((1, YES))
        await socket.ask("close", stream=1)
        socket.socket.transport.write_eof()
        await socket.stream_until(1, "ended")
    assert detected(socket, 1) == alone(model, YES)


async def test_a_fault_of_one_stream_is_its_own(server: Running, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:

    async def serve_faultily(client: Any, state: Any) -> None:
        if client.stream == 2:
            raise RuntimeError("a fault of the server")
        await serve(client, state)

    monkeypatch.setattr("service.server.websocket.shared_socket.serve", serve_faultily)
    async with shared_client(server.ws_shared) as socket:
        await open_streams(socket, 1)
        await socket.ask("configure", stream=2)
        ended = await socket.stream_until(2, "ended")
        assert (ended["code"], ended["reason"]) == (1011, "server_fault")
        await play(socket, 1, YES)
    assert detected(socket, 1) == alone(model, YES)


async def test_a_plain_request_is_answered_with_the_path(server: Running) -> None:
    answer = httpx.get(f"{server.http}/v1/streams")
    assert answer.status_code == 426
    assert answer.json()["error"]["message"].endswith("audio goes to ws://HOST/v1/streams")


async def test_a_key_is_needed_where_keys_are_configured(models_dir: Path) -> None:
    key = "0123456789abcdef"
    with serving(models_dir, api_keys=key) as running:
        with pytest.raises(InvalidStatus) as refused:
            await connect(running.ws_shared)
        assert refused.value.response.status_code == 401
        async with shared_client(f"{running.ws_shared}?token={key}") as socket:
            await open_streams(socket, 1)
    assert socket.of[1][0]["warnings"] == []


class StuckSocket:
    """The app's end of a socket that takes nothing after the handshake until it is released; counts what is read."""

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self.messages, self.sent, self.read = messages, list[dict[str, Any]](), 0
        self.released = asyncio.Event()

    async def receive(self) -> Any:
        await asyncio.sleep(0.005)  # the streams go on in between
        self.read += 1
        return self.messages.pop(0) if self.messages else await asyncio.Event().wait()

    async def send(self, message: Any) -> None:
        if message["type"] != "websocket.accept":
            await self.released.wait()
        self.sent.append(message)


@pytest.mark.parametrize("reads_again", [False, True])
async def test_a_client_that_takes_no_events_is_not_read(models_dir: Path, reads_again: bool) -> None:
    limits: dict[str, Any] = {"close_timeout_s": 0.1, "idle_timeout_s": 30 if reads_again else 0.3}
    app = create_app(Settings(models_dir=models_dir, default_model="tones", **limits))
    audio = {"type": "websocket.receive", "bytes": block(1, SPEECH[:3200])}
    start = {"type": "websocket.receive", "text": '{"type":"configure","stream":1}'}
    socket = StuckSocket([{"type": "websocket.connect"}, start, *[audio] * 50])
    scope = {"type": "websocket", "path": "/v1/streams", "query_string": b"", "headers": [], "app": app}
    async with app.router.lifespan_context(app), asyncio.timeout(20):
        serving_it = asyncio.create_task(app(scope, socket.receive, socket.send))
        await asyncio.sleep(0.2)
        assert socket.read < 10
        if reads_again:
            socket.released.set()
            while socket.read < 52 + 1:  # all, and it waits for more
                await asyncio.sleep(0.02)
            serving_it.cancel()
        await asyncio.gather(serving_it, return_exceptions=True)
    assert app.state.server.stream_count == app.state.server.shared_socket_count == 0


async def test_streams_of_a_client_that_cannot_be_written_to_just_end(
    models_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The disconnect comes only after several streams have tried to send."""
    app = create_app(Settings(models_dir=models_dir, default_model="tones"))
    starts = [json.dumps({"type": "configure", "stream": stream}) for stream in range(3)]
    socket = StuckSocket(
        [{"type": "websocket.connect"}, *({"type": "websocket.receive", "text": text} for text in starts)]
    )

    async def send(message: Any) -> None:
        if message["type"] != "websocket.accept":
            raise OSError("broken pipe")

    scope = {"type": "websocket", "path": "/v1/streams", "query_string": b"", "headers": [], "app": app}
    async with app.router.lifespan_context(app), asyncio.timeout(5):
        await app(scope, socket.receive, send)
    assert app.state.server.stream_count == app.state.server.shared_socket_count == 0
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []
    assert "slow_reader" not in app.state.server.metrics.text().decode()
