"""clients/listener.py: a fake source against a real server that comes and goes, and against scripted refusals."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from clients import listener as module
from clients import reconnecting
from clients.connection import ConnectionLostError, Event, ServerError
from clients.listener import Listener
from clients.microphone import Block
from clients.retry import Backoff
from service.spotting.model import Model
from service.spotting.spotter import Spotter
from service.testing import free_port
from tests.support.fake_microphone import FakeMicrophone
from tests.support.fake_server import SUMMARY, FakeStream, Refusal, fake_server, until_flush
from tests.support.server import Running, serving
from tests.support.speech import decode_pcm, pcm, synthesize
from tests.support.tone_model import RATE
from tests.support.ws_client import facts

YES, NO = synthesize("yes"), synthesize("no")


class RunningListener:
    """A listener at work, its events, and the number of samples it took."""

    def __init__(
        self, microphone: FakeMicrophone, url: str, backoff: Backoff | None = None, **settings: object
    ) -> None:
        self.events: list[Event] = []
        self.samples = 0
        self._arrived = asyncio.Event()
        self.listener = Listener(microphone, url, settings, self._on_event, self._on_block, backoff)
        self.task = asyncio.create_task(self.listener.run())

    def _on_event(self, event: Event) -> None:
        self.events.append(event)
        self._arrived.set()

    def _on_block(self, block: Block) -> None:
        self.samples += len(block.samples)

    async def until(self, matches: Callable[[Event], bool]) -> Event:
        """The first event that matches."""
        async with asyncio.timeout(20):
            while not (events := [event for event in self.events if matches(event)]):
                self._arrived.clear()
                await self._arrived.wait()
        return events[0]

    async def end(self) -> Event:
        """Stop it once it has begun; returns its summary."""
        await self.until(lambda event: True)
        self.listener.stop()
        await asyncio.wait_for(self.task, 20)
        return self.events[-1]

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.events if event["type"] == kind]


async def test_it_reports_what_a_spotter_detects(server: Running, model: Model) -> None:
    speech = synthesize("yes", "no", "_unknown_", "yes")
    listening = RunningListener(FakeMicrophone(speech), server.ws(), speed="fast")
    summary = await listening.end()
    spotter = Spotter(model, speed="fast")
    expected = spotter.push(decode_pcm(pcm(speech))) + spotter.flush()
    assert [facts(event) for event in listening.of("detection")] == [facts(event) for event in expected]
    assert [event["audio_time_s"] for event in listening.of("detection")] == [event.audio_time_s for event in expected]
    assert listening.events[0]["type"] == "ready"
    assert listening.samples == len(speech)
    assert summary["latency"].pop("p99_ms") > 0
    del summary["latency"]
    assert summary == {
        "type": "summary",
        "audio_s": 3.0,
        "dropped_s": 0.0,
        "detections": 3,
        "reconnects": 0,
        "lost_s": 0.0,
    }


async def test_messages_are_as_long_as_the_server_recommends() -> None:
    async def script(stream: FakeStream) -> None:
        while await stream.receive() != {"type": "close"}:
            pass
        await stream.send(**SUMMARY)
        await stream.socket.close(1000)

    microphone = FakeMicrophone()
    async with fake_server(script, chunk_ms=100) as (url, streams):
        listening = RunningListener(microphone, url)
        await listening.until(lambda event: event["type"] == "ready")
        microphone.put(YES[: RATE // 4])
        microphone.lose(RATE // 10)
        microphone.put(YES[: RATE // 10])
        await listening.end()
        assert streams[0].sizes == [3200, 3200, 1600 + 3200, 3200]


async def test_lag_runs_from_the_newest_sample_that_was_needed(server: Running) -> None:
    listening = RunningListener(FakeMicrophone(YES), server.ws())
    await listening.until(lambda event: event["type"] == "detection")
    (event,) = listening.of("detection")
    # all of it arrives at once, as if its last sample had just been spoken
    assert 0 < event["lag_ms"] - 1000 * (len(YES) / RATE - event["audio_time_s"]) < 2000
    await listening.end()


async def test_times_go_on_when_the_server_restarts(models_dir: Path) -> None:
    port = free_port()
    microphone = FakeMicrophone(YES)
    with serving(models_dir, port=port) as server:
        listening = RunningListener(microphone, server.ws(), Backoff(first_s=0.1, jitter=0))
        first = await listening.until(lambda event: event["type"] == "detection")
        server.server.should_exit = True
        await listening.until(lambda event: event["type"] == "error")
    with serving(models_dir, port=port):
        microphone.put(NO)
        second = await listening.until(lambda event: event.get("label") == "no")
        summary = await listening.end()
    assert (first["label"], second["label"]) == ("yes", "no")
    assert first["audio_time_s"] == 0.28
    assert 0.9 < second["audio_time_s"] < 1.8
    assert "; trying again in 0.1 s" in listening.of("error")[0]["message"]
    assert not listening.of("error")[0]["fatal"]
    assert (summary["reconnects"], summary["detections"]) == (1, 2)
    assert summary["audio_s"] == pytest.approx(1.8)


async def test_dropped_audio_is_reported_and_counted_in_times(server: Running) -> None:
    microphone = FakeMicrophone(YES)
    microphone.lose(RATE // 2)
    microphone.put(NO)
    listening = RunningListener(microphone, server.ws())
    summary = await listening.end()
    (dropped,) = listening.of("dropped")
    assert dropped == {"type": "dropped", "audio_s": 0.5, "by_device": False}
    yes, no = listening.of("detection")
    assert no["audio_time_s"] - yes["audio_time_s"] == pytest.approx(len(YES) / RATE + 0.5, abs=0.05)
    assert (summary["audio_s"], summary["dropped_s"]) == (2.3, 0.5)


async def test_delays_double_while_nobody_answers_and_stop_does_not_wait() -> None:
    microphone = FakeMicrophone(YES)
    backoff = Backoff(first_s=0.01, longest_s=0.04, jitter=0)
    listening = RunningListener(microphone, f"ws://127.0.0.1:{free_port()}/v1/stream", backoff)
    async with asyncio.timeout(20):
        await listening.until(lambda event: len(listening.events) >= 5)
    backoff.first_s = backoff.longest_s = 1000.0
    backoff.reset()
    summary = await listening.end()
    delays = [event["message"].split("trying again in ")[1] for event in listening.of("error")[:5]]
    assert delays == ["0.01 s", "0.02 s", "0.04 s", "0.04 s", "0.04 s"]
    assert {event["code"] for event in listening.of("error")} == {"unreachable"}
    assert microphone.stopped
    assert (summary["audio_s"], summary["reconnects"], summary["lost_s"]) == (0.9, 0, 0.9)


@pytest.mark.parametrize(("steady_s", "delays"), [(-1.0, [0.01, 0.01, 0.01]), (1000.0, [0.01, 0.02, 0.04])])
async def test_a_steady_stream_resets_the_delay(
    steady_s: float, delays: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(stream: FakeStream) -> None:
        await stream.socket.close(1012)

    monkeypatch.setattr(reconnecting, "STEADY_S", steady_s)
    async with fake_server(script) as (url, _):
        listening = RunningListener(FakeMicrophone(), url, Backoff(first_s=0.01, jitter=0))
        await listening.until(lambda event: len(listening.of("error")) == 3)
        await listening.end()
    assert [event["message"].rpartition("; ")[2] for event in listening.of("error")[:3]] == [
        f"trying again in {delay:g} s" for delay in delays
    ]


async def test_wrong_settings_are_raised(server: Running) -> None:
    listening = RunningListener(FakeMicrophone(), server.ws(), keywords=["maybe"])
    with pytest.raises(ServerError, match="bad_value: keywords: expected among yes, no, got 'maybe'"):
        await listening.task


async def test_a_full_server_is_tried_again_when_it_says(models_dir: Path) -> None:
    with serving(models_dir, max_streams=1, retry_after_s=1) as server:
        first = RunningListener(FakeMicrophone(), server.ws())
        await first.until(lambda event: event["type"] == "ready")
        second = RunningListener(FakeMicrophone(YES), server.ws(), Backoff(first_s=0.05, jitter=0))
        refused = await second.until(lambda event: event["type"] == "error")
        await first.end()
        await second.until(lambda event: event["type"] == "detection")
        await second.end()
    assert refused["code"] == "http_503"
    assert refused["message"].endswith("; trying again in 1 s")


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_statuses_that_pass_are_tried_again(status: int) -> None:
    async with fake_server(until_flush, [Refusal(status)]) as (url, streams):
        listening = RunningListener(FakeMicrophone(), url, Backoff(first_s=0.01, jitter=0))
        await listening.until(lambda event: event["type"] == "ready")
        listening.task.cancel()
    assert len(streams) == 1
    assert [event["code"] for event in listening.of("error")] == [f"http_{status}"]


async def test_retry_after_is_waited_for() -> None:
    refusals = [Refusal(429, {"Retry-After": "0.3"}), Refusal(404, {"Retry-After": "0.2"})]
    async with fake_server(until_flush, refusals) as (url, _):
        begin = time.monotonic()
        listening = RunningListener(FakeMicrophone(), url, Backoff(first_s=0.01, jitter=0))
        await listening.until(lambda event: event["type"] == "ready")
        listening.task.cancel()
    assert time.monotonic() - begin >= 0.5
    assert [event["message"].rpartition("; ")[2] for event in listening.of("error")] == [
        "trying again in 0.3 s",
        "trying again in 0.2 s",
    ]


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (401, "set the environment variable RC_API_KEY to a key of this server"),
        (403, "this server does not admit this client"),
        (404, "check the path of the address: streams are at /v1/stream and /v1/streams"),
        (426, "check the address, and that no proxy on the way removes the header Upgrade"),
    ],
)
async def test_statuses_that_stay_end_at_once(status: int, advice: str) -> None:
    async with fake_server(until_flush, [Refusal(status)]) as (url, streams):
        listening = RunningListener(FakeMicrophone(), url)
        with pytest.raises(ServerError, match=f"^http_{status}: because of the test; {advice}$"):
            await asyncio.wait_for(listening.task, 20)
    assert not streams


async def test_404_after_a_stream_is_a_server_that_restarts() -> None:
    async def script(stream: FakeStream) -> None:
        if not refusals:
            refusals.append(Refusal(404))
            await stream.socket.close(1012)

    refusals: list[Refusal] = []
    async with fake_server(script, refusals) as (url, _):
        listening = RunningListener(FakeMicrophone(), url, Backoff(first_s=0.01, jitter=0))
        await listening.until(lambda event: event["type"] == "reconnected")
        listening.task.cancel()
    assert [event["code"] for event in listening.of("error")] == ["connection_lost", "http_404"]


@pytest.mark.parametrize("code", [1001, 1011, 1012, 1013])
async def test_close_codes_that_pass_are_tried_again(code: int) -> None:
    async def script(stream: FakeStream) -> None:
        if len(streams) == 1:
            await stream.socket.close(code)

    async with fake_server(script) as (url, streams):
        listening = RunningListener(FakeMicrophone(), url, Backoff(first_s=0.01, jitter=0))
        await listening.until(lambda event: event["type"] == "reconnected")
        listening.task.cancel()


async def test_a_close_for_policy_ends_at_once() -> None:
    async def script(stream: FakeStream) -> None:
        await stream.socket.close(1008, "not you")

    async with fake_server(script) as (url, _):
        listening = RunningListener(FakeMicrophone(), url)
        with pytest.raises(ConnectionLostError, match="not you"):
            await asyncio.wait_for(listening.task, 20)


async def test_a_missing_summary_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLOSE_S", 0.1)

    async def script(stream: FakeStream) -> None:
        while True:
            await stream.receive()

    async with fake_server(script) as (url, _):
        listening = RunningListener(FakeMicrophone(YES), url)
        await listening.until(lambda event: event["type"] == "ready")
        summary = await listening.end()
    assert listening.of("error")[0]["message"] == "expected a summary within 0.1 s, got none"
    assert summary["detections"] == 0
