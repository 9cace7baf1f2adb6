"""Keyword spotting in this process, without a server: the session of a stream and the model, put together."""

from pathlib import Path
from typing import Any

import numpy as np

from service.spotting.audio import Samples
from service.spotting.config import StreamConfig, parse_config
from service.spotting.events import Event
from service.spotting.model import Model
from service.spotting.session import Session


class Spotter:
    """Hears one stream of float32 mono samples.

    `settings` are those of the wire (`mode`, `speed`, `sample_rate`, `keywords`, `threshold`, ...).
    Raises BadModel, and ProtocolError for a wrong or unknown setting.

        spotter = Spotter("models/speech-commands-rc", mode="utterance", speed="fast")
        for samples in microphone:
            for event in spotter.push(samples):
                print(event.label, event.audio_time_s)
    """

    def __init__(self, model: Model | str | Path, **settings: Any) -> None:
        self._model = model if isinstance(model, Model) else Model(model)
        config, unknown = parse_config(settings)
        if unknown:
            raise TypeError(f"expected settings among {', '.join(StreamConfig.model_fields)}, got {unknown[0].key}")
        self._session = Session(self._model.metadata, config)
        self._state = self._model.initial_state(1)

    def push(self, samples: Samples) -> list[Event]:
        """Hear samples, float32 [samples] at `sample_rate`; returns what they decided."""
        return self._score(self._session.push_samples(np.asarray(samples, np.float32)))

    def flush(self) -> list[Event]:
        """Decide on all that was pushed."""
        return self._score(self._session.flush()) + self._session.finish()

    def reset(self) -> None:
        """Forget the audio so far."""
        self._session.reset()
        self._state = self._model.initial_state(1)

    def _score(self, hops: Samples) -> list[Event]:
        if not len(hops):
            return []
        scores, self._state = self._model.run(hops[np.newaxis], self._state)
        return self._session.scored(scores[0])
