"""Streams to train on: their targets stay with their words."""

import numpy as np
import pytest

from training.data.corpus import Corpus, Utterance, WordSpan
from training.data.labels import Labels
from training.data.synthetic_streams import MixSettings
from training.learning.labelled_streams import (
    BEFORE_WEIGHT,
    FIRST_WEIGHT,
    HOLD_S,
    QUIET_WEIGHT,
    STREAM_S,
    LabelledStreams,
    at_rate,
    step_targets,
)
from training.learning.rank_coding import NO_KEYWORD

LABELS = Labels(("up", "down"))
RATE, STEP_S = 16_000, 0.02


def click(word: str) -> Utterance:
    """A word that is very loud from 0.2 to 0.4 s."""
    samples = np.zeros(RATE // 2, np.int16)
    samples[RATE // 5 : RATE * 2 // 5] = 20_000
    return Utterance(samples, (WordSpan(word, 0.2, 0.4, "keyword"),))


def corpus() -> Corpus:
    return Corpus(
        {"up": [click("up")], "down": [click("down")]}, {}, [], np.ones(99, np.float32), np.ones((1, 1), np.float32)
    )


def at(seconds: float) -> int:
    """The step that has just seen `seconds` of the stream."""
    return round(seconds / STEP_S) - 1


def test_a_keyword_is_the_answer_from_a_third_of_it_until_after_its_end() -> None:
    targets, weights = step_targets([WordSpan("down", 1.0, 1.4, "keyword")], LABELS, STEP_S, is_new=False)
    assert set(targets[: at(1.0)]) == {NO_KEYWORD}
    assert set(weights[: at(1.0)]) == {np.float32(QUIET_WEIGHT)}
    assert set(weights[at(1.04) : at(1.12)]) == {0.0}
    assert FIRST_WEIGHT < weights[at(1.14)] < weights[at(1.3)] < weights[at(1.38)] < 1
    assert set(targets[at(1.14) : at(1.4 + HOLD_S)]) == {1}
    assert set(weights[at(1.42) : at(1.4 + HOLD_S)]) == {1.0}
    assert set(targets[at(1.4 + HOLD_S) + 2 :]) == {NO_KEYWORD}


def test_a_new_stream_will_be_its_first_word_or_silence() -> None:
    words = [WordSpan("down", 1.0, 1.4, "keyword"), WordSpan("up", 2.2, 2.5, "keyword")]
    targets, weights = step_targets(words, LABELS, STEP_S, is_new=True)
    assert set(targets[: at(1.0)]) == {1}
    assert set(weights[: at(1.0)]) == {np.float32(BEFORE_WEIGHT)}
    assert targets[at(2.18)] == NO_KEYWORD
    assert set(step_targets([], LABELS, STEP_S, is_new=True)[0]) == {LABELS.silence}
    assert set(step_targets([], LABELS, STEP_S, is_new=False)[0]) == {NO_KEYWORD}


def test_other_words_are_unknown_and_prefixes_no_keyword() -> None:
    words = [WordSpan("cat", 0.5, 0.9, "other"), WordSpan("up", 1.5, 1.7, "prefix")]
    targets, weights = step_targets(words, LABELS, STEP_S, is_new=False)
    assert targets[at(0.9)] == LABELS.unknown
    assert set(targets[at(1.52) :]) == {NO_KEYWORD}
    assert weights[at(1.6)] == 0
    assert weights[at(1.8)] == 1


def test_nothing_is_taught_where_a_keyword_is_embedded_in_speech() -> None:
    words = [WordSpan("a.flac", 0.0, 3.0, "speech"), WordSpan("up", 1.0, 1.2, "embedded")]
    targets, weights = step_targets(words, LABELS, STEP_S, is_new=False)
    assert set(targets) == {NO_KEYWORD}
    assert set(weights[at(1.02) : at(1.6)]) == {0.0}
    assert weights[at(0.9)] == weights[at(2.0)] == 1


def test_a_keyword_that_the_stream_cuts_off_is_not_taught() -> None:
    _, weights = step_targets([WordSpan("up", 2.8, 3.1, "keyword")], LABELS, STEP_S, is_new=False)
    assert set(weights[at(2.82) :]) == {0.0}


def test_the_next_word_ends_the_one_before() -> None:
    words = [WordSpan("up", 0.5, 0.8, "keyword"), WordSpan("down", 0.85, 1.2, "keyword")]
    targets, weights = step_targets(words, LABELS, STEP_S, is_new=False)
    assert targets[at(0.84)] == 0
    assert weights[at(0.94)] == 0
    assert targets[at(1.1)] == 1


@pytest.mark.parametrize("rate", [0.8, 1.0, 1.25])
def test_a_word_stays_with_its_samples_at_any_rate(rate: float) -> None:
    played = at_rate(click("up"), rate)
    loud = np.flatnonzero(played.samples) / RATE
    assert loud[0] == pytest.approx(played.words[0].start_s, abs=0.001)
    assert loud[-1] == pytest.approx(played.words[0].end_s, abs=0.001)


def test_targets_lie_where_the_samples_are_loud(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.learning.labelled_streams.MIX", MixSettings(keyword=1, prefix=0, gap_s=(0.7, 1.0)))
    batch = LabelledStreams(corpus(), LABELS, STEP_S).batch(16, 0.5, 0.0, np.random.default_rng(0))
    assert batch.samples.shape == (16, STREAM_S * RATE)
    loud = (batch.samples.abs() > 0.1).reshape(16, -1, RATE // 50).any(dim=2)
    rising = (batch.targets < 2) & (batch.targets >= 0) & (batch.weights > BEFORE_WEIGHT) & (batch.weights < 1)
    assert rising.sum() > 50
    assert (loud & rising).sum() > 0.9 * rising.sum()


def test_the_same_generator_gives_the_same_streams() -> None:
    first, second = (
        LabelledStreams(corpus(), LABELS, STEP_S).batch(4, 0.5, 1.0, np.random.default_rng(3)) for _ in "ab"
    )
    for a, b in zip(first, second, strict=True):
        assert (a == b).all()
