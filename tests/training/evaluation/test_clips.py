"""Figures against the ones worked out by hand, from the service's own answers."""

import numpy as np
import pytest

from service.spotting.classify import classify
from service.spotting.model import Model
from tests.support.speech import say
from training.evaluation import clips as ev

WORDS = ("yes", "no", "yes", "no")


def clips() -> list[np.ndarray]:
    return [say(word, seed=i) for i, word in enumerate(WORDS)]


def test_answers_are_those_of_the_service(model: Model) -> None:
    heard = ev.hear(model, clips(), WORDS)
    answers = ev.decide(model, heard, model.metadata.speeds["balanced"]["utterance"])
    served = classify(model, [(str(i), clip) for i, clip in enumerate(clips())], speed="balanced")
    assert [tuple(answer) for answer in answers] == [
        (result["label"], result["decision_time_s"], result["crossed"]) for result in served
    ]
    assert [answer.label for answer in answers] == list(WORDS)


def test_measure_counts_and_averages() -> None:
    heard = [ev.Heard("yes", np.zeros((1, 4), np.float32), 1.0)] * 4
    answers = [ev.Answer("yes", 0.2, True), ev.Answer("no", 0.4, True), ev.Answer("yes", 0.6, True),
               ev.Answer("yes", 1.0, False)]  # fmt: skip
    found = ev.measure(heard, answers)
    assert found["clips"] == 4
    assert found["accuracy"] == 0.75
    assert found["crossed"] == 0.75
    assert found["decision_time_s"]["mean"] == 0.55
    assert found["decision_time_s"]["p50"] == 0.5
    assert ev.confusion(heard, answers) == {"yes": {"yes": 3, "no": 1}}
    assert ev.per_label(heard, answers)["yes"] == {
        "clips": 4, "recall": 0.75, "precision": 1.0, "decision_time_p50_s": 0.5,
    }  # fmt: skip


def test_the_curve_gets_slower_with_the_threshold(model: Model) -> None:
    points = ev.curve(model, ev.hear(model, clips(), WORDS))
    times = [point["decision_time_s"] for point in points]
    assert times == sorted(times)
    assert times[0] < times[-1]


def test_an_utterance_speed_is_the_most_accurate_point_within_its_time() -> None:
    points = [
        {"threshold": threshold, "decision_time_s": time, "accuracy": accuracy}
        for threshold, time, accuracy in ((0.3, 0.3, 0.5), (0.5, 0.5, 0.8), (0.7, 0.65, 0.9), (0.9, 0.8, 0.85))
    ]
    assert [ev.most_accurate(points, seconds) for seconds in (0.1, 0.5, 0.7, 1.0)] == [0.3, 0.5, 0.7, 0.7]


def test_a_continuous_speed_keeps_other_words_from_firing(model: Model) -> None:
    """Of four other clips two reach 0.5 and one of them 0.9 at a keyword; the keyword's own clip does not count."""
    peaks = [("no", 0.1), ("_unknown_", 0.5), ("_unknown_", 0.905), ("_silence_", 0.2), ("yes", 1.0)]
    heard = [ev.Heard(target, np.array([[0, 0, 0, 0], [peak, 0, 0, 0]], np.float32), 1.0) for target, peak in peaks]
    assert [ev.lowest_quiet(model, heard, "yes", share) for share in (0.5, 0.25, 0.0)] == [0.25, 0.55, 0.91]


def test_every_speed_has_thresholds_for_both_modes(model: Model) -> None:
    heard = ev.hear(model, clips(), WORDS)
    speeds = ev.choose_speeds(model, heard, ev.curve(model, heard))
    assert {speed: set(modes) for speed, modes in speeds.items()} == dict.fromkeys(
        ("fast", "balanced", "accurate"), {"utterance", "continuous"}
    )


def test_speeds_that_are_not_chosen_have_fixed_thresholds(model: Model) -> None:
    enough = {
        others: ev.enough_to_choose_on(["yes"] * 20 + ["no"] * no + ["_unknown_"] * others, ["yes", "no"])
        for no, others in ((19, 81), (20, 79), (20, 80))
    }
    assert enough == {81: False, 79: False, 80: True}
    balanced = ev.fixed_speeds(model)["balanced"]
    assert balanced["utterance"] == dict.fromkeys(model.metadata.labels, 0.9)
    assert balanced["continuous"] == {"yes": 0.9, "no": 0.9, "_unknown_": 1.0, "_silence_": 1.0}


def test_accuracy_between_points_of_a_curve() -> None:
    points = [{"decision_time_s": 0.4, "accuracy": 0.6}, {"decision_time_s": 0.6, "accuracy": 0.8}]
    assert ev.accuracy_at(points, [0.4, 0.5, 0.6]) == pytest.approx([0.6, 0.7, 0.8])


def test_words_that_are_no_keyword_and_silence_are_counted_apart(model: Model) -> None:
    words = ["yes", "no", "on"]
    report = ev.evaluate(model, [say(word) for word in ("yes", "no", "yes")], words, [np.zeros(8000, np.float32)])
    assert report["speeds"]["balanced"]["clips"] == 2
    assert report["speeds"]["balanced"]["accuracy"] == 1.0
    assert report["apart"]["on, off"] == {"_unknown_": {"yes": 1}}
    assert sum(report["apart"]["silence"]["_silence_"].values()) == 1
