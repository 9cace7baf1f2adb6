"""What is counted in a stream: misses, false alarms, decision times, and what fires without being a keyword. Pure."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import AliasChoices, Field

from training.data.corpus import WordSpan, speaker_of_speech
from training.evaluation.matching import DetectionMatch
from training.records import Record

DRAWS = 2000  # resamples of the recordings, for an interval
LONG_PREFIX = 0.6  # share of its word from which on a prefix is a long one


@dataclass(frozen=True)
class Percentiles(Record):
    p10: float
    p50: float
    p90: float


@dataclass(frozen=True)
class DetectionTimes(Record):
    """Times of detections relative to the ends and to the beginnings of their words."""

    from_end_s: Percentiles
    from_start_s: Percentiles


@dataclass(frozen=True)
class KeywordMetrics(Record):
    keywords: int  # how many were spoken
    misses: float | None  # share of them; None where none was spoken
    false_alarms_per_hour: float
    decision: DetectionTimes | None


@dataclass(frozen=True)
class EmbeddedKeywords(Record):
    """Keywords in running speech."""

    spoken: Annotated[int, Field(validation_alias=AliasChoices("spoken", "said"))]
    detected: Annotated[int, Field(validation_alias=AliasChoices("detected", "found"))]


@dataclass(frozen=True)
class RecordingSpread(Record):
    """How far the false alarms per hour in running speech depend on single recordings."""

    recordings: int
    with_alarms: int
    interval: tuple[float, float]  # 95 % of the figures that as many recordings drawn from these would give


@dataclass(frozen=True)
class SpeakerSpread(Record):
    """How far the false alarms per hour in running speech depend on single speakers."""

    speakers: int
    with_alarms: int
    interval: tuple[float, float]  # 95 % of the figures that as many speakers drawn from these would give


@dataclass(frozen=True)
class DetectionMetrics(Record):
    """Everything that is counted in one stream."""

    hours: float
    keywords: int
    misses: float | None
    false_alarms_per_hour: float
    duplicates: Annotated[int, Field(validation_alias=AliasChoices("duplicates", "doubles"))]
    embedded: Annotated[EmbeddedKeywords, Field(validation_alias=AliasChoices("embedded", "inside"))]
    decision: DetectionTimes | None
    labels: dict[str, KeywordMetrics]
    by_recording: RecordingSpread | None = None  # spread over the recordings of running speech
    by_speaker: SpeakerSpread | None = None


@dataclass(frozen=True)
class FiredShare(Record):
    spoken: Annotated[int, Field(validation_alias=AliasChoices("spoken", "said"))]
    fired: float | None  # share of the spoken ones that fired a keyword; None where none was spoken


@dataclass(frozen=True)
class PrefixMetrics(Record):
    """What fires without being a keyword."""

    groups: dict[str, FiredShare]
    labels: dict[str, dict[str, tuple[int, int]]]  # label -> what fired it -> times it did, times it was spoken


def stream_metrics(
    words: Sequence[WordSpan], matches: Sequence[DetectionMatch], seconds: float, keywords: Sequence[str]
) -> DetectionMetrics:
    spoken = Counter(word.word for word in words if word.kind == "keyword")
    hits = [match for match in matches if match.kind == "hit" and match.word and match.word.kind == "keyword"]
    detected = Counter(match.detected.label for match in hits)
    false = Counter(match.detected.label for match in matches if match.kind == "false")
    embedded = [match for match in matches if match.kind == "hit" and match.word and match.word.kind == "embedded"]
    return DetectionMetrics(
        hours=round(seconds / 3600, 3),
        keywords=spoken.total(),
        misses=share(spoken.total() - detected.total(), spoken.total()),
        false_alarms_per_hour=round(3600 * false.total() / seconds, 2),
        duplicates=sum(match.kind == "duplicate" for match in matches),
        embedded=EmbeddedKeywords(sum(word.kind == "embedded" for word in words), len(embedded)),
        decision=detection_times(hits),
        labels={
            label: KeywordMetrics(
                keywords=spoken[label],
                misses=share(spoken[label] - detected[label], spoken[label]),
                false_alarms_per_hour=round(3600 * false[label] / seconds, 2),
                decision=detection_times([hit for hit in hits if hit.detected.label == label]),
            )
            for label in keywords
        },
    )


def recording_spread(words: Sequence[WordSpan], matches: Sequence[DetectionMatch], seconds: float) -> RecordingSpread:
    """The spread over the recordings of running speech, which a long stream repeats: repeats are drawn together."""
    return RecordingSpread(*spread_over(lambda word: word.word, words, matches, seconds))


def speaker_spread(words: Sequence[WordSpan], matches: Sequence[DetectionMatch], seconds: float) -> SpeakerSpread:
    """The spread over the speakers of running speech."""
    return SpeakerSpread(*spread_over(lambda word: speaker_of_speech(word.word), words, matches, seconds))


def spread_over(
    group: Callable[[WordSpan], str], words: Sequence[WordSpan], matches: Sequence[DetectionMatch], seconds: float
) -> tuple[int, int, tuple[float, float]]:
    """Number of groups of running speech, of those with false alarms, and the interval of the alarms per hour."""
    spoken = [word for word in words if word.kind == "speech"]
    names, which = np.unique([group(word) for word in spoken], return_inverse=True)
    lengths = np.bincount(which, [word.end_s - word.start_s for word in spoken])
    times = [match.detected.time_s for match in matches if match.kind == "false"]
    at = np.searchsorted([word.start_s for word in spoken], times, side="right") - 1
    alarms = np.bincount(which[at.clip(0)], minlength=len(names))
    drawn = np.random.default_rng(0).integers(len(names), size=(DRAWS, len(names)))
    rates = 3600 / seconds * alarms[drawn].sum(axis=1) * lengths.sum() / lengths[drawn].sum(axis=1)
    low, high = (round(float(rate), 1) for rate in np.percentile(rates, (2.5, 97.5)))
    return len(names), int(np.count_nonzero(alarms)), (low, high)


def share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def detection_times(hits: Sequence[DetectionMatch]) -> DetectionTimes | None:
    times = [(hit.detected.time_s, hit.word) for hit in hits if hit.word]
    if not times:
        return None
    return DetectionTimes(
        from_end_s=percentiles([time_s - word.end_s for time_s, word in times]),
        from_start_s=percentiles([time_s - word.start_s for time_s, word in times]),
    )


def percentiles(values: Sequence[float]) -> Percentiles:
    return Percentiles(*(round(float(np.percentile(values, p)), 3) for p in (10, 50, 90)))


def prefix_metrics(words: Sequence[WordSpan], matches: Sequence[DetectionMatch]) -> PrefixMetrics:
    """Shares of prefixes and of other words that fire; words begin alike that have the first letter of a keyword."""
    letters = {word.word[0] for word in words if word.kind == "keyword"}
    groups = {
        "short prefixes": [w for w in words if w.kind == "prefix" and w.share < LONG_PREFIX],
        "long prefixes": [w for w in words if w.kind == "prefix" and w.share >= LONG_PREFIX],
        "words that begin alike": [w for w in words if w.kind == "other" and w.word[0] in letters],
        "other words": [w for w in words if w.kind == "other" and w.word[0] not in letters],
    }
    fired = {id(match.word) for match in matches if match.kind == "false"}
    spoken = Counter(description(word) for word in words)
    once = {(m.detected.label, id(m.word)): m.word for m in matches if m.kind == "false" and m.word}
    counts = Counter((label, description(word)) for (label, _), word in once.items())
    by_label: dict[str, dict[str, tuple[int, int]]] = {}
    for (label, what), count in counts.most_common():
        by_label.setdefault(label, {})[what] = (count, spoken[what])
    return PrefixMetrics(
        groups={
            name: FiredShare(len(members), share(sum(id(word) in fired for word in members), len(members)))
            for name, members in groups.items()
        },
        labels=by_label,
    )


def description(word: WordSpan) -> str:
    """A word as a table names it."""
    if word.kind == "prefix":
        return f"{'long' if word.share >= LONG_PREFIX else 'short'} prefix of {word.word}"
    return {"speech": "running speech", "embedded": f"{word.word} in running speech"}.get(word.kind, word.word)


def misses_within(
    words: Sequence[WordSpan], matches: Sequence[DetectionMatch], begin_s: float, end_s: float
) -> float | None:
    """Share of the keywords spoken between two times that were missed."""
    spoken = [word for word in words if word.kind == "keyword" and begin_s <= word.start_s < end_s]
    hit = {id(match.word) for match in matches if match.kind == "hit"}
    return share(sum(id(word) not in hit for word in spoken), len(spoken))
