"""A model on streams, through the service's own sessions: scores once, then what any settings make of these scores.

Streams are heard side by side. Knows nothing of what was said in them, only carries it along.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from service.spotting.config import parse_config
from service.spotting.events import Detection
from service.spotting.model import Model
from service.spotting.session import Session
from training.data.corpus import Floats, WordSpan
from training.data.synthetic_streams import Scene
from training.model.frontend import SAMPLE_RATE

CHUNK = 50  # frames a run of the model, and frames decided at once


class Detected(NamedTuple):
    label: str
    time_s: float  # how much of the stream had to be heard


class Heard(NamedTuple):
    """One stream as the model heard it."""

    scores: Floats  # [frames, labels]
    words: tuple[WordSpan, ...]


def hear(model: Model, streams: Mapping[str, Iterator[Scene]]) -> dict[str, Heard]:
    """Scores of every frame of every stream, side by side, each with a state that is carried from start to end."""
    listeners = {name: _Listener(model, stream) for name, stream in streams.items()}
    live = list(listeners.values())
    size, state = CHUNK * model.metadata.hop, model.initial_state(len(live))
    while live:
        audio = np.zeros((len(live), size), np.float32)
        taken = [listener.take(row) for row, listener in zip(audio, live, strict=True)]
        scores, state = model.run(audio, state)
        for listener, samples, row in zip(live, taken, scores, strict=True):
            listener.scores.append(row[: samples // model.metadata.hop].copy())
        going_on = [i for i, samples in enumerate(taken) if samples == size]
        live = [live[i] for i in going_on]
        state = {name: array[going_on] for name, array in state.items()}
    return {name: Heard(np.concatenate(listener.scores), tuple(listener.words)) for name, listener in listeners.items()}


class _Listener:
    """One stream on its way through a session: what is not scored yet, and what has been."""

    def __init__(self, model: Model, stream: Iterator[Scene]) -> None:
        self.scores: list[Floats] = []
        self.words: list[WordSpan] = []
        self._stream, self._length = stream, 0
        config, _ = parse_config({"sample_rate": SAMPLE_RATE})
        self._session = Session(model.metadata, config)
        self._hops = np.zeros(0, np.float32)

    def take(self, row: Floats) -> int:
        """Fill a row with the next hops; returns how many samples there were."""
        while len(self._hops) < len(row) and (scene := next(self._stream, None)):
            self.words += [word.later(self._length / SAMPLE_RATE) for word in scene.words]
            self._length += len(scene.samples)
            self._hops = np.concatenate([self._hops, self._session.push_samples(scene.samples)])
        taken = self._hops[: len(row)]
        row[: len(taken)] = taken
        self._hops = self._hops[len(row) :]
        return len(taken)


def detect(model: Model, scores: Floats, **settings: Any) -> list[Detected]:
    """What a session of the service with some settings (`speed` or `threshold`) detects, given its scores."""
    meta = model.metadata
    session = Session(meta, parse_config(settings)[0])
    pieces = (scores[i : i + CHUNK] for i in range(0, len(scores), CHUNK))
    return [
        Detected(event.label, (event.frame + 1) * meta.hop / meta.sample_rate)
        for piece in pieces
        for event in session.scored(piece)
        if isinstance(event, Detection)
    ]
