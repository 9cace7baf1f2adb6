from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from service.spotting.decision import REARM, ContinuousDecider, DecisionSettings, Hit, UtteranceDecider
from service.spotting.early import Decider, EarlyDecider

THRESHOLDS = np.array([0.8, 0.6, 0.7], np.float32)  # "a", "b" and "_unknown_"
ALL = np.array([True, True, True])
WORDS = np.array([True, True, False])


def frames(*rows: tuple[float, float, float]) -> NDArray[np.float32]:
    return np.array(rows, np.float32)


A, B, U, LOW = (0.9, 0.05, 0.05), (0.05, 0.9, 0.05), (0.05, 0.05, 0.9), (0.1, 0.1, 0.1)
HALF = (0.5, 0.05, 0.05)  # below a's threshold, above REARM times it


def approximately(hit: Hit) -> Hit:
    return replace(hit, score=round(hit.score, 5))


def answers(hits: list[Hit]) -> list[tuple[int, int]]:
    return [(hit.frame, hit.label) for hit in hits]


def test_utterance_answers_with_the_first_to_cross_and_only_once() -> None:
    decider = UtteranceDecider(DecisionSettings(THRESHOLDS, ALL))
    assert answers(decider.push(frames(LOW, LOW, U, A))) == [(2, 2)]
    assert decider.push(frames(A, B)) == [] == decider.finish()
    decider.reset()
    (hit,) = decider.push(frames(LOW, B))
    assert approximately(hit) == Hit(1, 1, 0.9, True)


def test_utterance_takes_the_highest_of_those_that_cross_together() -> None:
    decider = UtteranceDecider(DecisionSettings(np.full(3, 0.3, np.float32), ALL))
    assert answers(decider.push(frames(LOW, (0.31, 0.35, 0.32)))) == [(1, 1)]


def test_utterance_takes_only_those_that_crossed() -> None:
    """`a` scores higher but is still below its own threshold."""
    assert answers(UtteranceDecider(DecisionSettings(THRESHOLDS, ALL)).push(frames((0.79, 0.61, 0.0)))) == [(0, 1)]


def test_a_score_at_its_threshold_has_reached_it() -> None:
    assert answers(UtteranceDecider(DecisionSettings(THRESHOLDS, ALL)).push(frames((0.8, 0, 0)))) == [(0, 0)]
    assert answers(ContinuousDecider(DecisionSettings(THRESHOLDS, WORDS)).push(frames((0.8, 0, 0)))) == [(0, 0)]


def test_utterance_without_a_crossing_answers_with_the_best_at_the_end() -> None:
    decider = UtteranceDecider(DecisionSettings(THRESHOLDS, ALL))
    assert decider.push(frames((0.1, 0.5, 0.2), (0.5, 0.1, 0.2))) == []
    assert decider.finish() == [Hit(1, 0, 0.5, False)]
    assert decider.finish() == []


def test_utterance_of_no_frames_has_no_answer() -> None:
    assert UtteranceDecider(DecisionSettings(THRESHOLDS, ALL)).finish() == []


def test_utterance_gives_the_probability_of_excluded_labels_to_the_rest() -> None:
    """A caller that asked for `b` only gets `_unknown_` for "a", as soon as that is sure."""
    decider = DecisionSettings(THRESHOLDS, np.array([False, True, True]), other_label=2)
    (hit,) = UtteranceDecider(decider).push(frames(LOW, (0.65, 0.1, 0.1)))
    assert approximately(hit) == Hit(1, 2, 0.75, True)
    assert answers(UtteranceDecider(decider).push(frames(LOW, B))) == [(1, 1)]


def test_utterance_never_answers_with_an_excluded_label_even_where_nothing_stands_for_the_rest() -> None:
    decider = UtteranceDecider(DecisionSettings(THRESHOLDS, np.array([False, True, True])))
    assert decider.push(frames(A)) == []
    assert answers(decider.finish()) == [(0, 1)]


def test_continuous_detects_each_crossing_once_and_no_other_class() -> None:
    decider = ContinuousDecider(DecisionSettings(THRESHOLDS, WORDS))
    assert answers(decider.push(frames(LOW, A, A, A, LOW, U, B, LOW, A))) == [(1, 0), (6, 1), (8, 0)]


def test_continuous_needs_a_fall_below_the_lower_level_before_the_same_label() -> None:
    assert 0.5 > REARM * THRESHOLDS[0] > LOW[0]
    decider = ContinuousDecider(DecisionSettings(THRESHOLDS, WORDS))
    assert answers(decider.push(frames(A, HALF, A, LOW, A))) == [(0, 0), (4, 0)]


@pytest.mark.parametrize(("quiet", "expected"), [(0, [0, 2, 4]), (1, [0, 2, 4]), (2, [0, 4]), (3, [0, 4]), (4, [0])])
def test_continuous_keeps_quiet_for_the_refractory_time(quiet: int, expected: list[int]) -> None:
    decider = ContinuousDecider(DecisionSettings(THRESHOLDS, WORDS, refractory=quiet))
    hits = decider.push(frames(A, LOW, B, LOW, A, LOW))
    assert [hit.frame for hit in hits] == expected


def test_continuous_detects_a_word_that_still_stands_when_the_quiet_is_over() -> None:
    decider = ContinuousDecider(DecisionSettings(THRESHOLDS, WORDS, refractory=2))
    assert answers(decider.push(frames(A, B, B, B, B))) == [(0, 0), (3, 1)]


@pytest.mark.parametrize(("confirm", "expected"), [(0, [(1, 0), (4, 1)]), (1, [(5, 1)]), (2, [(6, 1)]), (3, [])])
def test_continuous_waits_until_a_score_has_stood_long_enough(confirm: int, expected: list[tuple[int, int]]) -> None:
    decider = ContinuousDecider(DecisionSettings(THRESHOLDS, WORDS, confirm=confirm))
    assert answers(decider.push(frames(LOW, A, HALF, LOW, B, B, B, LOW))) == expected


def test_a_score_that_falls_restarts_its_confirmation() -> None:
    decider = ContinuousDecider(DecisionSettings(THRESHOLDS, WORDS, confirm=2))
    assert answers(decider.push(frames(A, A, HALF, A, A, A))) == [(5, 0)]


def test_frames_of_quiet_count_as_confirmation() -> None:
    decider = ContinuousDecider(DecisionSettings(THRESHOLDS, WORDS, refractory=3, confirm=1))
    assert answers(decider.push(frames(A, A, B, B, B, B))) == [(1, 0), (5, 1)]


def test_a_reset_ends_the_confirmation() -> None:
    decider = ContinuousDecider(DecisionSettings(THRESHOLDS, WORDS, confirm=1))
    decider.push(frames(A))
    decider.reset()
    assert answers(decider.push(frames(A, A))) == [(1, 0)]


def test_a_reset_ends_the_quiet() -> None:
    decider = ContinuousDecider(DecisionSettings(THRESHOLDS, WORDS, refractory=5))
    decider.push(frames(A))
    decider.reset()
    assert answers(decider.push(frames(A))) == [(0, 0)]


@pytest.mark.parametrize(("kind", "confirm"), [(UtteranceDecider, 0), (ContinuousDecider, 0), (ContinuousDecider, 2)])
@pytest.mark.parametrize("seed", range(5))
def test_cutting_the_frames_elsewhere_changes_nothing(
    kind: type[UtteranceDecider] | type[ContinuousDecider], confirm: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    scores = np.repeat(rng.dirichlet([0.2] * 3, size=60), 4, axis=0).astype(np.float32)
    decider = replace(
        DecisionSettings(THRESHOLDS, WORDS, refractory=7, confirm=confirm),
        allowed=ALL if kind is UtteranceDecider else WORDS,
    )
    whole, pieces = kind(decider), kind(decider)
    expected = whole.push(scores) + whole.finish()
    cuts = np.sort(rng.integers(0, len(scores), size=30))
    got = [hit for piece in np.split(scores, cuts) for hit in pieces.push(piece)] + pieces.finish()
    assert got == expected
    assert len(expected) == 1 if kind is UtteranceDecider else len(expected) > 5


def early_decider(settings: DecisionSettings) -> EarlyDecider:
    return EarlyDecider(ContinuousDecider(settings))


@pytest.mark.parametrize("kind", [UtteranceDecider, ContinuousDecider, early_decider])
@pytest.mark.parametrize("seed", range(5))
def test_the_peak_of_the_scores_saves_work_and_changes_nothing(
    kind: Callable[[DecisionSettings], Decider], seed: int
) -> None:
    """Frames with scores at thresholds, above and below; the peak is exact or too high, never too low."""
    rng = np.random.default_rng(seed)
    scores = rng.dirichlet([0.1] * 3, size=400).astype(np.float32)
    scores[rng.random(400) < 0.3, 0] = THRESHOLDS[0]
    early = np.array([0.5, 0.55, 0.7], np.float32) if kind is early_decider else None
    settings = DecisionSettings(THRESHOLDS, WORDS, refractory=3, confirm=1, early_thresholds=early, decide_within=4)
    with_peak, without = kind(settings), kind(settings)
    for piece in np.split(scores, range(2, 400, 2)):
        peak = float(piece[:, WORDS].max()) + (0.05 if rng.random() < 0.5 else 0)
        assert with_peak.push(piece, peak) == without.push(piece)
