"""The Wyoming server, by the wyoming package's own client, in the order in which Home Assistant asks."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.ping import Ping, Pong
from wyoming.wake import Detect, Detection, NotDetected

from service.commands.serve import main as rc_serve
from service.server.wyoming.events import AudioTimeline, describe_wake_words
from service.settings import Settings
from service.spotting.model import Model
from service.spotting.spotter import Spotter
from service.testing import free_port
from tests.support.events import detections as detections_among
from tests.support.server import Running, serving
from tests.support.speech import decode_pcm, pcm, synthesize
from tests.support.tone_model import METADATA, RATE

YES_NO = pcm(synthesize("yes", "no"))
NOISE = pcm(synthesize())
FORMAT = {"rate": RATE, "width": 2, "channels": 1}
CHUNK = 2 * RATE // 50


@dataclass(frozen=True)
class Wyoming:
    """A server that listens for Wyoming too."""

    running: Running
    port: int

    @property
    def streams(self) -> int:
        streams: int = self.running.app.state.server.stream_count
        return streams


@contextmanager
def serving_wyoming(models_dir: Path, **settings: Any) -> Iterator[Wyoming]:
    port = free_port()
    with serving(models_dir, wyoming=f"tcp://127.0.0.1:{port}", **settings) as running:
        yield Wyoming(running, port)


@pytest.fixture(scope="module")
def server(models_dir: Path) -> Iterator[Wyoming]:
    with serving_wyoming(models_dir) as server:
        yield server


class WyomingClient(AsyncTcpClient):
    async def send(self, *events: Any) -> None:
        for event in events:
            await self.write_event(event if isinstance(event, Event) else event.event())

    async def play(self, audio: bytes, start_ms: int | None = None) -> None:
        """Chunks of 20 ms, with timestamps where there is a first."""
        for i, at in enumerate(range(0, len(audio), CHUNK)):
            stamp = None if start_ms is None else start_ms + 20 * i
            await self.send(AudioChunk(audio=audio[at : at + CHUNK], timestamp=stamp, **FORMAT))

    async def next(self) -> Event | None:
        return await asyncio.wait_for(self.read_event(), 10)

    async def pong(self) -> list[Event]:
        """Ask for a pong; the events before it."""
        await self.send(Ping("there?"))
        events: list[Event] = []
        while (event := await self.next()) is not None and not Pong.is_type(event.type):
            events.append(event)
        return events


@asynccontextmanager
async def client(server: Wyoming) -> AsyncIterator[WyomingClient]:
    async with WyomingClient("127.0.0.1", server.port) as connection:
        yield connection


def expected(model: Model, audio: bytes, start_ms: int = 0, **settings: Any) -> list[tuple[str, int]]:
    spotter = Spotter(model, **settings)
    events = detections_among(spotter.push(decode_pcm(audio)) + spotter.flush())
    return [(event.label, start_ms + round(1000 * event.audio_time_s)) for event in events]


async def detections(connection: WyomingClient, count: int) -> list[tuple[str | None, int | None]]:
    detected = []
    for _ in range(count):
        event = await connection.next()
        assert event is not None
        assert Detection.is_type(event.type), event
        detected.append((event.data["name"], event.data["timestamp"]))
    return detected


async def test_describe_lists_the_keywords_of_the_default_model(server: Wyoming) -> None:
    async with client(server) as connection:
        await connection.send(Describe())
        event = await connection.next()
    assert event is not None
    (program,) = Info.from_event(event).wake
    assert [(word.name, word.phrase, word.description, word.languages) for word in program.models] == [
        ("yes", "yes", "yes", []),
        ("no", "no", "no", []),
    ]
    assert all(word.installed for word in program.models)
    assert server.streams == 0


@pytest.mark.parametrize(
    ("data", "languages"), [("speech_commands: 16839 train clips by 1484 speakers", ["en"]), ("my_words: 90 clips", [])]
)
def test_languages_are_those_of_the_models_data(data: str, languages: list[str]) -> None:
    (program,) = describe_wake_words(replace(METADATA, data=data)).wake
    assert [word.languages for word in program.models] == [languages, languages]


async def test_home_assistants_order_of_events(server: Wyoming, model: Model) -> None:
    async with client(server) as connection:
        await connection.send(Detect(names=["no"]), AudioStart(**FORMAT, timestamp=5000))
        await connection.play(YES_NO, 5000)
        assert await detections(connection, 1) == expected(model, YES_NO, 5000, keywords=["no"])
    # it leaves as soon as it has one


async def test_the_end_of_audio_without_a_detection_is_reported(server: Wyoming) -> None:
    async with client(server) as connection:
        await connection.send(Detect(), AudioStart(**FORMAT))
        await connection.play(NOISE)
        await connection.send(AudioStop())
        event = await connection.next()
        assert event is not None
        assert NotDetected.is_type(event.type)
        await connection.send(AudioStart(**FORMAT))  # and the connection goes on
        await connection.play(YES_NO)
        assert [name for name, _ in await detections(connection, 2)] == ["yes", "no"]
        await connection.send(AudioStop())
        assert await connection.pong() == []


async def test_a_word_at_the_very_end_is_reported_before_anything_else(server: Wyoming, model: Model) -> None:
    audio = pcm(synthesize("yes", gap_s=0.02)[: -round(0.02 * RATE)])[: 2 * round(0.1 * RATE)]
    assert len(expected(model, audio, speed="balanced")) == 1, "the last word needs the silence of a flush"
    async with client(server) as connection:
        await connection.send(AudioStart(**FORMAT))
        await connection.play(audio)
        await connection.send(AudioStop())
        assert await detections(connection, 1) == expected(model, audio)


async def test_a_word_that_only_fast_detects_is_never_reported(server: Wyoming, model: Model) -> None:
    """Wake words are final: there are no early detections, which could not be taken back."""
    short = pcm(synthesize("no", word_s=0.03))
    assert expected(model, short, speed="fast")
    async with client(server) as connection:
        await connection.send(AudioStart(**FORMAT))
        await connection.play(short)
        await connection.send(AudioStop())
        event = await connection.next()
    assert event is not None
    assert NotDetected.is_type(event.type)


async def test_several_at_once_detect_each_their_own(server: Wyoming, model: Model) -> None:
    words = [("yes",), ("no",), ("yes", "no"), ("no", "_unknown_", "yes"), ()]
    audio = [pcm(synthesize(*spoken, seed=i)) for i, spoken in enumerate(words)]

    async def one_client(data: bytes) -> list[tuple[str | None, int | None]]:
        async with client(server) as connection:
            await connection.send(Detect(names=[]), AudioStart(**FORMAT))
            for at in range(0, len(data), CHUNK):
                await connection.send(AudioChunk(audio=data[at : at + CHUNK], **FORMAT))
                await asyncio.sleep(0)
            detected = await detections(connection, len(expected(model, data)))
            await connection.send(AudioStop())
            return detected

    assert await asyncio.gather(*map(one_client, audio)) == [expected(model, data) for data in audio]


async def test_timestamps_follow_those_of_the_chunks(server: Wyoming, model: Model) -> None:
    """The client's clock goes on where nothing was sent: 20 s between the words."""
    half = len(YES_NO) // 2 // CHUNK * CHUNK
    before, after = [expected(model, YES_NO, start)[word] for word, start in ((0, 5000), (1, 25_000))]
    async with client(server) as connection:
        await connection.send(AudioStart(**FORMAT, timestamp=5000))
        await connection.play(YES_NO[:half], 5000)
        await connection.play(YES_NO[half:], 25_000 + 1000 * half // (2 * RATE))
        assert await detections(connection, 2) == [before, after]


async def test_a_name_that_the_model_lacks_among_others_is_passed_over(server: Wyoming, model: Model) -> None:
    async with client(server) as connection:
        await connection.send(Detect(names=["hey you", "no"]), AudioStart(**FORMAT))
        await connection.play(YES_NO)
        assert await detections(connection, 1) == expected(model, YES_NO, keywords=["no"])
        await connection.send(Detect(names=["yes", "hey you"]))
        await connection.play(YES_NO)
        assert [name for name, _ in await detections(connection, 1)] == ["yes"]
        assert await connection.pong() == []


def test_a_timeline_goes_on_from_the_latest_timestamp() -> None:
    timeline = AudioTimeline(None)
    assert timeline.timestamp_ms(0.5) == 500  # no timestamps at all
    timeline.mark(1.0, 7000)
    timeline.mark(1.02, None)
    timeline.mark(1.04, 7041)  # a millisecond off: whole milliseconds
    assert [timeline.timestamp_ms(at) for at in (1.0, 1.01, 1.5)] == [1000, 7010, 7500]
    for i in range(5000):
        timeline.mark(2.0 + i, 10**9 + 2000 * i)
    assert timeline.timestamp_ms(5000.5) == 10**9 + 2000 * 4998 + 500


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
async def test_other_rates_and_stereo(server: Wyoming, rate: int) -> None:
    stereo = synthesize("yes", "no", rate=rate).repeat(2)
    async with client(server) as connection:
        kind = {"rate": rate, "width": 2, "channels": 2}
        await connection.send(AudioStart(**kind), AudioChunk(audio=pcm(stereo)[:60000], **kind))
        await connection.send(
            *(AudioChunk(audio=pcm(stereo)[at : at + 60000], **kind) for at in range(60000, 4 * len(stereo), 60000))
        )
        await connection.send(AudioStop())
        assert [name for name, _ in await detections(connection, 2)] == ["yes", "no"]


async def test_a_new_start_forgets_the_audio_and_takes_the_new_names(server: Wyoming, model: Model) -> None:
    async with client(server) as connection:
        await connection.send(AudioStart(**FORMAT))
        await connection.play(YES_NO)
        await detections(connection, 2)
        await connection.play(YES_NO[: RATE // 2])  # the beginning of a word
        await connection.send(Detect(names=["yes"]), AudioStart(**FORMAT))
        await connection.play(YES_NO)
        assert await detections(connection, 1) == expected(model, YES_NO, keywords=["yes"])
        assert await connection.pong() == []


async def test_names_may_change_on_the_way_and_audio_may_begin_by_itself(server: Wyoming) -> None:
    async with client(server) as connection:
        await connection.play(YES_NO)
        assert [name for name, _ in await detections(connection, 2)] == ["yes", "no"]
        await connection.send(Detect(names=["no"]))
        await connection.play(YES_NO)
        assert [name for name, _ in await detections(connection, 1)] == ["no"]


async def test_a_client_that_leaves_gives_its_slot_back(server: Wyoming) -> None:
    async with client(server) as connection:
        await connection.send(AudioStart(**FORMAT))
        await connection.play(YES_NO)
        await detections(connection, 2)
        assert server.streams == 1
    async with asyncio.timeout(10):
        while server.streams:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("events", "code", "text"),
    [
        ([Detect(names=["maybe"]), AudioStart(**FORMAT)], "bad_value", "keywords: expected among yes, no, got 'maybe'"),
        ([AudioStart(rate=96000, width=2, channels=1)], "bad_value", "sample_rate: expected 8000 to 48000, got 96000"),
        ([AudioStart(rate=RATE, width=4, channels=1)], "bad_value", "width: expected 2 bytes a sample, got 4"),
        ([Event("audio-start", {})], "bad_value", "width: expected 2 bytes a sample, got None"),
        ([AudioChunk(audio=bytes(1 << 20), **FORMAT)], "too_big", "event: expected at most 65536 bytes, got 1048576"),
    ],
)
async def test_what_is_wrong_is_reported_and_the_connection_ends(
    server: Wyoming, events: list[Any], code: str, text: str
) -> None:
    async with client(server) as connection:
        await connection.send(*events)
        event = await connection.next()
        assert event is not None
        assert (event.type, event.data) == ("error", {"text": text, "code": code})
        assert await connection.next() is None
    assert server.streams == 0


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        "{}",
        '{"type":"describe","data":[]}',
        '{"type":"x","payload_length":"y"}',
        '{"type":"x","data_length":-1}',
        '{"type":"x","data_length":2}\n[]',
        "GET / HTTP/1.1",
        "",
        "\xff\x00",
        "[" * 5000,
        "9" * 5000,
        "x" * 70_000,
    ],
)
async def test_what_is_not_an_event_ends_the_connection(server: Wyoming, line: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(line.encode("latin-1") + b"\n")
    answer = await asyncio.wait_for(reader.read(), 10)
    assert json.loads(answer.split(b"\n")[0])["type"] == "error"
    writer.close()


async def test_the_limit_of_streams_is_for_both_protocols(models_dir: Path) -> None:
    with serving_wyoming(models_dir, max_streams=1) as server:
        async with client(server) as connection, client(server) as other:
            await connection.send(AudioStart(**FORMAT), Ping())
            await connection.next()
            await other.send(Describe(), AudioStart(**FORMAT))
            info, refused = await other.next(), await other.next()
            assert info is not None
            assert Info.is_type(info.type)
            assert refused is not None
            assert refused.data["code"] == "too_many_streams"
            assert await other.next() is None


async def test_silence_on_the_line_ends_the_stream_and_not_the_connection(models_dir: Path) -> None:
    with serving_wyoming(models_dir, idle_timeout_s=0.2) as server:
        async with client(server) as connection:
            await connection.play(YES_NO)
            await detections(connection, 2)
            async with asyncio.timeout(10):
                while server.streams:
                    await asyncio.sleep(0.01)
            await connection.send(Detect(names=["no"]), AudioStart(**FORMAT))
            await connection.play(YES_NO)
            assert [name for name, _ in await detections(connection, 1)] == ["no"]


async def test_a_server_that_stops_ends_its_connections(models_dir: Path) -> None:
    with serving_wyoming(models_dir) as server:
        async with client(server) as connection, client(server) as idle:
            await connection.play(YES_NO)
            await detections(connection, 2)
            server.running.server.should_exit = True
            assert await connection.next() is None
            assert await idle.next() is None


def test_settings_are_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="wyoming"):
        Settings(wyoming="0.0.0.0:10400")
    with pytest.raises(ValueError, match="wyoming: expected 1 worker, as only one can listen there, got 2"):
        Settings(wyoming="tcp://0.0.0.0:10400", workers=2)


def test_a_missing_package_is_reported(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("service.commands.serve.find_spec", lambda _: None)
    assert rc_serve(["--wyoming", "tcp://127.0.0.1:10400"]) == 1
    assert (
        "rc-serve: --wyoming expects the package wyoming, got none: pip install '.[wyoming]'" in capsys.readouterr().err
    )
