"""clients/player.py against a server that does what the test says."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
import soundfile
from websockets.exceptions import ConnectionClosed

from clients.connection import ConnectionLost, Event, ServerError, ServerUnreachableError
from clients.player import Options, Player
from clients.sound_file import Recording
from service.spotting.audio import AudioError
from tests.support.fake_server import SUMMARY, Peer, detection, fake_server, until_flush


async def until_closed(peer: Peer) -> None:
    """Answer every flush."""
    try:
        while True:
            await until_flush(peer)
    except ConnectionClosed:
        pass


def write(path: Path, seconds: float = 0.2, rate: int = 16000, channels: int = 1) -> Path:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (round(seconds * rate), channels))
    soundfile.write(path, noise, rate)
    return path


async def play(url: str, *paths: Path, mode: str = "continuous", realtime: bool = False) -> list[Event]:
    events: list[Event] = []
    async with Player(Options(url, mode, "fast", realtime)) as player:
        for path in paths:
            await player.play(Recording(path), events.append)
    return events


async def test_a_file_goes_up_unchanged_in_chunks_and_is_flushed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", rate=48000, channels=2)
    async with fake_server(until_closed) as (url, peers):
        assert await play(url, path) == [SUMMARY]
    (peer,) = peers
    assert peer.texts[0] == {
        "type": "configure",
        "mode": "continuous",
        "speed": "fast",
        "sample_rate": 48000,
        "channels": 2,
        "encoding": "pcm_f32le",
    }
    assert peer.audio == soundfile.read(path, dtype="float32")[0].astype("<f4").tobytes()
    assert peer.sizes == [round(0.04 * 48000) * 2 * 4] * 5
    assert peer.texts[-1] == {"type": "flush"}


async def test_files_of_one_kind_share_a_connection_and_no_past(tmp_path: Path) -> None:
    one, two = write(tmp_path / "1.wav"), write(tmp_path / "2.wav")
    other = write(tmp_path / "3.wav", rate=8000)
    async with fake_server(until_closed) as (url, peers):
        assert len(await play(url, one, two, other)) == 3
    first, second = peers
    assert [text["type"] for text in first.texts] == ["configure", "update", "flush", "reset", "update", "flush"]
    assert second.texts[0]["sample_rate"] == 8000
    assert len(second.audio) == 4 * 1600


async def test_live_pace_takes_as_long_as_the_audio_and_tells_the_lag(tmp_path: Path) -> None:
    async def script(peer: Peer) -> None:
        while peer.heard_s < 0.199:
            await peer.hear()
        await peer.say(**detection("yes", 0.15))
        await until_closed(peer)

    async with fake_server(script) as (url, peers):
        start = asyncio.get_running_loop().time()
        heard, _ = await play(url, write(tmp_path / "a.wav"), realtime=True)
        took = asyncio.get_running_loop().time() - start
    assert took >= 0.2
    assert 50 <= heard["lag_ms"] <= 1000 * took - 150
    assert "update" not in [text["type"] for text in peers[0].texts]


async def test_full_pace_keeps_half_the_backlog_limit_on_the_way(tmp_path: Path) -> None:
    gone_ahead = []

    async def script(peer: Peer) -> None:
        heard_s = 0.0
        while peer.heard_s < 2.99:
            try:
                async with asyncio.timeout(0.05):
                    await peer.hear()
            except TimeoutError:  # the client waits
                gone_ahead.append(peer.heard_s - heard_s)
                heard_s = peer.heard_s
                await peer.say(type="scores", frame=0, audio_time_s=heard_s, scores={})
        await until_closed(peer)

    async with fake_server(script, max_backlog_s=2.0) as (url, peers), asyncio.timeout(2.5):
        assert await play(url, write(tmp_path / "a.wav", 3.0)) == [SUMMARY]
    assert peers[0].texts[1] == {"type": "update", "scores_every_ms": 200}
    assert gone_ahead
    assert 0.9 < max(gone_ahead) < 1.3


async def test_an_answered_utterance_is_not_sent_to_its_end(tmp_path: Path) -> None:
    async def script(peer: Peer) -> None:
        while peer.heard_s < 0.1:
            await peer.hear()
        await peer.say(**detection("no", 0.1))
        await until_closed(peer)

    async with fake_server(script) as (url, peers):
        heard = await play(url, write(tmp_path / "a.wav", 5.0), mode="utterance", realtime=True)
    assert [event["type"] for event in heard] == ["detection", "summary"]
    assert peers[0].heard_s < 2.5


async def test_what_the_server_says_last_is_raised_and_the_next_file_gets_a_new_connection(tmp_path: Path) -> None:
    async def script(peer: Peer) -> None:
        if peer.config["channels"] == 1:
            await peer.say(type="error", code="overloaded", message="expected less", fatal=True)
            await peer.socket.close(1013)
        await until_closed(peer)

    mono, stereo = write(tmp_path / "1.wav", 1.0), write(tmp_path / "2.wav", channels=2)
    async with fake_server(script) as (url, peers), Player(Options(url, realtime=False)) as player:
        for _ in range(2):
            with pytest.raises(ServerError, match="^overloaded: expected less$"):
                await player.play(Recording(mono), print)
        events: list[Event] = []
        await player.play(Recording(stereo), events.append)
    assert events == [SUMMARY]
    assert len(peers) == 3


async def test_a_stream_that_ends_without_a_summary_is_no_success(tmp_path: Path) -> None:
    async def well(peer: Peer) -> None:
        await peer.socket.close(1000)

    async def badly(peer: Peer) -> None:
        peer.socket.transport.abort()

    path = write(tmp_path / "a.wav")
    async with fake_server(well) as (url, _):
        with pytest.raises(ServerError, match="expected a summary, got a closed connection"):
            await play(url, path)
    async with fake_server(badly) as (url, _):
        with pytest.raises(ConnectionLost, match="expected the stream to stay open"):
            await play(url, path)
    with pytest.raises(ServerUnreachableError):
        await play(url, path)


async def test_a_file_that_breaks_off_ends_its_stream(tmp_path: Path) -> None:
    good, bad = write(tmp_path / "1.flac", 1.0), write(tmp_path / "2.flac", 1.0)
    bad.write_bytes(bad.read_bytes()[:-4000])
    events: list[Event] = []
    async with fake_server(until_closed) as (url, peers), Player(Options(url, realtime=False)) as player:
        with pytest.raises(AudioError):
            await player.play(Recording(bad), events.append)
        await player.play(Recording(good), events.append)
    assert events == [SUMMARY]
    assert [len(peer.audio) for peer in peers][1] == 4 * 16000
