"""The verifier hook with a tiny verifier that the test makes: a word is real when its tone lasts for 150 ms."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from service.spotting.classify import classify
from service.spotting.metadata import Metadata, ModelError
from service.spotting.model import Model
from service.spotting.spotter import Spotter
from service.spotting.verifier import AudioTail
from tests.support.early import EARLY_METADATA, check_settled, decisions, words_of_any_length
from tests.support.speech import synthesize
from tests.support.tone_verifier import RULE, WINDOW_S, tone_verifier, write_verified_model

LONG, SHORT = synthesize("yes"), synthesize("yes", word_s=0.12)


@pytest.fixture(scope="module")
def verified(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return Model(write_verified_model(tmp_path_factory.mktemp("models")))


def spotted(model: Model, samples: NDArray[np.float32], **settings: Any) -> list[dict[str, Any]]:
    spotter = Spotter(model, **settings)
    return decisions(spotter.push(samples) + spotter.flush())


def facts(events: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(event["type"], event["label"], event["frame"], event.get("reason")) for event in events]


def test_a_candidate_is_detected_when_the_verifier_agrees(verified: Model) -> None:
    """It crosses 0.9 at frame 27, is a candidate after the 80 ms of its speed, and is looked at 40 ms later."""
    assert facts(spotted(verified, LONG)) == [("detection", "yes", 39, None)]
    assert spotted(verified, SHORT) == []


def test_early_detections_are_confirmed_or_refused_by_the_verifier(verified: Model) -> None:
    early = ("detection", "yes", 25, None)
    assert facts(spotted(verified, LONG, early=True)) == [early, ("confirmed", "yes", 39, None)]
    assert facts(spotted(verified, SHORT, early=True)) == [early, ("retracted", "yes", 39, "verifier")]


def test_a_score_that_falls_first_retracts_before_the_verifier_has_refused(verified: Model) -> None:
    events = spotted(verified, synthesize("yes", word_s=0.05), early=True)
    assert [event.get("reason") for event in events] == [None, "fell"]


def test_a_speed_without_thresholds_of_the_verifier_decides_by_scores(verified: Model) -> None:
    assert facts(spotted(verified, SHORT, speed="fast")) == [("detection", "yes", 25, None)]


def test_without_its_verifier_a_model_confirms_by_time(verified: Model, tmp_path: Path) -> None:
    plain = Model(write_verified_model(tmp_path, metadata=replace(EARLY_METADATA, confirm_ms={})))
    plain.verifier = None
    assert facts(spotted(plain, SHORT)) == [("detection", "yes", 27, None)]
    assert facts(spotted(verified, LONG)) != facts(spotted(plain, LONG))


def test_a_flush_asks_the_verifier_at_once(verified: Model) -> None:
    """The stream ends between the candidate, in frame 35, and the frame in which it would be looked at."""
    for settings, expected in (({}, ["detection"]), ({"early": True}, ["detection", "confirmed"])):
        spotter = Spotter(verified, **settings)
        events = decisions(spotter.push(LONG[: 37 * 160]))
        assert [event["type"] for event in events + decisions(spotter.flush())] == expected


@pytest.mark.parametrize("settings", [{}, {"early": True}, {"early": True, "speed": "accurate"}])
def test_a_stream_in_any_pieces_is_a_file(verified: Model, settings: dict[str, Any]) -> None:
    rng = np.random.default_rng(5)
    kinds = set()
    for seed in range(10):
        samples = words_of_any_length(seed)
        expected = spotted(verified, samples, **settings)
        spotter = Spotter(verified, **settings)
        pieces = np.split(samples, np.sort(rng.integers(0, len(samples), size=40)))
        events = [event for piece in pieces for event in spotter.push(piece)]
        assert facts(decisions(events + spotter.flush())) == facts(expected)
        kinds |= {event.get("reason", event["type"]) for event in expected}
    if settings.get("early"):
        assert kinds >= {"confirmed", "fell"}


def test_the_confirmed_ones_are_the_detections_without_early(verified: Model) -> None:
    for seed in range(10):
        samples = words_of_any_length(seed, 6)
        confirmed = check_settled(spotted(verified, samples, early=True))
        plain = spotted(verified, samples)
        assert [(event["label"], event["frame"]) for event in confirmed] == [
            (event["label"], event["frame"]) for event in plain
        ]


def test_a_reset_forgets_the_audio_that_the_verifier_would_look_at(verified: Model) -> None:
    spotter = Spotter(verified, early=True)
    spotter.push(LONG)
    spotter.reset()
    assert facts(decisions(spotter.push(SHORT) + spotter.flush()))[-1][3] == "verifier"


def test_files_are_verified_too(verified: Model) -> None:
    long, short = classify(verified, [("long", LONG), ("short", SHORT)], mode="continuous")
    assert [len(result.detections or ()) for result in (long, short)] == [1, 0]


def test_the_tail_of_audio_is_what_was_pushed_before_a_sample() -> None:
    rng = np.random.default_rng(0)
    samples = rng.integers(-1000, 1000, 5000).astype(np.int16)
    tail, window = AudioTail(300), 300
    padded = np.concatenate([np.zeros(window, np.float32), samples / np.float32(32768)])
    pushed = 0
    while pushed < len(samples):
        size = int(rng.integers(1, 400))
        tail.push(samples[pushed : pushed + size])
        before, pushed = pushed, min(len(samples), pushed + size)
        for end in (before + 1, pushed):
            np.testing.assert_array_equal(tail.until(end), padded[end : end + window])
        tail.forget(pushed)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"window_s": 0}, "verifier: expected window_s above 0, at most 5.0, after_ms from 0 to decide_within_ms"),
        ({"after_ms": 601}, "verifier: expected window_s above 0"),
        ({"thresholds": {"slow": {"yes": 0.5, "no": 0.5}}}, "verifier.thresholds: expected for some of"),
        ({"thresholds": {"balanced": {"yes": 0.5}}}, r"a threshold for each of \['yes', 'no'\], got balanced"),
        ({"more": 1}, "verifier: expected the keys"),
    ],
)
def test_a_wrong_description_is_refused(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        replace(EARLY_METADATA, verifier={"sha256": "", **RULE, **rule})


def test_the_description_travels_with_the_model(verified: Model) -> None:
    assert Metadata.from_props(verified.metadata.to_props()) == verified.metadata
    assert json.loads(verified.metadata.to_props()["verifier"])["window_s"] == WINDOW_S


def test_a_verifier_that_is_not_the_one_described_is_refused(tmp_path: Path) -> None:
    folder = write_verified_model(tmp_path)
    (folder / "verifier.onnx").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"verifier.onnx: expected a verifier of sha256 \w+, got 2d711642"):
        Model(folder)
    (folder / "verifier.onnx").unlink()
    with pytest.raises(ModelError, match=r"expected a verifier\.onnx beside the model, got no such file"):
        Model(folder)


def test_a_graph_of_another_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"verifier: expected probabilities \[2, 2\] from 0 to 1, got \(2, 1\)"):
        Model(write_verified_model(tmp_path, tone_verifier(("yes",))))
    with pytest.raises(ModelError, match=r"verifier: expected to run on audio \[2, 150\]"):
        Model(write_verified_model(tmp_path / "short", window_s=150 / 16000))
