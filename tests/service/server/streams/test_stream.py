"""The wire of docs/protocol.md against a real server."""

import asyncio
import gc
import json
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from websockets.exceptions import InvalidStatus

from service.server.app import create_app
from service.server.streams.stream import Stream
from service.settings import Settings
from service.spotting.audio import to_float
from service.spotting.engine import Engine
from service.spotting.model import Model
from service.spotting.spotter import Spotter
from tests.support.server import Running, serving
from tests.support.speech import decode_pcm, pcm, synthesize
from tests.support.tone_model import LABELS
from tests.support.ws_client import client, facts, stream

SPEECH = pcm(synthesize("yes", "no", "_unknown_", "no"))
YES = pcm(synthesize("yes"))


def spotted(model: Model, data: bytes, **settings: Any) -> list[tuple[Any, ...]]:
    """The facts of every event of the same audio in process, in one piece."""
    spotter = Spotter(model, **settings)
    return [facts(event) for event in spotter.push(decode_pcm(data)) + spotter.flush()]


@pytest.mark.parametrize("chunk", [1, 7, 160, 1600, 16000])
async def test_cutting_does_not_matter(server: Running, model: Model, chunk: int) -> None:
    data = SPEECH if chunk > 1 else pcm(synthesize("yes", gap_s=0.1))
    streamed = await stream(server.ws(), data, 2 * chunk)
    expected = spotted(model, data)
    assert [facts(event) for event in streamed.detections] == expected
    assert [label for label, *_ in expected] == (["yes", "no", "no"] if chunk > 1 else ["yes"])


async def test_bytes_may_be_cut_inside_a_sample(server: Running, model: Model) -> None:
    streamed = await stream(server.ws(), SPEECH, 333)
    assert [facts(event) for event in streamed.detections] == spotted(model, SPEECH)


async def test_twenty_interleaved_streams_are_twenty_solo_ones(server: Running) -> None:
    rng = np.random.default_rng(1)
    words = [[str(word) for word in rng.choice(["yes", "no", "_unknown_"], size=3)] for _ in range(20)]
    audio = [pcm(synthesize(*words_spoken, gap_s=0.2 + 0.02 * i, seed=i)) for i, words_spoken in enumerate(words)]
    chunks = [int(chunk) for chunk in rng.integers(100, 4000, size=20)]
    solo = [await stream(server.ws(), data) for data in audio]
    together = await asyncio.gather(*(stream(server.ws(), *pair) for pair in zip(audio, chunks, strict=True)))
    for streamed, other, words_spoken in zip(solo, together, words, strict=True):
        assert [facts(event) for event in streamed.detections] == [facts(event) for event in other.detections]
        expected = [word for word in words_spoken if word != "_unknown_"]
        assert [event["label"] for event in streamed.detections] == expected


async def test_ready_echoes_what_was_understood(server: Running, model: Model) -> None:
    async with client(server.ws(sample_rate=48000, keywords="yes", threshold=0.7, treshold=1)) as connection:
        ready = await connection.until("ready")
    assert len(ready.pop("session_id")) == 16
    assert ready == {
        "type": "ready",
        "protocol": 1,
        "model": {
            "name": "tones",
            "version": "1",
            "sha256": model.sha256,
            "labels": list(LABELS),
            "frame_ms": 10.0,
            "look_ahead_ms": 30.0,
        },
        "config": {
            "sample_rate": 48000,
            "encoding": "pcm_s16le",
            "channels": 1,
            "mode": "continuous",
            "keywords": ["yes"],
            "speed": "balanced",
            "threshold": dict.fromkeys(LABELS, 0.7),
            "refractory_s": 0.2,
            "scores_every_ms": 0.0,
        },
        "warnings": [{"code": "unknown_key", "key": "treshold"}],
        "limits": {"max_message_bytes": 65536, "max_backlog_s": 2.0, "idle_timeout_s": 30.0},
        "chunk_ms": 40.0,
    }


async def test_settings_in_the_query_or_in_a_message(server: Running) -> None:
    settings = {"mode": "utterance", "keywords": ["yes", "no"], "threshold": {"yes": 0.5}, "speed": "fast"}
    async with client(server.ws(**{**settings, "keywords": "yes,no"})) as connection, client(server.ws()) as other:
        await other.ask("configure", **settings)
        assert (await connection.until("ready"))["config"] == (await other.until("ready"))["config"]


async def test_detection_has_every_field(server: Running) -> None:
    streamed = await stream(server.ws(), YES)
    (detection,) = streamed.detections
    latency = detection.pop("latency")
    assert detection == {
        "type": "detection",
        "id": 1,
        "label": "yes",
        "score": pytest.approx(0.9654, abs=1e-3),
        "threshold": 0.9,
        "crossed": True,
        "frame": 27,
        "audio_time_s": 0.28,
    }
    assert list(latency) == ["algorithmic_ms", "queue_ms", "compute_ms", "server_ms"]
    assert latency["algorithmic_ms"] == 35.0
    assert 0 < latency["queue_ms"] + latency["compute_ms"] < latency["server_ms"] < 1000


async def test_summary_counts_audio_and_never_silence(server: Running) -> None:
    streamed = await stream(server.ws(), YES)
    summary = streamed.received[-1]
    latency = summary.pop("latency")
    assert summary == {"type": "summary", "audio_s": 0.9, "frames": 90, "detections": 1}
    assert 0 < latency["p50_ms"] <= latency["p95_ms"] <= latency["p99_ms"]


async def test_summary_of_nothing(server: Running) -> None:
    streamed = await stream(server.ws(), b"")
    assert streamed.received[-1] == {
        "type": "summary",
        "audio_s": 0.0,
        "frames": 0,
        "detections": 0,
        "latency": {"p50_ms": None, "p95_ms": None, "p99_ms": None},
    }


async def test_an_utterance_is_answered_once_until_reset(server: Running) -> None:
    async with client(server.ws(mode="utterance")) as connection:
        await connection.send(SPEECH, 1280)
        await connection.ask("flush")
        assert (await connection.until("summary"))["audio_s"] == len(SPEECH) / 32000
        await connection.ask("reset")
        await connection.ask("flush")
        assert (await connection.until("summary"))["latency"]["p50_ms"] is None  # of the audio since the reset
        await connection.send(pcm(synthesize("no")), 1280)
        await connection.ask("flush")
        assert (await connection.until("summary"))["detections"] == 1
    assert [(event["id"], event["label"], event["frame"]) for event in connection.detections] == [
        (1, "yes", 27),
        (2, "no", 27),
    ]


async def test_flush_answers_an_utterance_that_crossed_nothing(server: Running) -> None:
    streamed = await stream(server.ws(mode="utterance", threshold=1), YES[: 2 * 26 * 160])
    (detection,) = streamed.detections
    assert (detection["label"], detection["crossed"], detection["audio_time_s"]) == ("yes", False, 0.26)


async def test_flush_lets_the_last_word_count(server: Running) -> None:
    cut = pcm(synthesize("yes")[: 27 * 160])  # the crossing needs frame 27
    streamed = await stream(server.ws(), cut)
    assert [(event["frame"], event["audio_time_s"]) for event in streamed.detections] == [(27, 0.27)]


async def test_reset_forgets_the_audio_before_it(server: Running) -> None:
    async with client(server.ws()) as connection:
        await connection.send(YES[: 2 * 26 * 160], 1280)  # short of the crossing by a frame, and
        await connection.ask("reset")
        await connection.send(YES[2 * 26 * 160 : 2 * 29 * 160], 1280)  # three frames of the word, too few alone
        await connection.ask("close")
        await connection.closed()
    assert connection.detections == []
    assert connection.received[-1]["audio_s"] == 0.03


async def test_latency_counts_from_the_audio_after_a_reset(server: Running) -> None:
    async with client(server.ws()) as connection:
        await connection.send(bytes(32000), 1280)
        await connection.ask("flush")
        await connection.until("summary")
        await asyncio.sleep(0.3)
        await connection.ask("reset")
        await connection.send(YES, 1280)
        assert (await connection.until("detection"))["latency"]["server_ms"] < 300


async def test_update_holds_for_what_comes_after(server: Running) -> None:
    async with client(server.ws(speed="fast", treshold=1)) as connection:
        await connection.send(pcm(synthesize("yes", "no")), 1280)
        await connection.ask("update", keywords=["no"], speed="accurate", colour="red")
        await connection.send(pcm(synthesize("yes", "no")), 1280)
        await connection.ask("close")
        await connection.closed()
    assert [event["label"] for event in connection.detections] == ["yes", "no", "no"]
    assert [event["threshold"] for event in connection.detections] == [0.6, 0.6, 0.98]
    first, second = (message for message in connection.received if message["type"] == "ready")
    assert second["session_id"] == first["session_id"]
    assert second["config"] == {
        **first["config"],
        "keywords": ["no"],
        "speed": "accurate",
        "threshold": dict.fromkeys(LABELS, 0.98),
    }
    assert second["warnings"] == [{"code": "unknown_key", "key": "colour"}]


async def test_scores_come_at_their_interval(server: Running) -> None:
    streamed = await stream(server.ws(scores_every_ms=100), YES)
    scores = [message for message in streamed.received if message["type"] == "scores"]
    assert [(message["frame"], message["audio_time_s"]) for message in scores] == [
        (frame, pytest.approx((frame + 1) / 100)) for frame in range(9, 90, 10)
    ]
    assert all(set(message["scores"]) == set(LABELS) for message in scores)
    assert [round(sum(message["scores"].values()), 4) for message in scores] == [1.0] * 9
    assert max(scores[3]["scores"], key=scores[3]["scores"].get) == "yes"


async def test_the_longest_message_may_ask_for_the_most_scores(server: Running) -> None:
    streamed = await stream(server.ws(encoding="pcm_mulaw", sample_rate=8000, scores_every_ms=10), bytes(65536), 65536)
    assert len([message for message in streamed.received if message["type"] == "scores"]) == -(-65536 // 80) + 3


async def test_encodings_rates_and_channels_give_the_same_labels(server: Running) -> None:
    speech = synthesize("yes", "no", rate=48000)
    stereo = np.stack([speech, speech], axis=1).astype("<f4")
    streams: list[tuple[dict[str, Any], bytes]] = [
        ({"sample_rate": 48000}, pcm(speech)),
        ({"sample_rate": 48000, "encoding": "pcm_f32le"}, speech.astype("<f4").tobytes()),
        ({"sample_rate": 48000, "encoding": "pcm_f32le", "channels": 2}, stereo.tobytes()),
        ({"sample_rate": 8000}, pcm(synthesize("yes", "no", rate=8000))),
    ]
    for settings, data in streams:
        streamed = await stream(server.ws(**settings), data)
        assert [event["label"] for event in streamed.detections] == ["yes", "no"], settings
        assert streamed.received[-1]["audio_s"] == 1.6
        assert all(event["audio_time_s"] == pytest.approx((event["frame"] + 1) / 100) for event in streamed.detections)


BAD_VALUES: list[tuple[dict[str, Any], str, str]] = [
    ({"sample_rate": 96000}, "bad_value", "sample_rate: expected 8000 to 48000, got '96000'"),
    ({"channels": 8}, "bad_value", "channels: expected 1 or 2, got '8'"),
    ({"encoding": "opus"}, "bad_value", "encoding: expected pcm_s16le, pcm_f32le or pcm_mulaw, got 'opus'"),
    ({"mode": "always"}, "bad_value", "mode: expected continuous or utterance, got 'always'"),
    ({"threshold": 1.5}, "bad_value", "threshold: expected a number above 0, at most 1, or an object"),
    (
        {"threshold": {"maybe": 0.5}},
        "bad_value",
        "threshold: expected among yes, no, _unknown_, _silence_, got 'maybe'",
    ),
    ({"keywords": "_unknown_"}, "bad_value", "keywords: expected among yes, no, got '_unknown_'"),
    ({"speed": "warp"}, "bad_value", "speed: expected among fast, balanced, accurate, got 'warp'"),
    ({"model": "nonesuch"}, "unknown_model", "model: expected among other, tones, got 'nonesuch'"),
]

BAD_MESSAGES: list[tuple[str | bytes, int, str, str]] = [
    ("hello", 1003, "bad_message", "expected a JSON object (audio goes in binary messages), got 'hello'"),
    ("[1]", 1003, "bad_message", "expected a JSON object, got '[1]'"),
    (
        '{"type":"sing"}',
        1008,
        "bad_message",
        "type: expected configure, update, reset, flush, close, keepalive, got 'sing'",
    ),
    ('{"type":["flush"]}', 1008, "bad_message", "type: expected configure"),
    ('{"type":"configure"}', 1008, "bad_message", "configure: expected only as the first message"),
    ('{"type":"update","sample_rate":8000}', 1008, "bad_value", "update: expected some of keywords, threshold"),
    ('{"type":"update","refractory_s":-1}', 1008, "bad_value", "refractory_s: expected 0 to 60, got -1"),
    (b"\0" * 65538, 1009, "too_big", "message: expected at most 65536 bytes, got 65538"),
]


async def test_bad_input_ends_its_own_stream_and_no_other(server: Running, model: Model) -> None:
    """A healthy stream is fed between all the bad ones, and detects what it would alone."""
    pieces = [SPEECH[start : start + 3000] for start in range(0, len(SPEECH), 3000)]
    async with client(server.ws()) as healthy:
        for settings, code, message in BAD_VALUES:
            await healthy.socket.send(pieces.pop(0))
            assert await refusal(server.ws(**settings)) == (1008, code, message)
        for data, close, code, message in BAD_MESSAGES:
            await healthy.socket.send(pieces.pop(0))
            assert await refusal(server.ws(mode="utterance"), data) == (close, code, message)
        for value in (np.nan, np.inf, -np.inf, 3e4):
            await healthy.socket.send(pieces.pop(0))
            loud = np.full(500, value, "<f4").tobytes()
            assert await refusal(server.ws(encoding="pcm_f32le"), loud) == (
                1003,
                "bad_audio",
                "expected samples within",
            )
        for piece in pieces:
            await healthy.socket.send(piece)
        await healthy.ask("close")
        assert (await healthy.closed())[0] == 1000
    assert [facts(event) for event in healthy.detections] == spotted(model, SPEECH)


async def refusal(url: str, message: str | bytes | None = None) -> tuple[int | None, str, str]:
    """The close code and the fatal error, its text as far as the lists above spell it out."""
    async with client(url) as connection:
        if message is not None:
            await connection.until("ready")
            await connection.socket.send(message)
        code, error = await connection.closed()
    assert (error["type"], error["fatal"]) == ("error", True)
    texts = [text for *_, text in BAD_VALUES + BAD_MESSAGES] + ["expected samples within"]
    known = [text for text in texts if error["message"].startswith(text)]
    return code, error["code"], max(known, key=len) if known else error["message"]


async def test_half_a_sample_at_the_end_is_reported_and_dropped(server: Running) -> None:
    async with client(server.ws()) as connection:
        await connection.send(YES + b"\1", 1280)
        await connection.ask("flush")
        await connection.send(YES, 1280)
        await connection.ask("close")
        await connection.closed()
    (error,) = (message for message in connection.received if message["type"] == "error")
    assert error == {
        "type": "error",
        "code": "odd_bytes",
        "message": "expected whole samples, got 1 bytes more; they are dropped",
        "fatal": False,
    }
    assert [event["label"] for event in connection.detections] == ["yes", "yes"]


async def test_silence_on_the_line_ends_a_stream_unless_it_sends_keepalive(server: Running, models_dir: Path) -> None:
    with serving(models_dir, idle_timeout_s=0.3) as running:
        async with client(running.ws(mode="utterance")) as quiet, client(running.ws()) as kept:
            for _ in range(4):
                await kept.ask("keepalive")
                await asyncio.sleep(0.15)
            await kept.ask("close")
            assert (await kept.closed())[0] == 1000
            code, error = await quiet.closed()
    assert (code, error["code"], error["message"]) == (
        1008,
        "idle_timeout",
        "expected a message within 0.3 s, got none",
    )


async def test_a_stream_that_was_open_for_its_time_ends_like_one_of_a_server_that_stops(models_dir: Path) -> None:
    with serving(models_dir, max_stream_s=0.4) as running:
        async with client(running.ws()) as connection, client(running.ws()) as unset:
            await connection.send(YES, 1280)
            for _ in range(2):
                await connection.ask("keepalive")
                await asyncio.sleep(0.1)
            code, last = await connection.closed()
            assert (await unset.closed())[0] == 1012
        assert (code, last["type"], last["audio_s"], last["detections"]) == (1012, "summary", 0.9, 1)
        await stream(running.ws(), YES)  # the server goes on


async def test_no_event_is_lost_when_the_time_ends_with_audio_not_decided_on(
    models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast, slow = Model.advance, threading.Event()
    with serving(models_dir, max_stream_s=0.4) as running:
        monkeypatch.setattr(Model, "advance", lambda *args: [slow.wait(5), fast(*args)][1])
        async with client(running.ws()) as connection:
            await connection.send(YES, 65536)
            await connection.until("ready")
            await asyncio.sleep(0.5)
            slow.set()
            code, last = await connection.closed()
    assert (code, last["type"], last["frames"], last["detections"]) == (1012, "summary", 90, 1)
    assert [event["label"] for event in connection.detections] == ["yes"]


async def test_a_stream_that_is_over_is_gone_without_a_garbage_collection(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams: list[weakref.ref[Stream]] = []
    make = Stream.__init__

    def keep(self: Stream, *args: Any) -> None:
        streams.append(weakref.ref(self))
        make(self, *args)

    monkeypatch.setattr(Stream, "__init__", keep)
    gc.disable()
    try:
        await stream(server.ws(), YES)
        async with client(server.ws()) as connection:
            await connection.send(YES, 1280)
            await connection.until("ready")
            connection.socket.transport.abort()
        async with asyncio.timeout(5):
            while any(ref() for ref in streams):
                await asyncio.sleep(0.01)
        assert len(streams) == 2
    finally:
        gc.enable()


async def test_503_at_the_connection_limit(models_dir: Path) -> None:
    with serving(models_dir, max_streams=1, retry_after_s=7) as running:
        async with client(running.ws()) as connection:
            await connection.socket.ping()
            with pytest.raises(InvalidStatus) as refused:
                async with client(running.ws()):
                    pass
            await connection.ask("close")
            await connection.closed()
        response = refused.value.response
        assert (response.status_code, response.headers["Retry-After"]) == (503, "7")
        assert 'kws_rejected_total{reason="too_many_streams"} 1.0' in httpx.get(f"{running.http}/metrics").text
        await stream(running.ws(), YES)  # the place is free again


async def test_drain_sends_summary_then_1012(models_dir: Path) -> None:
    with serving(models_dir) as running:
        async with client(running.ws()) as connection, client(running.ws()) as unset:
            await connection.send(YES, 1280)
            await connection.until("detection")
            running.server.should_exit = True
            code, last = await connection.closed()
            assert (await unset.closed())[0] == 1012
    assert (code, last["type"], last["audio_s"], last["detections"]) == (1012, "summary", 0.9, 1)


def hold_engines(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Engines run nothing until this event is set, while their loop goes on."""
    released, run_next = threading.Event(), Engine._run_next

    def run_when_released(engine: Engine) -> None:
        if released.is_set():
            run_next(engine)
        else:
            engine._loop.call_later(0.01, run_when_released, engine)

    monkeypatch.setattr(Engine, "_run_next", run_when_released)
    return released


async def test_while_it_drains_the_server_is_not_ready(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released = hold_engines(monkeypatch)
    with serving(models_dir) as running:
        async with client(running.ws()) as connection, httpx.AsyncClient(base_url=running.http) as http:
            await connection.send(YES, 65536)
            await connection.until("ready")
            running.server.should_exit = True
            while (answer := await http.get("/readyz")).status_code == 200:
                await asyncio.sleep(0.02)
            assert answer.json() == {"ready": False}
            with pytest.raises(InvalidStatus) as refused:
                async with client(running.ws()):
                    pass
            assert (refused.value.response.status_code, refused.value.response.body) == (503, b"not_ready")
            released.set()
            code, last = await connection.closed()
    assert (code, last["type"], last["detections"]) == (1012, "summary", 1)


async def test_fast_senders_are_held_back_not_refused(models_dir: Path, model: Model) -> None:
    with serving(models_dir, max_backlog_s=0.5) as running:
        data = SPEECH * 20  # 46 s at once
        streamed = await stream(running.ws(), data, 65536)
    assert [facts(event) for event in streamed.detections] == spotted(model, data)
    assert len(streamed.detections) == 60


async def test_no_more_is_read_than_the_backlog_allows(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The app with an engine that is held for a while, and a client that never stops sending."""
    app = create_app(Settings(models_dir=models_dir, default_model="tones", max_backlog_s=0.5))
    released, read = hold_engines(monkeypatch), 0

    async def receive() -> Any:
        nonlocal read
        read += 1
        return {"type": "websocket.connect"} if read == 1 else {"type": "websocket.receive", "bytes": bytes(3200)}

    async def send(message: Any) -> None:
        pass

    scope = {"type": "websocket", "path": "/v1/stream", "query_string": b"speed=fast", "headers": [], "app": app}
    async with app.router.lifespan_context(app):
        serving_it = asyncio.create_task(app(scope, receive, send))
        await asyncio.sleep(0.2)
        assert read == 1 + 6  # the handshake, then messages of 0.1 s until there is more than 0.5 s
        released.set()
        await asyncio.sleep(0.1)
        assert read > 20
        serving_it.cancel()
        await asyncio.gather(serving_it, return_exceptions=True)


async def test_a_server_that_falls_behind_reports_overloaded(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = Model.advance
    with serving(models_dir, max_backlog_s=0.2) as running:
        monkeypatch.setattr(Model, "advance", lambda *args: (time.sleep(0.3), fast(*args))[1])  # type: ignore[func-returns-value]
        async with client(running.ws()) as connection:
            await connection.send(YES, 1280)
            code, error = await connection.closed()
    assert (code, error["code"]) == (1013, "overloaded")
    assert error["message"] == "expected to decide on audio within 0.2 s, it took longer"


async def test_a_fault_ends_its_streams_and_the_engine_lives(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = Model.advance

    def advance(self: Model, audio: Any, state: Any, rows: Any) -> Any:
        if to_float(audio).max() > 0.9:
            raise RuntimeError("out of memory")
        return sound(self, audio, state, rows)

    monkeypatch.setattr(Model, "advance", advance)
    async with client(server.ws()) as healthy:
        await healthy.send(YES[:8000], 1280)
        await healthy.ask("update")  # answered when all of it is scored
        await healthy.until("ready")
        await healthy.until("ready")
        async with client(server.ws()) as connection:
            await connection.send(pcm(np.full(1600, 0.95)), 1280)
            code, error = await connection.closed()
        await healthy.send(YES[8000:], 1280)
        await healthy.ask("close")
        await healthy.closed()
    assert (code, error["code"]) == (1011, "server_fault")
    assert "memory" not in error["message"]
    assert [event["label"] for event in healthy.detections] == ["yes"]


@pytest.mark.parametrize("reads_again", [False, True])
async def test_a_client_that_does_not_read_is_let_go(models_dir: Path, reads_again: bool) -> None:
    """The app against a socket that takes nothing after the handshake, as when all buffers on the way are full.

    One that reads again in time gets the reason.
    """
    limits: dict[str, Any] = {"max_outgoing": 20, "close_timeout_s": 2 if reads_again else 0.05}
    app = create_app(Settings(models_dir=models_dir, default_model="tones", **limits))
    taken: list[dict[str, Any]] = []
    stuck = asyncio.Event()
    audio = {"type": "websocket.receive", "bytes": SPEECH[:64000]}
    messages = [{"type": "websocket.connect"}, audio, audio]

    async def receive() -> Any:
        return messages.pop(0) if messages else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        taken.append(message)
        if message["type"] != "websocket.accept":
            await stuck.wait()

    if reads_again:
        asyncio.get_running_loop().call_later(0.3, stuck.set)
    query = b"scores_every_ms=10"
    scope = {"type": "websocket", "path": "/v1/stream", "query_string": query, "headers": [], "app": app}
    async with app.router.lifespan_context(app), asyncio.timeout(5):
        await app(scope, receive, send)
        assert 'kws_errors_total{code="slow_reader"} 1.0' in app.state.server.metrics.text().decode()
    assert app.state.server.stream_count == 0
    if reads_again:
        assert json.loads(taken[-2]["text"])["code"] == "slow_reader"
        assert (taken[-1]["type"], taken[-1]["code"], taken[-1]["reason"]) == ("websocket.close", 1008, "slow_reader")
    else:
        assert [message["type"] for message in taken] == ["websocket.accept", "websocket.send"]
