"""Detections and near misses, kept as WAV plus JSON to train on later. Off unless there is a directory for them.

A stream's `StreamCapture` holds its latest audio; `CaptureWriter` writes the events worth keeping on a thread of its
own, up to a total of bytes. The audio is somebody's voice: the files can be read by their owner only.
"""

import json
import logging
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from threading import BoundedSemaphore
from time import monotonic
from typing import Protocol

import numpy as np
import soundfile

from service.settings import Settings
from service.spotting.audio import Pcm, Samples, to_float
from service.spotting.config import ResolvedConfig
from service.spotting.decision import REARM
from service.spotting.events import Confirmed, Detection
from service.spotting.metadata import FrameScores, Metadata
from service.telemetry.logs import log_event
from service.telemetry.metrics import Metrics

BEFORE_S, AFTER_S = 1.5, 0.5  # audio kept before and after a decision
NEAR_MISS_RATIO = 0.7  # a score that comes this close to its threshold and falls again is a near miss
BUFFER_S = 5.0  # audio that a stream holds for decisions that come late
MAX_WAITING = 64  # clips on their way to the disk; further ones are dropped
SCAN_INTERVAL_S = 10.0  # between two counts of the bytes in the directory
WARN_INTERVAL_S = 60.0  # between two log lines about a disk that takes nothing


@dataclass(frozen=True)
class CapturedEvent:
    """An event worth keeping, at `frame` of the stream since its last reset."""

    kind: str  # detection or near_miss
    label: str
    score: float
    threshold: float
    frame: int


@dataclass(frozen=True)
class StreamIdentity:
    """The stream that a clip comes from, and the model that scored it."""

    session: str
    model: str
    version: str
    sha256: str


@dataclass(frozen=True)
class Clip:
    """Audio around an event, which was decided `decided_s` into it."""

    samples: Samples
    sample_rate: int
    stream: StreamIdentity
    event: CapturedEvent
    decided_s: float

    def wav(self) -> bytes:
        file = BytesIO()
        soundfile.write(file, self.samples, self.sample_rate, format="WAV", subtype="PCM_16")
        return file.getvalue()

    def json(self, time: datetime) -> bytes:
        facts = {**asdict(self.stream), **asdict(self.event), "decided_s": self.decided_s}
        return json.dumps({"time": time.isoformat(), **facts}, indent=1).encode()


class ClipSink(Protocol):
    """Where the clips of a stream go."""

    def keep(self, clip: Clip) -> None: ...


class CaptureWriter:
    """The directory of clips and the thread that writes them."""

    def __init__(self, directory: Path, max_bytes: int, metrics: Metrics) -> None:
        self._directory, self._max_bytes, self._metrics = directory, max_bytes, metrics
        self._thread = ThreadPoolExecutor(1, "capture")
        self._room = BoundedSemaphore(MAX_WAITING)
        self._size, self._scanned_at, self._warned_at = 0, -SCAN_INTERVAL_S, -WARN_INTERVAL_S
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def close(self) -> None:
        """Write the clips that wait."""
        self._thread.shutdown()

    def keep(self, clip: Clip) -> None:
        """Have a clip written; never waits, never fails."""
        if self._room.acquire(blocking=False):
            self._thread.submit(self._write, clip)
        else:
            self._count("dropped")

    # From here on: the thread.

    def _write(self, clip: Clip) -> None:
        now = datetime.now(UTC)
        stem = self._directory / f"{now:%Y%m%dT%H%M%S%f}-{clip.stream.session}-{clip.event.frame}"
        try:
            wav, text = clip.wav(), clip.json(now)
            if self._directory_bytes() + len(wav) + len(text) > self._max_bytes:
                self._count("full")
                return self._warn("the directory is full; remove some files")
            _write_pair(stem, wav, text)
            self._size += len(wav) + len(text)
            self._count(clip.event.kind)
        except Exception as error:  # a full disk, mostly: streams must not notice
            self._count("failed")
            self._warn(str(error))
        finally:
            self._room.release()

    def _directory_bytes(self) -> int:
        """Bytes in the directory: counted every SCAN_INTERVAL_S, with what was written since added."""
        if monotonic() - self._scanned_at >= SCAN_INTERVAL_S:
            with os.scandir(self._directory) as entries:
                self._size = sum(entry.stat().st_size for entry in entries)
            self._scanned_at = monotonic()
        return self._size

    def _count(self, result: str) -> None:
        self._metrics.captures.labels(result).inc()

    def _warn(self, reason: str) -> None:
        if monotonic() - self._warned_at >= WARN_INTERVAL_S:
            self._warned_at = monotonic()
            log_event("captures are not written", logging.WARNING, directory=str(self._directory), reason=reason)


def open_captures(settings: Settings, metrics: Metrics) -> CaptureWriter | None:
    """The writer of the settings' directory; None without one."""
    if settings.capture_dir is None:
        return None
    return CaptureWriter(settings.capture_dir, settings.max_capture_bytes, metrics)


class StreamCapture:
    """Observes one stream: holds its latest audio, and keeps clips of its detections and near misses."""

    def __init__(self, sink: ClipSink, session: str, model: Metadata, sha256: str) -> None:
        self._sink, self._model = sink, model
        self._identity = StreamIdentity(session, model.name, model.version, sha256)
        self._start()

    def _start(self) -> None:
        self._audio: deque[Samples] = deque()
        self._first_sample = 0  # index in the stream of the oldest sample that is held
        self._frames_scored = 0
        self._pending: list[CapturedEvent] = []  # waiting for the audio after them
        self._peaks: dict[str, CapturedEvent] = {}  # per label, the best score while it is near its threshold

    def on_audio(self, hops: Pcm, received_s: float) -> None:
        """Audio goes to the model: [samples]."""
        if len(hops):
            self._audio.append(to_float(hops))

    def on_detection(self, event: Detection | Confirmed) -> None:
        """The stream reports a detection; those of keywords are worth keeping."""
        if event.label in self._model.keywords:
            kind = "detection" if event.crossed else "near_miss"
            self._pending.append(CapturedEvent(kind, event.label, event.score, event.threshold, event.frame))

    def on_scores(self, scores: FrameScores, config: ResolvedConfig) -> None:
        """Scores of the next frames, [frames, labels]; call after `on_detection` for the events in them."""
        if config.mode == "continuous":
            for label in config.keywords:
                self._watch(label, scores[:, self._model.labels.index(label)], config.threshold[label])
        self._frames_scored += len(scores)
        self._keep_complete()
        self._drop_old_audio()

    def reset(self) -> None:
        """The stream starts again at frame 0."""
        self.close()
        self._start()

    def close(self) -> None:
        """The stream is over: keep the pending events with the audio there is."""
        self._keep(self._pending)

    def _watch(self, label: str, scores: FrameScores, threshold: float) -> None:
        """Follow a label that comes near its threshold; a peak that falls below it again is a near miss."""
        if label not in self._peaks and scores.max() < NEAR_MISS_RATIO * threshold:
            return  # nearly always
        for frame, score in enumerate(scores.tolist(), self._frames_scored):
            peak = self._peaks.get(label)
            if score >= max(NEAR_MISS_RATIO * threshold, peak.score if peak else 0):
                self._peaks[label] = CapturedEvent("near_miss", label, score, threshold, frame)
            elif peak and score < REARM * threshold:
                del self._peaks[label]
                if peak.score < threshold:
                    self._pending.append(peak)

    def _keep_complete(self) -> None:
        """Keep the pending events whose audio after the decision has all come."""
        latest = self._frames_scored - self._frames(AFTER_S)
        self._keep([event for event in self._pending if event.frame < latest])
        self._pending = [event for event in self._pending if event.frame >= latest]

    def _drop_old_audio(self) -> None:
        oldest = (self._frames_scored - self._frames(BUFFER_S)) * self._model.hop
        while self._audio and self._first_sample + len(self._audio[0]) <= oldest:
            self._first_sample += len(self._audio.popleft())

    def _keep(self, events: list[CapturedEvent]) -> None:
        if not events:
            return
        rate, audio = self._model.sample_rate, np.concatenate(self._audio)
        for event in events:
            decided = (event.frame + 1) * self._model.hop - self._first_sample  # index in `audio`
            start = max(0, decided - round(BEFORE_S * rate))
            samples = audio[start : max(0, decided + round(AFTER_S * rate))]
            if len(samples):
                self._sink.keep(Clip(samples, rate, self._identity, event, (decided - start) / rate))

    def _frames(self, seconds: float) -> int:
        return round(seconds * self._model.sample_rate / self._model.hop)


def _write_pair(stem: Path, wav: bytes, text: bytes) -> None:
    """Write both files or none, the JSON last: a WAV that has one is complete."""
    pairs = [(stem.with_suffix(".wav"), wav), (stem.with_suffix(".json"), text)]
    try:
        for path, content in pairs:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)
    except OSError:
        for path, _ in pairs:
            path.unlink(missing_ok=True)
        raise
