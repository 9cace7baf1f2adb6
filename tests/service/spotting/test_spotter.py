from pathlib import Path

import numpy as np
import pytest

from service.spotting.config import ProtocolError
from service.spotting.events import Detection
from service.spotting.model import Model
from service.spotting.spotter import Spotter
from tests.support.speech import synthesize
from tests.support.ws_client import facts

SPEECH = synthesize("yes", "no", "_unknown_", "yes")


@pytest.mark.parametrize("chunk", [1, 7, 160, 1600, 16000])
def test_chunks_of_any_size_give_the_events_of_the_whole(model: Model, chunk: int) -> None:
    whole, pieces = Spotter(model), Spotter(model)
    expected = whole.push(SPEECH) + whole.flush()
    events = [event for start in range(0, len(SPEECH), chunk) for event in pieces.push(SPEECH[start : start + chunk])]
    assert [facts(event) for event in events + pieces.flush()] == [facts(event) for event in expected]
    assert [event.label for event in expected if isinstance(event, Detection)] == ["yes", "no", "yes"]


def test_a_reset_spotter_is_a_new_one(models_dir: Path) -> None:
    spotter = Spotter(models_dir / "tones", mode="utterance", speed="accurate")
    first = spotter.push(SPEECH)
    assert spotter.push(SPEECH) == spotter.flush() == []
    spotter.reset()
    (again,) = spotter.push(SPEECH)
    assert facts(again) == facts(first[0])


def test_two_spotters_of_one_model_do_not_mix(model: Model) -> None:
    forward, backward = Spotter(model), Spotter(model)
    for start in range(0, len(SPEECH), 800):
        backward.push(SPEECH[::-1][start : start + 800].copy())
        forward.push(SPEECH[start : start + 800])
    alone = Spotter(model)
    alone.push(SPEECH)
    assert [facts(e) for e in forward.push(SPEECH)] == [facts(e) for e in alone.push(SPEECH)]


def test_samples_of_other_dtypes_are_converted(model: Model) -> None:
    assert [facts(e)[:2] for e in Spotter(model).push(SPEECH.astype(np.float64))] == [
        facts(e)[:2] for e in Spotter(model).push(SPEECH)
    ]


def test_settings_are_checked(model: Model) -> None:
    with pytest.raises(TypeError, match=r"expected settings among model, sample_rate, .*, got treshold"):
        Spotter(model, treshold=0.5)
    with pytest.raises(ProtocolError, match="speed: expected among fast, balanced, accurate, got 'warp'"):
        Spotter(model, speed="warp")
