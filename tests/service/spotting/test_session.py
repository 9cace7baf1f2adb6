"""The sans-I/O stream, with the model run by the test."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from service.spotting.audio import AudioError, join, to_float
from service.spotting.config import StreamConfig
from service.spotting.events import Event, Scores, Summary
from service.spotting.model import Model
from service.spotting.session import Session
from tests.support.events import detections
from tests.support.speech import decode_pcm, pcm, synthesize
from tests.support.tone_model import HOP, METADATA
from tests.support.ws_client import facts

DATA = pcm(synthesize("yes", "no"))


class Scored:
    """A session and the state of its model."""

    def __init__(self, model: Model, **settings: Any) -> None:
        self.model, self.session = model, Session(METADATA, StreamConfig(**settings))
        self.state = model.initial_state(1)

    def push(self, data: bytes) -> list[Event]:
        return self.score(self.session.push(data))

    def flush(self) -> list[Event]:
        return self.score(self.session.flush()) + self.session.finish()

    def score(self, hops: Any) -> list[Event]:
        if not len(hops):
            return []
        scores, self.state = self.model.run(hops[np.newaxis], self.state)
        return self.session.scored(scores[0])


@pytest.mark.parametrize("settings", [{}, {"mode": "utterance"}, {"scores_every_ms": 30}, {"sample_rate": 44100}])
@pytest.mark.parametrize("size", [2, 333, 3200])
def test_events_do_not_depend_on_how_bytes_are_cut(model: Model, settings: dict[str, Any], size: int) -> None:
    data = pcm(synthesize("yes", "no", rate=settings.get("sample_rate", 16000), gap_s=0.2))
    whole, pieces = Scored(model, **settings), Scored(model, **settings)
    expected = whole.push(data) + whole.flush()
    got = [event for start in range(0, len(data), size) for event in pieces.push(data[start : start + size])]
    assert strip(got + pieces.flush()) == strip(expected)
    assert len(expected) >= (1 if settings.get("mode") == "utterance" else 2)
    assert pieces.session.summary() == whole.session.summary()


def strip(events: list[Event]) -> list[Any]:
    """Events with scores as far as two runs of a model agree on them."""
    return [
        (event.frame, event.audio_time_s) if isinstance(event, Scores) else (*facts(event), event.audio_time_s)
        for event in events
    ]


def test_hops_handed_out_are_whole_and_in_order() -> None:
    session = Session(METADATA, StreamConfig())
    out = [session.push(DATA[start : start + 700]) for start in range(0, len(DATA), 700)]
    assert {len(hops) % HOP for hops in out} == {0}
    everything = decode_pcm(DATA)
    np.testing.assert_array_equal(to_float(join(out)), everything[: len(everything) // HOP * HOP])
    assert session.frames_sent == session.outstanding == len(everything) // HOP


def test_flush_completes_the_hop_and_adds_the_look_ahead() -> None:
    session = Session(METADATA, StreamConfig())
    session.push(b"\1\1" * 100)
    hops = session.flush()
    assert (len(hops), int(np.count_nonzero(hops))) == (4 * HOP, 100)
    assert len(session.flush()) == 0  # nothing was received since


def test_audio_time_never_counts_the_silence_of_a_flush(model: Model) -> None:
    """The same word after two flushes: 1.0 s later in stream time, more frames later in the model's."""
    scored = Scored(model)
    word, pause = pcm(synthesize("yes")), bytes(2 * 1600)
    (first,) = scored.push(word) + scored.push(pause) + scored.flush() + scored.flush()
    (second,) = scored.push(word) + scored.flush()
    assert second.audio_time_s == pytest.approx(first.audio_time_s + 1.0)
    assert second.frame == first.frame + 100 + 3
    assert scored.session.summary() == Summary(audio_s=1.9, frames=190, detections=2)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_audio_time_is_never_later_than_the_audio_sent(model: Model, rate: int) -> None:
    scored = Scored(model, mode="utterance", threshold=1, sample_rate=rate)
    samples = synthesize("yes", rate=rate)[: round(0.2637 * rate)]
    (event,) = detections(scored.push(pcm(samples)) + scored.flush())
    assert event.audio_time_s == len(samples) / rate
    assert not event.crossed


def test_after_an_answer_nothing_is_scored_and_audio_still_counts(model: Model) -> None:
    scored = Scored(model, mode="utterance")
    assert len(scored.push(DATA)) == 1
    assert len(scored.session.push(DATA)) == len(scored.session.flush()) == 0
    assert scored.session.summary() == Summary(audio_s=len(DATA) / 16000, frames=len(DATA) // 160, detections=1)
    assert scored.session.outstanding == 0


def test_scores_stop_with_the_answer(model: Model) -> None:
    scored = Scored(model, mode="utterance", scores_every_ms=20)
    events = scored.push(DATA) + scored.push(DATA)
    frames = [event.frame for event in events]
    assert frames == sorted(frames)
    assert frames[-2:] == [27, 27]  # its scores, then the answer
    assert len(frames) == 28 // 2 + 1


def test_refractory_is_counted_in_audio(model: Model) -> None:
    for seconds, second_frame in [(0.69, 97), (0.7, 98), (0.75, 103)]:
        events = detections(Scored(model, refractory_s=seconds).push(DATA))
        assert [(event.label, event.frame) for event in events] == [("yes", 27), ("no", second_frame)]


def test_a_speed_may_ask_for_confirmation(model: Model) -> None:
    """Counted in frames of the model, and taken away again with the speed."""
    slow = replace(METADATA, confirm_ms={"accurate": 40})
    for speed, later in [("fast", 0), ("accurate", 4)]:
        plain, confirmed = Scored(model, speed=speed), Scored(model, speed=speed)
        confirmed.session = Session(slow, StreamConfig(speed=speed))
        expected = [(event.label, event.frame + later) for event in detections(plain.push(DATA))]
        assert [(event.label, event.frame) for event in detections(confirmed.push(DATA))] == expected
        assert len(expected) == 2
    confirmed.session.update({"speed": "fast"})
    assert len(confirmed.push(DATA)) == 2


def test_keywords_in_an_utterance_leave_the_rest_to_unknown(model: Model) -> None:
    scored = Scored(model, mode="utterance", keywords=["no"])
    (event,) = detections(scored.push(pcm(synthesize("yes"))))
    assert (event.label, event.crossed) == ("_unknown_", True)


def test_numbers_that_are_no_audio_are_refused() -> None:
    session = Session(METADATA, StreamConfig(encoding="pcm_f32le"))
    with pytest.raises(AudioError, match="got nan"):
        session.push(np.array([np.nan], "<f4").tobytes())
    with pytest.raises(AudioError, match="got 9"):
        session.push_samples(np.array([9], np.float32))


class PassedOver(Scored):
    """The same, but scores below the session's level are only counted."""

    passed = 0

    def score(self, hops: Any) -> list[Event]:
        if not len(hops):
            return []
        scores, self.state = self.model.run(hops[np.newaxis], self.state)
        if scores[0, :, :2].max() >= self.session.level:  # of the model's keywords
            return self.session.scored(scores[0])
        self.passed += len(scores[0])
        self.session.pass_over(len(scores[0]))
        return []


@pytest.mark.parametrize(
    "settings", [{}, {"early": True}, {"scores_every_ms": 50}, {"mode": "utterance"}], ids=lambda value: str(value)
)
def test_scores_below_the_level_change_nothing(model: Model, settings: dict[str, Any]) -> None:
    data = pcm(synthesize("yes", "no", "_unknown_", "yes"))
    all_scored, some_passed = Scored(model, **settings), PassedOver(model, **settings)
    events: list[list[Event]] = []
    for stream in (all_scored, some_passed):
        pieces = [event for start in range(0, len(data), 640) for event in stream.push(data[start : start + 640])]
        events.append(pieces + stream.flush())
    assert events[0] == events[1]
    assert any(event.frame for event in events[0] if not isinstance(event, Scores))
    assert some_passed.session.frames_scored == all_scored.session.frames_scored
    assert (some_passed.passed > 100) == (settings.keys() <= {"early"})
