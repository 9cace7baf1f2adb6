import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import soundfile

from service.spotting import classify as module
from service.spotting.audio import AudioError
from service.spotting.classify import ClassifyLimits, classify, classify_encoded
from service.spotting.config import ProtocolError
from service.spotting.events import Detection
from service.spotting.file_result import FileError, FileResult
from service.spotting.model import Model
from service.spotting.spotter import Spotter
from tests.support.events import detections
from tests.support.speech import synthesize
from tests.support.tone_model import LABELS
from tests.support.ws_client import facts


def files(count: int) -> list[tuple[str, Any]]:
    """Words, pauses and lengths of many kinds; some cross nothing."""
    rng = np.random.default_rng(2)
    return [
        (
            f"{i}.wav",
            synthesize(
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
        pushed = [e for start in range(0, len(samples), 333) for e in spotter.push(samples[start : start + 333])]
        answers = detections(pushed + spotter.flush())
        assert [replace(detection_of(result), score=0.0)] == [replace(answer, score=0.0) for answer in answers]
        assert result.file == name
        assert detection_of(result).audio_time_s <= result.duration_s == len(samples) / 16000
    assert {detection_of(result).crossed for result in results} == {True, False}


def detection_of(result: FileResult) -> Detection:
    assert result.answer is not None
    return result.answer


@pytest.mark.parametrize("keywords", [None, ["no"]])
def test_a_file_in_continuous_mode_gets_the_detections_of_the_same_stream(
    model: Model, keywords: list[str] | None
) -> None:
    samples = synthesize("yes", "no", "_unknown_", "yes", gap_s=0.5)
    (result,) = classify(model, [("words.wav", samples)], mode="continuous", keywords=keywords)
    spotter = Spotter(model, keywords=keywords)
    streamed = [e for start in range(0, len(samples), 333) for e in spotter.push(samples[start : start + 333])]
    assert result.detections == (*streamed, *spotter.flush())
    assert [detection.label for detection in result.detections] == (keywords or ["yes", "no", "yes"])
    (silent,) = classify(model, [("silence.wav", np.zeros(16000, np.float32))], mode="continuous", trace=True)
    assert silent.detections == ()
    assert silent.trace.shape == (103, len(LABELS))


def test_a_trace_has_every_frame_and_changes_no_answer(model: Model) -> None:
    plain, traced = classify(model, files(10)), classify(model, files(10), trace=True)
    for result, (_, samples) in zip(traced, files(10), strict=True):
        assert result.trace.shape == (-(-(len(samples) + 480) // 160), len(LABELS))
        answer = detection_of(result)
        assert result.trace[answer.frame, LABELS.index(answer.label)] == pytest.approx(answer.score, abs=1e-5)
    assert [facts(result.answer) for result in traced] == [facts(result.answer) for result in plain]
    assert {result.trace.size for result in plain} == {0}


def test_results_as_json_are_the_answers_of_the_protocol() -> None:
    answer = Detection(1, "yes", 0.9, 0.6, True, 33, 0.34)
    scores = np.array([[0.25, 0.75]], np.float32)
    in_both = {"label": "yes", "score": 0.9, "crossed": True, "frame": 33}
    utterance = FileResult("a.wav", 1.0, answer, labels=("yes", "no"), trace=scores)
    assert utterance.to_json() == {
        "file": "a.wav",
        **in_both,
        "decision_time_s": 0.34,
        "duration_s": 1.0,
        "trace": {"yes": [0.25], "no": [0.75]},
    }
    detection = {"id": 1, **in_both, "threshold": 0.6, "audio_time_s": 0.34}
    continuous = FileResult("b.wav", 1.0, detections=(answer,))
    assert continuous.to_json() == {"file": "b.wav", "detections": [detection], "duration_s": 1.0}
    assert FileResult("c.wav", 1.0, detections=()).to_json() == {"file": "c.wav", "detections": [], "duration_s": 1.0}
    failed = FileResult("d.wav", error=FileError("bad_audio", "expected audio, got an empty file"))
    error = {"code": "bad_audio", "message": "expected audio, got an empty file"}
    assert failed.to_json() == {"file": "d.wav", "error": error}


def test_files_that_have_their_answer_are_not_run_to_their_end(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    run, rows = model.run, []
    monkeypatch.setattr(model, "run", lambda audio, state: (rows.append(len(audio)), run(audio, state))[1])  # type: ignore[func-returns-value]
    classify(model, [("early", synthesize("yes", gap_s=0.1)), ("late", synthesize("yes", gap_s=2.0))])
    assert rows[0] == 2
    assert rows[-1] == 1


def test_thresholds_and_speeds(model: Model) -> None:
    file = [("yes.wav", synthesize("yes"))]
    speeds = ("fast", "balanced", "accurate")
    frames = [detection_of(classify(model, file, speed=speed)[0]).frame for speed in speeds]
    assert frames == sorted(set(frames))
    assert (
        classify(model, file, 0.6)
        == classify(model, file, dict.fromkeys(LABELS, 0.6))
        == classify(model, file, speed="fast")
    )
    with pytest.raises(ProtocolError, match="threshold: expected among"):
        classify(model, [], {"maybe": 0.5})


def test_audio_without_samples_is_refused(model: Model) -> None:
    assert classify(model, []) == []
    with pytest.raises(AudioError, match="void: expected audio, got no samples"):
        classify(model, [("void", np.zeros(0, np.float32))])


def test_a_bad_file_spoils_no_other(model: Model) -> None:
    wav = io.BytesIO()
    soundfile.write(wav, synthesize("yes"), 16000, format="WAV")
    mixed: list[tuple[str, bytes]] = [
        ("a", wav.getvalue()),
        ("b", b""),
        ("c", wav.getvalue()[:-9]),
        ("d", wav.getvalue()),
    ]
    first, empty, cut, last = classify_encoded(model, mixed)
    assert first == replace(last, file="a") == classify_encoded(model, mixed[:1])[0]
    assert empty == FileResult("b", error=FileError("bad_audio", "expected audio, got an empty file"))
    assert cut.error is not None
    assert cut.error.message.endswith("truncated")
    (long,) = classify_encoded(model, mixed[:1], limits=ClassifyLimits(max_s=0.5))
    assert long.error == FileError("bad_audio", "expected at most 0.5 s, got 0.9 s")


def test_audio_and_time_of_a_request_are_limited(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    wav = io.BytesIO()
    soundfile.write(wav, synthesize("yes"), 16000, format="WAV")
    same = [(str(number), wav.getvalue()) for number in range(5)]  # of 0.9 s
    plain = classify_encoded(model, same)
    results = classify_encoded(model, same, limits=ClassifyLimits(max_total_s=2))
    assert results[:3] == plain[:3]
    too_much = FileError("too_much", "expected at most 2 s of audio in all files, got more")
    assert [result.error for result in results[3:]] == [too_much] * 2
    (late, *_) = classify_encoded(model, same, limits=ClassifyLimits(timeout_s=0))
    assert late.error == FileError("overloaded", "expected to classify all files within 0 s, it took longer")
    rows: list[int] = []
    run = model.run
    monkeypatch.setattr(model, "run", lambda audio, state: (rows.append(len(audio)), run(audio, state))[1])  # type: ignore[func-returns-value]
    monkeypatch.setattr(module, "BATCH_S", 1.8)
    assert classify_encoded(model, same) == plain
    assert max(rows) == 2
