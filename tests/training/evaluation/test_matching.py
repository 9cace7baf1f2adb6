"""Hits, duplicates and false alarms against ones worked out by hand."""

import pytest

from tests.support.spoken_words import SPOKEN
from training.data.corpus import WordSpan
from training.evaluation.matching import match_detections
from training.evaluation.stream_scores import DetectedWord


def kinds_and_words(*detections: tuple[str, float]) -> list[tuple[str, WordSpan | None]]:
    return [
        (match.kind, match.word)
        for match in match_detections(SPOKEN, [DetectedWord(*detection) for detection in detections])
    ]


@pytest.mark.parametrize(
    ("label", "time_s", "kind", "word"),
    [
        ("yes", 0.99, "false", None),  # before its word
        ("yes", 1.0, "hit", SPOKEN[0]),
        ("yes", 1.89, "hit", SPOKEN[0]),
        ("yes", 1.91, "false", None),
        ("no", 1.5, "false", SPOKEN[0]),  # on another keyword
        ("no", 2.1, "false", SPOKEN[1]),  # on a prefix of its own
        ("yes", 3.7, "hit", SPOKEN[3]),  # while cat may still be answered
        ("no", 3.7, "false", SPOKEN[3]),
        ("no", 6.3, "hit", SPOKEN[5]),
        ("yes", 6.3, "false", SPOKEN[5]),
        ("yes", 8.0, "false", SPOKEN[4]),
    ],
)
def test_a_detection_belongs_to_the_word_it_is_within(
    label: str, time_s: float, kind: str, word: WordSpan | None
) -> None:
    assert kinds_and_words((label, time_s)) == [(kind, word)]


def test_a_word_is_hit_once() -> None:
    assert kinds_and_words(("yes", 1.2), ("yes", 1.7)) == [("hit", SPOKEN[0]), ("duplicate", SPOKEN[0])]


def test_without_words_every_detection_is_false() -> None:
    assert [(match.kind, match.word) for match in match_detections([], [DetectedWord("yes", 1.0)])] == [("false", None)]
