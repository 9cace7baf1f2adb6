"""Early detections on scores: when they are made, what settles them, and that nothing of it depends on the cuts."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.spotting.decision import REARM, ContinuousDecider, DecisionSettings, Hit
from service.spotting.early import EarlyDecider

SETTINGS = DecisionSettings(
    thresholds=np.array([0.8, 0.8, 0.8], np.float32),  # "a", "b" and "_unknown_"
    allowed=np.array([True, True, False]),
    refractory=2,
    confirm=2,
    early_thresholds=np.array([0.6, 0.6, 0.6], np.float32),
    decide_within=5,
)


def frames(*rows: tuple[float, float]) -> NDArray[np.float32]:
    return np.array([(a, b, 0.0) for a, b in rows], np.float32)


A, EARLY, HALF, LOW = (0.9, 0.0), (0.7, 0.0), (0.4, 0.0), (0.1, 0.0)
B = (0.0, 0.9)


def decided(decider: EarlyDecider, *rows: tuple[float, float]) -> list[tuple[int, int, str]]:
    return [(hit.frame, hit.label, hit.status) for hit in decider.push(frames(*rows))]


def test_an_early_detection_is_confirmed_by_the_rule_of_the_speed() -> None:
    """Early at the crossing of the early threshold; final after `confirm` frames above that of the speed."""
    assert decided(EarlyDecider(ContinuousDecider(SETTINGS)), LOW, EARLY, A, A, A, A, A) == [
        (1, 0, "early"),
        (4, 0, "confirmed"),
    ]


def test_a_score_that_falls_below_half_the_early_threshold_retracts() -> None:
    assert HALF[0] > REARM * 0.6 > LOW[0]
    assert decided(EarlyDecider(ContinuousDecider(SETTINGS)), EARLY, HALF, LOW, EARLY) == [
        (0, 0, "early"),
        (2, 0, "fell"),
        (3, 0, "early"),
    ]


def test_what_is_not_confirmed_in_time_is_retracted_and_stays_so_until_it_falls() -> None:
    rows = [EARLY] * 8 + [LOW, EARLY]
    assert decided(EarlyDecider(ContinuousDecider(SETTINGS)), *rows) == [
        (0, 0, "early"),
        (5, 0, "timeout"),
        (9, 0, "early"),
    ]


def test_the_last_frame_in_time_may_still_confirm() -> None:
    assert decided(EarlyDecider(ContinuousDecider(SETTINGS)), EARLY, EARLY, EARLY, A, A, A) == [
        (0, 0, "early"),
        (5, 0, "confirmed"),
    ]


def test_what_is_detected_after_its_time_is_early_and_confirmed_at_once() -> None:
    rows = [EARLY] * 6 + [A, A, A]
    assert decided(EarlyDecider(ContinuousDecider(SETTINGS)), *rows)[1:] == [
        (5, 0, "timeout"),
        (8, 0, "early"),
        (8, 0, "confirmed"),
    ]


def test_no_early_detection_during_the_refractory_time() -> None:
    decider = EarlyDecider(ContinuousDecider(replace(SETTINGS, confirm=0)))
    assert decided(decider, A, B, B, B) == [(0, 0, "early"), (0, 0, "confirmed"), (3, 1, "early"), (3, 1, "confirmed")]


def test_two_labels_may_be_open_at_the_same_time() -> None:
    both, a_only = (0.7, 0.65), (0.7, 0.0)
    assert decided(EarlyDecider(ContinuousDecider(SETTINGS)), both, both, a_only) == [
        (0, 0, "early"),
        (1, 1, "early"),
        (2, 1, "fell"),
    ]


def test_the_early_threshold_is_never_above_that_of_the_stream() -> None:
    decider = EarlyDecider(ContinuousDecider(replace(SETTINGS, thresholds=np.full(3, 0.3, np.float32))))
    assert decided(decider, LOW, HALF, HALF, HALF) == [(1, 0, "early"), (3, 0, "confirmed")]


def test_settling_retracts_what_is_open_at_the_latest_frame() -> None:
    decider = EarlyDecider(ContinuousDecider(SETTINGS))
    assert decided(decider, LOW, EARLY, A) == [(1, 0, "early")]
    (hit,) = decider.settle()
    assert replace(hit, score=round(hit.score, 5)) == Hit(2, 0, 0.9, True, "timeout")
    assert decider.settle() == decider.finish() == []
    assert decided(decider, A, A) == [(4, 0, "early"), (4, 0, "confirmed")]  # the rule of the speed was not disturbed


def test_a_reset_begins_again() -> None:
    decider = EarlyDecider(ContinuousDecider(SETTINGS))
    decided(decider, *[EARLY] * 7)  # timed out
    decider.reset()
    assert decided(decider, LOW, EARLY) == [(1, 0, "early")]
    decider.reset()
    assert decider.settle() == []


SCORES = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.2, 0.29, 0.31, 0.39, 0.41, 0.5, 0.61, 0.7, 0.79, 0.81, 0.95]),
        st.sampled_from([0.0, 0.1, 0.3, 0.45, 0.62, 0.85]),
        st.integers(1, 6),
    ),
    max_size=30,
).map(lambda runs: frames(*[(a, b) for a, b, length in runs for _ in range(length)]).reshape(-1, 3))
RULES = st.builds(
    replace,
    st.just(SETTINGS),
    thresholds=st.sampled_from([0.3, 0.6, 0.8]).map(lambda threshold: np.full(3, threshold, np.float32)),
    refractory=st.integers(0, 6),
    confirm=st.integers(0, 8),
    decide_within=st.integers(1, 7),
)
STEPS = st.lists(st.tuples(st.sampled_from(["push", "push", "push", "settle", "update"]), SCORES, RULES), max_size=8)


def check_settled(hits: list[Hit], within: int) -> list[Hit]:
    """Each early detection is settled once, after it and in time, and frames never go back; the confirmed ones."""
    open_since: dict[int, int] = {}
    assert [hit.frame for hit in hits] == sorted(hit.frame for hit in hits)
    for hit in hits:
        if hit.status == "early":
            assert hit.label not in open_since
            open_since[hit.label] = hit.frame
        else:
            assert hit.frame - open_since.pop(hit.label) <= within
    assert not open_since
    return [hit for hit in hits if hit.status == "confirmed"]


@settings(deadline=None, max_examples=300)
@given(steps=STEPS, rule=RULES, seed=st.integers(0, 1000))
def test_each_early_detection_is_settled_once_in_time_and_the_confirmed_are_those_without(
    steps: list[tuple[str, NDArray[np.float32], DecisionSettings]], rule: DecisionSettings, seed: int
) -> None:
    """For random scores, rules, cuts, updates and settlements in between, as a flush makes them."""
    rng = np.random.default_rng(seed)
    early, cut, plain = (
        EarlyDecider(ContinuousDecider(rule)),
        EarlyDecider(ContinuousDecider(rule)),
        ContinuousDecider(rule),
    )
    hits: list[Hit] = []
    expected: list[Hit] = []
    for kind, scores, changed in steps:
        if kind == "push":
            pieces = np.split(scores, np.sort(rng.integers(0, len(scores) + 1, size=5)))
            whole = early.push(scores)
            assert [hit for piece in pieces for hit in cut.push(piece)] == whole
            hits += whole
            expected += plain.push(scores)
        else:
            hits += early.settle()
            cut.settle()
        if kind == "update":
            early.settings = cut.settings = plain.settings = replace(changed, decide_within=rule.decide_within)
    confirmed = check_settled(hits + early.settle(), rule.decide_within)
    assert confirmed == [replace(hit, status="confirmed") for hit in expected]
