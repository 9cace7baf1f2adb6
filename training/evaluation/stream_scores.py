"""A model on streams, through the service's own sessions: scores once, then detections by any settings from them.

Streams are scored side by side. What a verifier says of the candidates of each speed is kept with the scores, so that
audio is not. Knows nothing of the words in the streams, only passes them on.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.spotting.audio import Pcm, Samples
from service.spotting.config import parse_config
from service.spotting.events import Detection
from service.spotting.model import Model
from service.spotting.session import Session
from service.spotting.verifier import Judge, Probabilities
from training.data.corpus import WordSpan
from training.data.synthetic_streams import Scene
from training.model.frontend import SAMPLE_RATE

CHUNK = 50  # frames per run of the model, and frames decided at once


class DetectedWord(NamedTuple):
    label: str
    time_s: float  # how much of the stream the detection needed


Verdicts = dict[int, Probabilities]  # frame -> what the verifier says of the audio up to it


class ScoredStream(NamedTuple):
    scores: NDArray[np.float32]  # [frames, labels]
    words: tuple[WordSpan, ...]
    verdicts: Verdicts | None = None  # on the candidates of every speed that is verified; None without a verifier


def score_streams(model: Model, streams: Mapping[str, Iterator[Scene]]) -> dict[str, ScoredStream]:
    """Scores of every frame of every stream, side by side, each with a state that is carried from start to end."""
    cursors = {name: _StreamCursor(model, stream) for name, stream in streams.items()}
    live = list(cursors.values())
    size, state = CHUNK * model.metadata.hop, model.initial_state(len(live))
    while live:
        audio = np.zeros((len(live), size), np.float32)
        counts = [cursor.fill(row) for row, cursor in zip(audio, live, strict=True)]
        scores, state = model.run(audio, state)
        for cursor, count, rows in zip(live, counts, scores, strict=True):
            cursor.take(rows[: count // model.metadata.hop].copy())
        unfinished = [i for i, count in enumerate(counts) if count == size]
        live = [live[i] for i in unfinished]
        state = {name: array[unfinished] for name, array in state.items()}
    return {name: cursor.scored() for name, cursor in cursors.items()}


class _StreamCursor:
    """One stream on its way through a session: what is not scored yet, and the scores so far."""

    def __init__(self, model: Model, stream: Iterator[Scene]) -> None:
        self.words: list[WordSpan] = []
        self._scores: list[NDArray[np.float32]] = []
        self._verdicts: Verdicts = {}
        self._stream, self._length = stream, 0
        config, _ = parse_config({"sample_rate": SAMPLE_RATE})
        self._session = Session(model.metadata, config)
        self._verified = [
            Session(model.metadata, config.model_copy(update={"speed": speed}), RecordingJudge(judge, self._verdicts))
            for speed in model.metadata.verifier.get("thresholds", {})
            if (judge := model.new_judge())
        ]
        self._pending: Samples = np.zeros(0, np.float32)

    def fill(self, row: Samples) -> int:
        """Fill a row with the next samples, as far as there are any; returns their number."""
        while len(self._pending) < len(row) and (scene := next(self._stream, None)):
            self.words += [word.later(self._length / SAMPLE_RATE) for word in scene.words]
            self._length += len(scene.samples)
            self._pending = np.concatenate([self._pending, self._session.push_samples(scene.samples)])
            for session in self._verified:
                session.push_samples(scene.samples)
        filled = self._pending[: len(row)]
        row[: len(filled)] = filled
        self._pending = self._pending[len(row) :]
        return len(filled)

    def take(self, scores: NDArray[np.float32]) -> None:
        """The scores of what `fill` filled."""
        self._scores.append(scores)
        for session in self._verified:
            session.scored(scores)

    def scored(self) -> ScoredStream:
        """All of the stream."""
        return ScoredStream(np.concatenate(self._scores), tuple(self.words), self._verdicts if self._verified else None)


class RecordingJudge:
    """A judge that keeps what it says."""

    def __init__(self, judge: Judge, verdicts: Verdicts) -> None:
        self._judge, self._verdicts = judge, verdicts
        self.push, self.forget, self.reset = judge.push, judge.forget, judge.reset

    def __call__(self, frame: int) -> Probabilities:
        if frame not in self._verdicts:  # the speeds have some frames in common
            self._verdicts[frame] = self._judge(frame)
        return self._verdicts[frame]


class RecordedJudge:
    """A judge that says again what one has said; it needs no audio."""

    def __init__(self, verdicts: Verdicts) -> None:
        self._verdicts = verdicts

    def __call__(self, frame: int) -> Probabilities:
        return self._verdicts[frame]

    def push(self, hops: Pcm) -> None:
        """Not needed."""

    def forget(self, frames: int) -> None:
        """Not needed."""

    def reset(self) -> None:
        """Not needed."""


def scored_session(model: Model, verdicts: Verdicts | None, **settings: Any) -> Session:
    """A session of the service for scores. The verifier judges at the speeds, not at thresholds from elsewhere."""
    judge = None if verdicts is None or "threshold" in settings else RecordedJudge(verdicts)
    return Session(model.metadata, parse_config(settings)[0], judge)


def detect(
    model: Model, scores: NDArray[np.float32], verdicts: Verdicts | None = None, **settings: Any
) -> list[DetectedWord]:
    """What a session of the service with some settings (`speed` or `threshold`) detects from these scores."""
    meta = model.metadata
    session = scored_session(model, verdicts, **settings)
    chunks = (scores[i : i + CHUNK] for i in range(0, len(scores), CHUNK))
    return [
        DetectedWord(event.label, (event.frame + 1) * meta.hop / meta.sample_rate)
        for chunk in chunks
        for event in session.scored(chunk)
        if isinstance(event, Detection)
    ]
