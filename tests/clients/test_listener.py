"""clients/listener.py: a fake source against a real server that comes and goes."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clients import listener as module
from clients.connection import Event, ServerError
from clients.listener import Listener
from service.spotting.model import Model
from service.spotting.spotter import Spotter
from service.testing import free_port
from tests.support.fake_microphone import Tape
from tests.support.fake_server import Peer, fake_server
from tests.support.server import Running, serving
from tests.support.speech import heard, pcm, say
from tests.support.tone_model import RATE
from tests.support.ws_client import facts

YES, NO = say("yes"), say("no")


class Listening:
    """A listener at work, and what it told."""

    def __init__(self, tape: Tape, url: str, **settings: object) -> None:
        self.told: list[Event] = []
        self.heard = 0
        self._news = asyncio.Event()
        self.listener = Listener(tape, url, settings, self._tell, self._hear)
        self.task = asyncio.create_task(self.listener.run())

    def _tell(self, event: Event) -> None:
        self.told.append(event)
        self._news.set()

    def _hear(self, block: Any) -> None:
        self.heard += len(block.samples)

    async def until(self, true: Callable[[Event], bool]) -> Event:
        """The first event told of which this is true."""
        async with asyncio.timeout(20):
            while not (found := [event for event in self.told if true(event)]):
                self._news.clear()
                await self._news.wait()
        return found[0]

    async def end(self) -> Event:
        """Stop it, once it has begun; its summary."""
        await self.until(lambda event: True)
        self.listener.stop()
        await asyncio.wait_for(self.task, 20)
        return self.told[-1]

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.told if event["type"] == kind]


async def test_it_hears_what_a_spotter_hears(server: Running, model: Model) -> None:
    speech = say("yes", "no", "_unknown_", "yes")
    listening = Listening(Tape(speech), server.ws(), speed="fast")
    summary = await listening.end()
    spotter = Spotter(model, speed="fast")
    expected = spotter.push(heard(pcm(speech))) + spotter.flush()
    assert [facts(event) for event in listening.of("detection")] == [facts(event) for event in expected]
    assert [event["audio_time_s"] for event in listening.of("detection")] == [event.audio_time_s for event in expected]
    assert listening.told[0]["type"] == "ready"
    assert listening.heard == len(speech)
    assert summary["latency"].pop("p99_ms") > 0
    del summary["latency"]
    assert summary == {"type": "summary", "audio_s": 3.0, "dropped_s": 0.0, "detections": 3, "reconnects": 0}


async def test_lag_runs_from_the_newest_sample_that_was_needed(server: Running) -> None:
    listening = Listening(Tape(YES), server.ws())
    await listening.until(lambda event: event["type"] == "detection")
    (event,) = listening.of("detection")
    # all of it is heard at once, as if its last sample had just been spoken
    assert 0 < event["lag_ms"] - 1000 * (len(YES) / RATE - event["audio_time_s"]) < 2000
    await listening.end()


async def test_a_server_that_went_comes_back_and_the_times_go_on(
    models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_DELAY_S", 0.1)
    port = free_port()
    tape = Tape(YES)
    with serving(models_dir, port=port) as server:
        listening = Listening(tape, server.ws())
        first = await listening.until(lambda event: event["type"] == "detection")
        server.server.should_exit = True
        await listening.until(lambda event: event["type"] == "error")
    with serving(models_dir, port=port):
        tape.put(NO)
        second = await listening.until(lambda event: event.get("label") == "no")
        summary = await listening.end()
    assert (first["label"], second["label"]) == ("yes", "no")
    assert first["audio_time_s"] == 0.28
    assert 0.9 < second["audio_time_s"] < 1.8
    assert "; trying again in 0.1 s" in listening.of("error")[0]["message"]
    assert not listening.of("error")[0]["fatal"]
    assert (summary["reconnects"], summary["detections"]) == (1, 2)
    assert summary["audio_s"] == pytest.approx(1.8)


async def test_what_was_dropped_is_told_and_times_count_it(server: Running) -> None:
    tape = Tape(YES)
    tape.lose(RATE // 2)
    tape.put(NO)
    listening = Listening(tape, server.ws())
    summary = await listening.end()
    (dropped,) = listening.of("dropped")
    assert dropped == {"type": "dropped", "audio_s": 0.5, "by_device": False}
    yes, no = listening.of("detection")
    assert no["audio_time_s"] - yes["audio_time_s"] == pytest.approx(len(YES) / RATE + 0.5, abs=0.05)
    assert (summary["audio_s"], summary["dropped_s"]) == (2.3, 0.5)


async def test_the_delay_doubles_while_nobody_answers_and_stop_does_not_wait_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "FIRST_DELAY_S", 0.01)
    monkeypatch.setattr(module, "LONGEST_DELAY_S", 0.04)
    tape = Tape(YES)
    listening = Listening(tape, f"ws://127.0.0.1:{free_port()}/v1/stream")
    async with asyncio.timeout(20):
        while len(listening.told) < 5:
            await asyncio.sleep(0.01)
    monkeypatch.setattr(module, "LONGEST_DELAY_S", 1000.0)
    summary = await listening.end()
    delays = [event["message"].split("trying again in ")[1] for event in listening.of("error")[:5]]
    assert delays == ["0.01 s", "0.02 s", "0.04 s", "0.04 s", "0.04 s"]
    assert {event["code"] for event in listening.of("error")} == {"unreachable"}
    assert tape.stopped
    assert (summary["audio_s"], summary["reconnects"]) == (0.0, 0)


async def test_what_would_be_refused_again_is_raised(server: Running) -> None:
    listening = Listening(Tape(), server.ws(), keywords=["maybe"])
    with pytest.raises(ServerError, match="bad_value: keywords: expected among yes, no, got 'maybe'"):
        await listening.task


async def test_a_full_server_is_asked_again(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_DELAY_S", 0.05)
    with serving(models_dir, max_connections=1) as server:
        one = Listening(Tape(), server.ws())
        await one.until(lambda event: event["type"] == "ready")
        other = Listening(Tape(YES), server.ws())
        refused = await other.until(lambda event: event["type"] == "error")
        await one.end()
        await other.until(lambda event: event["type"] == "detection")
        await other.end()
    assert refused["code"] == "http_503"
    assert refused["message"].startswith("too_many_streams; trying again")


async def test_a_server_that_never_sums_up_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLOSE_S", 0.1)

    async def script(peer: Peer) -> None:
        while True:
            await peer.hear()

    async with fake_server(script) as (url, _):
        listening = Listening(Tape(YES), url)
        await listening.until(lambda event: event["type"] == "ready")
        summary = await listening.end()
    assert listening.of("error")[0]["message"] == "expected a summary within 0.1 s, got none"
    assert summary["detections"] == 0
