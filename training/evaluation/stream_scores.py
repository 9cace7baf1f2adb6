"""A model on streams, through the service's own sessions: scores once, then detections by any settings from them.

Streams are scored side by side. Knows nothing of the words in them, only passes them on.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.spotting.audio import Samples
from service.spotting.config import parse_config
from service.spotting.events import Detection
from service.spotting.model import Model
from service.spotting.session import Session
from training.data.corpus import WordSpan
from training.data.synthetic_streams import Scene
from training.model.frontend import SAMPLE_RATE

CHUNK = 50  # frames per run of the model, and frames decided at once


class DetectedWord(NamedTuple):
    label: str
    time_s: float  # how much of the stream the detection needed


class ScoredStream(NamedTuple):
    scores: NDArray[np.float32]  # [frames, labels]
    words: tuple[WordSpan, ...]


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
            cursor.scores.append(rows[: count // model.metadata.hop].copy())
        unfinished = [i for i, count in enumerate(counts) if count == size]
        live = [live[i] for i in unfinished]
        state = {name: array[unfinished] for name, array in state.items()}
    return {name: ScoredStream(np.concatenate(cursor.scores), tuple(cursor.words)) for name, cursor in cursors.items()}


class _StreamCursor:
    """One stream on its way through a session: what is not scored yet, and the scores so far."""

    def __init__(self, model: Model, stream: Iterator[Scene]) -> None:
        self.scores: list[NDArray[np.float32]] = []
        self.words: list[WordSpan] = []
        self._stream, self._length = stream, 0
        config, _ = parse_config({"sample_rate": SAMPLE_RATE})
        self._session = Session(model.metadata, config)
        self._pending: Samples = np.zeros(0, np.float32)

    def fill(self, row: Samples) -> int:
        """Fill a row with the next samples, as far as there are any; returns their number."""
        while len(self._pending) < len(row) and (scene := next(self._stream, None)):
            self.words += [word.later(self._length / SAMPLE_RATE) for word in scene.words]
            self._length += len(scene.samples)
            self._pending = np.concatenate([self._pending, self._session.push_samples(scene.samples)])
        filled = self._pending[: len(row)]
        row[: len(filled)] = filled
        self._pending = self._pending[len(row) :]
        return len(filled)


def detect(model: Model, scores: NDArray[np.float32], **settings: Any) -> list[DetectedWord]:
    """What a session of the service with some settings (`speed` or `threshold`) detects from these scores."""
    meta = model.metadata
    session = Session(meta, parse_config(settings)[0])
    chunks = (scores[i : i + CHUNK] for i in range(0, len(scores), CHUNK))
    return [
        DetectedWord(event.label, (event.frame + 1) * meta.hop / meta.sample_rate)
        for chunk in chunks
        for event in session.scored(chunk)
        if isinstance(event, Detection)
    ]
