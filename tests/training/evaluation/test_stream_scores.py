"""Streams that are scored side by side have the detections of the service's own spotter on each alone."""

from collections.abc import Iterator

import numpy as np
import pytest

from service.spotting.events import Detection
from service.spotting.model import Model
from service.spotting.spotter import Spotter
from tests.support.speech import synthesize
from tests.support.tone_model import RATE
from training.data.corpus import WordSpan
from training.data.synthetic_streams import Scene
from training.evaluation.stream_scores import detect, score_streams

WORDS = {"first": ("yes", "no", "yes"), "second": ("no",) * 7, "third": ("_unknown_",)}


def cut(samples: np.ndarray, pieces: int) -> Iterator[Scene]:
    """A stream as scenes of unequal lengths, each with a word at its beginning."""
    edges = np.linspace(0, 1, pieces + 1) ** 2 * len(samples)
    for start, end in zip(edges[:-1].astype(int), edges[1:].astype(int), strict=True):
        yield Scene(samples[start:end], (WordSpan("yes", 0.0, 0.1, "keyword"),))


@pytest.mark.parametrize("speed", ["fast", "accurate"])
def test_detections_are_those_of_a_spotter(model: Model, speed: str) -> None:
    audio = {name: synthesize(*words, seed=len(name)) for name, words in WORDS.items()}
    scored = score_streams(model, {name: cut(samples, 5) for name, samples in audio.items()})
    for name, samples in audio.items():
        events = Spotter(model, speed=speed).push(samples)
        expected = [(event.label, event.audio_time_s) for event in events if isinstance(event, Detection)]
        assert [tuple(d) for d in detect(model, scored[name].scores, speed=speed)] == expected
        assert len(scored[name].scores) == len(samples) // model.metadata.hop
    assert [d.label for d in detect(model, scored["first"].scores, speed=speed)] == ["yes", "no", "yes"]


def test_words_are_moved_to_the_time_of_their_scene(model: Model) -> None:
    samples = synthesize("yes", "no")
    scored = score_streams(model, {"only": cut(samples, 2)})["only"]
    assert [word.start_s for word in scored.words] == [0.0, len(samples) // 4 / RATE]
