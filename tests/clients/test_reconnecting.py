"""clients/reconnecting.py: streams that break off under a real server, and under one that a test scripts."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import pytest

from clients import blocking, reconnecting
from clients.connection import Event, ServerError, ServerUnreachableError
from clients.reconnecting import ReconnectingConnection, connect
from clients.retry import Backoff
from service.spotting.model import Model
from service.spotting.spotter import Spotter
from service.testing import free_port
from tests.support.early import check_settled
from tests.support.fake_server import SUMMARY, FakeStream, Refusal, detection, fake_server, until_flush
from tests.support.server import Running, serving
from tests.support.speech import pcm, synthesize
from tests.support.tone_model import RATE

SPEECH = synthesize("yes", "no", "_unknown_", "yes", "no", "no", "yes")
SECOND = bytes(2 * RATE)


def soon() -> Backoff:
    return Backoff(first_s=0.02, jitter=0)


async def events_of(stream: ReconnectingConnection) -> list[Event]:
    return [event async for event in stream]


async def play(stream: ReconnectingConnection, speech: np.ndarray, chunk_s: float, wait_s: float) -> None:
    """Send in chunks with a wait behind each, then close."""
    step = round(chunk_s * RATE)
    for start in range(0, len(speech), step):
        await stream.send(speech[start : start + step])
        await asyncio.sleep(wait_s)
    await stream.close()


def of(kind: str, events: list[Event]) -> list[Event]:
    return [event for event in events if event["type"] == kind]


def words(events: list[Event]) -> list[tuple[str, float]]:
    return [(event["label"], round(event["audio_time_s"], 1)) for event in of("detection", events)]


def words_of_one_stream(model: Model) -> list[tuple[str, float]]:
    spotter = Spotter(model)
    detections = spotter.push(SPEECH) + spotter.flush()
    return [(event.label, round(event.audio_time_s, 1)) for event in detections if hasattr(event, "label")]


async def test_a_stream_that_is_moved_again_and_again_misses_no_word(models_dir: Path, model: Model) -> None:
    with serving(models_dir, max_stream_s=0.3) as server:
        async with connect(server.ws(), backoff=soon()) as stream:
            receiving = asyncio.create_task(events_of(stream))
            await play(stream, SPEECH, 0.05, 0.02)
            events = await asyncio.wait_for(receiving, 20)
    assert len(of("reconnected", events)) >= 3
    assert words(events) == words_of_one_stream(model)
    assert [event["id"] for event in of("detection", events)] == sorted({e["id"] for e in of("detection", events)})
    (summary,) = of("summary", events)
    assert events[-1] is summary
    assert (summary["audio_s"], summary["detections"]) == (round(len(SPEECH) / RATE, 6), len(words(events)))
    assert {event["lost_s"] for event in of("reconnected", events)} == {0.0}
    assert all("1012" in event["message"] for event in of("error", events))


async def test_a_server_that_restarts_is_waited_for(models_dir: Path, model: Model) -> None:
    port = free_port()
    events: list[Event] = []
    async with AsyncExitStack() as stack:
        with serving(models_dir, port=port) as server:
            stream = await stack.enter_async_context(connect(server.ws(), backoff=Backoff(0.05, 0.1)))
            await stream.send(SPEECH[: round(1.3 * RATE)])  # in the middle of a word
            await asyncio.sleep(0.3)
            server.server.should_exit = True
            while not of("error", events):
                events.append(await asyncio.wait_for(anext(stream), 20))
        await stream.send(SPEECH[round(1.3 * RATE) : round(2.3 * RATE)])
        with serving(models_dir, port=port):
            await stream.send(SPEECH[round(2.3 * RATE) :])
            await stream.close()
            events += await asyncio.wait_for(events_of(stream), 20)
    assert words(events) == words_of_one_stream(model)
    (back,) = of("reconnected", events)
    assert 0 <= back["undecided_s"] < 0.1
    assert back["resent_s"] >= 1.0 + 1.0 - back["undecided_s"]  # context, and what was sent without a server


@pytest.mark.parametrize("code", [1012, 1013, None])
async def test_another_stream_is_opened_after_these_ends(code: int | None) -> None:
    async def script(stream: FakeStream) -> None:
        if len(streams) == 1:
            await stream.receive()
            await stream.send(**detection("yes", 0.5))
            if code is None:
                stream.socket.transport.abort()
            else:
                await stream.socket.close(code)
        else:
            while stream.received_s < 2:
                await stream.receive()
            await stream.send(**detection("no", 1.5))
            await stream.socket.close(1000)

    async with fake_server(script) as (url, streams), connect(url, backoff=soon()) as stream:
        await stream.send(SECOND)
        events = []
        async for event in stream:
            events.append(event)
            if event["type"] == "reconnected":
                await stream.send(SECOND)
                await stream.close()
    assert [event["type"] for event in events] == ["detection", "error", "reconnected", "detection"]
    assert events[1]["message"].endswith("; trying again in 0.02 s")
    times = {"audio_time_s": 0.5, "undecided_s": 0.5, "resent_s": 1.0, "lost_s": 0.0}
    assert events[2] == {"type": "reconnected", **times}
    assert [event["audio_time_s"] for event in of("detection", events)] == [0.5, 1.5]
    assert streams[1].texts[0]["scores_every_ms"] == 1000


async def test_an_early_detection_that_a_lost_stream_has_not_settled_is_retracted() -> None:
    async def script(stream: FakeStream) -> None:
        if len(streams) == 1:
            await stream.receive()
            await stream.send(**detection("yes", 0.5), status="early")
            stream.socket.transport.abort()
        else:
            await stream.receive()
            await stream.socket.close(1000)

    async with fake_server(script) as (url, streams), connect(url, backoff=soon(), early=True) as stream:
        await stream.send(SECOND)
        await stream.close()
        events = await asyncio.wait_for(events_of(stream), 20)
    assert [event["type"] for event in events] == ["detection", "retracted", "error", "reconnected"]
    assert (events[1]["id"], events[1]["reason"], events[1]["audio_time_s"]) == (events[0]["id"], "lost", 0.5)


async def test_early_detections_of_a_stream_that_is_moved_are_settled_once(models_dir: Path, model: Model) -> None:
    with serving(models_dir, max_stream_s=0.3) as server:
        async with connect(server.ws(), backoff=soon(), early=True) as stream:
            receiving = asyncio.create_task(events_of(stream))
            await play(stream, SPEECH, 0.05, 0.02)
            events = await asyncio.wait_for(receiving, 20)
    confirmed = check_settled(events, within_s=0.6)
    assert [(event["label"], round(event["audio_time_s"], 1)) for event in confirmed] == words_of_one_stream(model)
    assert len(of("reconnected", events)) >= 3


async def test_settings_go_on_as_they_were_updated(server: Running) -> None:
    async def script(stream: FakeStream) -> None:
        await stream.receive()
        if len(streams) == 1:
            await stream.socket.close(1012)

    async with fake_server(script) as (url, streams), connect(url, threshold=0.5, backoff=soon()) as stream:
        await stream.update(speed="fast", keywords=["yes"], scores_every_ms=40)
        async for event in stream:
            if event["type"] == "reconnected":
                break
    assert streams[1].texts[0] == {"type": "configure", "scores_every_ms": 40, "speed": "fast", "keywords": ["yes"]}


async def test_a_flush_and_a_close_that_were_not_answered_are_asked_for_again() -> None:
    async def script(stream: FakeStream) -> None:
        if len(streams) == 1:
            await stream.receive()
            await stream.receive()
            await stream.send(**SUMMARY)  # of the restart
            await stream.socket.close(1012)
        else:
            await until_flush(stream)
            await stream.receive()
            await stream.send(**{**SUMMARY, "frames": 101})
            await stream.socket.close(1000)

    async with fake_server(script) as (url, streams), connect(url, backoff=soon()) as stream:
        await stream.send(SECOND)
        await stream.flush()
        await stream.close()
        events = await asyncio.wait_for(events_of(stream), 20)
    assert [event["type"] for event in events] == ["summary", "error", "reconnected", "summary"]
    assert [text["type"] for text in streams[1].texts] == ["configure", "flush", "close"]


async def test_scores_come_only_where_they_were_asked_for(server: Running) -> None:
    for asked in (0, 40):
        async with connect(server.ws(), scores_every_ms=asked) as stream:
            await stream.send(SPEECH)
            await stream.close()
            events = await events_of(stream)
        assert bool(of("scores", events)) == bool(asked)


async def test_audio_is_held_back_until_it_is_decided_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconnecting, "UNDECIDED_S", 2.0)
    go_on = asyncio.Event()

    async def script(stream: FakeStream) -> None:
        await go_on.wait()
        await stream.send(type="scores", frame=299, audio_time_s=3.0, scores={})
        await until_flush(stream)

    async with fake_server(script) as (url, _), connect(url) as stream:
        sending = asyncio.create_task(stream.send(5 * SECOND))
        await asyncio.sleep(0.2)
        assert not sending.done()
        assert stream.undecided_s == 3.0
        go_on.set()
        await asyncio.wait_for(sending, 20)
        assert stream.undecided_s == 2.0


async def test_a_program_may_send_everything_before_it_reads(server: Running) -> None:
    async with connect(server.ws(), scores_every_ms=10) as stream:
        await asyncio.wait_for(stream.send(20 * SECOND), 60)
        await stream.close()
        assert len(of("scores", await events_of(stream))) >= 2000


async def test_a_live_source_loses_its_oldest_audio_without_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconnecting, "UNDECIDED_S", 2.0)
    async with fake_server(until_flush, [Refusal(503)] * 3) as (url, streams):
        stream = connect(url, live=True, backoff=Backoff(0.1, 0.1, 0))
        async with stream:
            await stream.send(5 * SECOND)
            assert stream.undecided_s == 2.0
            events: list[Event] = []
            while not of("ready", events):
                events.append(await asyncio.wait_for(anext(stream), 20))
            await stream.flush()
            await asyncio.wait_for(anext(stream), 20)
            assert streams[0].received_s == 4.0  # 2 s and as much of context
    assert len(of("error", events)) == 3


async def test_what_is_useless_to_try_again_is_raised_when_iterating_and_sending(server: Running) -> None:
    with pytest.raises(ServerError, match="channels: expected 1 or 2, got 3"):
        connect(server.ws(), channels=3)
    with pytest.raises(ServerError, match="keywords: expected among yes, no"):
        async with connect(server.ws(), keywords=["maybe"]):
            pass
    with pytest.raises(ServerUnreachableError):
        async with connect(f"ws://127.0.0.1:{free_port()}/v1/stream"):
            pass
    async with connect(server.ws()) as stream:
        await stream.update(keywords=["maybe"])
        for use in (lambda: anext(stream), lambda: anext(stream), lambda: stream.send(SECOND)):
            with pytest.raises(ServerError, match="keywords: expected among yes, no"):
                await use()


async def test_a_stream_that_failed_is_left() -> None:
    left = asyncio.Event()

    async def script(stream: FakeStream) -> None:
        await stream.send(type="error", code="bad_value", message="expected another", fatal=True)
        await stream.socket.wait_closed()
        left.set()

    async with fake_server(script) as (url, _), connect(url, backoff=soon()) as stream:
        with pytest.raises(ServerError, match="expected another"):
            await anext(stream)
        await asyncio.wait_for(left.wait(), 5)


async def test_an_utterance_begins_again_after_a_reset(server: Running) -> None:
    async with connect(server.ws(), mode="utterance") as stream:
        for word in ("yes", "no"):
            await stream.send(synthesize(word))
            assert (await anext(stream))["label"] == word
            await stream.reset()


def test_the_synchronous_client_goes_on_too(models_dir: Path, model: Model) -> None:
    with serving(models_dir, max_stream_s=0.3) as server, blocking.connect(server.ws(), reconnect=True) as stream:
        step = round(0.1 * RATE)
        events: list[Event] = []
        for start in range(0, len(SPEECH), step):
            stream.send(SPEECH[start : start + step])
        stream.flush()
        while not of("summary", events):
            events.append(next(stream))
        while not of("reconnected", events):
            events.append(next(stream))
        stream.close()
        events += stream
    assert words(events) == words_of_one_stream(model)


def test_pcm_is_sent_as_it_is(server: Running, model: Model) -> None:
    with blocking.connect(server.ws(), reconnect=True) as stream:
        stream.send(pcm(SPEECH))
        stream.close()
        assert words(list(stream)) == words_of_one_stream(model)
