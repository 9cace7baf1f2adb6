"""clients/continuation.py: what a second stream is sent again, and which of its events are new. 1 byte is 1 ms here."""

from typing import Any

import pytest

from clients.continuation import CONTEXT_S, Continuation
from clients.wire import Event
from tests.support.fake_server import CONFIG, SUMMARY, detection

READY: Event = {"type": "ready", "model": {"frame_ms": 10.0}, "config": CONFIG}


def scores(audio_time_s: float) -> Event:
    return {"type": "scores", "frame": round(audio_time_s * 100) - 1, "audio_time_s": audio_time_s, "scores": {}}


def early(number: int, label: str, audio_time_s: float) -> Event:
    return {**detection(label, audio_time_s), "id": number, "status": "early"}


def settled(kind: str, number: int, label: str, audio_time_s: float) -> Event:
    return {**detection(label, audio_time_s), "type": kind, "id": number}


def begun(audio_s: float = 0.0, **config: object) -> tuple[Continuation, bytes]:
    """A source whose first stream has been sent this much audio, and that audio: no two seconds are the same."""
    source = Continuation(1000, 1)
    assert source.begin({**READY, "config": {**CONFIG, **config}}) == b""
    audio = bytes(i // 1000 % 256 for i in range(round(1000 * audio_s)))
    source.sent(audio)
    return source, audio


def facts(events: list[Event]) -> list[tuple[Any, ...]]:
    return [(event["type"], event.get("label"), event["audio_time_s"]) for event in events]


def test_audio_that_was_not_decided_on_is_sent_again_behind_context() -> None:
    source, audio = begun(8.0)
    source.receive(scores(5.0))
    assert source.undecided_s == 3.0
    source.sent(b"\xff" * 500)  # while there is no stream
    assert source.begin(READY) == audio[3000:] + b"\xff" * 500


def test_a_summary_says_how_far_the_stream_was() -> None:
    source, audio = begun(8.0)
    source.receive({**SUMMARY, "audio_s": 8.0, "frames": 790})
    assert source.undecided_s == pytest.approx(0.1)
    assert source.begin(READY) == audio[round(1000 * (7.9 - CONTEXT_S)) :]


def test_early_detections_that_are_open_at_the_end_of_a_stream_are_retracted() -> None:
    source, _ = begun(8.0)
    source.receive(early(1, "yes", 5.0))
    source.receive(early(2, "no", 5.2))
    source.receive(settled("confirmed", 1, "yes", 5.4))
    (retracted,) = source.interrupt()
    assert retracted == {
        "type": "retracted",
        "reason": "lost",
        "id": 2,
        "label": "no",
        "score": 0.97,
        "frame": 520,
        "audio_time_s": 5.2,
    }
    assert source.interrupt() == []


def test_what_is_decided_on_is_not_kept() -> None:
    source, _ = begun()
    for second in range(1, 100):
        source.sent(bytes(1000))
        source.receive(scores(second))
    assert len(source.begin(READY)) == 2000


def test_the_times_frames_and_ids_of_the_source_go_on() -> None:
    source, _ = begun(8.0)
    (first,) = source.receive({**detection("yes", 4.0), "id": 1})
    source.receive(scores(5.0))
    source.begin(READY)  # from 3 s on
    (second,) = source.receive({**detection("no", 3.5), "id": 1})
    assert [(event["id"], event["frame"], event["audio_time_s"]) for event in (first, second)] == [
        (1, 400, 4.0),
        (2, 650, 6.5),
    ]
    (summary,) = source.receive({**SUMMARY, "audio_s": 5.0, "frames": 500, "detections": 1})
    assert (summary["audio_s"], summary["frames"], summary["detections"]) == (8.0, 800, 2)


def test_nothing_is_reported_twice() -> None:
    source, _ = begun(8.0)
    source.receive(detection("yes", 4.8))
    source.receive(scores(5.0))
    source.begin(READY)  # from 3 s on
    assert source.receive(scores(1.9)) == []
    assert source.receive(detection("no", 1.6)) == []  # long before what was decided on
    assert source.receive(detection("yes", 1.75)) == []  # the same word, a little sooner
    assert source.receive(detection("yes", 2.2)) == []  # or later
    assert facts(source.receive(scores(2.5))) == [("scores", None, 5.5)]
    assert facts(source.receive(detection("no", 2.6))) == [("detection", "no", 5.6)]
    assert facts(source.receive(detection("yes", 3.2))) == [("detection", "yes", 6.2)]


def test_a_word_that_the_new_stream_detects_a_little_sooner_is_reported() -> None:
    source, _ = begun(8.0)
    source.receive(scores(5.0))  # a word is about to be detected
    source.begin(READY)  # from 3 s on
    assert facts(source.receive(detection("yes", 1.9))) == [("detection", "yes", 4.9)]


def test_an_early_detection_of_context_is_reported_with_its_confirmation_only() -> None:
    source, _ = begun(8.0)
    assert facts(source.receive(early(1, "yes", 4.6))) == [("detection", "yes", 4.6)]
    assert facts(source.receive(settled("retracted", 1, "yes", 5.0))) == [("retracted", "yes", 5.0)]
    source.begin(READY)  # from 3 s on
    assert source.receive(early(1, "yes", 1.6)) == []
    assert source.receive(early(2, "no", 1.65)) == []
    confirmed = source.receive(settled("confirmed", 1, "yes", 2.1))
    assert facts(confirmed) == [("detection", "yes", 4.6), ("confirmed", "yes", 5.1)]
    assert [event["id"] for event in confirmed] == [2, 2]
    assert source.receive(settled("retracted", 2, "no", 2.5)) == []
    assert facts(source.receive(early(3, "no", 3.0))) == [("detection", "no", 6.0)]
    assert facts(source.receive(settled("retracted", 3, "no", 3.2))) == [("retracted", "no", 6.2)]


def test_an_early_detection_of_a_word_that_was_confirmed_is_not_reported_again() -> None:
    source, _ = begun(8.0)
    source.receive(early(1, "yes", 4.7))
    source.receive(settled("confirmed", 1, "yes", 4.9))
    source.begin(READY)  # from 2.9 s on
    assert source.receive(early(1, "yes", 1.85)) == []
    assert source.receive(settled("confirmed", 1, "yes", 2.05)) == []


def test_an_utterance_has_one_answer_and_nothing_behind_it_is_kept() -> None:
    source, _ = begun(2.0, mode="utterance")
    assert len(source.receive(detection("yes", 1.5))) == 1
    source.sent(bytes(5000))
    assert source.undecided_s == 0
    assert len(source.begin({**READY, "config": {**CONFIG, "mode": "utterance"}})) <= 2100
    assert source.receive(detection("no", 1.0)) == []
    source.reset()
    source.sent(bytes(1000))
    assert facts(source.receive(detection("no", 0.5))) == [("detection", "no", 0.5)]


def test_the_oldest_audio_is_given_up_and_counted() -> None:
    source, audio = begun(8.0)
    assert source.drop(10.0) == 0
    assert source.drop(3.0) == 5.0
    assert source.undecided_s == 3.0
    assert source.begin(READY) == audio[3000:]


def test_other_events_pass() -> None:
    source, _ = begun(1.0)
    error = {"type": "error", "code": "odd_bytes", "message": "expected whole samples", "fatal": False}
    assert source.receive(error) == [error]
    assert source.receive(READY) == [READY]
