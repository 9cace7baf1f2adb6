"""Hits, doubles and false alarms against ones worked out by hand."""

import pytest

from training.data.corpus import WordSpan
from training.evaluation.matching import by_recording, figures, match_detections, misses_within, prefixes
from training.evaluation.stream_scores import Detected

WORDS = [
    WordSpan("yes", 1.0, 1.4, "keyword"),
    WordSpan("no", 2.0, 2.5, "part", 0.5),
    WordSpan("cat", 3.0, 3.4, "other"),
    WordSpan("yes", 3.6, 4.0, "keyword"),
    WordSpan("", 5.0, 9.0, "speech"),
    WordSpan("no", 6.0, 6.2, "inside"),
]


def verdicts(*detections: tuple[str, float]) -> list[tuple[str, WordSpan | None]]:
    return [(v.kind, v.word) for v in match_detections(WORDS, [Detected(*detection) for detection in detections])]


@pytest.mark.parametrize(
    ("label", "time_s", "kind", "word"),
    [
        ("yes", 0.99, "false", None),  # before its word
        ("yes", 1.0, "hit", WORDS[0]),
        ("yes", 1.89, "hit", WORDS[0]),
        ("yes", 1.91, "false", None),
        ("no", 1.5, "false", WORDS[0]),  # on another keyword
        ("no", 2.1, "false", WORDS[1]),  # on a part of its own
        ("yes", 3.7, "hit", WORDS[3]),  # while cat may still be answered
        ("no", 3.7, "false", WORDS[3]),
        ("no", 6.3, "hit", WORDS[5]),
        ("yes", 6.3, "false", WORDS[5]),
        ("yes", 8.0, "false", WORDS[4]),
    ],
)
def test_a_detection_belongs_to_the_word_it_is_within(
    label: str, time_s: float, kind: str, word: WordSpan | None
) -> None:
    assert verdicts((label, time_s)) == [(kind, word)]


def test_a_word_is_hit_once() -> None:
    assert verdicts(("yes", 1.2), ("yes", 1.7)) == [("hit", WORDS[0]), ("double", WORDS[0])]


def test_nothing_said_makes_every_detection_false() -> None:
    assert [(v.kind, v.word) for v in match_detections([], [Detected("yes", 1.0)])] == [("false", None)]


DETECTIONS = [Detected(*d) for d in (("yes", 1.5), ("yes", 1.8), ("no", 2.6), ("no", 3.2), ("no", 6.3), ("no", 8.0))]


def test_figures_count_and_average() -> None:
    found = figures(WORDS, match_detections(WORDS, DETECTIONS), 1800, ["yes", "no"])
    assert (found["hours"], found["keywords"], found["misses"], found["doubles"]) == (0.5, 2, 0.5, 1)
    assert found["false_alarms_per_hour"] == 6.0  # on the part, on cat and in running speech, in half an hour
    assert found["inside"] == {"said": 1, "found": 1}
    assert found["decision"]["from_end_s"]["p50"] == pytest.approx(0.1)
    assert found["decision"]["from_start_s"]["p50"] == pytest.approx(0.5)
    assert (found["labels"]["yes"]["misses"], found["labels"]["yes"]["false_alarms_per_hour"]) == (0.5, 0.0)
    assert (found["labels"]["no"]["misses"], found["labels"]["no"]["decision"]) == (None, None)


def test_prefixes_say_what_fired() -> None:
    found = prefixes(WORDS, match_detections(WORDS, DETECTIONS))
    assert found["labels"] == {"no": {"short part of no": [1, 1], "cat": [1, 1], "running speech": [1, 1]}}
    assert found["groups"]["short parts"] == {"said": 1, "fired": 1.0}
    assert found["groups"]["long parts"] == {"said": 0, "fired": None}
    assert found["groups"]["other words"] == {"said": 1, "fired": 1.0}


def test_misses_of_an_hour_are_those_of_its_words() -> None:
    judged = match_detections(WORDS, DETECTIONS)
    assert [misses_within(WORDS, judged, *span) for span in ((0, 2), (2, 9), (9, 10))] == [0.0, 1.0, None]


def test_repeats_of_a_recording_are_one_witness() -> None:
    read = [WordSpan(f"{i % 10}.flac", 10.0 * i, 10.0 * i + 9, "speech") for i in range(100)]
    everywhere, one = ([Detected("yes", 10.0 * i + 5) for i in some] for some in (range(0, 100, 5), range(0, 100, 10)))
    spread, single = (by_recording(read, match_detections(read, alarms), 1000) for alarms in (everywhere, one + one))
    assert (spread["recordings"], spread["with_alarms"], single["with_alarms"]) == (10, 2, 1)
    assert single["interval"] == [0.0, 216.0]  # drawn not at all, and three times: 20 alarms in 1000 s are 72 an hour
    assert 0 < spread["interval"][1] < 216


def test_recordings_that_are_all_alike_leave_no_doubt() -> None:
    read = [WordSpan(f"{i}.flac", 10.0 * i, 10.0 * i + 9, "speech") for i in range(10)]
    alarms = [Detected("yes", word.end_s + 0.7) for word in read]  # in the pause after it
    assert by_recording(read, match_detections(read, alarms), 100)["interval"] == [360.0, 360.0]
