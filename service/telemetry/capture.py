"""Detections and near misses, kept as WAV plus JSON to train on later. Off unless there is a directory for them.

A stream's `StreamCapture` holds its latest audio; `CaptureWriter` writes what is worth it on a thread of its own, so
many bytes in all and no more. It is somebody's voice: files are for their owner only.
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

import numpy as np
import soundfile

from service.settings import Settings
from service.spotting.audio import Samples
from service.spotting.config import ResolvedConfig
from service.spotting.decision import REARM
from service.spotting.events import Detection, Message
from service.spotting.model import Metadata
from service.telemetry.logs import log_event
from service.telemetry.metrics import Metrics

BEFORE_S, AFTER_S = 1.5, 0.5  # of audio around the decision
NEAR = 0.7  # of its threshold: a score that comes so close and falls again without reaching it is a near miss
HELD_S = 5.0  # of audio a stream holds, for what is decided late
MAX_WAITING = 64  # clips on their way to the disk; more are dropped
LOOK_S = 10.0  # between two looks at what is in the directory
QUIET_S = 60.0  # between two lines of the log about a disk that takes nothing


@dataclass(frozen=True)
class CapturedEvent:
    """Something worth keeping, at `frame` of the stream since its last reset."""

    kind: str  # detection or near_miss
    label: str
    score: float
    threshold: float
    frame: int


class CaptureWriter:
    """The directory and its thread."""

    def __init__(self, directory: Path, max_bytes: int, metrics: Metrics) -> None:
        self._directory, self._max_bytes, self._metrics = directory, max_bytes, metrics
        self._thread = ThreadPoolExecutor(1, "capture")
        self._room = BoundedSemaphore(MAX_WAITING)
        self._size, self._looked_at, self._told_at = 0, -LOOK_S, -QUIET_S
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def close(self) -> None:
        """Write what waits."""
        self._thread.shutdown()

    def keep(self, samples: Samples, rate: int, facts: Message) -> None:
        """Have a clip written, float32 [samples]; never waits, never fails."""
        if self._room.acquire(blocking=False):
            self._thread.submit(self._write, samples, rate, facts)
        else:
            self._count("dropped")

    # From here on: the thread.

    def _write(self, samples: Samples, rate: int, facts: Message) -> None:
        now = datetime.now(UTC)
        stem = self._directory / f"{now:%Y%m%dT%H%M%S%f}-{facts['session']}-{facts['frame']}"
        try:
            wav, text = wav_bytes(samples, rate), json.dumps({"time": now.isoformat(), **facts}, indent=1).encode()
            if self._bytes() + len(wav) + len(text) > self._max_bytes:
                self._count("full")
                return self._complain("it is full; take some files away")
            _write_both(stem, wav, text)
            self._size += len(wav) + len(text)
            self._count(facts["kind"])
        except Exception as error:  # a full disk, mostly: streams do not care
            self._count("failed")
            self._complain(str(error))
        finally:
            self._room.release()

    def _bytes(self) -> int:
        """What is in the directory, as of LOOK_S ago and counted on from there."""
        if monotonic() - self._looked_at >= LOOK_S:
            with os.scandir(self._directory) as entries:
                self._size = sum(entry.stat().st_size for entry in entries)
            self._looked_at = monotonic()
        return self._size

    def _count(self, result: str) -> None:
        self._metrics.captures.labels(result).inc()

    def _complain(self, reason: str) -> None:
        if monotonic() - self._told_at >= QUIET_S:
            self._told_at = monotonic()
            log_event("captures are not written", logging.WARNING, directory=str(self._directory), reason=reason)


def open_captures(settings: Settings, metrics: Metrics) -> CaptureWriter | None:
    if settings.capture_dir is None:
        return None
    return CaptureWriter(settings.capture_dir, settings.max_capture_bytes, metrics)


class StreamCapture:
    """One stream's latest audio, and what in it is worth keeping."""

    def __init__(self, captures: CaptureWriter, session: str, model: Metadata, sha256: str) -> None:
        self._captures, self._model = captures, model
        self._about = {"session": session, "model": model.name, "version": model.version, "sha256": sha256}
        self._start()

    def _start(self) -> None:
        self._audio: deque[Samples] = deque()
        self._first = 0  # of the stream's samples, the first that is held
        self._scored = 0  # frames
        self._found: list[CapturedEvent] = []  # waiting for the audio after them
        self._peaks: dict[str, CapturedEvent] = {}  # near their threshold, and still there

    def push(self, hops: Samples) -> None:
        """Audio on its way to the model."""
        self._audio.append(hops)

    def heard(self, event: Detection) -> None:
        """An answer: of a keyword it is worth keeping."""
        if event.label in self._model.keywords:
            kind = "detection" if event.crossed else "near_miss"
            self._found.append(CapturedEvent(kind, event.label, event.score, event.threshold, event.frame))

    def scored(self, scores: Samples, config: ResolvedConfig) -> None:
        """Scores of the next frames, [frames, labels]; their events were heard."""
        if config.mode == "continuous":
            for label in config.keywords:
                self._watch(label, scores[:, self._model.labels.index(label)], config.threshold[label])
        self._scored += len(scores)
        latest = self._scored - self._frames(AFTER_S)
        self._keep([found for found in self._found if found.frame < latest])
        self._found = [found for found in self._found if found.frame >= latest]
        oldest = (self._scored - self._frames(HELD_S)) * self._model.hop
        while self._audio and self._first + len(self._audio[0]) <= oldest:
            self._first += len(self._audio.popleft())

    def reset(self) -> None:
        """The stream begins again."""
        self.close()
        self._start()

    def close(self) -> None:
        """The stream is over: what was found has all the audio it will get."""
        self._keep(self._found)

    def _watch(self, label: str, scores: Samples, threshold: float) -> None:
        if label not in self._peaks and scores.max() < NEAR * threshold:
            return  # nearly always
        for frame, score in enumerate(scores.tolist(), self._scored):
            peak = self._peaks.get(label)
            if score >= max(NEAR * threshold, peak.score if peak else 0):
                self._peaks[label] = CapturedEvent("near_miss", label, score, threshold, frame)
            elif peak and score < REARM * threshold:
                del self._peaks[label]
                if peak.score < threshold:
                    self._found.append(peak)

    def _keep(self, founds: list[CapturedEvent]) -> None:
        if not founds:
            return
        rate, held = self._model.sample_rate, np.concatenate(self._audio)
        for found in founds:
            decided = (found.frame + 1) * self._model.hop - self._first  # in what is held
            start = max(0, decided - round(BEFORE_S * rate))
            clip = held[start : max(0, decided + round(AFTER_S * rate))]
            if len(clip):
                facts = {**self._about, **asdict(found), "decided_s": (decided - start) / rate}
                self._captures.keep(clip, rate, facts)

    def _frames(self, seconds: float) -> int:
        return round(seconds * self._model.sample_rate / self._model.hop)


def wav_bytes(samples: Samples, rate: int) -> bytes:
    file = BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def _write_both(stem: Path, wav: bytes, text: bytes) -> None:
    """Both or none, the JSON last: a WAV that has one is whole."""
    pairs = [(stem.with_suffix(".wav"), wav), (stem.with_suffix(".json"), text)]
    try:
        for path, content in pairs:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)
    except OSError:
        for path, _ in pairs:
            path.unlink(missing_ok=True)
        raise
