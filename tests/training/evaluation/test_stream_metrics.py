"""What is counted in a stream against figures worked out by hand."""

import pytest

from tests.support.spoken_words import SPOKEN
from training.data.corpus import WordSpan
from training.evaluation.matching import match_detections
from training.evaluation.stream_metrics import (
    EmbeddedKeywords,
    FiredShare,
    misses_within,
    prefix_metrics,
    recording_spread,
    speaker_spread,
    stream_metrics,
)
from training.evaluation.stream_scores import DetectedWord

DETECTIONS = [
    DetectedWord(*d) for d in (("yes", 1.5), ("yes", 1.8), ("no", 2.6), ("no", 3.2), ("no", 6.3), ("no", 8.0))
]


def test_metrics_count_and_average() -> None:
    metrics = stream_metrics(SPOKEN, match_detections(SPOKEN, DETECTIONS), 1800, ["yes", "no"])
    assert (metrics.hours, metrics.keywords, metrics.misses, metrics.duplicates) == (0.5, 2, 0.5, 1)
    assert metrics.false_alarms_per_hour == 6.0  # on the prefix, on cat and in running speech, in half an hour
    assert metrics.embedded == EmbeddedKeywords(spoken=1, detected=1)
    assert metrics.decision is not None
    assert metrics.decision.from_end_s.p50 == pytest.approx(0.1)
    assert metrics.decision.from_start_s.p50 == pytest.approx(0.5)
    assert (metrics.labels["yes"].misses, metrics.labels["yes"].false_alarms_per_hour) == (0.5, 0.0)
    assert (metrics.labels["no"].misses, metrics.labels["no"].decision) == (None, None)


def test_prefix_metrics_name_what_fired() -> None:
    prefixes = prefix_metrics(SPOKEN, match_detections(SPOKEN, DETECTIONS))
    assert prefixes.labels == {"no": {"short prefix of no": (1, 1), "cat": (1, 1), "running speech": (1, 1)}}
    assert prefixes.groups["short prefixes"] == FiredShare(spoken=1, fired=1.0)
    assert prefixes.groups["long prefixes"] == FiredShare(spoken=0, fired=None)
    assert prefixes.groups["other words"] == FiredShare(spoken=1, fired=1.0)


def test_misses_of_an_hour_are_those_of_its_words() -> None:
    matches = match_detections(SPOKEN, DETECTIONS)
    assert [misses_within(SPOKEN, matches, *span) for span in ((0, 2), (2, 9), (9, 10))] == [0.0, 1.0, None]


def test_repeats_of_a_recording_are_drawn_together() -> None:
    read = [WordSpan(f"{i % 10}.flac", 10.0 * i, 10.0 * i + 9, "speech") for i in range(100)]
    in_two, in_one = (
        [DetectedWord("yes", 10.0 * i + 5) for i in places] for places in (range(0, 100, 5), range(0, 100, 10))
    )
    spread, single = (
        recording_spread(read, match_detections(read, alarms), 1000) for alarms in (in_two, in_one + in_one)
    )
    assert (spread.recordings, spread.with_alarms, single.with_alarms) == (10, 2, 1)
    assert single.interval == (0.0, 216.0)  # drawn never, and three times: 20 alarms in 1000 s are 72 per hour
    assert 0 < spread.interval[1] < 216


def test_recordings_that_are_all_alike_have_no_spread() -> None:
    read = [WordSpan(f"{i}.flac", 10.0 * i, 10.0 * i + 9, "speech") for i in range(10)]
    alarms = [DetectedWord("yes", word.end_s + 0.7) for word in read]  # in the pause after it
    assert recording_spread(read, match_detections(read, alarms), 100).interval == (360.0, 360.0)


def test_all_recordings_of_a_speaker_are_drawn_together() -> None:
    read = [WordSpan(f"train/{i % 5}/{i}.flac", 10.0 * i, 10.0 * i + 9, "speech") for i in range(20)]
    alarms = [DetectedWord("yes", 10.0 * i + 5) for i in range(0, 20, 5)]  # all by one speaker
    spread = speaker_spread(read, match_detections(read, alarms), 200)
    assert (spread.speakers, spread.with_alarms) == (5, 1)
    assert spread.interval[0] == 0.0
