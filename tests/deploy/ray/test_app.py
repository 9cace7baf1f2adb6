"""The app as a Ray Serve deployment: streams on two replicas are those of one process, also while one is removed."""

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send
from websockets.exceptions import ConnectionClosed

from service.spotting.events import Detection
from service.spotting.spotter import Spotter
from service.testing import HOST, free_port
from tests.support.paths import ROOT
from tests.support.ray_processes import starts_ray
from tests.support.speech import decode_pcm, pcm, synthesize
from tests.support.tone_model import RATE
from tests.support.ws_client import client, facts

REASON = "needs the extra ray: pip install '.[ray]'"
ray = pytest.importorskip("ray", reason=REASON)
serve = pytest.importorskip("ray.serve", reason=REASON)
deployed = pytest.importorskip("deploy.ray.app", reason=REASON)

STREAMS, VOICES = 100, 5
CHUNK_S = 0.1
SPEECH = [pcm(synthesize(*("yes", "no", "no", "yes") * 20, seed=seed)) for seed in range(VOICES)]


@pytest.fixture(scope="module")
def url(models_dir: Path) -> Iterator[str]:
    """Two replicas, of which one is removed once they have had fewer streams than they are for, for a few seconds."""
    port = free_port()
    environment = {"RC_MODELS_DIR": str(models_dir), "RC_DEFAULT_MODEL": "tones", "PYTHONPATH": str(ROOT)}
    ray.init(
        "local", include_dashboard=False, object_store_memory=80 * 2**20, num_cpus=4, log_to_driver=False,
        runtime_env={"env_vars": environment},
    )  # fmt: skip
    try:
        serve.start(http_options={"host": HOST, "port": port}, logging_config={"log_level": "ERROR"})
        arguments = deployed.Arguments(
            streams_per_replica=STREAMS, max_replicas=2, initial_replicas=2, cpus_per_replica=0.1, downscale_delay_s=10,
            health_check_period_s=1,
        )  # fmt: skip
        serve.run(deployed.build(arguments))
        yield f"ws://{HOST}:{port}/v1/stream?sample_rate={RATE}"
    finally:
        serve.shutdown()
        ray.shutdown()


@dataclass(frozen=True)
class Outcome:
    """How a stream went: what was sent of its voice, the close code, its detections, its last message."""

    voice: int
    samples: int
    code: int | None
    detections: list[Any]
    last: dict[str, Any]

    def expected(self) -> list[Any]:
        """The detections of one process on the audio that was decided on."""
        if self.code == 1000:
            return solo(self.voice, self.samples, is_whole=True)
        return solo(self.voice, round(self.last["audio_s"] * RATE), is_whole=False)


@cache
def solo(voice: int, samples: int, is_whole: bool) -> list[Any]:
    spotter = Spotter(Path(os.environ["RC_TEST_MODEL"]))
    events = spotter.push(decode_pcm(SPEECH[voice][: 2 * samples])) + (spotter.flush() if is_whole else [])
    return [facts(event) for event in events if isinstance(event, Detection)]


async def speak(url: str, voice: int, stop: asyncio.Event) -> Outcome:
    """One stream at live pace, until it is stopped or the server ends it."""
    data, step, sent = SPEECH[voice], 2 * int(CHUNK_S * RATE), 0
    async with client(url) as speaker:
        receiving = asyncio.create_task(speaker.closed())
        with suppress(ConnectionClosed):
            while not stop.is_set() and not receiving.done() and sent < len(data):
                await speaker.socket.send(data[sent : sent + step])
                sent += step
                await asyncio.sleep(CHUNK_S)
            await speaker.ask("close")
        code, last = await receiving
        return Outcome(voice, sent // 2, code, [facts(event) for event in speaker.detections], last)


def replicas() -> int:
    return sum(serve.status().applications["default"].deployments["keyword-spotting"].replica_states.values())


@starts_ray
async def test_streams_on_two_replicas_are_those_of_one_process_while_one_is_removed(
    url: str, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RC_TEST_MODEL", str(models_dir / "tones"))
    stop, deadline = asyncio.Event(), time.monotonic() + 50
    speaking = []
    for number in range(STREAMS):
        speaking.append(asyncio.create_task(speak(url, number % VOICES, stop)))
        await asyncio.sleep(0.02)
    assert replicas() == 2
    while replicas() > 1 and time.monotonic() < deadline:
        await asyncio.sleep(0.5)
    stop.set()
    outcomes = await asyncio.gather(*speaking)
    assert {(outcome.code, outcome.last["type"]) for outcome in outcomes} == {(1000, "summary"), (1012, "summary")}
    ended = sum(outcome.code == 1012 for outcome in outcomes)
    assert 0 < ended < STREAMS
    assert [outcome.detections for outcome in outcomes] == [outcome.expected() for outcome in outcomes]
    assert all(len(outcome.detections) > 10 for outcome in outcomes)


async def test_a_stream_is_ended_after_the_messages_that_it_has() -> None:
    received: list[Message] = []
    sent: asyncio.Queue[Message] = asyncio.Queue()

    async def read_to_the_end(scope: Scope, receive: Receive, send: Send) -> None:
        while not received or received[-1]["type"] != "websocket.disconnect":
            received.append(await receive())

    async def send(message: Message) -> None: ...

    app = deployed.DrainableApp(read_to_the_end)
    stream = asyncio.create_task(app({"type": "websocket"}, sent.get, send))
    for data in (b"one", b"two"):
        sent.put_nowait({"type": "websocket.receive", "bytes": data})
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    app.drain()
    sent.put_nowait({"type": "websocket.receive", "bytes": b"late"})
    await asyncio.wait_for(stream, 1)
    assert [message.get("bytes") for message in received] == [b"one", b"two", None]
    assert received[-1]["code"] == 1012
    app.drain()  # of no stream
