"""Whole files to labels: the sessions of a batch of files, scored together.

A file is a stream that is pushed at once and flushed, so its answer or its detections are those of the same audio
streamed live.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from service.spotting.audio import AudioError, Samples
from service.spotting.config import ProtocolError, StreamConfig, parse_config
from service.spotting.events import Detection, Event
from service.spotting.files import MAX_S, read_audio
from service.spotting.metadata import DEFAULT_SPEED
from service.spotting.model import Model
from service.spotting.session import Session

BATCH = 64  # files scored together
BATCH_S = 600.0  # of audio, or a little more: bounds the memory
CHUNK = 25  # frames a run: files that have their answer leave the batch after each

Result = dict[str, Any]


def classify(
    model: Model,
    files: Sequence[tuple[str, Samples]],
    thresholds: Mapping[str, float] | float | str | None = None,
    *,
    speed: str = DEFAULT_SPEED,
    mode: str = "utterance",
    keywords: Sequence[str] | str | None = None,
    trace: bool = False,
) -> list[Result]:
    """Classify files, each (name, float32 [samples] at the model's rate, not empty); results in the same order.

    A result has `file, label, score, crossed, frame, decision_time_s, duration_s`; in mode `continuous`
    `file, detections, duration_s`; with `trace` also `trace`, label -> score of every frame. `thresholds` (a number,
    or label -> number) override those of `speed`.
    Raises ProtocolError for a threshold, label or speed that the model does not have, BadAudio for no samples.
    """
    settings = {"mode": mode, "keywords": keywords, "speed": speed, "threshold": thresholds}
    config, _ = parse_config({**settings, "sample_rate": model.metadata.sample_rate})
    config.resolved(model.metadata)  # a wrong setting is told even when there is no file
    results: dict[int, Result] = {}
    by_length = sorted(range(len(files)), key=lambda index: len(files[index][1]))
    for start in range(0, len(files), BATCH):
        indices = by_length[start : start + BATCH]
        batch = [_FileStream(model, *files[index], config, trace) for index in indices]
        _run(model, batch)
        results |= {index: file.result() for index, file in zip(indices, batch, strict=True)}
    return [results[index] for index in range(len(files))]


def classify_encoded(
    model: Model,
    files: Sequence[tuple[str, bytes | Path]],
    threshold: Mapping[str, float] | float | str | None = None,
    *,
    speed: str = DEFAULT_SPEED,
    mode: str = "utterance",
    keywords: Sequence[str] | str | None = None,
    trace: bool = False,
    max_s: float = MAX_S,
    max_total_s: float = math.inf,
    timeout_s: float = math.inf,
) -> list[Result]:
    """The same for files as they lie on a disk; one that is no audio gets `file, error` and spoils no other.

    So does a file of more than `max_s`, and those that come once there were `max_total_s` of audio or `timeout_s` of
    work.
    """
    settings: dict[str, Any] = {"speed": speed, "mode": mode, "keywords": keywords, "trace": trace}
    left_s, deadline = max_total_s, monotonic() + timeout_s
    results: list[Result] = []
    group: list[tuple[str, Samples | ProtocolError]] = []
    group_s = 0.0
    for name, file in files:
        audio = _over(left_s <= 0, monotonic() >= deadline, max_total_s, timeout_s) or _decode(model, file, max_s)
        seconds = 0.0 if isinstance(audio, ProtocolError) else len(audio) / model.metadata.sample_rate
        left_s, group_s = left_s - seconds, group_s + seconds
        group.append((name, audio))
        if len(group) == BATCH or group_s >= BATCH_S:
            results += _classify_decoded(model, group, threshold, **settings)
            group, group_s = [], 0.0
    return results + _classify_decoded(model, group, threshold, **settings)


def _over(audio: bool, time: bool, max_total_s: float, timeout_s: float) -> ProtocolError | None:
    """Why no more files of a request are taken."""
    if audio:
        return ProtocolError("too_much", f"expected at most {max_total_s:g} s of audio in all files, got more")
    if time:
        return ProtocolError("overloaded", f"expected to classify all files within {timeout_s:g} s, it took longer")
    return None


def _decode(model: Model, file: bytes | Path, max_s: float) -> Samples | ProtocolError:
    try:
        return read_audio(file, model.metadata.sample_rate, max_s)
    except AudioError as error:
        return ProtocolError("bad_audio", str(error))
    except OSError as error:
        return ProtocolError("bad_audio", f"expected a file that can be read, got: {error.strerror}")


def _classify_decoded(
    model: Model,
    files: list[tuple[str, Samples | ProtocolError]],
    threshold: Mapping[str, float] | float | str | None,
    **settings: Any,
) -> list[Result]:
    good = [(name, audio) for name, audio in files if not isinstance(audio, ProtocolError)]
    answers = iter(classify(model, good, threshold, **settings))
    return [_refusal(name, audio) if isinstance(audio, ProtocolError) else next(answers) for name, audio in files]


def _refusal(name: str, error: ProtocolError) -> Result:
    return {"file": name, "error": {"code": error.code, "message": str(error)}}


def _run(model: Model, files: list["_FileStream"]) -> None:
    """Score the files side by side, CHUNK frames at a time; silence fills the end of the shorter ones."""
    hop = model.metadata.hop
    state = model.initial_state(len(files))
    for start in range(0, max(file.frames for file in files), CHUNK):
        frames = min(CHUNK, max(file.frames for file in files) - start)
        audio = np.zeros((len(files), frames * hop), np.float32)
        for row, file in zip(audio, files, strict=True):
            piece = file.hops[start * hop : (start + frames) * hop]
            row[: len(piece)] = piece
        scores, state = model.run(audio, state)
        for row, file in zip(scores, files, strict=True):
            file.take(row[: file.frames - start])
        waiting = [index for index, file in enumerate(files) if not file.done]
        files = [files[index] for index in waiting]
        if not files:
            return
        state = {name: array[waiting] for name, array in state.items()}


class _FileStream:
    """One file on its way: its stream, the hops to score, and what it detected so far."""

    def __init__(self, model: Model, name: str, samples: Samples, config: StreamConfig, trace: bool) -> None:
        self.name, self._samples = name, samples
        self._session = Session(model.metadata, config)
        self.hops = np.concatenate([self._session.push_samples(samples), self._session.flush()])
        self.frames = len(self.hops) // model.metadata.hop
        self._detections: list[Detection] = []
        self._continuous = config.mode == "continuous"
        self._labels, self._rate = model.metadata.labels, model.metadata.sample_rate
        self._trace: list[Samples] | None = [] if trace else None

    def take(self, scores: Samples) -> None:
        if self._trace is not None:
            self._trace.append(scores)
        self._decide(self._session.scored(scores))
        if self._session.outstanding == 0:
            self._decide(self._session.finish())

    @property
    def done(self) -> bool:
        answered = bool(self._detections) and not self._continuous
        return self._session.outstanding == 0 or (answered and self._trace is None)

    def result(self) -> Result:
        if not self.frames:
            raise AudioError(f"{self.name}: expected audio, got no samples")
        decided = {"detections": [asdict(event) for event in self._detections]} if self._continuous else self._answer()
        result: Result = {"file": self.name, **decided, "duration_s": len(self._samples) / self._rate}
        if self._trace is not None:
            result["trace"] = dict(zip(self._labels, np.concatenate(self._trace).T.tolist(), strict=True))
        return result

    def _answer(self) -> Result:
        """Of an utterance, which has one in any case."""
        (answer,) = self._detections
        return {
            "label": answer.label,
            "score": answer.score,
            "crossed": answer.crossed,
            "frame": answer.frame,
            "decision_time_s": answer.audio_time_s,
        }

    def _decide(self, events: Sequence[Event]) -> None:
        self._detections += [event for event in events if isinstance(event, Detection)]
