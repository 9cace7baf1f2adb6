"""Curves over thresholds, and the speeds chosen from them."""

import numpy as np
import pytest

from service.spotting.model import Model
from tests.support.tone_clips import WORDS, tone_clips
from training.evaluation.clips import ScoredClip, score_clips
from training.evaluation.operating_points import (
    TimedAccuracy,
    UtterancePoint,
    accuracy_at,
    accuracy_curve,
    choose_speeds,
    enough_to_choose_on,
    fixed_speeds,
    lowest_quiet,
    most_accurate,
)


def test_the_curve_gets_slower_with_the_threshold(model: Model) -> None:
    curve = accuracy_curve(model, score_clips(model, tone_clips(), WORDS))
    times = [point.decision_time_s for point in curve]
    assert times == sorted(times)
    assert times[0] < times[-1]


def test_an_utterance_speed_is_the_most_accurate_point_within_its_time() -> None:
    points = [
        UtterancePoint(time, accuracy, threshold, 0.9)
        for threshold, time, accuracy in ((0.3, 0.3, 0.5), (0.5, 0.5, 0.8), (0.7, 0.65, 0.9), (0.9, 0.8, 0.85))
    ]
    assert [most_accurate(points, seconds).threshold for seconds in (0.1, 0.5, 0.7, 1.0)] == [0.3, 0.5, 0.7, 0.7]


def test_other_labels_have_a_threshold_of_their_own(model: Model) -> None:
    """Silence is nearly certain before the keyword begins, so only a higher threshold of its own is right."""
    yes, _, _, silence = (model.metadata.labels.index(label) for label in ("yes", "no", "_unknown_", "_silence_"))
    scores = np.zeros((4, len(model.metadata.labels)), np.float32)
    scores[0, silence], scores[2:, yes] = 0.92, 0.85
    speeds = choose_speeds(model, [ScoredClip("yes", scores, 0.08)] * 2)
    chosen = speeds["accurate"]["utterance"]
    assert chosen["yes"] <= 0.85
    assert chosen["_silence_"] == chosen["_unknown_"] > 0.92


def test_a_continuous_speed_keeps_other_words_from_firing(model: Model) -> None:
    """Of four other clips two reach 0.5 and one of them 0.9 at a keyword; the keyword's own clip does not count."""
    peaks = [("no", 0.1), ("_unknown_", 0.5), ("_unknown_", 0.905), ("_silence_", 0.2), ("yes", 1.0)]
    clips = [ScoredClip(target, np.array([[0, 0, 0, 0], [peak, 0, 0, 0]], np.float32), 1.0) for target, peak in peaks]
    assert [lowest_quiet(model, clips, "yes", share) for share in (0.5, 0.25, 0.0)] == [0.25, 0.55, 0.91]


def test_every_speed_has_thresholds_for_both_modes(model: Model) -> None:
    clips = score_clips(model, tone_clips(), WORDS)
    speeds = choose_speeds(model, clips)
    assert list(speeds) == ["fast", "balanced", "accurate"]
    assert all(set(modes) == {"utterance", "continuous"} for modes in speeds.values())


def test_speeds_that_are_not_chosen_have_fixed_thresholds(model: Model) -> None:
    enough = {
        others: enough_to_choose_on(["yes"] * 20 + ["no"] * no + ["_unknown_"] * others, ["yes", "no"])
        for no, others in ((19, 81), (20, 79), (20, 80))
    }
    assert enough == {81: False, 79: False, 80: True}
    balanced = fixed_speeds(model)["balanced"]
    assert balanced["utterance"] == dict.fromkeys(model.metadata.labels, 0.9)
    assert balanced["continuous"] == {"yes": 0.9, "no": 0.9, "_unknown_": 1.0, "_silence_": 1.0}


def test_accuracy_between_points_of_a_curve() -> None:
    curve = [TimedAccuracy(0.4, 0.6), TimedAccuracy(0.6, 0.8)]
    assert accuracy_at(curve, [0.4, 0.5, 0.6]) == pytest.approx([0.6, 0.7, 0.8])
