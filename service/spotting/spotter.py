"""Keyword spotting in this process, without a server: the session of a stream and the model, put together."""

from pathlib import Path
from typing import Any

import numpy as np

from service.spotting.audio import Pcm, Samples
from service.spotting.config import StreamConfig, parse_config
from service.spotting.events import Event
from service.spotting.model import Model
from service.spotting.session import Session


class Spotter:
    """Detects keywords in one stream of samples. Make one per stream and share the `Model` between them.

        spotter = Spotter("models/speech-commands-rc", mode="utterance", speed="fast")
        for samples in microphone:
            for event in spotter.push(samples):
                print(event.label, event.audio_time_s)

    Args:
        model: a loaded model, or the path of one.
        **settings: those of the protocol: `mode`, `speed`, `sample_rate` (Hz, 16000), `keywords`, `threshold`,
            `refractory_s`, `scores_every_ms`, `early`.

    Raises:
        ModelError: there is no such model.
        ProtocolError: a setting has a wrong value.
        TypeError: there is no such setting.
    """

    def __init__(self, model: Model | str | Path, **settings: Any) -> None:
        self._model = model if isinstance(model, Model) else Model(model)
        config, unknown = parse_config(settings)
        if unknown:
            raise TypeError(f"expected settings among {', '.join(StreamConfig.model_fields)}, got {unknown[0].key}")
        self._session = Session(self._model.metadata, config, self._model.new_judge())
        self._state = self._model.initial_state(1)

    def push(self, samples: Samples) -> list[Event]:
        """Score the next samples of the stream.

        Args:
            samples: [samples], mono, full scale 1, at the rate of the stream; any number of them.

        Returns:
            What they decided: detections, what becomes of early ones, and scores where the stream asked for them, in
            the order of frames.

        Raises:
            AudioError: numbers that are not audio, such as NaN or integers.
        """
        return self._score(self._session.push_samples(np.asarray(samples, np.float32)))

    def flush(self) -> list[Event]:
        """Decide on all that was pushed; in mode `utterance` this is the end of the utterance.

        Returns:
            The events that were still open.
        """
        return self._score(self._session.flush()) + self._session.finish()

    def reset(self) -> list[Event]:
        """Forget the audio so far: the next sample is the first of a stream.

        Returns:
            What settles the early detections that were open.
        """
        settled = self._session.settle()
        self._session.reset()
        self._state = self._model.initial_state(1)
        return settled

    def _score(self, hops: Pcm) -> list[Event]:
        if not len(hops):
            return []
        scores, self._state = self._model.run(hops[np.newaxis], self._state)
        return self._session.scored(scores[0])
