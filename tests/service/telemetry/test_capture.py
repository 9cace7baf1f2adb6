import asyncio
import json
import os
import stat
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from service.spotting.config import StreamConfig, parse_config
from service.spotting.events import Detection
from service.spotting.model import Model
from service.spotting.session import Session
from service.telemetry import capture as module
from service.telemetry.capture import CapturedEvent, CaptureWriter, Clip, StreamCapture, StreamIdentity
from service.telemetry.metrics import Metrics
from tests.support.server import serving
from tests.support.speech import decode_pcm, pcm, synthesize
from tests.support.tone_model import HOP, METADATA, RATE
from tests.support.ws_client import client, stream

YES = pcm(synthesize("yes", gap_s=1.6))


def captured(folder: Path) -> list[tuple[dict[str, Any], Any]]:
    """Facts and samples of every clip, in order of its frame."""
    clips = [
        (json.loads(file.read_text()), soundfile.read(file.with_suffix(".wav"))[0]) for file in folder.glob("*.json")
    ]
    assert len(list(folder.iterdir())) == 2 * len(clips)
    return sorted(clips, key=lambda clip: clip[0]["frame"])


class ClipList:
    """Collects clips in memory."""

    def __init__(self) -> None:
        self.clips: list[Clip] = []

    def keep(self, clip: Clip) -> None:
        self.clips.append(clip)


def collect(model: Model, data: bytes, size: int, **settings: Any) -> list[Clip]:
    """The clips kept of a stream of `data` that comes in chunks of `size` bytes."""
    session, state, sink = Session(METADATA, StreamConfig(**settings)), model.initial_state(1), ClipList()
    capture = StreamCapture(sink, "1f", METADATA, "0" * 64)
    hops = [session.push(data[start : start + size]) for start in range(0, len(data), size)]
    for piece in filter(len, [*hops, session.flush()]):
        capture.on_audio(piece, 0.0)
        scores, state = model.run(piece[np.newaxis], state)
        for event in session.scored(scores[0]):
            assert isinstance(event, Detection)
            capture.on_detection(event)
        capture.on_scores(scores[0], session.config)
    capture.close()
    return sink.clips


@pytest.mark.parametrize("size", [320, 1234, 7000])
def test_a_clip_is_the_audio_around_the_decision_for_every_chunk_size(model: Model, size: int) -> None:
    (clip,) = collect(model, YES, size)
    assert clip.stream == StreamIdentity("1f", "tones", "1", "0" * 64)
    assert clip.event == CapturedEvent("detection", "yes", clip.event.score, 0.9, 87)
    assert clip.decided_s == 0.88
    np.testing.assert_array_equal(clip.samples, decode_pcm(YES)[: 88 * HOP + RATE // 2])


@pytest.mark.parametrize("size", [320, 1234, 64000])
def test_near_misses(model: Model, size: int) -> None:
    """A score that comes near its threshold and does not reach it, one that reaches it, one that stays far away."""
    data = pcm(synthesize("yes", "no", gap_s=1.0))
    events = [clip.event for clip in collect(model, data, size, threshold={"yes": 1.0, "no": 0.9})]
    assert [(event.kind, event.label) for event in events] == [("near_miss", "yes"), ("detection", "no")]
    assert 0.9 < events[0].score < 1.0
    assert collect(model, pcm(synthesize("yes", word_s=0.01)), size) == []


def test_the_audio_buffer_does_not_grow(model: Model) -> None:
    """A score stays near its threshold indefinitely."""
    capture = StreamCapture(ClipList(), "1f", METADATA, "")
    config = parse_config({})[0].resolved(METADATA)
    for _ in range(1000):
        capture.on_audio(np.zeros(10 * HOP, np.float32), 0.0)
        capture.on_scores(np.full((10, 4), 0.8, np.float32), config)
    assert sum(map(len, capture._audio)) <= 5.1 * RATE


async def test_a_server_keeps_detections_and_near_misses(models_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    with serving(models_dir, capture_dir=folder) as running:
        detected = await stream(running.ws(), YES)
        async with client(running.ws(mode="utterance", threshold=1)) as missed:
            await missed.send(pcm(synthesize("no")[: RATE * 3 // 10]), 1280)
            await missed.ask("flush")
            await missed.until("summary")
            await missed.ask("reset")
            await missed.ask("close")
            await missed.closed()
    near, detection = captured(folder)
    assert (detection[0]["label"], detection[0]["session"]) == ("yes", detected.received[0]["session_id"])
    assert detection[0]["frame"] == detected.detections[0]["frame"]
    np.testing.assert_allclose(detection[1], decode_pcm(YES)[: len(detection[1])], atol=1e-4)
    assert (near[0]["kind"], near[0]["label"]) == ("near_miss", missed.detections[0]["label"])
    for file in folder.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_nothing_is_kept_without_a_directory(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    await stream(server.ws(), YES)
    assert list(tmp_path.iterdir()) == []


def results(metrics: Metrics) -> dict[str, float]:
    samples = [sample for family in metrics.captures.collect() for sample in family.samples]
    return {sample.labels["result"]: sample.value for sample in samples if sample.name.endswith("_total")}


def clip(frame: int) -> Clip:
    event = CapturedEvent("detection", "yes", 0.9, 0.9, frame)
    return Clip(np.zeros(RATE, np.float32), RATE, StreamIdentity("1f", "tones", "1", "00"), event, 0.5)


def test_no_more_is_kept_than_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SCAN_INTERVAL_S", 0.0)
    metrics = Metrics()
    captures = CaptureWriter(tmp_path, 100_000, metrics)
    for frame in range(5):
        captures.keep(clip(frame))
    captures.close()
    assert results(metrics) == {"detection": 3, "full": 2}
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 100_000
    next(tmp_path.glob("*.wav")).unlink()
    captures = CaptureWriter(tmp_path, 100_000, metrics)
    captures.keep(clip(9))
    captures.close()
    assert results(metrics)["detection"] == 4


def test_a_slow_disk_loses_clips_and_no_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    metrics = Metrics()
    captures = CaptureWriter(tmp_path, 10**9, metrics)
    captures._thread.submit(asyncio.run, asyncio.sleep(0.2))
    for frame in range(5):
        captures.keep(clip(frame))
    captures.close()
    assert results(metrics) == {"dropped": 3, "detection": 2}


async def test_a_full_disk_changes_nothing_for_streams(models_dir: Path, tmp_path: Path) -> None:
    """/dev/full is a disk without room: the captures' files are links to it."""
    folder = tmp_path / "kept"
    opened = os.open
    with pytest.MonkeyPatch.context() as patch, serving(models_dir, capture_dir=folder) as running:
        patch.setattr(os, "open", lambda path, *how: [opened(path, *how), opened("/dev/full", 1)][1])
        for _ in range(3):
            detected = await stream(running.ws(), YES)
            assert [event["label"] for event in detected.detections] == ["yes"]
        text = httpx.get(f"{running.http}/metrics").text
    assert 'kws_captures_total{result="failed"} 3.0' in text
    assert list(folder.iterdir()) == []  # no halves either
