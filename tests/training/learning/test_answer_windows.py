"""Streams to train on: their windows cover them, and stay with their words."""

import numpy as np
import pytest
import torch

from training.data.corpus import Corpus, Kind, Utterance, WordSpan
from training.data.labels import Labels
from training.data.synthetic_streams import MixSettings
from training.learning.answer_windows import GRACE_S, LATE_S, STREAM_S, Streams, played, spans
from training.learning.rank_coding import NO_KEYWORD

LABELS = Labels(("up", "down"))
RATE = 16_000


def click(word: str, kind: Kind = "keyword") -> Utterance:
    """A word that is as loud as can be from 0.2 to 0.3 s."""
    samples = np.zeros(RATE // 2, np.int16)
    samples[RATE // 5 : RATE * 3 // 10] = 20_000
    return Utterance(samples, (WordSpan(word, 0.2, 0.3, kind),))


def streams(speed: float = 0.0) -> Streams:
    corpus = Corpus(
        {"up": [click("up")], "down": [click("down")]}, {}, [], np.zeros(99, np.float32), np.ones((1, 1), np.float32)
    )
    return Streams(corpus, LABELS, 0.02, speed)


def test_windows_are_keywords_and_the_time_between_them() -> None:
    words = [
        WordSpan("up", 0.5, 0.8, "keyword"),
        WordSpan("down", 2.0, 2.2, "embedded"),
        WordSpan("left", 1.4, 1.6, "other"),
    ]
    windows = sorted(spans(words, LABELS))
    assert [(round(a, 2), round(b, 2), label) for a, b, label in windows] == [
        (0.0, 0.5, NO_KEYWORD),
        (0.5, 0.8 + LATE_S, 0),
        (0.8 + GRACE_S, 1.65, NO_KEYWORD),
        (1.65, 2.0, NO_KEYWORD),
        (2.2 + GRACE_S, STREAM_S, NO_KEYWORD),
    ]


def test_a_keyword_that_is_cut_off_is_in_no_window() -> None:
    windows = list(spans([WordSpan("up", 2.8, 3.1, "keyword")], LABELS))
    assert {label for _, _, label in windows} == {NO_KEYWORD}
    assert max(end for _, end, _ in windows if end < STREAM_S) == 2.8


def test_windows_stay_with_their_words_at_any_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the samples are loud is where the windows say a keyword is."""
    monkeypatch.setattr("training.learning.answer_windows.MIX", MixSettings(keyword=1, prefix=0, gap_s=(0.7, 1.0)))
    samples, windows = streams(speed=0.3).batch(16, np.random.default_rng(0))
    assert samples.shape == (16, STREAM_S * RATE)
    keyword = windows.label != NO_KEYWORD
    assert keyword.sum() > 10
    for row, start, stop in zip(windows.row[keyword], windows.start[keyword], windows.stop[keyword], strict=True):
        loud = samples[row].abs().reshape(-1, RATE // 50).amax(1) > 0.1
        assert loud[start + 1]
        assert not loud[stop : stop + 5].any()
        assert not loud[max(0, start - 5) : max(0, start - 1)].any()


def test_a_seed_gives_the_same_streams_and_another_others() -> None:
    first, second, third = (streams(0.1).batch(4, np.random.default_rng(seed))[0] for seed in (1, 1, 2))
    torch.testing.assert_close(first, second, atol=0, rtol=0)
    assert not torch.equal(first, third)


def test_a_word_moves_as_its_stream_is_stretched() -> None:
    middle = STREAM_S / 2
    word = played(WordSpan("up", middle - 0.5, middle + 0.2, "keyword"), 2.0)
    assert (round(word.start_s, 3), round(word.end_s, 3)) == (middle - 0.25, middle + 0.1)
