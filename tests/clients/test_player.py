"""clients/player.py against a server that follows a script of the test."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
import soundfile
from websockets.exceptions import ConnectionClosed

from clients.connection import ConnectionLostError, Event, ServerError, ServerUnreachableError
from clients.player import Player, PlayerOptions
from clients.sound_file import Recording
from service.spotting.audio import AudioError
from tests.support.fake_server import SUMMARY, FakeStream, detection, fake_server, until_flush


async def until_closed(stream: FakeStream) -> None:
    """Answer every flush."""
    try:
        while True:
            await until_flush(stream)
    except ConnectionClosed:
        pass


def write(path: Path, seconds: float = 0.2, rate: int = 16000, channels: int = 1) -> Path:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (round(seconds * rate), channels))
    soundfile.write(path, noise, rate)
    return path


async def play(url: str, *paths: Path, mode: str = "continuous", realtime: bool = False) -> list[Event]:
    events: list[Event] = []
    async with Player(PlayerOptions(url, mode, "fast", realtime)) as player:
        for path in paths:
            await player.play(Recording(path), events.append)
    return events


async def test_a_file_goes_up_unchanged_in_chunks_and_is_flushed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", rate=48000, channels=2)
    async with fake_server(until_closed) as (url, streams):
        assert await play(url, path) == [SUMMARY]
    (stream,) = streams
    assert stream.texts[0] == {
        "type": "configure",
        "mode": "continuous",
        "speed": "fast",
        "sample_rate": 48000,
        "channels": 2,
        "encoding": "pcm_f32le",
    }
    assert stream.audio == soundfile.read(path, dtype="float32")[0].astype("<f4").tobytes()
    assert stream.sizes == [round(0.04 * 48000) * 2 * 4] * 5
    assert stream.texts[-1] == {"type": "flush"}


async def test_early_detections_are_asked_for_and_reported(tmp_path: Path) -> None:
    decisions = [
        {**detection("yes", 0.1), "status": "early"},
        {**detection("yes", 0.15), "type": "confirmed"},
        {**detection("no", 0.2), "type": "retracted", "reason": "fell"},
    ]

    async def script(stream: FakeStream) -> None:
        for decision in decisions:
            await stream.send(**decision)
        await until_closed(stream)

    events: list[Event] = []
    async with fake_server(script) as (url, streams), Player(PlayerOptions(url, realtime=False, early=True)) as player:
        await player.play(Recording(write(tmp_path / "a.wav")), events.append)
    assert streams[0].texts[0]["early"] is True
    assert events == [*decisions, SUMMARY]


async def test_files_of_one_format_share_a_connection_and_no_past(tmp_path: Path) -> None:
    first_file, second_file = write(tmp_path / "1.wav"), write(tmp_path / "2.wav")
    other_format = write(tmp_path / "3.wav", rate=8000)
    async with fake_server(until_closed) as (url, streams):
        assert len(await play(url, first_file, second_file, other_format)) == 3
    first, second = streams
    assert [text["type"] for text in first.texts] == ["configure", "update", "flush", "reset", "update", "flush"]
    assert second.texts[0]["sample_rate"] == 8000
    assert len(second.audio) == 4 * 1600


async def test_live_pace_takes_as_long_as_the_audio_and_reports_the_lag(tmp_path: Path) -> None:
    async def script(stream: FakeStream) -> None:
        while stream.received_s < 0.199:
            await stream.receive()
        await stream.send(**detection("yes", 0.15))
        await until_closed(stream)

    async with fake_server(script) as (url, streams):
        start = asyncio.get_running_loop().time()
        event, _ = await play(url, write(tmp_path / "a.wav"), realtime=True)
        took = asyncio.get_running_loop().time() - start
    assert took >= 0.2
    assert 50 <= event["lag_ms"] <= 1000 * took - 150
    assert "update" not in [text["type"] for text in streams[0].texts]


async def test_full_pace_keeps_half_the_backlog_limit_on_the_way(tmp_path: Path) -> None:
    gone_ahead = []

    async def script(stream: FakeStream) -> None:
        scored_s = 0.0
        while stream.received_s < 2.99:
            try:
                async with asyncio.timeout(0.05):
                    await stream.receive()
            except TimeoutError:  # the client waits
                gone_ahead.append(stream.received_s - scored_s)
                scored_s = stream.received_s
                await stream.send(type="scores", frame=0, audio_time_s=scored_s, scores={})
        await until_closed(stream)

    async with fake_server(script, max_backlog_s=2.0) as (url, streams), asyncio.timeout(2.5):
        assert await play(url, write(tmp_path / "a.wav", 3.0)) == [SUMMARY]
    assert streams[0].texts[1] == {"type": "update", "scores_every_ms": 200}
    assert gone_ahead
    assert 0.9 < max(gone_ahead) < 1.3


async def test_an_answered_utterance_is_not_sent_to_its_end(tmp_path: Path) -> None:
    async def script(stream: FakeStream) -> None:
        while stream.received_s < 0.1:
            await stream.receive()
        await stream.send(**detection("no", 0.1))
        await until_closed(stream)

    async with fake_server(script) as (url, streams):
        events = await play(url, write(tmp_path / "a.wav", 5.0), mode="utterance", realtime=True)
    assert [event["type"] for event in events] == ["detection", "summary"]
    assert streams[0].received_s < 2.5


async def test_a_fatal_error_is_raised_and_the_next_file_gets_a_new_connection(tmp_path: Path) -> None:
    async def script(stream: FakeStream) -> None:
        if stream.config["channels"] == 1:
            await stream.send(type="error", code="overloaded", message="expected less", fatal=True)
            await stream.socket.close(1013)
        await until_closed(stream)

    mono, stereo = write(tmp_path / "1.wav", 1.0), write(tmp_path / "2.wav", channels=2)
    async with fake_server(script) as (url, streams), Player(PlayerOptions(url, realtime=False)) as player:
        for _ in range(2):
            with pytest.raises(ServerError, match=r"^overloaded: expected less$"):
                await player.play(Recording(mono), print)
        events: list[Event] = []
        await player.play(Recording(stereo), events.append)
    assert events == [SUMMARY]
    assert len(streams) == 3


async def test_a_stream_without_a_summary_is_a_failure(tmp_path: Path) -> None:
    async def well(stream: FakeStream) -> None:
        await stream.socket.close(1000)

    async def badly(stream: FakeStream) -> None:
        stream.socket.transport.abort()

    path = write(tmp_path / "a.wav")
    async with fake_server(well) as (url, _):
        with pytest.raises(ServerError, match="expected a summary, got a closed connection"):
            await play(url, path)
    async with fake_server(badly) as (url, _):
        with pytest.raises(ConnectionLostError, match="expected the stream to stay open"):
            await play(url, path)
    with pytest.raises(ServerUnreachableError):
        await play(url, path)


async def test_a_file_that_breaks_off_ends_its_stream(tmp_path: Path) -> None:
    good, bad = write(tmp_path / "1.flac", 1.0), write(tmp_path / "2.flac", 1.0)
    bad.write_bytes(bad.read_bytes()[:-4000])
    events: list[Event] = []
    async with fake_server(until_closed) as (url, streams), Player(PlayerOptions(url, realtime=False)) as player:
        with pytest.raises(AudioError):
            await player.play(Recording(bad), events.append)
        await player.play(Recording(good), events.append)
    assert events == [SUMMARY]
    assert [len(stream.audio) for stream in streams][1] == 4 * 16000
