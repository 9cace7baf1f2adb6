"""Whole files to labels: the sessions of a batch of files, scored together.

A file is a stream that is pushed at once and flushed, so its answer or its detections are those of the same audio
streamed live.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from service.spotting.audio import AudioError, Samples
from service.spotting.config import StreamConfig, parse_config
from service.spotting.events import Detection, Event
from service.spotting.file_result import FileError, FileResult
from service.spotting.files import MAX_S, read_audio
from service.spotting.metadata import DEFAULT_SPEED, FrameScores
from service.spotting.model import Model
from service.spotting.session import Session

BATCH = 64  # files scored together
BATCH_S = 600.0  # seconds of audio, or a little more: bounds the memory
CHUNK = 25  # frames per run: files that have their answer leave the batch after each

Thresholds = Mapping[str, float] | float | str | None
Audio = bytes | Path  # a sound file


@dataclass(frozen=True)
class ClassifyLimits:
    """Bounds of one call. What exceeds them gets an error in its result."""

    max_s: float = MAX_S  # audio in a file
    max_total_s: float = math.inf  # audio in all files
    timeout_s: float = math.inf  # work on all files, by `clock`
    clock: Callable[[], float] = lambda: 0.0  # seconds; by default no time passes


def classify(
    model: Model,
    files: Sequence[tuple[str, Samples]],
    threshold: Thresholds = None,
    *,
    speed: str = DEFAULT_SPEED,
    mode: str = "utterance",
    keywords: Sequence[str] | str | None = None,
    trace: bool = False,
) -> list[FileResult]:
    """Classify audio that is in memory.

    Args:
        model: scores it.
        files: (name, samples) each; samples are float32 [samples], mono, full scale 1, at the model's rate, not empty.
        threshold: a number, or label -> number, or its JSON; overrides that of `speed`.
        speed: an operating point of the model.
        mode: `utterance` for one answer per file, `continuous` for all detections in it.
        keywords: the only labels to detect; None for all of the model.
        trace: whether the results have the scores of every frame.

    Returns:
        A result per file, in the same order.

    Raises:
        ProtocolError: a label, speed, mode or threshold that the model does not have.
        AudioError: a file without samples, or with numbers that are not audio.
    """
    config = _config(model, threshold, speed, mode, keywords)
    return _classify(model, files, config, trace)


def classify_encoded(
    model: Model,
    files: Sequence[tuple[str, Audio]],
    threshold: Thresholds = None,
    *,
    speed: str = DEFAULT_SPEED,
    mode: str = "utterance",
    keywords: Sequence[str] | str | None = None,
    trace: bool = False,
    limits: ClassifyLimits | None = None,
) -> list[FileResult]:
    """Classify sound files.

    Args:
        model: scores them.
        files: (name, content or path) each; what is read is listed at `service.spotting.files.AudioFile`.
        threshold: as for `classify`, and so are `speed`, `mode`, `keywords` and `trace`.
        limits: of a file and of the call.

    Returns:
        A result per file, in the same order. A file that cannot be read or is beyond a limit has an `error` and spoils
        no other.

    Raises:
        ProtocolError: a label, speed, mode or threshold that the model does not have.
    """
    config, limits = _config(model, threshold, speed, mode, keywords), limits or ClassifyLimits()
    left_s, deadline = limits.max_total_s, limits.clock() + limits.timeout_s
    results: list[FileResult] = []
    group: list[tuple[str, Samples | FileError]] = []
    group_s = 0.0
    for name, file in files:
        audio = _exceeded(left_s <= 0, limits.clock() >= deadline, limits) or _decode(model, file, limits.max_s)
        seconds = 0.0 if isinstance(audio, FileError) else len(audio) / model.metadata.sample_rate
        left_s, group_s = left_s - seconds, group_s + seconds
        group.append((name, audio))
        if len(group) == BATCH or group_s >= BATCH_S:
            results += _classify_decoded(model, group, config, trace)
            group, group_s = [], 0.0
    return results + _classify_decoded(model, group, config, trace)


def _config(
    model: Model, threshold: Thresholds, speed: str, mode: str, keywords: Sequence[str] | str | None
) -> StreamConfig:
    """The settings of every file's stream, checked even when there is no file."""
    settings = {"mode": mode, "keywords": keywords, "speed": speed, "threshold": threshold}
    config, _ = parse_config({**settings, "sample_rate": model.metadata.sample_rate})
    config.resolved(model.metadata)
    return config


def _exceeded(audio: bool, time: bool, limits: ClassifyLimits) -> FileError | None:
    """Why no more files of a call are taken."""
    if audio:
        return FileError("too_much", f"expected at most {limits.max_total_s:g} s of audio in all files, got more")
    if time:
        return FileError("overloaded", f"expected to classify all files within {limits.timeout_s:g} s, it took longer")
    return None


def _decode(model: Model, file: Audio, max_s: float) -> Samples | FileError:
    try:
        return read_audio(file, model.metadata.sample_rate, max_s)
    except AudioError as error:
        return FileError("bad_audio", str(error))
    except OSError as error:
        return FileError("bad_audio", f"expected a file that can be read, got: {error.strerror}")


def _classify_decoded(
    model: Model, files: list[tuple[str, Samples | FileError]], config: StreamConfig, trace: bool
) -> list[FileResult]:
    good = [(name, audio) for name, audio in files if not isinstance(audio, FileError)]
    results = iter(_classify(model, good, config, trace))
    return [FileResult(name, error=audio) if isinstance(audio, FileError) else next(results) for name, audio in files]


def _classify(
    model: Model, files: Sequence[tuple[str, Samples]], config: StreamConfig, trace: bool
) -> list[FileResult]:
    results: dict[int, FileResult] = {}
    by_length = sorted(range(len(files)), key=lambda index: len(files[index][1]))
    for start in range(0, len(files), BATCH):
        indices = by_length[start : start + BATCH]
        batch = [_FileStream(model, *files[index], config, trace) for index in indices]
        _run(model, batch)
        results |= {index: file.result() for index, file in zip(indices, batch, strict=True)}
    return [results[index] for index in range(len(files))]


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
    """One file being scored: its stream, the hops to score, and what it detected so far."""

    def __init__(self, model: Model, name: str, samples: Samples, config: StreamConfig, trace: bool) -> None:
        self._name, self._duration_s = name, len(samples) / model.metadata.sample_rate
        self._session = Session(model.metadata, config, model.new_judge())
        self.hops = np.concatenate([self._session.push_samples(samples), self._session.flush()])
        self.frames = len(self.hops) // model.metadata.hop
        if not self.frames:
            raise AudioError(f"{name}: expected audio, got no samples")
        self._detections: list[Detection] = []
        self._continuous = config.mode == "continuous"
        self._labels = model.metadata.labels
        self._trace: list[FrameScores] | None = [] if trace else None

    def take(self, scores: FrameScores) -> None:
        if self._trace is not None:
            self._trace.append(scores)
        self._decide(self._session.scored(scores))
        if self._session.outstanding == 0:
            self._decide(self._session.finish())

    @property
    def done(self) -> bool:
        answered = bool(self._detections) and not self._continuous
        return self._session.outstanding == 0 or (answered and self._trace is None)

    def result(self) -> FileResult:
        result = FileResult(
            self._name,
            self._duration_s,
            answer=None if self._continuous else self._detections[0],
            detections=tuple(self._detections) if self._continuous else None,
        )
        return replace(result, labels=self._labels, trace=np.concatenate(self._trace)) if self._trace else result

    def _decide(self, events: Sequence[Event]) -> None:
        self._detections += [event for event in events if isinstance(event, Detection)]
