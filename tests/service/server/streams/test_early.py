"""Early detections on the wire of docs/protocol.md, against a real server."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.spotting.model import Model
from service.spotting.spotter import Spotter
from tests.support.early import EARLY_METADATA, check_settled, decisions, words_of_any_length
from tests.support.server import Running, serving
from tests.support.speech import decode_pcm, pcm, synthesize
from tests.support.tone_model import HOP, write_model
from tests.support.tone_verifier import write_verified_model
from tests.support.ws_client import Client, client, facts, stream

YES = pcm(synthesize("yes"))
OPEN = YES[: 2 * HOP * 33]  # ends while the early detection of frame 25 is open


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models"), "tones", EARLY_METADATA)


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Running]:
    with serving(folder.parent, max_backlog_s=60) as server:  # on a busy machine
        yield server


def in_process(folder: Path, data: bytes, **settings: Any) -> list[dict[str, Any]]:
    """The decisions on the same audio in one piece, in this process."""
    spotter = Spotter(Model(folder), **settings)
    return decisions(spotter.push(decode_pcm(data)) + spotter.flush())


def comparable(events: list[dict[str, Any]]) -> list[Any]:
    """Decisions with scores as far as two runs of a model agree on them."""
    return [{**event, "score": round(event["score"], 4)} for event in decisions(events)]


async def test_the_messages_have_every_field(running: Running) -> None:
    short, long = synthesize("no", word_s=0.05), synthesize("yes")
    streamed = await stream(running.ws(early="true"), pcm(np.concatenate([short, long])))
    events = [event for event in streamed.received if event["type"] not in ("ready", "summary")]
    latencies = [event.pop("latency") for event in events]
    score = pytest.approx(0.7, abs=0.01)
    early: dict[str, Any] = {"type": "detection", "score": score, "threshold": 0.6, "crossed": True, "status": "early"}
    assert events == [
        {**early, "id": 1, "label": "no", "frame": 25, "audio_time_s": 0.26},
        {"type": "retracted", "id": 1, "label": "no", "score": pytest.approx(0.3, abs=0.01), "reason": "fell",
         "frame": 35, "audio_time_s": 0.36},
        {**early, "id": 2, "label": "yes", "frame": 90, "audio_time_s": 0.91},
        {"type": "confirmed", "id": 2, "label": "yes", "score": pytest.approx(1, abs=0.01), "threshold": 0.9,
         "frame": 100, "audio_time_s": 1.01},
    ]  # fmt: skip
    assert [list(latency) for latency in latencies] == [["algorithmic_ms", "queue_ms", "compute_ms", "server_ms"]] * 4
    assert (streamed.received[0]["config"]["early"], streamed.received[-1]["detections"]) == (True, 1)


async def test_without_early_a_detection_is_final_and_nothing_on_the_wire_is_new(running: Running) -> None:
    for settings in ({}, {"early": "false"}):
        streamed = await stream(running.ws(speed="fast", **settings), YES)
        (detection,) = decisions(streamed.received)
        assert set(detection) == {"type", "id", "label", "score", "threshold", "crossed", "frame", "audio_time_s"}
        assert "early" not in streamed.received[0]["config"]


@pytest.mark.parametrize("speed", ["fast", "balanced", "accurate"])
async def test_a_file_a_stream_in_any_pieces_and_twenty_streams_have_the_same_events(
    running: Running, folder: Path, speed: str
) -> None:
    """And the confirmed ones are the detections of the same audio without `early`."""
    rng = np.random.default_rng(3)
    audio = [pcm(words_of_any_length(seed)) for seed in range(20)]
    chunks = [int(chunk) for chunk in rng.integers(100, 8000, size=20)]
    url = running.ws(early="true", speed=speed)
    together = await asyncio.gather(*(stream(url, *pair) for pair in zip(audio, chunks, strict=True)))
    kinds = set()
    for data, streamed in zip(audio, together, strict=True):
        expected = in_process(folder, data, early=True, speed=speed)
        assert comparable(streamed.received) == comparable(expected)
        plain = in_process(folder, data, speed=speed)
        assert [facts(event) for event in plain] == [
            facts({**event, "crossed": True}) for event in check_settled(streamed.received)
        ]
        kinds |= {event.get("reason", event["type"]) for event in expected}
    expected_kinds = {"fast": {"confirmed"}, "balanced": {"confirmed", "fell"}, "accurate": {"confirmed", "timeout"}}
    assert kinds >= {"detection", *expected_kinds[speed]}


async def test_a_verifier_gives_the_same_events_in_twenty_streams_and_files(tmp_path: Path) -> None:
    folder = write_verified_model(tmp_path)
    audio = [pcm(words_of_any_length(seed)) for seed in range(20)]
    chunks = [int(chunk) for chunk in np.random.default_rng(3).integers(100, 8000, size=20)]
    kinds = set()
    with serving(tmp_path, max_backlog_s=60) as server:
        url = server.ws(early="true")
        together = await asyncio.gather(*(stream(url, *pair) for pair in zip(audio, chunks, strict=True)))
    for data, streamed in zip(audio, together, strict=True):
        check_settled(streamed.received)
        assert comparable(streamed.received) == comparable(in_process(folder, data, early=True))
        kinds |= {event.get("reason", event["type"]) for event in streamed.received}
    assert kinds >= {"confirmed", "fell", "verifier"}


@pytest.mark.parametrize("kind", ["flush", "close", "update", "reset"])
async def test_a_request_retracts_what_is_open_before_its_answer(running: Running, kind: str) -> None:
    async with client(running.ws(early="true", speed="accurate")) as connection:
        await connection.send(OPEN, 1280)
        await connection.until("detection")
        await connection.ask(kind)
        retracted = await connection.until("retracted")
        assert (retracted["id"], retracted["reason"], retracted["label"]) == (1, "timeout", "yes")
        if kind != "close":
            await connection.ask("close")
        await connection.closed()
    check_settled(connection.received)


async def test_a_stream_goes_on_after_a_reset_and_ids_do_too(running: Running) -> None:
    async with client(running.ws(early="true")) as connection:
        await connection.send(OPEN, 1280)
        await connection.until("detection")
        await connection.ask("reset")
        await connection.send(YES, 1280)
        await connection.ask("close")
        await connection.closed()
    assert [(event["type"], event["id"], event["frame"]) for event in decisions(connection.received)][2:] == [
        ("detection", 2, 25),
        ("confirmed", 2, 35),
    ]


async def test_a_fatal_error_retracts_what_is_open(running: Running) -> None:
    async with client(running.ws(early="true", speed="accurate")) as connection:
        await connection.send(OPEN, 1280)
        await connection.until("detection")
        await connection.ask("update", speed="slow")
        code, last = await connection.closed()
    assert (code, last["code"]) == (1008, "bad_value")
    check_settled(connection.received)


async def test_silence_on_the_line_retracts_what_is_open(folder: Path) -> None:
    with serving(folder.parent, idle_timeout_s=1) as server:
        async with client(server.ws(early="true", speed="accurate")) as connection:
            await connection.send(OPEN, 1280)
            assert (await connection.closed())[1]["code"] == "idle_timeout"
    check_settled(connection.received)


async def test_a_server_that_stops_retracts_what_is_open(folder: Path) -> None:
    with serving(folder.parent) as server:
        async with client(server.ws(early="true", speed="accurate")) as connection:
            await connection.send(OPEN, 1280)
            await connection.until("detection")
            server.server.should_exit = True
            code, last = await connection.closed()
    assert (code, last["type"]) == (1012, "summary")
    check_settled(connection.received)


async def test_a_stream_whose_time_is_over_retracts_what_is_open(folder: Path) -> None:
    with serving(folder.parent, max_stream_s=1.0) as server:
        async with client(server.ws(early="true", speed="accurate")) as connection:
            await connection.send(OPEN, 1280)
            code, last = await connection.closed()
    assert (code, last["type"]) == (1012, "summary")
    assert [event["type"] for event in decisions(connection.received)] == ["detection", "retracted"]
    check_settled(connection.received)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"early": "perhaps"}, "early: expected true or false, got 'perhaps'"),
        ({"early": "true", "mode": "utterance"}, "early: expected the mode continuous, got utterance"),
    ],
)
async def test_wrong_settings_are_refused(running: Running, settings: dict[str, str], message: str) -> None:
    async with client(running.ws(**settings)) as connection:
        code, last = await connection.closed()
    assert (code, last["code"], last["message"]) == (1008, "bad_value", message)


async def play(connection: Client, rng: np.random.Generator) -> bool:
    """Random audio and requests, then one of many ends; whether the server could answer to the last."""
    data = pcm(words_of_any_length(int(rng.integers(1000)), 6))
    cuts = np.sort(rng.integers(0, len(data), size=12))
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        await connection.socket.send(data[start:end])
        if rng.random() < 0.3:
            await asyncio.sleep(float(rng.uniform(0, 0.02)))
        match rng.choice(["nothing", "nothing", "flush", "reset", "update", "keepalive"]):
            case "update":
                await connection.ask("update", speed=str(rng.choice(["fast", "balanced", "accurate"])))
            case "flush" | "reset" | "keepalive" as kind:
                await connection.ask(kind)
    match rng.choice(["close", "close", "wrong", "leave", "abort"]):
        case "close":
            await connection.ask("close")
        case "wrong":
            await connection.socket.send("[]")
        case "leave":
            await connection.socket.close()
            return False
        case "abort":
            connection.socket.transport.abort()
            return False
    return True


async def test_random_streams_settle_each_early_detection_once_in_order_and_in_time(running: Running) -> None:
    """Cuts, flushes, updates, resets, wrong messages and disconnects, sixty streams, five at once."""
    checked, confirmed = 0, 0
    reasons: set[str | None] = set()

    async def run(seed: int) -> None:
        nonlocal checked, confirmed
        async with client(running.ws(early="true", scores_every_ms=20 * (seed % 2))) as connection:
            reading = asyncio.create_task(connection.closed())
            answered = await play(connection, np.random.default_rng(seed))
            await reading
        if answered:
            confirmed += len(check_settled(connection.received))
            reasons.update(event.get("reason") for event in connection.received)
            checked += 1

    for first in range(0, 60, 5):
        await asyncio.gather(*(run(seed) for seed in range(first, first + 5)))
    assert checked > 20
    assert confirmed > 20
    assert reasons >= {"fell", "timeout"}
