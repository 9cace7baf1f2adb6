"""Early detections in streams: how long before the confirmed ones they come, and how many are retracted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.spotting.events import Confirmed, EarlyDetection, Retracted
from service.spotting.metadata import EARLY_SPEED
from service.spotting.model import Model
from training.evaluation.matching import DetectionMatch, match_detections
from training.evaluation.stream_metrics import Percentiles, percentiles, share, stream_metrics
from training.evaluation.stream_scores import CHUNK, DetectedWord, ScoredStream, Verdicts, scored_session
from training.records import Record


@dataclass(frozen=True)
class EarlyMetrics(Record):
    """The early detections of one stream, and the confirmed ones among them."""

    early_false_alarms_per_hour: float
    retracted_words: float | None  # share of the early detections that belong to a word; None where there were none
    retracted_false_alarms: float | None  # share of the others
    misses: float | None  # of the confirmed detections
    false_alarms_per_hour: float
    from_end_s: Percentiles | None  # early detections of words that were then confirmed, from the end of the word
    lead_s: Percentiles | None  # from these to their confirmation


@dataclass(frozen=True)
class SettledDetection:
    """An early detection, when it was settled, and how."""

    early: DetectedWord
    settled_s: float
    confirmed: bool


def measure_early(model: Model, streams: Mapping[str, ScoredStream]) -> dict[str, dict[str, EarlyMetrics]] | None:
    """Speed -> stream -> figures, for each speed above EARLY_SPEED; None of a model without that speed."""
    speeds = model.metadata.speeds
    if EARLY_SPEED not in speeds:
        return None
    return {
        speed: {name: early_metrics(model, stream, speed=speed) for name, stream in streams.items()}
        for speed in speeds
        if speed != EARLY_SPEED
    }


def early_metrics(model: Model, stream: ScoredStream, **settings: Any) -> EarlyMetrics:
    """The figures of one stream at some settings of a session: `speed` or `threshold`."""
    words, seconds = stream.words, len(stream.scores) * model.metadata.hop / model.metadata.sample_rate
    settled = detect_early(model, stream.scores, stream.verdicts, **settings)
    matches = match_detections(words, [detection.early for detection in settled])
    is_word = [match.kind != "false" for match in matches]
    confirmed = sorted((detection for detection in settled if detection.confirmed), key=lambda one: one.settled_s)
    final = match_detections(words, [_at(detection, detection.settled_s) for detection in confirmed])
    metrics = stream_metrics(words, final, seconds, model.metadata.keywords)
    hits = [(detection, match.word) for detection, match in zip(confirmed, final, strict=True) if _is_hit(match)]
    return EarlyMetrics(
        early_false_alarms_per_hour=round(3600 * is_word.count(False) / seconds, 2),
        retracted_words=_retracted(settled, is_word, of_words=True),
        retracted_false_alarms=_retracted(settled, is_word, of_words=False),
        misses=metrics.misses,
        false_alarms_per_hour=metrics.false_alarms_per_hour,
        from_end_s=_percentiles([detection.early.time_s - word.end_s for detection, word in hits if word]),
        lead_s=_percentiles([detection.settled_s - detection.early.time_s for detection, _ in hits]),
    )


def detect_early(
    model: Model, scores: NDArray[np.float32], verdicts: Verdicts | None = None, **settings: Any
) -> list[SettledDetection]:
    """What a session of the service with early detections makes of these scores, in order of the early ones."""
    session = scored_session(model, verdicts, **settings, early=True)
    early: dict[int, DetectedWord] = {}
    settled: dict[int, SettledDetection] = {}
    events = [event for i in range(0, len(scores), CHUNK) for event in session.scored(scores[i : i + CHUNK])]
    for event in events + session.settle():
        time_s = (event.frame + 1) * model.metadata.hop / model.metadata.sample_rate
        if isinstance(event, EarlyDetection):
            early[event.id] = DetectedWord(event.label, time_s)
        if isinstance(event, Confirmed | Retracted):
            settled[event.id] = SettledDetection(early[event.id], time_s, isinstance(event, Confirmed))
    return [settled[number] for number in early]


def _at(detection: SettledDetection, time_s: float) -> DetectedWord:
    return DetectedWord(detection.early.label, time_s)


def _is_hit(match: DetectionMatch) -> bool:
    return match.kind == "hit" and match.word is not None and match.word.kind == "keyword"


def _retracted(settled: Sequence[SettledDetection], is_word: Sequence[bool], of_words: bool) -> float | None:
    chosen = [detection for detection, word in zip(settled, is_word, strict=True) if word == of_words]
    return share(sum(not detection.confirmed for detection in chosen), len(chosen))


def _percentiles(values: Sequence[float]) -> Percentiles | None:
    return percentiles(values) if values else None
