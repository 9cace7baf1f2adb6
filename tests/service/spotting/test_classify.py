import io
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import soundfile

from service.spotting import classify as module
from service.spotting.audio import AudioError
from service.spotting.classify import classify, classify_encoded
from service.spotting.config import ProtocolError
from service.spotting.model import Model
from service.spotting.spotter import Spotter
from tests.support.speech import say
from tests.support.tone_model import LABELS
from tests.support.ws_client import facts


def files(count: int) -> list[tuple[str, Any]]:
    """Words, pauses and lengths of many kinds; some cross nothing."""
    rng = np.random.default_rng(2)
    return [
        (
            f"{i}.wav",
            say(
                str(rng.choice(["yes", "no", "_unknown_"])),
                word_s=float(rng.choice([0.02, 0.05, 0.3])),
                gap_s=float(rng.uniform(0.05, 1.5)),
                seed=i,
            ),
        )
        for i in range(count)
    ]


@pytest.mark.parametrize(("batch", "chunk"), [(64, 25), (7, 10), (1, 1000)])
def test_a_file_gets_what_the_same_stream_gets(
    model: Model, monkeypatch: pytest.MonkeyPatch, batch: int, chunk: int
) -> None:
    monkeypatch.setattr(module, "BATCH", batch)
    monkeypatch.setattr(module, "CHUNK", chunk)
    results = classify(model, files(30))
    for (name, samples), result in zip(files(30), results, strict=True):
        spotter = Spotter(model, mode="utterance")
        (event,) = [e for start in range(0, len(samples), 333) for e in spotter.push(samples[start : start + 333])] + (
            spotter.flush()
        )
        assert result["file"] == name
        assert facts(result) == facts(event)
        assert result["decision_time_s"] == event.audio_time_s <= result["duration_s"] == len(samples) / 16000
    assert {result["crossed"] for result in results} == {True, False}


@pytest.mark.parametrize("keywords", [None, ["no"]])
def test_a_file_in_continuous_mode_gets_the_detections_of_the_same_stream(
    model: Model, keywords: list[str] | None
) -> None:
    samples = say("yes", "no", "_unknown_", "yes", gap_s=0.5)
    (result,) = classify(model, [("words.wav", samples)], mode="continuous", keywords=keywords)
    spotter = Spotter(model, keywords=keywords)
    streamed = [e for start in range(0, len(samples), 333) for e in spotter.push(samples[start : start + 333])]
    assert result["detections"] == [asdict(event) for event in streamed + spotter.flush()]
    assert [detection["label"] for detection in result["detections"]] == (keywords or ["yes", "no", "yes"])
    assert {"file", "detections", "duration_s"} == set(result)
    (silent,) = classify(model, [("silence.wav", np.zeros(16000, np.float32))], mode="continuous", trace=True)
    assert silent["detections"] == []
    assert len(silent["trace"]["yes"]) == 103


def test_a_trace_has_every_frame_and_changes_no_answer(model: Model) -> None:
    plain, traced = classify(model, files(10)), classify(model, files(10), trace=True)
    for result, (_, samples) in zip(traced, files(10), strict=True):
        trace = result.pop("trace")
        assert list(trace) == list(LABELS)
        assert {len(scores) for scores in trace.values()} == {-(-(len(samples) + 480) // 160)}
        assert trace[result["label"]][result["frame"]] == pytest.approx(result["score"], abs=1e-5)
    assert [facts(result) for result in traced] == [facts(result) for result in plain]


def test_files_that_have_their_answer_are_not_run_to_their_end(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    run, rows = model.run, []
    monkeypatch.setattr(model, "run", lambda audio, state: [run(audio, state), rows.append(len(audio))][0])
    classify(model, [("early", say("yes", gap_s=0.1)), ("late", say("yes", gap_s=2.0))])
    assert rows[0] == 2
    assert rows[-1] == 1


def test_thresholds_and_speeds(model: Model) -> None:
    file = [("yes.wav", say("yes"))]
    frames = [classify(model, file, speed=speed)[0]["frame"] for speed in ("fast", "balanced", "accurate")]
    assert frames == sorted(set(frames))
    assert (
        classify(model, file, 0.6)
        == classify(model, file, dict.fromkeys(LABELS, 0.6))
        == classify(model, file, speed="fast")
    )
    with pytest.raises(ProtocolError, match="threshold: expected among"):
        classify(model, [], {"maybe": 0.5})


def test_no_samples_are_refused(model: Model) -> None:
    assert classify(model, []) == []
    with pytest.raises(AudioError, match="void: expected audio, got no samples"):
        classify(model, [("void", np.zeros(0, np.float32))])


def test_a_bad_file_spoils_no_other(model: Model) -> None:
    wav = io.BytesIO()
    soundfile.write(wav, say("yes"), 16000, format="WAV")
    mixed: list[tuple[str, bytes]] = [
        ("a", wav.getvalue()),
        ("b", b""),
        ("c", wav.getvalue()[:-9]),
        ("d", wav.getvalue()),
    ]
    first, empty, cut, last = classify_encoded(model, mixed)
    assert facts(first) == facts(last) == facts(classify_encoded(model, mixed[:1])[0])
    assert empty == {"file": "b", "error": {"code": "bad_audio", "message": "expected audio, got an empty file"}}
    assert cut["error"]["message"].endswith("truncated")
    (long,) = classify_encoded(model, mixed[:1], max_s=0.5)
    assert long["error"]["message"] == "expected at most 0.5 s, got 0.9 s"


def test_audio_and_time_of_a_request_are_limited(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    wav = io.BytesIO()
    soundfile.write(wav, say("yes"), 16000, format="WAV")
    same = [(str(number), wav.getvalue()) for number in range(5)]  # of 0.9 s
    plain = classify_encoded(model, same)
    results = classify_encoded(model, same, max_total_s=2)
    assert results[:3] == plain[:3]
    assert [result["error"] for result in results[3:]] == [
        {"code": "too_much", "message": "expected at most 2 s of audio in all files, got more"}
    ] * 2
    (late, *_) = classify_encoded(model, same, timeout_s=0)
    assert late["error"] == {
        "code": "overloaded",
        "message": "expected to classify all files within 0 s, it took longer",
    }
    rows: list[int] = []
    run = model.run
    monkeypatch.setattr(model, "run", lambda audio, state: [run(audio, state), rows.append(len(audio))][0])
    monkeypatch.setattr(module, "BATCH_S", 1.8)
    assert classify_encoded(model, same) == plain
    assert max(rows) == 2
